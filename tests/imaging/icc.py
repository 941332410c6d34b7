"""ICC profiles (ICC.1:2001) made from their numbers, and pixels in their colour spaces."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

#: Chromaticities of red, green, blue and white, and the gamma, of colour spaces.
RGB = {
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290), 2.2),
    "Adobe RGB": ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), (0.3127, 0.3290), 2.19921875),
    "ProPhoto RGB": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), 1.8),
    "Rec. 2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290), 2.4),
    "Wide Gamut RGB": ((0.7347, 0.2653), (0.1152, 0.8264), (0.1566, 0.0177), (0.3457, 0.3585), 2.19921875),
    "Apple RGB": ((0.625, 0.340), (0.280, 0.595), (0.155, 0.070), (0.3127, 0.3290), 1.8),
    "Linear": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290), 1.0),
}
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def rgb(name: str) -> bytes:
    """The profile of a colour space, or sRGB's."""
    if name == "sRGB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    *primaries, white, gamma = RGB[name]
    columns = np.array([_xyz(*point) for point in primaries]).T
    columns = columns * np.linalg.solve(columns, _xyz(*white))
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ _xyz(*white))
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ columns
    tags = {f"{colour}XYZ".encode(): _xyz_tag(*adapted[:, i]) for i, colour in enumerate("rgb")}
    tags |= {f"{colour}TRC".encode(): _gamma_tag(gamma) for colour in "rgb"}
    return _profile(b"RGB ", b"mntr", tags)


def grey(gamma: float) -> bytes:
    return _profile(b"GRAY", b"mntr", {b"kTRC": _gamma_tag(gamma)})


def cmyk() -> bytes:
    """A table of two points an ink, all of the same grey in Lab."""
    identity = struct.pack(">9i", *(65536 * v for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    curves_in, curves_out = bytes(range(256)) * 4, bytes(range(256)) * 3
    grid = bytes([128, 128, 128]) * 16
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + curves_in + grid + curves_out
    return _profile(b"CMYK", b"prtr", {b"A2B0": table, b"A2B1": table}, b"Lab ")


def convert(image: Image.Image, profile: bytes) -> Image.Image:
    """An sRGB image in the space of `profile`."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), target, outputMode="RGB")


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz_tag(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _gamma_tag(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))


def _profile(space: bytes, device: bytes, tags: dict[bytes, bytes], connection: bytes = b"XYZ ") -> bytes:
    text = b"a space"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz_tag(*_D50), **tags}
    table, content, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s", start + len(content), b"\0\0\0\0", 0x02400000, device, space, connection, b"acsp"
    )
    header += bytes(28) + struct.pack(">3i", *(round(value * 65536) for value in _D50))
    return header + bytes(128 - len(header)) + table + content
