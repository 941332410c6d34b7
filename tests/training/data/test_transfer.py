import hashlib
import os
import socket
from functools import partial
from pathlib import Path

import pytest

from training.data import transfer
from training.data.errors import DataError
from training.data.transfer import fetch

CONTENT = os.urandom(300_000)
REMEDY = "give another address"


def problem(path: Path, content: bytes = CONTENT) -> str:
    expected, found = (hashlib.sha256(data).hexdigest() for data in (content, path.read_bytes()))
    return "" if found == expected else f"sha256 {expected} expected, {found} found"


@pytest.fixture
def address(server):
    server.files["/digits.gz"] = CONTENT
    return f"{server.address}/digits.gz"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "folder" / "digits.gz"


def only_file(target: Path) -> bool:
    return [p.name for p in target.parent.iterdir()] == [target.name]


def test_brings_the_file_and_leaves_nothing_else(server, address, target):
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert only_file(target)
    assert [(a.path, a.range) for a in server.asked] == [("/digits.gz", None)]


def test_a_file_that_is_there_and_right_needs_no_network(nowhere, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT)
    fetch(f"{nowhere}/digits.gz", target, problem, REMEDY)
    assert target.read_bytes() == CONTENT


def test_a_file_that_is_there_and_wrong_is_replaced(address, target):
    target.parent.mkdir()
    target.write_bytes(CONTENT[:-1])
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert only_file(target)


def test_a_broken_connection_goes_on_from_where_it_broke(server, address, target):
    server.breaks = [100_000, 50_000]
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert [a.range for a in server.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert server.asked[1].if_range == server.version("/digits.gz")["ETag"]
    assert server.sent == len(CONTENT)


def test_breaks_with_progress_between_them_never_add_up_to_giving_up(server, address, target):
    server.breaks = [10_000] * 20
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 21


def test_a_later_call_goes_on_from_what_an_interrupted_one_left(server, address, target):
    server.breaks = [120_000, 0, 0]
    with pytest.raises(DataError, match=r"byte 120,000 of 300,000.*120,000 bytes received are kept.*" + REMEDY):
        fetch(address, target, problem, REMEDY)
    assert not target.exists()
    before = len(server.asked)
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert [a.range for a in server.asked[before:]] == ["bytes=120000-"]
    assert server.sent < 2 * len(CONTENT)
    assert only_file(target)


def interrupted(server, address, target, at=120_000):
    """Leaves the first bytes of the file, as a call that was killed does."""
    server.breaks = [at, *[0] * len(transfer.PAUSES_S)]
    with pytest.raises(DataError):
        fetch(address, target, problem, REMEDY)
    server.asked.clear()


def test_a_file_that_changed_on_the_server_comes_whole(server, address, target):
    interrupted(server, address, target)
    changed = os.urandom(250_000)
    server.files["/digits.gz"] = changed
    fetch(address, target, partial(problem, content=changed), REMEDY)
    assert target.read_bytes() == changed
    # one request: If-Range failed, and the response was the whole file
    assert [(a.range, a.sent) for a in server.asked] == [("bytes=120000-", 250_000)]


def test_a_server_that_ignores_ranges_is_read_from_the_start(server, address, target):
    interrupted(server, address, target)
    server.knows_ranges = False
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert [(a.range, a.sent) for a in server.asked] == [("bytes=120000-", 300_000)]


def test_bytes_of_another_address_are_not_gone_on_from(server, address, target):
    interrupted(server, address, target)
    other = os.urandom(200_000)
    server.files["/mirror.gz"] = other
    fetch(f"{server.address}/mirror.gz", target, partial(problem, content=other), REMEDY)
    assert [(a.range, a.sent) for a in server.asked] == [(None, 200_000)]


def test_last_modified_stands_in_for_a_weak_etag(server, address, target):
    server.weak = True
    server.breaks = [100_000]
    fetch(address, target, problem, REMEDY)
    assert server.asked[1].range == "bytes=100000-"
    assert server.asked[1].if_range == server.version("/digits.gz")["Last-Modified"]


def test_without_a_version_nothing_is_added_to_what_came(server, address, target):
    server.versions = ()
    server.breaks = [100_000]
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert [a.range for a in server.asked] == [None, None]


def test_a_whole_part_that_was_not_renamed_yet_is_not_fetched_again(server, address, target):
    target.parent.mkdir()
    (target.parent / "digits.gz.part").write_bytes(CONTENT)
    (target.parent / "digits.gz.part.version").write_text(f"{address}\n{server.version('/digits.gz')['ETag']}\n")
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert server.sent == 0
    assert only_file(target)


def test_a_part_longer_than_the_file_is_thrown_away(server, address, target):
    target.parent.mkdir()
    (target.parent / "digits.gz.part").write_bytes(CONTENT + b"more")
    (target.parent / "digits.gz.part.version").write_text(f"{address}\n{server.version('/digits.gz')['ETag']}\n")
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert only_file(target)


def test_a_file_damaged_once_is_fetched_again_from_scratch(server, address, target):
    server.damaged = 1
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert [(a.range, a.sent) for a in server.asked] == [(None, 300_000)] * 2


def test_a_file_damaged_always_is_refused_with_both_checksums(server, address, target):
    server.damaged = 99
    with pytest.raises(DataError) as caught:
        fetch(address, target, problem, REMEDY)
    message = str(caught.value)
    assert address in message
    assert hashlib.sha256(CONTENT).hexdigest() in message
    assert hashlib.sha256(bytes([CONTENT[0] ^ 255]) + CONTENT[1:]).hexdigest() in message
    assert message.endswith(REMEDY)
    assert len(server.asked) == 2
    assert list(target.parent.iterdir()) == []


def test_a_missing_file_is_asked_for_once(server, address, target):
    with pytest.raises(DataError, match=f"responded 404 Not Found instead of the file: {REMEDY}"):
        fetch(f"{address}x", target, problem, REMEDY)
    assert len(server.asked) == 1
    assert not target.exists()


def test_a_busy_server_is_asked_again(server, address, target):
    server.statuses = [503, 429]
    fetch(address, target, problem, REMEDY)
    assert target.read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_server_that_cannot_be_reached_is_named(nowhere, target):
    with pytest.raises(DataError, match=rf"{nowhere}/digits.gz could not be read.*last of 3 tries.*refused"):
        fetch(f"{nowhere}/digits.gz", target, problem, REMEDY)


def test_a_silent_server_is_not_waited_for_for_ever(target, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DataError, match="timed out"):
            fetch(f"http://127.0.0.1:{port}/digits.gz", target, problem, REMEDY)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/digits.gz", "digits.gz", "http://", "http://host/a b", ""]
)
def test_other_than_web_addresses_are_refused(address, target):
    with pytest.raises(DataError, match=f"expected an address that starts with http:// or https://, got .*{REMEDY}"):
        fetch(address, target, problem, REMEDY)


def test_a_disk_that_takes_nothing_is_not_a_broken_connection(server, address, target):
    target.parent.parent.mkdir(exist_ok=True)
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(FileExistsError):
        fetch(address, target, problem, REMEDY)
    assert server.asked == []
