from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_st

from service.api.v2.signature import Datatype
from service.api.v2.tensors import Values, from_bytes, from_json, shape_of, to_bytes, to_json
from service.errors import Problem

NUMBERS: dict[Datatype, Any] = {"UINT8": np.uint8, "INT64": np.int64, "UINT64": np.uint64, "FP32": np.float32}
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[Datatype, np.ndarray]:
    datatype = draw(st.sampled_from(sorted(NUMBERS)))
    finite = {"allow_nan": False, "allow_infinity": False} if datatype == "FP32" else {}
    dtype = np.dtype(NUMBERS[datatype])
    elements = numpy_st.from_dtype(dtype, **finite)
    return datatype, draw(numpy_st.arrays(dtype, draw(SHAPES), elements=elements))


def nested(value: object) -> st.SearchStrategy[Any]:
    return st.recursive(value, lambda inner: st.lists(inner, max_size=4), max_leaves=20)


ANYTHING = nested(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5))


@given(arrays())
def test_numbers_survive_both_forms(tensor: tuple[Datatype, np.ndarray]) -> None:
    datatype, values = tensor
    for again in (
        from_bytes("x", datatype, values.shape, memoryview(to_bytes(values))),
        from_json("x", datatype, values.shape, to_json(values)),
        from_json("x", datatype, values.shape, values.tolist()),
    ):
        assert isinstance(again, np.ndarray)
        assert (again.dtype, again.shape) == (values.dtype, values.shape)
        assert again.tobytes() == values.tobytes() or (again == values).all()  # JSON has one zero
        assert shape_of(again) == list(values.shape)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_byte_strings_survive_both_forms(strings: list[bytes]) -> None:
    shape = shape_of(strings)
    assert from_bytes("x", "BYTES", shape, memoryview(to_bytes(strings))) == strings
    assert from_json("x", "BYTES", shape, to_json(strings)) == strings


def outcome(read: Callable[..., Values], *arguments: object) -> Values | Problem:
    try:
        return read("x", *arguments)
    except Problem as problem:
        return problem


@given(st.sampled_from([*NUMBERS, "BYTES"]), SHAPES, st.binary(max_size=300))
def test_any_bytes_are_a_tensor_of_the_shape_or_a_400(datatype: Datatype, shape: tuple[int, ...], data: bytes) -> None:
    shape = shape[:1] if datatype == "BYTES" else shape
    result = outcome(from_bytes, datatype, shape, memoryview(data))
    assert result.status == 400 if isinstance(result, Problem) else to_bytes(result) == data


@given(st.sampled_from([*NUMBERS, "BYTES"]), SHAPES, ANYTHING)
def test_any_json_is_a_tensor_of_the_shape_or_a_400(datatype: Datatype, shape: tuple[int, ...], data: object) -> None:
    shape = shape[:1] if datatype == "BYTES" else shape
    result = outcome(from_json, datatype, shape, data)
    assert result.status == 400 if isinstance(result, Problem) else shape_of(result) == list(shape)


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "reason"),
    [
        ("UINT8", (1,), [256], "does not fit into UINT8"),
        ("UINT8", (1,), [-1], "does not fit into UINT8"),
        ("UINT64", (1,), [2**64], "does not fit into UINT64"),
        ("INT64", (1,), [-(2**63) - 1], "does not fit into INT64"),
        ("UINT64", (1,), [1.0], "whole numbers"),
        ("UINT64", (1,), [True], "whole numbers"),
        ("UINT64", (1,), ["1"], "whole numbers"),
        ("FP32", (1,), [None], "are numbers"),
        ("FP32", (1,), [float("nan")], "not a finite FP32"),
        ("FP32", (1,), [float("inf")], "not a finite FP32"),
        ("FP32", (1,), [1e39], "not a finite FP32"),
        ("FP32", (1,), [10**400], "does not fit into FP32"),
        ("FP32", (2, 2), [1, 2, 3], "4 elements of the shape [2, 2]"),
        ("FP32", (2, 2), [[1, 2], [3]], "4 elements of the shape [2, 2]"),
        ("FP32", (2, 2), [[1, 2], 3], "4 elements of the shape [2, 2]"),
        ("FP32", (2, 2), [[[1], [2]], [[3], [4]]], "are numbers"),
        ("FP32", (2,), None, "2 elements of the shape [2]"),
        ("FP32", (2,), "12", "2 elements of the shape [2]"),
        ("FP32", (2,), {"0": 1, "1": 2}, "2 elements of the shape [2]"),
        ("BYTES", (1,), ["no base64!"], "base64"),
        ("BYTES", (1,), ["Größe"], "base64"),
        ("BYTES", (1,), [1], "base64"),
    ],
)
def test_json_that_is_not_the_tensor_is_refused_with_the_reason(
    datatype: Datatype, shape: tuple[int, ...], data: object, reason: str
) -> None:
    with pytest.raises(Problem) as caught:
        from_json("x", datatype, shape, data)
    assert caught.value.status == 400
    assert caught.value.detail.startswith("input x: ")
    assert reason in caught.value.detail


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "reason"),
    [
        ("FP32", (2,), bytes(7), "has 8 bytes, but binary_data_size is 7"),
        ("FP32", (1,), np.float32("nan").tobytes(), "not a finite FP32"),
        ("UINT64", (10**12,), b"", "8,000,000,000,000 bytes"),
        ("BYTES", (1,), b"\x05\0\0\0four", "longer than"),
        ("BYTES", (1,), b"\x05\0", "longer than"),
        ("BYTES", (1,), b"\xff\xff\xff\xff", "longer than"),
        ("BYTES", (2,), b"\x01\0\0\0a", "1 byte strings and 0 bytes after them"),
        ("BYTES", (1,), b"\x01\0\0\0abc", "1 byte strings and 2 bytes after them"),
        ("BYTES", (1,), b"", "0 byte strings"),
    ],
)
def test_bytes_that_are_not_the_tensor_are_refused_with_the_reason(
    datatype: Datatype, shape: tuple[int, ...], data: bytes, reason: str
) -> None:
    with pytest.raises(Problem) as caught:
        from_bytes("x", datatype, shape, memoryview(data))
    assert caught.value.status == 400
    assert reason in caught.value.detail


def test_numbers_at_odd_addresses_are_aligned() -> None:
    data = b"?" + np.arange(3, dtype="<u8").tobytes()
    values = from_bytes("x", "UINT64", (3,), memoryview(data)[1:])
    assert isinstance(values, np.ndarray)
    assert values.flags.aligned
    assert values.tolist() == [0, 1, 2]
