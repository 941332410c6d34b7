import os
import threading
from pathlib import Path

import pytest

from service.access import keys
from service.access.keys import KeyFileError, KeyStore


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_key_is_found_and_its_text_is_not_in_the_file(path: Path) -> None:
    key = keys.add(path, "alice")
    assert len(key) == len("gan_") + 43
    assert key.removeprefix("gan_") not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    store = KeyStore(path)
    assert store.name_of(key) == "alice"
    assert store.name_of(key[:-1]) is None
    assert store.name_of("") is None
    assert store.name_of(keys.hash_of(key)) is None


def test_a_client_changes_over_from_one_key_to_the_next(path: Path, clock: Clock) -> None:
    old = keys.add(path, "alice")
    store = KeyStore(path, clock)
    new = keys.add(path, "alice")
    assert store.name_of(new) is None  # the file was read less than a second ago
    clock.now += 1
    assert (store.name_of(old), store.name_of(new)) == ("alice", "alice")
    assert keys.remove(path, "alice", keys.hash_of(old)[:8]) == 1
    clock.now += 1
    assert (store.name_of(old), store.name_of(new)) == (None, "alice")


@pytest.mark.parametrize("broken", ["alice", "alice 123", f"a/b {'0' * 64}", f"alice {'0' * 64} more", "\xe9"])
def test_a_file_that_breaks_while_the_service_runs_changes_nothing(
    path: Path, clock: Clock, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = keys.add(path, "alice")
    store = KeyStore(path, clock)
    path.write_text(broken, encoding="latin-1")
    clock.now += 1
    assert store.name_of(key) == "alice"
    assert "the keys stay as they were" in caplog.text
    with pytest.raises(KeyFileError, match=r"is no key: expected a name|it is not ASCII"):
        keys.read(path)
    with pytest.raises(KeyFileError):
        keys.add(path, "bob")
    assert path.read_text(encoding="latin-1") == broken


def test_a_file_that_goes_away_while_the_service_runs_changes_nothing(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key = keys.add(path, "alice")
    store = KeyStore(path, clock)
    path.unlink()
    clock.now += 1
    assert store.name_of(key) == "alice"
    assert "cannot be read: No such file or directory; the keys stay as they were" in caplog.text


def test_the_symbolic_links_of_a_kubernetes_secret_are_followed(tmp_path: Path, clock: Clock) -> None:
    key = {}
    for version in ("one", "two"):
        key[version] = keys.add(tmp_path / version / "keys", version)
    data, path = tmp_path / "..data", tmp_path / "keys"
    data.symlink_to("one")
    path.symlink_to("..data/keys")
    store = KeyStore(path, clock)
    (tmp_path / "next").symlink_to("two")
    os.replace(tmp_path / "next", data)
    clock.now += 1
    assert (store.name_of(key["one"]), store.name_of(key["two"])) == (None, "two")


def test_comments_and_empty_lines_are_kept(path: Path) -> None:
    path.write_text("# our clients\n\n")
    keys.add(path, "alice")
    keys.add(path, "bob")
    keys.remove(path, "alice")
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# our clients", ""]
    assert [entry.name for entry in keys.read(path)] == ["bob"]


@pytest.mark.parametrize("name", ["", "a b", "a#b", "é", "x" * 65, "other"])
def test_a_name_that_the_file_cannot_hold_is_refused(path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="is no name: use 1 to 64"):
        keys.add(path, name)
    assert not path.exists()


def test_removing_what_is_not_there_says_how_to_look(path: Path) -> None:
    keys.add(path, "alice")
    with pytest.raises(KeyFileError, match="no key of bob: `gan-serve keys list`"):
        keys.remove(path, "bob")
    with pytest.raises(KeyFileError, match="no key of alice with the id 00000000"):
        keys.remove(path, "alice", "00000000")


def test_a_service_without_any_key_does_not_start(path: Path) -> None:
    path.write_text("# none yet\n")
    with pytest.raises(KeyFileError, match="has no keys, so that every request would be refused"):
        KeyStore(path)
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        KeyStore(path.parent / "missing")


def test_keys_that_are_added_at_once_are_all_kept(path: Path) -> None:
    names = [f"client-{number}" for number in range(16)]
    threads = [threading.Thread(target=keys.add, args=(path, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry.name for entry in keys.read(path)) == sorted(names)
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays


def test_ten_thousand_keys_are_told_apart(path: Path) -> None:
    made = [f"gan_{number}" for number in range(10_000)]
    path.write_text("".join(f"client-{n} {keys.hash_of(key)}\n" for n, key in enumerate(made)))
    store = KeyStore(path)
    assert [store.name_of(key) for key in made] == [f"client-{n}" for n in range(10_000)]
    assert store.name_of("gan_10000") is None


def test_the_file_keeps_its_mode_and_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.add(path, "alice")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    before = path.stat()
    keys.add(path, "bob")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_write_that_fails_leaves_the_file_and_nothing_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.add(path, "alice")
    text = path.read_text()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyFileError, match="cannot be changed: No space left on device"):
        keys.add(path, "bob")
    assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == [path.name]
