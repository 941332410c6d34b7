import pytest

from service.api.negotiation import accepts_gzip, choose_format, media_type_of
from service.errors import Problem

OFFERS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "jpeg"),
        ("", "jpeg"),
        ("*/*", "jpeg"),
        ("image/*", "jpeg"),
        ("image/png", "png"),
        ("IMAGE/PNG", "png"),
        ("image/png, image/webp", "png"),
        ("image/png;q=0.5, image/webp", "webp"),
        ("image/png;q=0.5,image/webp;q=0.9,*/*;q=0.1", "webp"),
        ("text/html, image/webp;q=0.2", "webp"),
        ("image/avif, image/webp, image/*, */*;q=0.8", "webp"),
        ("text/html, */*;q=0.1", "jpeg"),
        ("*/*, image/jpeg;q=0", "png"),
        ("image/jpeg;q=0.1, image/*;q=0.5", "png"),
        ("image/*;q=0, image/webp", "webp"),
        ("image/jpeg;q=much, image/webp;q=0.1", "webp"),
        ("image/jpeg;level=1;q=0.3, image/webp;q=0.2", "jpeg"),
        ("image/jpg, image/png;q=0.9", "jpeg"),
        ("image/pjpeg", "jpeg"),
        ("application/problem+json", "jpeg"),
        ("application/json, text/html;q=0.5", "jpeg"),
        ("text/html, image/png;q=0.1", "png"),
        ("image", "jpeg"),
        ("*", "jpeg"),
        (",;,", "jpeg"),
    ],
)
def test_accept_chooses(accept: str | None, expected: str) -> None:
    assert choose_format(None, accept, OFFERS, "jpeg") == expected


def test_the_format_parameter_wins_over_accept() -> None:
    assert choose_format("png", "image/webp", OFFERS, "jpeg") == "png"


@pytest.mark.parametrize(
    "accept", ["image/gif", "image/gif, application/json", "image/png;q=0", "image/*;q=0", "*/*;q=0"]
)
def test_an_accept_that_admits_nothing_is_refused(accept: str) -> None:
    with pytest.raises(Problem, match="image/png, image/jpeg, image/webp") as caught:
        choose_format(None, accept, OFFERS, "jpeg")
    assert caught.value.status == 406
    assert caught.value.headers == {"Vary": "Accept"}


@pytest.mark.parametrize(
    ("asked", "accept", "media_type"),
    [
        (None, "application/octet-stream", "application/octet-stream"),
        ("png", "application/octet-stream", "image/png"),
        (None, "application/octet-stream, image/png", "image/png"),
        (None, None, "image/png"),
    ],
)
def test_bytes_of_any_type_are_labelled_so_for_a_client_that_knows_no_other(
    asked: str | None, accept: str | None, media_type: str
) -> None:
    assert media_type_of(asked, accept, "image/png") == media_type


@pytest.mark.parametrize(
    ("accepted", "gzip"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("gzip;q=much", False),
        ("br", False),
        ("", False),
    ],
)
def test_gzip_is_sent_where_it_is_named(accepted: str, gzip: bool) -> None:
    assert accepts_gzip({"type": "http", "headers": [(b"accept-encoding", accepted.encode())]}) is gzip


def test_without_the_header_nothing_is_compressed() -> None:
    assert not accepts_gzip({"type": "http", "headers": []})
