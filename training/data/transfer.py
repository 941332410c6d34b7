"""Downloads files over HTTP, resuming after broken connections; a file appears only if complete and verified."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from tqdm import tqdm

from training.data.errors import DataError

#: Timeout of a silent connection.
TIMEOUT_S = 30.0
#: Pauses after consecutive broken connections; one break more is the last.
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
BLOCK_BYTES = 1 << 16
#: Response statuses that are worth another try.
PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}

#: Describes what is wrong with a file, with the expected and the found checksum; "" for nothing.
Problem = Callable[[Path], str]


class _BrokenError(Exception):
    """A connection that ended before the file did; worth another try."""


@dataclass(frozen=True)
class _Part:
    """The bytes of a file received so far, and a label file with their address and version."""

    path: Path

    @property
    def label(self) -> Path:
        return self.path.with_name(f"{self.path.name}.version")

    @property
    def length(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self, address: str) -> str:
        """The version of `address` that these bytes belong to; "" if unknown, when nothing can be appended."""
        lines = self.label.read_text().splitlines() if self.label.is_file() and self.length else []
        return lines[1] if len(lines) == 2 and lines[0] == address else ""

    def restart(self, address: str, version: str) -> None:
        """Empties the part before it labels it, so that a label never describes bytes of another version."""
        self.path.write_bytes(b"")
        self.label.write_text(f"{address}\n{version}\n")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.label.unlink(missing_ok=True)


def fetch(address: str, target: Path, problem: Problem, remedy: str) -> None:
    """Downloads `address` to `target` unless it exists, resuming what an earlier call left of it.

    `problem` checks the file before it gets its name; one that fails is downloaded once more from scratch. Raises
    DataError, ending in `remedy`, if the file cannot be downloaded or is not the right one.
    """
    if target.is_file() and not problem(target):
        return
    if not re.fullmatch(r"https?://[!-.0-~]+(/[!-~]*)?", address, re.IGNORECASE):
        raise DataError(f"expected an address that starts with http:// or https://, got {address!r}: {remedy}")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target.with_name(f"{target.name}.part"))
    print(f"downloading {address}", flush=True)
    for _ in range(2):
        _complete(address, part, remedy)
        found = problem(part.path)
        if not found:
            part.path.replace(target)
            part.discard()
            return
        part.discard()
        tqdm.write(f"{address} is damaged: {found}")
    raise DataError(f"{address} is damaged, twice: {found}. Nothing of it was kept: {remedy}")


def _complete(address: str, part: _Part, remedy: str) -> None:
    """Connects until the part is complete; only breaks without a new byte between them count towards giving up."""
    breaks, longest = 0, part.length
    while True:
        try:
            _receive(address, part, remedy)
            return
        except _BrokenError as error:
            if part.length > longest:
                breaks, longest = 0, part.length
            if breaks == len(PAUSES_S):
                raise DataError(
                    f"{address} could not be read to its end, the last of {breaks + 1} tries: {error}. The "
                    f"{part.length:,} bytes received are kept and the same command resumes from there; or {remedy}"
                ) from error
            tqdm.write(f"{address}: {error}; trying again in {PAUSES_S[breaks]:.0f} s")
            time.sleep(PAUSES_S[breaks])
            breaks += 1


def _receive(address: str, part: _Part, remedy: str) -> None:
    """Appends what one connection delivers. Raises _BrokenError if the file is not complete after it."""
    version = part.version(address)
    have = part.length if version else 0
    # If-Range: the rest if the version is still the same, else the whole file
    headers = {"Range": f"bytes={have}-", "If-Range": version} if have else {}
    try:
        response: HTTPResponse = _OPENER.open(Request(address, headers=headers), timeout=TIMEOUT_S)  # noqa: S310 - fetch() checks it
    except HTTPError as error:
        with error:
            _explain(error, address, part, remedy)
        return
    except (OSError, HTTPException) as error:
        raise _BrokenError(f"no response ({error})") from error
    with response:
        start, total = _extent(response, part, version)
        if start == 0:
            part.restart(address, _version(response.headers))
        _append(response, part, start, total)
    if total is not None and part.length != total:
        raise _BrokenError(f"the connection ended at byte {part.length:,} of {total:,}")


def _explain(error: HTTPError, address: str, part: _Part, remedy: str) -> None:
    """Turns an HTTP error into the right exception; returns if it means that the part is complete."""
    if error.code == 416:
        # an empty range was requested: the last run ended between the last byte and the renaming
        if error.headers.get("Content-Range") == f"bytes */{part.length}":
            return
        part.discard()
        raise _BrokenError("the bytes kept are not part of the file")
    if error.code in PASSING_STATUS:
        raise _BrokenError(f"the server responded {error.code} {error.reason}")
    raise DataError(f"{address} responded {error.code} {error.reason} instead of the file: {remedy}") from error


def _extent(response: HTTPResponse, part: _Part, version: str) -> tuple[int, int | None]:
    """Offset of the response's bytes in the file, and the file's length if the server states it."""
    if response.status == 200:
        return 0, response.length
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    same = _version(response.headers) in ("", version)
    if response.status != 206 or not match or int(match[1]) != part.length or not same:
        part.discard()
        raise _BrokenError(f"the server responded {response.status} with another part than the requested one")
    return part.length, None if match[2] == "*" else int(match[2])


def _version(headers: Message) -> str:
    """The ETag, or else Last-Modified; weak ETags promise too little to add to a file."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _append(response: HTTPResponse, part: _Part, start: int, total: int | None) -> None:
    with (
        part.path.open("ab") as file,
        tqdm(
            total=total,
            initial=start,
            desc=part.path.stem,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            disable=None,
        ) as bar,
    ):
        while block := _read(response):
            file.write(block)
            bar.update(len(block))
        file.flush()
        os.fsync(file.fileno())


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(BLOCK_BYTES)
    except (OSError, HTTPException) as error:
        raise _BrokenError(f"the connection broke ({error})") from error


def _opener() -> OpenerDirector:
    """Opens HTTP and HTTPS only: a redirection to ftp: or file: has no handler."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler,
        HTTPHandler,
        HTTPSHandler,
        HTTPRedirectHandler,
        HTTPDefaultErrorHandler,
        HTTPErrorProcessor,
        UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


_OPENER = _opener()
