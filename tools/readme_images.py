"""Draws the images of the README with the running service.

Start the service (make serve), then run .venv/bin/python -m tools.readme_images
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
GAP = 4
WIDTH = 720


def request(url: str, body: bytes | None = None) -> Image.Image:
    """The image in the service's response; exits with the detail of a problem document."""
    headers = {"Content-Type": "image/png", "Accept": "image/png"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as response:
            return Image.open(io.BytesIO(response.read())).copy()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {json.load(error)['detail']}") from error
    except urllib.error.URLError as error:
        raise SystemExit(f"{url}: {error.reason}; start the service with 'make serve'") from error


def translate(service: str, direction: str, image: Image.Image) -> Image.Image:
    """Translates one image, sent and received as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return request(f"{service}/translate/{direction}", buffer.getvalue())


def side_by_side(images: list[Image.Image]) -> Image.Image:
    """Pastes images of one height in a row."""
    canvas = Image.new("RGB", (sum(i.width + GAP for i in images) - GAP, images[0].height), "white")
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width + GAP
    return canvas


def draw_readme(service: str) -> None:
    """Draws 64 digits of seed 0, and a photograph with its translation and the translation back."""
    out = ROOT / "docs" / "images"
    request(f"{service}/mnist/sample?count=64&seed=0&columns=16").save(out / "digits.png", optimize=True)
    photograph = Image.open(PHOTOGRAPH).convert("RGB")
    photograph = photograph.resize((WIDTH, round(WIDTH * photograph.height / photograph.width)))
    zebras = translate(service, f"horse2zebra?size={WIDTH}", photograph)
    again = translate(service, f"zebra2horse?size={WIDTH}", zebras)
    side_by_side([photograph, zebras, again]).save(out / "horses-zebras-horses.webp", quality=85)
    print(f"drawn in {out}")


def main() -> None:
    """Reads the command line, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="http://127.0.0.1:8000", help="address of the running service")
    draw_readme(parser.parse_args().service)


if __name__ == "__main__":
    main()
