import pytest

from service.api.compression import accepts_gzip


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
