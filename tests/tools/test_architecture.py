"""The drawing of imports: test_render_docs.py checks that the committed ones are those of the code."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path

import pytest

from tools.architecture import draw, levels, packages_image, reduced, service_image

SVG = "{http://www.w3.org/2000/svg}"


def test_an_edge_that_follows_from_others_is_left_out() -> None:
    assert reduced({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == {("a", "b"), ("b", "c"), ("a", "d")}


def test_a_node_is_one_row_above_the_highest_that_it_imports() -> None:
    assert levels({"a", "b", "c", "d"}, {("a", "b"), ("b", "c"), ("a", "d")}) == {"a": 2, "b": 1, "c": 0, "d": 0}


def test_a_cycle_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="import cycle among a, b"):
        levels({"a", "b", "c"}, {("a", "b"), ("b", "a"), ("b", "c")})


def test_boxes_do_not_overlap_and_arrows_lead_down() -> None:
    edges = {("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "e"), ("d", "f")}
    drawing = ElementTree.fromstring(draw(set("abcdef"), edges, "t"))
    boxes = [tuple(int(box.get(side)) for side in ("x", "y")) for box in drawing.iter(f"{SVG}rect") if box.get("x")]
    assert len(boxes) == 6
    assert all(y != other_y or abs(x - other_x) > 132 for (x, y), (other_x, other_y) in combinations(boxes, 2))
    paths = [path.get("d") for path in drawing.iter(f"{SVG}path") if path.get("marker-end")]
    assert len(paths) == len(edges)
    for path in paths:
        heights = [int(number) for number in re.findall(r"-?\d+", path)][1::2]
        assert heights == sorted(heights)


def test_training_is_drawn_apart_from_the_service() -> None:
    labels = {text.text for text in ElementTree.fromstring(packages_image()).iter(f"{SVG}text")}
    assert labels == {"imaging", "service", "training", "export", "gan_client", "gan_batch"}


def test_the_page_explains_every_part_of_the_service() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "internals" / "architecture.md").read_text()
    first_cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    explained = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    labels = {text.text for text in ElementTree.fromstring(service_image()).iter(f"{SVG}text")}
    assert labels <= explained
