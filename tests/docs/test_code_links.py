"""A link to a line of code shows that line, so that it cannot lead elsewhere when the code changes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LECTURE = ROOT / "docs" / "lecture"
LINK = re.compile(r"\[`([^`]+)`\]\(([^)#\s]+)#L(\d+)\)")


@pytest.mark.parametrize("page", sorted(LECTURE.glob("*.md")), ids=lambda page: page.name)
def test_the_line_is_the_one_that_the_link_shows(page: Path) -> None:
    text = page.read_text()
    links = LINK.findall(text)
    assert len(links) == len(re.findall(r"#L\d", text))  # each has its code as its text
    for code, path, number in links:
        line = (page.parent / path).read_text().splitlines()[int(number) - 1]
        assert code.replace("\\|", "|") in line, f"{path}, line {number}: {line.strip()}"


@pytest.mark.parametrize("language", ["md", "ko.md"])
@pytest.mark.parametrize(
    ("function", "file"),
    [
        ("discriminator_loss", "gan"),
        ("minimax_loss", "gan"),
        ("non_saturating_loss", "gan"),
        ("adversarial_loss", "cyclegan"),
        ("discriminator_loss", "cyclegan"),
        ("cycle_loss", "cyclegan"),
        ("identity_loss", "cyclegan"),
    ],
)
def test_the_index_leads_to_the_body_of_each_loss(function: str, file: str, language: str) -> None:
    lines = (ROOT / "training" / "losses" / f"{file}.py").read_text().splitlines()
    start = next(i for i, line in enumerate(lines, 1) if line.startswith(f"def {function}("))
    end = next((i for i, line in enumerate(lines[start:], start + 1) if line.startswith("def ")), len(lines))
    linked = LINK.findall((LECTURE / f"README.{language}").read_text())
    assert any(path.endswith(f"losses/{file}.py") and start < int(number) < end for _, path, number in linked)
