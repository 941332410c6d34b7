import itertools

import pytest

from imaging.names import SUFFIXES, Encoded, is_image, translation_format, translation_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.jpg", True), ("A.JPEG", True), ("a.b.webp", True), ("a.txt", False), ("a", False), (".a.png", False)],
)
def test_images_are_told_by_their_suffix(name: str, expected: bool) -> None:
    assert is_image(name) is expected


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("a.JPG", None, "a.JPG"),
        ("a.jfif", None, "a.jfif"),
        ("folder.png/a.webp", None, "folder.png/a.webp"),
        ("a.gif", None, "a.gif.png"),
        ("a.gif.png", None, "a.gif.png.png"),
        ("a.jpg", "webp", "a.jpg.webp"),
        ("a.jpeg", "jpeg", "a.jpeg"),
    ],
)
def test_a_translation_keeps_its_name_where_the_format_fits(name: str, wanted: Encoded | None, expected: str) -> None:
    assert translation_name(name, translation_format(name, wanted)) == expected


@pytest.mark.parametrize("wanted", [None, "png", "jpeg", "webp"])
def test_no_two_images_have_one_translation(wanted: Encoded | None) -> None:
    """All names of up to three suffixes, also those that the rule itself makes."""
    tails = ["".join(p) for n in (1, 2, 3) for p in itertools.product(sorted(SUFFIXES | {".txt"}), repeat=n)]
    names = [name for tail in tails if is_image(name := f"x{tail}")]
    assert len(names) > 1000
    assert len({translation_name(name, translation_format(name, wanted)) for name in names}) == len(names)
