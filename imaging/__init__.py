"""Image files to upright sRGB pixels: the one decoder of training, evaluation and service.

`decode` is all that they need. The package imports neither of them, and no torch.
"""

from imaging.decoder import Decoded, decode
from imaging.errors import DamagedError, ImageError, TooCostlyError, TooLargeError, UnsupportedError
from imaging.formats import FileFormat
from imaging.inspection import Inspection, inspect

__all__ = [
    "DamagedError",
    "Decoded",
    "FileFormat",
    "ImageError",
    "Inspection",
    "TooCostlyError",
    "TooLargeError",
    "UnsupportedError",
    "decode",
    "inspect",
]
