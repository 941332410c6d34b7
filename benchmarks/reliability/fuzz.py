"""Trials of images as hostile input: test images of the codecs' own projects, and images changed at random.

Every file goes through the service's route. A status that blames the service (500 and above), a request without a
response or a codec process that dies without a bound is a failure.
"""

import asyncio
import io
import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.reliability.clients import Request, Tally, send
from benchmarks.reliability.process import serving
from benchmarks.reliability.report import Finding

MIB = 2**20
ROUTE = "/translate/horse2zebra?size=64"
ALLOWED = (200, 413, 415, 422)
"""Statuses of a file that is served, too large, no image, or broken."""
CLIENTS = 4
LARGEST_BYTES = 30 * 10**6
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
BLOCKS = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xd8", b"\xff\xda", b"IDAT", b"IHDR", b"VP8X", b"\x80\x00")
KEPT_SHARE = 1.25
"""Largest memory after a trial over that after its first sixth."""


def corpora(folder: Path, files: Path) -> Finding:
    """Sends every file below `files`, a folder for each corpus."""
    failed: list[str] = []
    counts: dict[str, float | str] = {}
    sent = 0
    with serving(folder) as service:
        for corpus in sorted(path for path in files.iterdir() if path.is_dir() and path.name != "archives"):
            paths = [path for path in sorted(corpus.rglob("*")) if path.is_file()]
            paths = [path for path in paths if 0 < path.stat().st_size < LARGEST_BYTES]
            tally, bad = asyncio.run(_send_all(service.port, ((path.name, path.read_bytes()) for path in paths)))
            failed += [f"{corpus.name}/{name}: {ending}" for name, ending in bad]
            counts[corpus.name] = tally.text()
            sent += tally.endings.total()
        failed += service.rests()
    return Finding("corpora", "test images of the codecs' own projects", f"{sent:,} files", failed, figures=counts)


def mutations(folder: Path, minutes: float, seed: int, files: Path | None = None) -> Finding:
    """Sends images changed at random for `minutes`; the originals are ours, and those of `files` besides."""
    originals, chance = list(_originals()), random.Random(seed)
    if files is not None:
        small = [path for path in files.rglob("*") if path.is_file() and 0 < path.stat().st_size < 200_000]
        originals += [path.read_bytes() for path in sorted(small) if "archives" not in path.parts]

    def changed(seconds: float) -> Iterator[tuple[str, bytes]]:
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            number += 1
            yield f"file {number} of seed {seed}", mutate(chance.choice(originals), chance)

    with serving(folder) as service:
        asyncio.run(_send_all(service.port, changed(10 * minutes)))  # a sixth; all codec processes have started
        before = service.resident_bytes
        tally, bad = asyncio.run(_send_all(service.port, changed(50 * minutes)))
        failed = [f"{name}: {ending}" for name, ending in bad] + service.rests()
        after = service.resident_bytes
    if after > KEPT_SHARE * before:
        failed.append(f"memory rose from {before / MIB:.0f} to {after / MIB:.0f} MiB")
    return Finding(
        "mutations",
        f"images in {len(FORMATS)} formats, changed at random",
        f"{tally.endings.total():,} files in {minutes:g} minutes, from {len(originals):,} originals, seed {seed}",
        failed,
        figures={"endings": tally.text(), "MiB after a sixth and at the end": f"{before / MIB:.0f}, {after / MIB:.0f}"},
    )


def mutate(original: bytes, chance: random.Random) -> bytes:
    """Returns a file with one to eight changes: bytes set, blocks put in, repeated or taken out, the end cut off."""
    file = bytearray(original)

    def at() -> int:  # half of the changes are in the first bytes, where the headers are
        return chance.randrange(min(len(file), 128) if chance.random() < 0.5 else len(file))

    def put() -> None:
        file[at()] = chance.randrange(256)

    def insert() -> None:
        place = at()
        file[place:place] = chance.choice(BLOCKS)

    def overwrite() -> None:
        place, block = at(), chance.choice(BLOCKS)
        file[place : place + len(block)] = block

    def repeat() -> None:
        place = at()
        file[place:place] = file[place : place + chance.randrange(1, 64)] * chance.randrange(1, 64)

    def take_out() -> None:
        place = at()
        del file[place : place + chance.randrange(1, 64)]

    def cut() -> None:
        del file[1 + at() :]

    changes: list[Callable[[], None]] = [put, put, put, insert, overwrite, overwrite, repeat, take_out, cut]
    for _ in range(chance.randint(1, 8)):
        if file:
            chance.choice(changes)()
    return bytes(file) or b"\0"


def _originals() -> Iterator[bytes]:
    """Small images in every format, mode and layout that the service decodes."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA").resize((64, 48))
    for format in FORMATS:
        for mode in ("RGB", "L", "P", "RGBA", "CMYK", "I;16", "1"):
            buffer = io.BytesIO()
            try:
                converted = image.convert("I").convert("I;16") if mode == "I;16" else image.convert("RGB").convert(mode)
                converted.save(buffer, format)
            except (OSError, ValueError):  # the format does not have the mode
                continue
            yield buffer.getvalue()
    for options in ({"progressive": True}, {"subsampling": 2, "restart_marker_blocks": 1}):
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", **options)
        yield buffer.getvalue()
    for format in ("GIF", "PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format, save_all=True, append_images=[image.convert("RGB").rotate(90)])
        yield buffer.getvalue()


async def _send_all(port: int, files: Iterable[tuple[str, bytes]]) -> tuple[Tally, list[tuple[str, str]]]:
    """Sends files by CLIENTS clients. Returns how they ended, and the names of those that should not have."""
    tally, bad, left = Tally(), list[tuple[str, str]](), iter(files)

    async def client() -> None:
        for name, content in left:
            began = time.monotonic()
            ending = await send(port, Request("POST", ROUTE, content, "application/octet-stream"))
            tally.add(began, ending)
            if ending not in ALLOWED:
                bad.append((name, str(ending)))

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return tally, bad
