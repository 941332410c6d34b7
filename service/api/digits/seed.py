"""A seed as a request has it: a string of decimal digits, since JavaScript has no exact numbers above 2^53."""

from typing import Annotated

from pydantic import PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from service.api.openapi import decimal_pattern
from service.runtime.latents import SEED_RANGE

_LONGEST = len(str(SEED_RANGE - 1))
"""Most digits of a seed; longer strings are not converted."""


def _read(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST:
        seed = int(value)
        if seed < SEED_RANGE:
            return seed
    reason = "expected a seed below 2^64 as a string of digits: JavaScript rounds numbers above 2^53"
    raise PydanticCustomError("seed", reason)


Seed = Annotated[
    int,
    PlainValidator(_read),
    WithJsonSchema({"type": "string", "pattern": f"^({decimal_pattern(SEED_RANGE - 1)})$"}),
]
"""A seed, read strictly: without a sign, spaces, underscores or a point."""
