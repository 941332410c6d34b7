import re

import pytest
from pydantic import TypeAdapter, ValidationError

from service.api.digits.seed import Seed

ADAPTER = TypeAdapter[int](Seed)


@pytest.mark.parametrize(("text", "seed"), [("0", 0), ("007", 7), (str(2**64 - 1), 2**64 - 1)])
def test_a_seed_is_a_string_of_digits(text: str, seed: int) -> None:
    assert ADAPTER.validate_python(text) == seed
    assert re.search(ADAPTER.json_schema()["pattern"], text)


@pytest.mark.parametrize(
    "value", ["", "7_0", "7.0", "+7", "-7", " 7", "7\n", "\u0667", "\u00b2", str(2**64), "9" * 5000]
)
def test_what_is_no_seed_is_refused_as_described(value: str) -> None:
    with pytest.raises(ValidationError, match="expected a seed below 2\\^64"):
        ADAPTER.validate_python(value)
    assert not re.fullmatch(ADAPTER.json_schema()["pattern"].strip("^$"), value)


@pytest.mark.parametrize("value", [7, 7.0, None, True, b"7"])
def test_a_number_is_no_seed(value: object) -> None:
    with pytest.raises(ValidationError, match="JavaScript rounds"):
        ADAPTER.validate_python(value)
