"""Tensor data: from JSON and from the bytes of the binary extension to arrays, and back."""

import base64
import binascii
import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from service.api.v2.signature import Datatype, malformed

Values = NDArray[Any] | list[bytes]
"""The elements of a tensor: an array of its shape, or the byte strings of a tensor of BYTES with one axis."""

_DTYPES: dict[Datatype, np.dtype[Any]] = {
    "UINT8": np.dtype("u1"),
    "INT64": np.dtype("<i8"),
    "UINT64": np.dtype("<u8"),
    "FP32": np.dtype("<f4"),
}
_LENGTH_BYTES = 4
"""Bytes of the little-endian number in front of each byte string."""


def from_bytes(name: str, datatype: Datatype, shape: Sequence[int], data: memoryview) -> Values:
    """Reads the binary form of a tensor whose shape has been checked. Arrays of one byte an element are not copied.

    Raises Problem 400.
    """
    if datatype == "BYTES":
        return _split(name, shape[0], data)
    dtype = _DTYPES[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise malformed(
            f"input {name}: {datatype} of shape {list(shape)} has {expected:,} bytes, but binary_data_size is "
            f"{len(data):,}"
        )
    values = np.frombuffer(data, dtype).reshape(shape)
    return _checked(name, values if dtype.itemsize == 1 else values.copy())  # which aligns it


def from_json(name: str, datatype: Datatype, shape: Sequence[int], data: object) -> Values:
    """Reads the member `data` of a tensor whose shape has been checked: its elements, nested by the shape or flat.

    Byte strings are in base64. Raises Problem 400.
    """
    elements = _flatten(name, shape, data)
    if datatype == "BYTES":
        return [_decode(name, element) for element in elements]
    allowed = {int, float} if datatype == "FP32" else {int}  # neither True nor "1" is a number
    if not {type(element) for element in elements} <= allowed:
        kind = "numbers" if datatype == "FP32" else "whole numbers"
        raise malformed(f"input {name}: the elements of {datatype} are {kind}")
    try:
        with np.errstate(over="ignore"):  # an infinite result is refused
            values = np.array(elements, _DTYPES[datatype])
    except OverflowError:
        raise malformed(f"input {name}: an element does not fit into {datatype}") from None
    return _checked(name, values.reshape(shape))


def to_bytes(values: Values) -> bytes:
    """Returns the binary form of a tensor."""
    if isinstance(values, list):
        return b"".join(len(item).to_bytes(_LENGTH_BYTES, "little") + item for item in values)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def to_json(values: Values) -> list[Any]:
    """Returns the elements for the member `data`, flat; byte strings in base64."""
    if isinstance(values, list):
        return [base64.b64encode(item).decode() for item in values]
    return values.ravel().tolist()


def shape_of(values: Values) -> list[int]:
    """Returns the shape of a tensor."""
    return [len(values)] if isinstance(values, list) else list(values.shape)


def _split(name: str, count: int, data: memoryview) -> list[bytes]:
    """Splits the binary form of `count` byte strings, each of which has its length in front."""
    strings: list[bytes] = []
    place = 0
    while place < len(data) and len(strings) < count:
        start = place + _LENGTH_BYTES
        place = start + int.from_bytes(data[place:start], "little")
        if start > len(data) or place > len(data):
            raise malformed(f"input {name}: byte string {len(strings)} is longer than binary_data_size leaves room for")
        strings.append(bytes(data[start:place]))
    if len(strings) != count or place != len(data):
        raise malformed(
            f"input {name}: the shape is [{count}], but the data has {len(strings)} byte strings and "
            f"{len(data) - place:,} bytes after them: each has its length in front, in 4 little-endian bytes"
        )
    return strings


def _flatten(name: str, shape: Sequence[int], data: object) -> list[object]:
    """Returns the elements of `data`. Nothing is allocated for a shape that they do not have."""
    level: list[object] = [data]
    nested = isinstance(data, list) and any(isinstance(part, list) for part in data)
    for size in shape if nested else [math.prod(shape)]:
        if not all(isinstance(part, list) and len(part) == size for part in level):
            raise malformed(
                f"input {name}: 'data' must be a list of the {math.prod(shape):,} elements of the shape {list(shape)}, "
                "or lists nested by it"
            )
        level = list(itertools.chain.from_iterable(cast("list[list[object]]", level)))
    return level


def _decode(name: str, text: object) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") if isinstance(text, str) else b"?", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise malformed(
            f"input {name}: an element of BYTES in JSON is a file in base64; the binary extension takes the file itself"
        ) from None


def _checked(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Returns the values. Raises Problem 400 for what is no number, which would spoil the result silently."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise malformed(f"input {name}: an element is not a finite FP32 number")
    return values
