"""Draws what the running service answers: the pictures of the README, or a contact sheet of a whole test set.

Start the service (make serve), then one of
    .venv/bin/python benchmarks/pictures.py readme
    .venv/bin/python benchmarks/pictures.py sheet data/horse2zebra build/sheets
A sheet shows photographs that are not ours to redistribute: keep it to yourself.
"""

import argparse
import io
import json
import urllib.error
import urllib.request
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHOTOGRAPH = ROOT / "docs" / "images" / "nokota-horses.webp"
CELL = 192


def ask(url: str, body: bytes | None = None) -> Image.Image:
    """The picture that the service answers; leaves with its message when it answers with a problem."""
    headers = {"Content-Type": "image/png", "Accept": "image/png"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as answer:
            return Image.open(io.BytesIO(answer.read())).copy()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {json.load(error)['detail']}") from error
    except urllib.error.URLError as error:
        raise SystemExit(f"{url}: {error.reason}; start the service with 'make serve'") from error


def translate(service: str, direction: str, image: Image.Image) -> Image.Image:
    """One picture through the service, lossless both ways."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return ask(f"{service}/translate/{direction}", buffer.getvalue())


def side_by_side(images: list[Image.Image], gap: int = 4) -> Image.Image:
    """Pictures of one height in a row."""
    canvas = Image.new("RGB", (sum(i.width + gap for i in images) - gap, images[0].height), "white")
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width + gap
    return canvas


def draw_readme(service: str) -> None:
    """64 digits of seed 0; the free photograph, its translation and the way back."""
    out = ROOT / "docs" / "images"
    ask(f"{service}/mnist/sample?count=64&seed=0&columns=16").save(out / "digits.png", optimize=True)
    photograph = Image.open(PHOTOGRAPH).convert("RGB")
    photograph = photograph.resize((512, round(512 * photograph.height / photograph.width)))
    zebras = translate(service, "horse2zebra", photograph)
    again = translate(service, "zebra2horse", zebras)
    side_by_side([photograph, zebras, again]).save(out / "horses-zebras-horses.webp", quality=85)
    print(f"drawn in {out}")


def draw_sheets(service: str, pair: Path, out: Path) -> None:
    """Every test picture beside its translation, a sheet a direction, eight pairs a row."""
    x, _, y = pair.name.partition("2")
    out.mkdir(parents=True, exist_ok=True)
    for direction, folder in ((f"{x}2{y}", "testA"), (f"{y}2{x}", "testB")):
        files = sorted((pair / folder).glob("*"))
        if not files:
            raise SystemExit(f"no pictures in {pair / folder}: gan-train download fetches them")
        rows = -(-len(files) // 8)
        sheet = Image.new("RGB", (8 * (2 * CELL + 6), rows * (CELL + 6)), "white")
        for i, file in enumerate(files):
            source = Image.open(file).convert("RGB")
            translated = translate(service, direction, source)
            both = side_by_side([image.resize((CELL, CELL)) for image in (source, translated)], gap=0)
            sheet.paste(both, (i % 8 * (2 * CELL + 6), i // 8 * (CELL + 6)))
        path = out / f"{direction}.jpg"
        sheet.save(path, quality=88)
        print(f"{len(files)} pictures in {path}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="http://127.0.0.1:8000", help="address of the running service")
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("readme", help="draw docs/images")
    sheet = commands.add_parser("sheet", help="draw contact sheets of a pair's test pictures")
    sheet.add_argument("pair", type=Path, help="folder with testA and testB, such as data/horse2zebra")
    sheet.add_argument("out", type=Path, help="folder for the sheets")
    arguments = parser.parse_args()
    if arguments.command == "readme":
        draw_readme(arguments.service)
    else:
        draw_sheets(arguments.service, arguments.pair, arguments.out)


if __name__ == "__main__":
    main()
