"""Names of entries, and archives that other programs read."""

import email
import io
import zipfile
from pathlib import Path

import pytest

from service.api.translation.archive import LONGEST_STEM, ZipArchive, entry_stems, new_archive


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("horse.jpg", "horse"),
        ("two.dots.png", "two.dots"),
        ("no extension", "no extension"),
        ("pferd \u00fc\u00e4 \u99ac.png", "pferd \u00fc\u00e4 \u99ac"),
        ("u\u0308.png", "\u00fc"),
        ("/etc/passwd", "passwd"),
        ("../../x.png", "x"),
        ("..\\..\\x.png", "x"),
        ("C:\\photos\\x.png", "x"),
        ("..", "image"),
        (".png", "image"),
        ("", "image"),
        ("...", "image"),
        ("a/", "image"),
        ("a\r\nX-Evil: 1.png", "aX-Evil 1"),
        ('a"b<c>|?*.png', "abc"),
        ("\u202egnp.exe", "gnp"),
        ("nul.png", "_nul"),
        ("com1.tar.gz", "_com1.tar"),
        ("com\u00b9.png", "_com\u00b9"),
        ("LPT\u00b3", "_LPT\u00b3"),
        ("x" * 5000, "x" * LONGEST_STEM),
        ("\ud55c" * 150 + ".png", "\ud55c" * (LONGEST_STEM // 3)),
        ("\ud800.png", "image"),
    ],
)
def test_a_name_is_safe_on_every_system(name: str, stem: str) -> None:
    assert entry_stems([name]) == [stem]


def test_entries_of_a_hundred_long_names_can_be_unpacked(tmp_path: Path) -> None:
    for stem in entry_stems(["\U0001f40e" * 500 + ".png"] * 100):
        (tmp_path / f"{stem}.problem.json").touch()
    assert len(list(tmp_path.iterdir())) == 100


def test_repeated_names_are_numbered_in_the_order_of_the_files() -> None:
    names = ["a.png", "a.jpg", "A.png", "a-2.png", "", "", "b"]
    assert entry_stems(names) == ["a", "a-2", "A-3", "a-2-2", "image", "image-2", "b"]


def test_a_zip_file_made_piece_by_piece_is_one_that_any_program_reads() -> None:
    files = {"a.png": b"1" * 1000, "\u99ac.jpg": b"", "c.problem.json": bytes(300_000)}
    archive = ZipArchive()
    pieces = [archive.add(name, content, {}) for name, content in files.items()]
    assert [len(piece) > len(content) for piece, content in zip(pieces, files.values(), strict=True)] == [True] * 3
    with zipfile.ZipFile(io.BytesIO(b"".join([*pieces, archive.end()]))) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == files
        for entry in opened.infolist():
            assert entry.flag_bits & 0x08 == 0  # sizes stand in front of the content, for programs that read a stream
            assert (entry.compress_type, entry.external_attr >> 16) == (zipfile.ZIP_STORED, 0o644)


def test_multipart_has_a_part_a_file_with_its_headers() -> None:
    archive = new_archive("multipart")
    files = {"a b.png": b"\r\n--\x00\xff", "\u99ac.jpg": b""}
    pieces = [archive.add(name, content, {"Content-Type": "image/png"}) for name, content in files.items()]
    whole = b"Content-Type: " + archive.media_type.encode() + b"\r\n\r\n" + b"".join(pieces) + archive.end()
    parts = email.message_from_bytes(whole).get_payload()
    assert [part.get_content_type() for part in parts] == ["image/png"] * 2
    assert [part.get_payload(decode=True) for part in parts] == list(files.values())
    dispositions = [part["Content-Disposition"] for part in parts]
    assert dispositions[0] == "attachment; filename=\"a b.png\"; filename*=UTF-8''a%20b.png"
    assert dispositions[1] == "attachment; filename=\"_.jpg\"; filename*=UTF-8''%E9%A6%AC.jpg"
