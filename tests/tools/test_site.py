"""The book is built without a warning, each of its links leads somewhere, and it loads nothing from another host."""

import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tools.site import Page, build, place

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
"""What a browser loads by itself."""


class Document(HTMLParser):
    """The ids, the links, and what is loaded of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.loaded = set[str](), set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id" and value:
                self.ids.add(value)
            if name in {"href", "src"} and value is not None:
                self.links.add(value)
                if (tag, name) in LOADED and ("rel", "canonical") not in attributes:
                    self.loaded.add(value)


@cache
def document(page: Path) -> Document:
    return Document(page.read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("book")
    build(folder / "book", folder / "site")
    return folder / "site"


def test_every_link_leads_to_a_file_and_every_anchor_to_its_place(site: Path) -> None:
    broken, checked = [], 0
    for page in site.rglob("*.html"):
        for link in document(page).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or page.name == "404.html":
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            checked += 1
            ids = document(target).ids if target.is_file() and target.suffix == ".html" else set()
            if not target.is_file() or (parts.fragment and ids and unquote(parts.fragment) not in ids):
                broken.append((page.name, link))
    assert broken == []
    assert checked > 2000


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    loaded = {link for page in site.rglob("*.html") for link in document(page).loaded}
    assert [link for link in loaded if urlsplit(link).netloc] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*", styles) == []


def test_a_formula_is_mathml_and_its_link_leads_to_the_line(site: Path) -> None:
    for page in (site / "lecture" / "loss.html", site / "ko" / "lecture" / "loss.html"):
        text = page.read_text()
        assert text.count('<div class="formula"><math') == 4
        assert "$`" not in text
        assert "<p><span><math" in text  # a formula at the start of a paragraph is part of it
        (link,) = {link for link in document(page).links if link.endswith("losses/gan-py.html#line-31")}
        source = (page.parent / link.partition("#")[0]).resolve().read_text()
        line = source.partition('<a id="line-31"')[2].partition('<a id="line-32"')[0]
        assert "return softplus(-fake_logits).mean()" in re.sub("<[^>]+>", "", line)


def test_a_student_can_stay_in_korean(site: Path) -> None:
    for english in [*(site / "lecture").glob("*.html"), *(site / "start").glob("*.html"), site / "index.html"]:
        korean = site / "ko" / english.relative_to(site)
        words = re.findall(r"[가-힣]{2,}", re.sub(r"<nav.*?</nav>", "", korean.read_text(), flags=re.DOTALL))
        assert len(words) > 50, korean
        assert '<html lang="ko"' in korean.read_text()


def test_a_link_that_leads_nowhere_is_named() -> None:
    with pytest.raises(ValueError, match=r"docs/README.md: the link start/none.md leads to no file"):
        Page("docs/README.md").render("[x](start/none.md)")


@pytest.mark.parametrize(
    ("path", "placed"),
    [
        ("docs/lecture/gan.md", "lecture/gan.md"),
        ("k8s/README.md", "operating/kubernetes.md"),
        ("training/losses/gan.py", "source/training/losses/gan-py.md"),
    ],
)
def test_where_the_book_has_a_file(path: str, placed: str) -> None:
    assert place(path) == placed
