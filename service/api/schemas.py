"""The schemas that routes share, as /openapi.json has them."""

from typing import Any

Part = dict[str, Any]
"""A part of an OpenAPI document."""

BINARY: Part = {"type": "string", "format": "binary"}
TEXT: Part = {"type": "string"}
SEED: Part = {"type": "string", "pattern": "^[0-9]{1,20}$"}


def object_schema(optional: tuple[str, ...] = (), **properties: Part) -> Part:
    """Returns the schema of an object, whose properties are required unless they are `optional`."""
    return {"type": "object", "required": [n for n in properties if n not in optional], "properties": properties}


def shared(name: str) -> Part:
    """Returns a reference to a schema of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Part) -> Part:
    return {"type": "array", "items": items, "maxItems": 1024}


SCHEMAS: dict[str, Part] = {
    "Problem": {
        "description": "A problem document (RFC 9457): what was expected, what was received, what to do.",
        **object_schema(
            ("available",),
            type={**TEXT, "description": "urn:gan:problem:<name>; the names are stable"},
            title={**TEXT, "description": "Name of the status"},
            status={"type": "integer", "description": "HTTP status of the response", "minimum": 400, "maximum": 599},
            detail={**TEXT, "description": "Explanation for people: what to do"},
            instance={**TEXT, "description": "urn:gan:request:<request id>"},
            request_id={**TEXT, "description": "Id of the request in the service's log"},
            available={"type": "array", "items": TEXT, "description": "Values that exist"},
        ),
    },
    "ImageForm": {
        "description": "An image as a form. Browsers may send the query's parameters as further fields.",
        **object_schema(
            file={**BINARY, "description": "The image file; repeat the part for further images, up to 100"}
        ),
        "additionalProperties": False,  # the parameters stay out: clients would have each of them twice
    },
    "TranslatedImage": {
        "description": "The response to an image in JSON.",
        **object_schema(
            image={**TEXT, "contentEncoding": "base64", "description": "The translated image file, in base64"},
            media_type={**TEXT, "description": "Its media type", "example": "image/png"},
            model={**TEXT, "description": "Model that made it, as name/version"},
            size={**TEXT, "description": "Width x height of the image inside the model, in pixels"},
        ),
    },
    "Digit": {
        "description": "A digit as a PNG of 28x28 pixels.",
        **object_schema(
            seed={**SEED, "description": "Seed of this digit, as decimal digits: it may exceed 2^53"},
            png={**TEXT, "contentEncoding": "base64", "contentMediaType": "image/png"},
        ),
    },
    "Digits": {
        "description": "Digits in the order of their seeds.",
        **object_schema(digits={"type": "array", "items": shared("Digit")}),
    },
    "ChosenDigit": {
        "description": "A digit as a PNG of 28x28 pixels.",
        **object_schema(
            ("seed",),
            seed={**SEED, "description": "Seed of this digit, as decimal digits, if it was asked for by its seed"},
            png={**TEXT, "contentEncoding": "base64", "contentMediaType": "image/png"},
        ),
    },
    "ChosenDigits": {
        "description": "Digits in the order of the seeds or latent vectors.",
        **object_schema(digits={"type": "array", "items": shared("ChosenDigit")}),
    },
    "DigitChoice": {
        "description": "The digits to sample: `seeds`, or `latents`. An empty list is as good as none.",
        **object_schema(
            ("seeds", "latents", "digits"),
            seeds={
                **_list(TEXT),
                "description": "Seeds below 2^64, as strings of decimal digits: JavaScript rounds larger numbers "
                "than 2^53",
                "example": ["7", "18446744073709551615"],
            },
            latents={
                **_list(_list({"type": "number"})),
                "description": "Latent vectors: numbers within ±1,000,000, as many as /models says of the model",
            },
            digits={
                **_list({"type": "integer", "minimum": 0, "maximum": 9}),
                "description": "The digit that each shall show, or one for all, from a model with labels",
            },
        ),
        "additionalProperties": False,
    },
}
"""Schemas that are not those of pydantic models; the document's shared components."""
