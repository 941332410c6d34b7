"""Compares ways to return a large photograph whose translation is small, and sizes inside the model.

    python -m benchmarks.serving.detail                     the photograph in docs/images
    python -m benchmarks.serving.detail FOLDER --sheet s.webp  every photograph of a folder, and an image to look at

plain: the model's image, enlarged. added: photograph + enlarge(after - before), what the service does. guided: the fast
guided filter (He and Sun 2015): the change as a local linear function of the photograph at model size, whose
coefficients are enlarged and applied to the photograph.

edges: mean horizontal gradient, over the photograph's, of the lowest tenth (in the bundled photograph the meadow), and
of outlines, the 2% of pixels where the photograph's is largest. stripes: how much of the model's change of texture
arrives, as the slope of (response - photograph) at model size on (after - before), both without what their surroundings
have too. ghost: how much of the photograph's fine detail is there where the model changes more than 40 grey levels, as
the slope of the response's on the photograph's. The model does not see that detail, and so cannot redraw it.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import ROOT, processor, table
from service.images import detail
from service.images.preprocess import model_size
from service.registry import Registry
from service.settings import Settings
from service.telemetry.metrics import Metrics

PHOTOGRAPH = ROOT / "docs" / "images" / "nokota-horses.webp"
SIZES = (256, 384, 512)
RADIUS, EPSILON = 2, 4.0
"""Of the guided filter: pixels at model size, and squared grey levels. Larger ones lose more of the stripes."""
STRONG = 40.0
BICUBIC = Image.Resampling.BICUBIC

Floats = NDArray[np.float64]


def enlarged(values: Floats, size: tuple[int, int]) -> Floats:
    """Resizes (h, w, 3) to `size` = (width, height) without rounding."""
    planes = [Image.fromarray(values[..., c].astype(np.float32)).resize(size, BICUBIC) for c in range(3)]
    return np.stack([np.asarray(plane, dtype=float) for plane in planes], axis=2)


def mean_around(values: Floats) -> Floats:
    """Mean over RADIUS pixels in each direction."""
    wide = np.pad(values, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * RADIUS + 1, 2 * RADIUS + 1), axis=(0, 1))
    result: Floats = windows.mean(axis=(3, 4))
    return result


def guided(photograph: Floats, before: Floats, after: Floats) -> Floats:
    """The fast guided filter, each channel its own guide."""
    size = photograph.shape[1], photograph.shape[0]
    means = mean_around(before), mean_around(after)
    slope = (mean_around(before * after) - means[0] * means[1]) / (mean_around(before**2) - means[0] ** 2 + EPSILON)
    offset = means[1] - slope * means[0]
    return enlarged(mean_around(slope), size) * photograph + enlarged(mean_around(offset), size)


def responses(photograph: Image.Image, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Iterator[Image.Image]:
    """The three ways, in the order of the module's documentation."""
    yield Image.fromarray(after).resize(photograph.size, BICUBIC)
    added = photograph.copy()
    detail.transfer(added, before, after)
    yield added
    filtered = guided(*(np.asarray(image, dtype=float) for image in (photograph, before, after)))
    yield Image.fromarray(filtered.clip(0, 255).round().astype(np.uint8))


def stripes(change: Floats) -> Floats:
    """The part of a change at model size that its surroundings do not have."""
    return change - mean_around(mean_around(change))


def slope(of: Floats, on: Floats) -> float:
    """Of the regression line through the origin."""
    return float((of * on).sum() / (on * on).sum())


def figures(
    photograph: Image.Image, response: Image.Image, before: NDArray[np.uint8], after: NDArray[np.uint8]
) -> list[float]:
    """Meadow, outlines, stripes, ghost."""
    size = before.shape[1], before.shape[0]
    whole, result = (np.asarray(image, dtype=float) for image in (photograph, response))
    gradients = [np.abs(np.diff(image.mean(axis=2), axis=1)) for image in (whole, result)]
    meadow = slice(len(whole) * 9 // 10, None)
    outlines = gradients[0] >= np.quantile(gradients[0], 0.98)
    change = after.astype(float) - before.astype(float)
    arrived = np.asarray(response.resize(size, BICUBIC), dtype=float) - before.astype(float)
    strong = np.abs(enlarged(change, photograph.size)) > STRONG
    fine = [
        image - enlarged(np.asarray(of.resize(size, BICUBIC), dtype=float), photograph.size)
        for image, of in ((whole, photograph), (result, response))
    ]
    return [
        gradients[1][meadow].mean() / gradients[0][meadow].mean(),
        gradients[1][outlines].mean() / gradients[0][outlines].mean(),
        slope(stripes(arrived), stripes(change)),
        slope(fine[1][strong], fine[0][strong]),
    ]


def main() -> None:
    """Reads the command line, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="?", default=PHOTOGRAPH, help="a photograph, or a folder")
    parser.add_argument("--direction", default="horse2zebra")
    parser.add_argument("--sheet", type=Path, help="write an image: a row per photograph and size")
    chosen = parser.parse_args()
    model = Registry(Settings(device="cpu"), Metrics()).find("translate", chosen.direction, None)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model.folder / model.artefact.file), options)
    rule = model.card.size
    if rule is None:
        raise TypeError(f"{model.id} is no translation")
    files = sorted(chosen.photographs.iterdir()) if chosen.photographs.is_dir() else [chosen.photographs]
    rows, sheet = [], []
    for side in SIZES:
        found: dict[str, list[list[float]]] = {"plain": [], "added": [], "guided": []}
        seconds = []
        for file in files:
            photograph = Image.open(file).convert("RGB")
            size = model_size(*photograph.size, side, rule, 10**9)
            before = np.asarray(photograph.resize(size, BICUBIC))
            start = time.thread_time()
            (after,) = session.run(None, {model.card.input.name: before[None]})[0]
            seconds.append(time.thread_time() - start)
            images = list(responses(photograph, before, after))
            for way, image in zip(found, images, strict=True):
                found[way].append(figures(photograph, image, before, after))
            sheet.append([photograph, *images])
        for way, values in found.items():
            means = [f"{statistics.mean(column):.2f}" for column in zip(*values, strict=True)]
            rows.append([str(side), f"{statistics.mean(seconds):.2f}", way, *means])
    print(f"{model.id}, {len(files)} photographs, one core of {processor()}\n")
    print("\n".join(table(["size", "s in the model", "response", "meadow", "outlines", "stripes", "ghost"], rows)))
    if chosen.sheet:
        save(sheet, chosen.sheet)


def save(rows: list[list[Image.Image]], path: Path) -> None:
    """Writes rows of images side by side, each in its own size."""
    width = max(sum(image.width for image in row) for row in rows)
    canvas = Image.new("RGB", (width, sum(row[0].height for row in rows)))
    y = 0
    for row in rows:
        for place, image in enumerate(row):
            canvas.paste(image, (place * image.width, y))
        y += row[0].height
    canvas.save(path)


if __name__ == "__main__":
    main()
