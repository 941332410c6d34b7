"""Each kind of change, made to the committed document."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.api_changes import breaking_changes
from tools.render_docs import DOCS

Document = dict[str, Any]

SAMPLE, TRANSLATE = "/mnist/sample", "/translate/{direction}"


@pytest.fixture
def document() -> Document:
    return json.loads((DOCS / "openapi.json").read_text())


def parameter(document: Document, path: str, name: str) -> Document:
    operation = next(iter(document["paths"][path].values()))
    return next(found for found in operation["parameters"] if found["name"] == name)


def without_parameter(document: Document) -> None:
    operation = document["paths"][SAMPLE]["get"]
    operation["parameters"] = [found for found in operation["parameters"] if found["name"] != "columns"]


def with_required_parameter(document: Document) -> None:
    new = {"name": "key", "in": "query", "required": True, "schema": {"type": "string"}}
    document["paths"][SAMPLE]["get"]["parameters"].append(new)


def schema(document: Document, name: str) -> Document:
    return document["components"]["schemas"][name]


BREAKS: dict[str, Callable[[Document], object]] = {
    f"{SAMPLE}: removed": lambda d: d["paths"].pop(SAMPLE),
    "POST /translate/{direction}: removed": lambda d: d["paths"][TRANSLATE].pop("post"),
    "GET /models: operationId was listModels, is getModels": lambda d: d["paths"]["/models"]["get"].update(
        operationId="getModels"
    ),
    "GET /mnist/sample parameter columns: removed": without_parameter,
    "GET /mnist/sample parameter key: new and required": with_required_parameter,
    "GET /mnist/sample parameter seed: required now": lambda d: parameter(d, SAMPLE, "seed").update(required=True),
    "GET /mnist/sample parameter seed: type was string, is integer": lambda d: parameter(d, SAMPLE, "seed")[
        "schema"
    ].update(type="integer"),
    "GET /mnist/sample parameter count: maximum was 1024, is 64": lambda d: parameter(d, SAMPLE, "count")[
        "schema"
    ].update(maximum=64),
    "GET /mnist/sample parameter count: minimum was 1, is 2": lambda d: parameter(d, SAMPLE, "count")["schema"].update(
        minimum=2
    ),
    "GET /mnist/sample parameter model: maxLength was None, is 9": lambda d: parameter(d, SAMPLE, "model")[
        "schema"
    ].update(maxLength=9),
    "GET /mnist/sample parameter model: pattern was None, is ^m": lambda d: parameter(d, SAMPLE, "model")[
        "schema"
    ].update(pattern="^m"),
    "GET /mnist/sample parameter format: enum was ['png', 'npy', 'json'], is ['png']": lambda d: parameter(
        d, SAMPLE, "format"
    )["schema"].update(enum=["png"]),
    "GET /models: requires a body now": lambda d: d["paths"]["/models"]["get"].update(
        requestBody={"required": True, "content": {}}
    ),
    "POST /translate/{direction} body image/*: removed": lambda d: d["paths"][TRANSLATE]["post"]["requestBody"][
        "content"
    ].pop("image/*"),
    "POST /translate/{direction} body multipart/form-data.name: required now": lambda d: schema(d, "ImageForm")[
        "required"
    ].append("name"),
    "GET /mnist/sample 304: removed": lambda d: d["paths"][SAMPLE]["get"]["responses"].pop("304"),
    "GET /mnist/sample 200 image/png: removed": lambda d: d["paths"][SAMPLE]["get"]["responses"]["200"]["content"].pop(
        "image/png"
    ),
    "GET /mnist/sample 200: header X-Seed removed": lambda d: d["paths"][SAMPLE]["get"]["responses"]["200"][
        "headers"
    ].pop("X-Seed"),
    "GET /mnist/sample 200 application/json.digits[].seed: removed": lambda d: schema(d, "Digit")["properties"].pop(
        "seed"
    ),
    "GET /mnist/sample 200 application/json.digits[].seed: may be absent now": lambda d: schema(d, "Digit")[
        "required"
    ].remove("seed"),
    "GET /models 200 application/json.models[].direction: has 1 alternatives, had 2": lambda d: schema(d, "ModelInfo")[
        "properties"
    ]["direction"]["anyOf"].pop(),
    "GET /models 200 application/json.models[].task: enum was ['sample', 'translate'], "
    "is ['sample', 'translate', 'score']": lambda d: schema(d, "ModelInfo")["properties"]["task"]["enum"].append(
        "score"
    ),
    "GET /mnist/sample 4XX application/problem+json.status: maximum was 599, is 999": lambda d: schema(d, "Problem")[
        "properties"
    ]["status"].update(maximum=999),
}


@pytest.mark.parametrize("line", BREAKS)
def test_a_change_that_breaks_clients_is_told(document: Document, line: str) -> None:
    new = copy.deepcopy(document)
    BREAKS[line](new)
    assert line in breaking_changes(document, new)


def add_route(document: Document) -> None:
    document["paths"]["/new"] = copy.deepcopy(document["paths"]["/models"])


ADDITIONS: dict[str, Callable[[Document], object]] = {
    "nothing": lambda d: None,
    "a route": add_route,
    "a parameter": lambda d: d["paths"][SAMPLE]["get"]["parameters"].append(
        {"name": "steps", "in": "query", "required": False, "schema": {"type": "integer"}}
    ),
    "more values": lambda d: parameter(d, SAMPLE, "count")["schema"].update(maximum=2048),
    "a value of a parameter": lambda d: parameter(d, SAMPLE, "format")["schema"]["enum"].append("webp"),
    "no pattern": lambda d: parameter(d, SAMPLE, "seed")["schema"].pop("pattern"),
    "a field of a response": lambda d: schema(d, "Digit")["properties"].update(label={"type": "integer"}),
    "a type of a response": lambda d: d["paths"][SAMPLE]["get"]["responses"]["200"]["content"].update(
        {"image/webp": {"schema": {"type": "string", "format": "binary"}}}
    ),
    "another description": lambda d: d["info"].update(description="new"),
}


@pytest.mark.parametrize("what", ADDITIONS)
def test_what_adds_to_the_document_breaks_nothing(document: Document, what: str) -> None:
    new = copy.deepcopy(document)
    ADDITIONS[what](new)
    assert breaking_changes(document, new) == []
