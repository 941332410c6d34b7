"""The files that the benchmark sends are what their names say."""

import pytest

from benchmarks.serving.hostile import FILES, LARGE, SMALL, File, scans
from imaging import ImageError, decode, inspect, jpeg

PIXELS = 52_000_000


@pytest.mark.parametrize("file", [file for file in FILES if file.like is None], ids=lambda file: file.name)
def test_attackers_files_are_refused_before_decoding(file: File) -> None:
    with pytest.raises(ImageError):
        inspect(file.make(), PIXELS)


@pytest.mark.parametrize("file", [file for file in FILES if file.like is not None], ids=lambda file: file.name)
def test_other_files_are_as_large_as_what_they_are_compared_with(file: File) -> None:
    sides = {SMALL: (256, 256), LARGE: (4400, 4400)}
    assert decode(file.make(), PIXELS).size == sides[file.like]


def test_a_jpeg_has_the_scans_asked_for() -> None:
    assert jpeg.survey(scans((64, 64), 50)).scans == 50
