"""Formats of image files, told by their first bytes."""

import re
from typing import Final, Literal

from imaging.errors import UnsupportedError

FileFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
"""Formats that are decoded, by Pillow's names."""

ACCEPTED: Final = "JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF"

_DECODED: tuple[tuple[re.Pattern[bytes], FileFormat], ...] = (
    (re.compile(rb"\xff\xd8\xff?"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"BM.{4}\0{4}", re.DOTALL), "BMP"),
    (re.compile(rb"(?:II[*+]\0|MM\0[*+])(?!....CR)", re.DOTALL), "TIFF"),
    (re.compile(rb"....ftypavi[fs]", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftypm[is]f1.{4,60}?avi[fs]", re.DOTALL), "AVIF"),
)
_REFUSED: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"....ftyp(?:he[ivx][cmsx]|m[is]f1)", re.DOTALL), "HEIC"),
    (re.compile(rb"....ftyp(?:crx )|II\*\0....CR|FUJIFILM|IIRO|IIU\0", re.DOTALL), "camera raw"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "JPEG XL"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), "JPEG 2000"),
    (re.compile(rb"....ftyp|\x1a\x45\xdf\xa3", re.DOTALL), "video"),
    (re.compile(rb"8BPS"), "Photoshop"),
    (re.compile(rb"%PDF"), "PDF"),
    (re.compile(rb"\0\0[\1\2]\0[^\0]\0"), "icon"),
    (re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?<svg", re.DOTALL | re.IGNORECASE), "SVG"),
    (re.compile(rb"\s*<(?:!doctype html|html)", re.IGNORECASE), "HTML"),
)
_HEAD_BYTES = 512


def identify(body: bytes) -> FileFormat:
    """Returns the format of a file. Raises UnsupportedError, with its name if that is known."""
    head = bytes(body[:_HEAD_BYTES])
    for pattern, name in _DECODED:
        if pattern.match(head):
            return name
    for pattern, other in _REFUSED:
        if pattern.match(head):
            cure = "convert it to JPEG" if other in ("HEIC", "camera raw") else "convert it to JPEG or PNG"
            raise UnsupportedError(f"the file is a {other} file, but expected is a {ACCEPTED} image: {cure}")
    raise UnsupportedError(f"the file does not begin as a {ACCEPTED} image does: send one, or convert the file to one")
