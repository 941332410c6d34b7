"""Images in JSON: {"image": "<base64>"} and the parameters of the request, or what the response says of the image."""

import base64
import binascii
import json
from collections.abc import Iterable

from pydantic_core import from_json

from service.errors import Problem

PIECE_BYTES = 3 * 2**18
"""Bytes of a file that are encoded at once: in between, other threads get Python's lock."""
_PIECE_CHARACTERS = PIECE_BYTES // 3 * 4
MAX_SEPARATORS = 64
"""Most commas of a request, which base64 has not: what has more may take thirty times its memory."""
MAX_ESCAPES = 16_384
"""Most backslashes that are read in a thread: each takes time in which no other thread has Python's lock. Some clients
escape the slashes of base64, one character of 64, which allows an image of 768 KiB.
"""


def is_costly(chunks: Iterable[bytes]) -> bool:
    """Returns whether reading the request would stop other threads: it has many escapes, or characters beyond ASCII."""
    escapes = 0
    for chunk in chunks:
        escapes += chunk.count(b"\\")
        if escapes > MAX_ESCAPES or not chunk.isascii():
            return True
    return False


def read(chunks: Iterable[bytes]) -> tuple[bytes, dict[str, str]]:
    """Reads a request. Returns the file and the parameters. Raises Problem 400 or 422."""
    body = b"".join(chunks)
    if body.count(b",") > MAX_SEPARATORS:
        raise _wrong('the JSON has too many members: send {"image": "<base64>"} and parameters of the request')
    try:
        members = from_json(body)
    except ValueError as error:
        raise Problem(400, "invalid-json", f"the body is not JSON: {str(error)[:200]}") from None
    if not isinstance(members, dict):
        raise _wrong('the JSON is not an object: send {"image": "<base64>"}')
    image = members.pop("image", None)
    if not isinstance(image, str):
        kind = "there is none" if image is None else f"this is {json.dumps(image)[:40]}"
        raise _wrong(f"image: expected the image file in base64, as a string, but {kind}")
    for name, value in members.items():
        if type(value) not in (str, int):
            raise _wrong(f"{name[:40]}: expected a string or a whole number, got {json.dumps(value)[:80]}")
    return _decoded(image), {name: str(value) for name, value in members.items()}


def write(file: bytes, media_type: str, model: str, size: str) -> bytes:
    """Returns a response: the file in base64 with its media type, the model, and the size inside it."""
    described = json.dumps({"media_type": media_type, "model": model, "size": size}).encode()
    pieces = [base64.b64encode(file[first : first + PIECE_BYTES]) for first in range(0, len(file), PIECE_BYTES)]
    return b"".join([b'{"image": "', *pieces, b'", ', described[1:]])


def _decoded(image: str) -> bytes:
    try:
        text = image.encode("ascii")
        pieces: list[bytes] = []
        for first in range(0, len(text), _PIECE_CHARACTERS):
            if pieces and len(pieces[-1]) < PIECE_BYTES:
                raise binascii.Error("padding before the end")
            pieces.append(base64.b64decode(text[first : first + _PIECE_CHARACTERS], validate=True))
        return b"".join(pieces)
    except (binascii.Error, UnicodeEncodeError):
        raise _wrong(
            "image: this is not base64: expected A-Z, a-z, 0-9, + and /, padded with =, without line breaks or a data: "
            "prefix"
        ) from None


def _wrong(detail: str) -> Problem:
    return Problem(422, "invalid-parameter", detail)
