import pytest

from service.nearest import nearest


@pytest.mark.parametrize(("name", "expected"), [("sise", "size"), ("modle", "model"), ("i", "size")])
def test_the_nearest_name_is_given_however_far_it_is(name: str, expected: str) -> None:
    assert nearest(name, ["model", "size"]) == expected
