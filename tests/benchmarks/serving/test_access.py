from pathlib import Path

from benchmarks.serving.access import key_file
from service.access.keys import KeyStore


def test_the_key_that_is_sent_is_the_last_of_the_file(tmp_path: Path) -> None:
    key = key_file(tmp_path / "keys", 3)
    assert KeyStore(tmp_path / "keys").name_of(key) == "client-2"
