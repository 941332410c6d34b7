import pytest

from service.api.caching import etag_of, not_modified

HEADERS = {"ETag": 'W/"abc"', "Cache-Control": "no-cache"}


@pytest.mark.parametrize("known", ['W/"abc"', '"abc"', '"x", W/"abc"', "*"])
def test_a_client_that_has_the_response_is_told_so(known: str) -> None:
    response = not_modified({"headers": [(b"if-none-match", known.encode())]}, HEADERS)
    assert response is not None
    assert (response.status_code, response.headers["etag"], response.body) == (304, 'W/"abc"', b"")


@pytest.mark.parametrize("known", ['"abcd"', "abc", "", 'W/"x"'])
def test_any_other_client_gets_the_response(known: str) -> None:
    assert not_modified({"headers": [(b"if-none-match", known.encode())]}, HEADERS) is None
    assert not_modified({"headers": []}, HEADERS) is None


def test_a_tag_depends_on_every_part() -> None:
    assert etag_of("a", 1) == etag_of("a", 1)
    assert len({etag_of("a", 1), etag_of("a", 2), etag_of("a", "1"), etag_of("a1")}) == 4
