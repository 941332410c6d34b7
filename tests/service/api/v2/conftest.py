"""Requests of the protocol, and its errors."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

LENGTH = "Inference-Header-Content-Length"


@pytest.fixture
def error_of() -> Callable[..., str]:
    """`error_of(response, status, kind)`: the protocol's error, once it has been found to be well formed."""

    def check(response: httpx.Response, status: int, kind: str) -> str:
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"]
        error = response.json()
        assert error.keys() == {"error", "type"}
        assert error["type"] == f"urn:gan:problem:{kind}"
        return error["error"]

    return check


def described(name: str, datatype: str, shape: list[int], **members: object) -> dict[str, Any]:
    """An input of a request."""
    return {"name": name, "datatype": datatype, "shape": shape, **members}


def seeds(*values: int) -> dict[str, Any]:
    """A request in JSON for the digits of seeds."""
    return {"inputs": [described("seed", "UINT64", [len(values)], data=list(values))]}


def binary(request: dict[str, Any], *data: bytes) -> dict[str, Any]:
    """Arguments of a POST whose inputs lack `data`: it comes behind the JSON."""
    for item, part in zip(request["inputs"], data, strict=True):
        item["parameters"] = {"binary_data_size": len(part)}
    text = json.dumps(request).encode()
    return {"content": text + b"".join(data), "headers": {LENGTH: str(len(text))}}


def byte_strings(*items: bytes) -> bytes:
    """The binary form of a tensor of BYTES."""
    return b"".join(len(item).to_bytes(4, "little") + item for item in items)


def array_of(response: httpx.Response) -> np.ndarray:
    """The one output of a response, whichever form it has. Pixels are uint8."""
    assert response.status_code == 200, response.text
    if LENGTH not in response.headers:
        assert response.headers["content-type"] == "application/json"
        (output,) = response.json()["outputs"]
        return np.array(output["data"]).reshape(output["shape"])
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[LENGTH])
    (output,) = json.loads(response.content[:length])["outputs"]
    data = response.content[length:]
    assert output["parameters"]["binary_data_size"] == len(data)
    assert "data" not in output
    return np.frombuffer(data, np.uint8).reshape(output["shape"])
