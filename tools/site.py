"""Builds the book, a web site that needs no other host, from docs/ into build/site: python -m tools.site

The pages are Markdown that GitHub shows too. MkDocs builds a copy of docs/ in which links into the repository lead to
pages of source code with numbered lines, and formulas are MathML.
"""

import logging
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path
from typing import Literal

from latex2mathml.converter import convert
from mkdocs.commands.build import build as mkdocs_build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename

os.environ["NO_MKDOCS_2_WARNING"] = "1"  # the theme prints an advertisement otherwise
ROOT = Path(__file__).resolve().parent.parent
BOOK, SITE = ROOT / "build" / "book", ROOT / "build" / "site"
"""What MkDocs reads, and the site; mkdocs.yml names both."""
PAGES = {
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "k8s/README.md": "operating/kubernetes.md",
}
"""Pages that are not in docs/, by their path in the repository: where they are in the book."""


def place(path: str) -> str:
    """Where the book has a file of the repository: a page of docs/, one of PAGES, or a page of source code."""
    if path in PAGES:
        return PAGES[path]
    # The plugin for languages takes what follows a dot in the name of a page for a language.
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path.replace('.', '-')}.md"


SEARCH = {
    "docs/start/own-pair.md": "boost: 4",
    "docs/images/README.md": "exclude: true",
}
"""What the search prefers, and what it leaves out."""
SEARCH_KOREAN = "boost: 0.5"
"""Both languages share the search: an English word finds the English page first, a Korean word only Korean ones."""


class Page:
    """A Markdown file of the repository, as the book has it.

    `path` is the file's path in the repository, `sources` the paths of the source files that it links to.
    """

    def __init__(self, path: str) -> None:
        self.path, self.sources = path, set[str]()

    def render(self, text: str) -> str:
        """The page for MkDocs. Raises ValueError, naming the link, when a link leads to no file."""
        text = re.sub(r"^```math\n(.*?)^```$", _display, text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"\$`([^`]+)`\$", _inline, text)
        return re.sub(r"\]\(([^)\s]+)\)", self._link, text)

    def _link(self, found: re.Match[str]) -> str:
        path, _, anchor = found[1].partition("#")
        if "://" in path or not path:
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(self.path), path))
        if not (ROOT / target).is_file():
            raise ValueError(f"{self.path}: the link {found[1]} leads to no file")
        placed = place(target)
        if placed.startswith("source/"):
            self.sources.add(target)
            anchor = anchor.replace("L", "line-")
        # The plugin for languages wants links between translated pages to name the page without its language.
        placed = placed.replace(".ko.md", ".md")
        relative = posixpath.relpath(placed, posixpath.dirname(place(self.path)))
        return f"]({relative}{'#' + anchor if anchor else ''})"


def _mathml(formula: str, display: Literal["inline", "block"]) -> str:
    """Converts LaTeX, and sets what the library sets as letters: the sign of a distribution, and functions' names."""
    converted: str = convert(formula, display=display)
    converted = converted.replace("<mi>&#x0007E;</mi>", "<mo>&#x0223C;</mo>")
    return converted.replace("<mi>log</mi>", '<mi>log</mi><mspace width="0.167em"/>')


def _inline(found: re.Match[str]) -> str:
    # Markdown takes <math> at the start of a line for a block of its own, but not <span>.
    return f"<span>{_mathml(found[1], 'inline')}</span>"


def _display(found: re.Match[str]) -> str:
    return f'<div class="formula">{_mathml(found[1].strip(), "block")}</div>'


def source_page(path: str) -> str:
    """A page that shows a source file with numbered lines, whose anchors are line-1, line-2 and so on."""
    # Highlighted here, since MkDocs knows of no anchor that the highlighter of Markdown adds.
    numbered = HtmlFormatter(linenos="inline", lineanchors="line", anchorlinenos=True, cssclass="highlight")
    code = highlight((ROOT / path).read_text(), get_lexer_for_filename(path), numbered)
    head = "---\nsearch:\n  exclude: true\nhide: [navigation, toc]\n---\n"
    return f'{head}# {path}\n\n<div class="source">{code}</div>\n'


def _front_matter(path: str) -> str:
    preference = SEARCH.get(path) or (SEARCH_KOREAN if path.endswith(".ko.md") else None)
    return f"---\nsearch:\n  {preference}\n---\n" if preference else ""


def compose(book: Path = BOOK) -> None:
    """Writes what MkDocs reads into the folder `book`, which is emptied first."""
    shutil.rmtree(book, ignore_errors=True)
    shutil.copytree(ROOT / "docs", book)
    sources: set[str] = set()
    for path in [*(file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md")), *PAGES]:
        page = Page(path)
        target = book / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_front_matter(path) + page.render((ROOT / path).read_text()))
        sources |= page.sources
    for path in sources:
        target = book / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source_page(path))


def build(book: Path = BOOK, site: Path = SITE) -> None:
    """Builds the site, in both languages.

    Raises Abort after a warning, which MkDocs has printed: a link that is broken, a page that is not in the navigation.
    """
    compose(book)
    config = load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(book), site_dir=str(site), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    try:
        mkdocs_build(config)
    finally:
        config.plugins.on_shutdown()


def main() -> None:
    """Builds the site, and says where it is."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        build()
    except (Abort, ValueError) as error:
        sys.exit(f"the book was not built: {error}")
    pages = sum(1 for _ in SITE.rglob("*.html"))
    place_of_site = SITE.relative_to(ROOT)
    print(f"{pages} pages: open {place_of_site / 'index.html'} in a browser")
    print(f"with search: python3 -m http.server --directory {place_of_site} 8001, then http://127.0.0.1:8001")


if __name__ == "__main__":
    main()
