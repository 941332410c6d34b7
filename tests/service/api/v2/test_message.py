"""No body makes the reader fail otherwise than with a problem."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.v2.message import Call, read_call, write_response
from service.api.v2.signature import Signature, Tensor
from service.errors import Problem

DIGITS = Tensor("digits", "UINT8", (-1, 28, 28))
SAMPLER = Signature(
    (Tensor("seed", "UINT64", (-1,)), Tensor("z", "FP32", (-1, 2))), None, {"seed": DIGITS, "z": DIGITS}
)
IMAGE, FILE = Tensor("image", "UINT8", (-1, -1, -1, 3)), Tensor("image_file", "BYTES", (-1,))
TRANSLATOR = Signature((IMAGE, FILE), None, {"image": IMAGE, "image_file": FILE})
NAMES = [
    *("id", "inputs", "outputs", "parameters", "name", "shape", "datatype", "data", "binary_data", "binary_data_size"),
    *("binary_data_output", "seed", "z", "image", "image_file", "UINT8", "UINT64", "FP32", "BYTES"),
]
SCALARS = st.none() | st.booleans() | st.integers(-2, 9) | st.integers() | st.floats() | st.sampled_from(NAMES)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Requests that are nearly right: each member is missing, right or anything."""

    def member(right: object) -> Any:
        return draw(st.sampled_from([right]) | JSON)

    items = [
        {
            "name": member("seed"),
            "datatype": member("UINT64"),
            "shape": member([2]),
            "data": member([1, 2]),
            "parameters": member({"binary_data_size": 16}),
        }
        for _ in range(draw(st.integers(0, 2)))
    ]
    for item in items:
        for name in draw(st.sets(st.sampled_from(sorted(item)))):
            del item[name]
    return {"inputs": member(items), "outputs": member([{"name": "digits"}]), "parameters": member({})}


def read(body: bytes, json_bytes: int | None, signature: Signature) -> Call | Problem:
    try:
        return read_call([body], json_bytes, signature, 10_000)
    except Problem as problem:
        return problem


@given(st.binary(max_size=200), st.none() | st.integers(0, 300), st.sampled_from([SAMPLER, TRANSLATOR]))
def test_any_bytes_are_refused(body: bytes, json_bytes: int | None, signature: Signature) -> None:
    result = read(body, json_bytes, signature)
    assert isinstance(result, Problem)
    assert result.status == 400


@given(requests(), st.binary(max_size=40), st.sampled_from([SAMPLER, TRANSLATOR]))
def test_any_json_is_a_call_or_a_problem(request: object, data: bytes, signature: Signature) -> None:
    text = json.dumps(request).encode()
    for result in (read(text + data, len(text), signature), read(text, None, signature)):
        if isinstance(result, Problem):
            assert result.status in (400, 422)
        else:
            assert len(result.values) >= 1


@pytest.mark.parametrize("binary", [True, False])
def test_a_response_says_how_long_its_json_is(binary: bool) -> None:
    values = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)
    body, length = write_response({"model_name": "m"}, DIGITS, values, binary)
    document = json.loads(body[:length])
    assert document["model_name"] == "m"
    (output,) = document["outputs"]
    assert output["shape"] == [2, 28, 28]
    assert (length is None) != binary
    assert body[length:] == values.tobytes() if binary else output["data"] == values.ravel().tolist()
