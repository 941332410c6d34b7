"""Requests and responses as they cross the network: JSON, and the bytes of tensors behind it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from service.api.v2 import tensors
from service.api.v2.schema import InferenceRequest, RequestInput
from service.api.v2.signature import Signature, Tensor, malformed
from service.api.v2.tensors import Values

LENGTH_HEADER = "Inference-Header-Content-Length"
"""Header with the bytes of the JSON in front of binary tensors."""
BINARY_OUTPUT = "binary_data_output"
"""Parameter of a request: whether outputs come as bytes unless they say otherwise."""


@dataclass(frozen=True)
class Call:
    """A request that fits its model."""

    id: str | None
    """Comes back in the response."""
    chosen: str
    """Name of the one input that the request has of the signature's choices."""
    values: Values
    """Its elements."""
    labels: Values | None
    """The labels, for a model that has them."""
    options: dict[str, Any]
    """Parameters for the model."""
    binary: bool
    """Whether the output comes as bytes."""


def read_call(chunks: Iterable[bytes], json_bytes: int | None, signature: Signature, max_pixels: int) -> Call:
    """Reads a request's body, of which the first `json_bytes` are JSON; None means all of it.

    `max_pixels`: of all images together. Raises Problem 400 or 422.
    """
    body = b"".join(chunks)
    length = len(body) if json_bytes is None else json_bytes
    if length > len(body):
        raise malformed(f"{LENGTH_HEADER} is {length:,}, but the body has {len(body):,} bytes")
    request = _parse(body[:length])
    values = _values(request.inputs, signature, memoryview(body)[length:], max_pixels)
    chosen = _chosen(signature, values)
    output = signature.outputs[chosen.name]
    options = dict(request.parameters)
    if any(not isinstance(value, str | int | float) for value in options.values()):
        raise malformed("parameters: the values are texts, numbers, true or false")
    binary = options.pop(BINARY_OUTPUT, False)
    if not isinstance(binary, bool):
        raise malformed(f"{BINARY_OUTPUT} is true or false, got {str(binary)[:40]!r}")
    for asked in request.outputs:
        if asked.name != output.name:
            raise malformed(f"output {asked.name[:80]!r}: with the input {chosen.name} there is one, {output.name}")
        binary = binary if asked.parameters.binary_data is None else asked.parameters.binary_data
    labels = values.get(signature.label.name) if signature.label else None
    return Call(request.id, chosen.name, values[chosen.name], labels, options, binary)


def write_response(head: dict[str, Any], output: Tensor, values: Values, binary: bool) -> tuple[bytes, int | None]:
    """Returns a response's body, and the bytes of its JSON if others follow. `head`: further members of the JSON."""
    described: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": tensors.shape_of(values)}
    if binary:
        data = tensors.to_bytes(values)
        text = _json({**head, "outputs": [{**described, "parameters": {"binary_data_size": len(data)}}]})
        return b"".join([text, data]), len(text)  # which lets other threads run while it copies much
    if output.datatype == "BYTES":
        described["parameters"] = {"content_type": "base64"}
    return _json({**head, "outputs": [{**described, "data": tensors.to_json(values)}]}), None


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _parse(text: bytes) -> InferenceRequest:
    try:
        document = from_json(text)
    except ValueError as error:
        raise malformed(
            f"the body is not JSON: {str(error)[:200]}; binary tensors need the header {LENGTH_HEADER}"
        ) from None
    if not isinstance(document, dict):
        raise malformed("the JSON is not an inference request: it must be an object with 'inputs'")
    try:
        return InferenceRequest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"])
        raise malformed(f"the JSON is not an inference request: {place}: {first['msg']}") from None


def _values(inputs: list[RequestInput], signature: Signature, data: memoryview, max_pixels: int) -> dict[str, Values]:
    """Returns the elements of each input, by its name. `data`: the bytes behind the JSON, which must be used up."""
    known = {tensor.name: tensor for tensor in signature.inputs}
    values: dict[str, Values] = {}
    for item in inputs:
        tensor = known.get(item.name)
        if tensor is None or item.name in values:
            reason = "the model has no such input" if tensor is None else "it is there twice"
            raise malformed(f"input {item.name[:80]!r}: {reason}; the inputs are {', '.join(known)}")
        if item.datatype != tensor.datatype:
            raise malformed(f"input {item.name}: expected the datatype {tensor.datatype}, got {item.datatype}")
        tensor.check_shape(item.shape, max_pixels)
        size = item.parameters.binary_data_size
        if size is None:
            values[item.name] = tensors.from_json(item.name, item.datatype, item.shape, item.data)
            continue
        if item.data is not None or size > len(data):
            reason = f"{len(data):,} bytes are left behind the JSON" if item.data is None else "it has 'data' too"
            raise malformed(f"input {item.name}: binary_data_size is {size:,}, but {reason}")
        values[item.name] = tensors.from_bytes(item.name, item.datatype, item.shape, data[:size])
        data = data[size:]
    if data:
        raise malformed(f"{len(data):,} bytes behind the JSON belong to no input: set binary_data_size of each")
    return values


def _chosen(signature: Signature, values: dict[str, Values]) -> Tensor:
    """Returns the one input that the request has of the choices, once all inputs have been found to fit together."""
    found = [tensor for tensor in signature.choices if tensor.name in values]
    if len(found) != 1:
        names = " and ".join(tensor.name for tensor in signature.choices)
        raise malformed(f"send one of the inputs {names}, not {'both' if found else 'neither'}")
    (chosen,) = found
    if signature.label is not None:
        labels = values.get(signature.label.name)
        if labels is None or len(labels) != len(values[chosen.name]):
            raise malformed(f"input {signature.label.name}: this model needs a label for each item of {chosen.name}")
    return chosen
