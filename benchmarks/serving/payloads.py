"""Request bodies: crops of the freely licensed photograph in docs/images, and Triton's tensors around them."""

import io
import json
import struct

from PIL import Image

from benchmarks.report import ROOT

PHOTOGRAPH = ROOT / "docs" / "images" / "nokota-horses.webp"
SIZES = ((640, 480), (480, 640), (640, 427), (427, 640), (640, 360), (512, 512), (600, 400), (500, 375))
"""Width and height of the mixed photographs: common sizes of cameras and the web."""


def crops(sizes: tuple[tuple[int, int], ...], count: int) -> list[bytes]:
    """`count` JPEGs whose sizes cycle through `sizes`, each cropped at another place of the photograph."""
    photograph = Image.open(PHOTOGRAPH).convert("RGB")
    return [_crop(photograph, *sizes[i % len(sizes)], (i * 0.37) % 1) for i in range(count)]


def _crop(photograph: Image.Image, width: int, height: int, place: float) -> bytes:
    """The largest crop of this aspect ratio, `place` (0 to 1) along the longer side, scaled to the size."""
    scale = min(photograph.width / width, photograph.height / height)
    wide, high = round(width * scale), round(height * scale)
    left, top = round((photograph.width - wide) * place), round((photograph.height - high) * place)
    crop = photograph.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + wide, top + high))
    buffer = io.BytesIO()
    crop.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def tensor(body: bytes, output: str) -> tuple[bytes, int]:
    """(body, length of its JSON part) of a KServe v2 request whose one BYTES element is `body`."""
    element = struct.pack("<I", len(body)) + body
    parameters = {"binary_data_size": len(element)}
    head = {
        "inputs": [{"name": "body", "shape": [1, 1], "datatype": "BYTES", "parameters": parameters}],
        "outputs": [{"name": output, "parameters": {"binary_data": True}}],
    }
    encoded = json.dumps(head).encode()
    return encoded + element, len(encoded)
