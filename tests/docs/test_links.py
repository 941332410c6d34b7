import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "k8s" / "README.md"])


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page, or to the lines of another file."""
    if page.suffix != ".md":
        return {f"L{number}" for number, _ in enumerate(page.read_text().splitlines(), 1)}
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)", page.read_text())
    missing = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize(("index", "suffix"), [("README.md", ".md"), ("README.ko.md", ".ko.md")])
def test_the_index_lists_every_page_of_its_language(index: str, suffix: str) -> None:
    docs = ROOT / "docs"
    linked = re.findall(r"\]\(([^)#\s]+)", (docs / index).read_text())
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if "".join(path.suffixes) == suffix}
    assert pages - {index} <= set(linked)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name.endswith(".ko.md")], ids=lambda page: page.name)
def test_a_korean_page_leads_to_korean_pages(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+\.md)", page.read_text())
    translated = [link for link in links if (page.parent / link).with_suffix(".ko.md").is_file()]
    assert translated == []
