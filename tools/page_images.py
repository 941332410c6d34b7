"""Cuts the small images of the page: example photographs, a zebra that is our own translation, and mode collapse.

Start the service (make serve), then run .venv/bin/python -m tools.page_images
"""

import argparse

from PIL import Image

from tools.readme_images import PHOTOGRAPH, ROOT, translate

OUT = ROOT / "service" / "api" / "static" / "examples"
CROPS = {"foal": (236, 404, 484, 590), "herd": (100, 180, 580, 540), "black": (540, 200, 924, 488)}
"""Left, top, right and bottom in the photograph of 1024 x 664 pixels; each is four by three."""
SIDE = 400
"""Longest side of an example, in pixels."""
COLLAPSE = {"collapsed": (50, 55, 318, 216), "cured": (361, 55, 629, 216)}
"""The first six rows of each run's digits in docs/images/collapse.png."""


def draw(service: str) -> None:
    """Writes the images; the zebra is the black horse's translation by the running service."""
    photograph = Image.open(PHOTOGRAPH).convert("RGB")
    examples = {name: photograph.crop(box).resize((SIDE, SIDE * 3 // 4)) for name, box in CROPS.items()}
    examples["zebra"] = translate(service, f"horse2zebra?size={SIDE}", examples["black"])
    for name, image in examples.items():
        image.save(OUT / f"{name}.webp", quality=70, method=6)
    digits = Image.open(ROOT / "docs" / "images" / "collapse.png").convert("L")
    for name, box in COLLAPSE.items():
        digits.crop(box).save(OUT / f"{name}.webp", quality=60, method=6)
    print(f"drawn in {OUT.relative_to(ROOT)}: {sum(path.stat().st_size for path in OUT.iterdir())} bytes")


def main() -> None:
    """Reads the command line, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="http://127.0.0.1:8000", help="address of the running service")
    draw(parser.parse_args().service)


if __name__ == "__main__":
    main()
