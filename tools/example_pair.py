"""Draws a pair of folders to practise on, landscapes by day and by night: python -m tools.example_pair data/day2night

The two sides show different places: CycleGAN needs no partners. Nothing is downloaded.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

SIDE = 128
"""Side of an image, in pixels."""
DRAWN_AT = 4
"""Images are drawn this many times as large and then made smaller, which smooths their edges."""
IMAGES = {"trainA": 120, "trainB": 120, "testA": 6, "testB": 6}
"""Images in each folder; A are days, B are nights."""


class Light(NamedTuple):
    """The colours of one side, as RGB."""

    sky: tuple[tuple[int, int, int], tuple[int, int, int]]
    """At the top and at the horizon."""
    disc: tuple[int, int, int]
    hills: tuple[tuple[int, int, int], ...]
    """From the farthest to the nearest."""
    wall: tuple[int, int, int]
    roof: tuple[int, int, int]
    window: tuple[int, int, int]


DAY = Light(
    ((70, 140, 225), (190, 220, 245)),
    (255, 225, 90),
    ((120, 170, 130), (95, 160, 85), (70, 140, 55)),
    (235, 215, 185),
    (175, 75, 55),
    (95, 105, 120),
)
NIGHT = Light(
    ((8, 10, 40), (35, 40, 90)),
    (235, 235, 220),
    ((28, 36, 62), (20, 28, 48), (13, 20, 34)),
    (52, 50, 66),
    (34, 26, 40),
    (255, 205, 90),
)


def landscape(light: Light, random: Generator) -> Image.Image:
    """One landscape: an RGB image of SIDE x SIDE pixels. The same light and random numbers draw the same image."""
    size = SIDE * DRAWN_AT
    top, horizon = (np.array(colour, dtype=float) for colour in light.sky)
    share = np.linspace(0, 1, size)[:, None]
    sky = (top + (horizon - top) * share).round().astype(np.uint8)
    image = Image.fromarray(np.repeat(sky[:, None], size, axis=1))
    draw = ImageDraw.Draw(image)
    radius = random.uniform(0.06, 0.1) * size
    x, y = random.uniform(0.1, 0.9) * size, random.uniform(0.12, 0.3) * size
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=light.disc)
    across = np.linspace(0, 2 * np.pi, 60)
    for row, colour in enumerate(light.hills):
        height = 0.5 + 0.15 * row + 0.05 * np.sin(across * random.uniform(0.5, 1.5) + random.uniform(0, 6))
        outline = list(zip(across / (2 * np.pi) * size, height * size, strict=True))
        draw.polygon([(0, size), *outline, (size, size)], fill=colour)
        for _ in range(random.integers(0, 3)):
            place = random.integers(8, 52)
            house(draw, light, float(outline[place][0]), float(outline[place][1]), size * (0.08 + 0.04 * row))
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def house(draw: ImageDraw.ImageDraw, light: Light, x: float, y: float, width: float) -> None:
    """Draws a house whose ground is at (x, y)."""
    left, right, eaves = x - width / 2, x + width / 2, y - width * 0.55
    draw.rectangle((left, eaves, right, y + width * 0.2), fill=light.wall)
    draw.polygon(
        [(left - width * 0.1, eaves), (x, eaves - width * 0.45), (right + width * 0.1, eaves)], fill=light.roof
    )
    for centre in (x - width * 0.22, x + width * 0.22):
        draw.rectangle(
            (centre - width * 0.1, eaves + width * 0.15, centre + width * 0.1, eaves + width * 0.4), fill=light.window
        )


def draw_pair(folder: Path) -> None:
    """Writes the four folders of IMAGES below `folder`, as PNG files."""
    for seed, (name, count) in enumerate(IMAGES.items()):
        random = np.random.default_rng(seed)
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            light = DAY if name.endswith("A") else NIGHT
            landscape(light, random).save(folder / name / f"{number:03}.png")
    print(f"drawn: {', '.join(f'{count} images in {folder / name}' for name, count in IMAGES.items())}")


def main() -> None:
    """Reads the command line, and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="such as data/day2night; its name is that of the pair")
    draw_pair(parser.parse_args().folder)


if __name__ == "__main__":
    main()
