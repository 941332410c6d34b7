"""Builds the book, a web site that needs no other host, from docs/ into build/site: python -m tools.site

The pages are Markdown that GitHub shows too. MkDocs builds a copy of docs/ in which links into the repository lead to
pages of source code with numbered lines, and formulas are MathML.
"""

import os
import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

from latex2mathml.converter import convert

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
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".css": "css", ".js": "javascript", ".html": "html"}
"""Suffix of a source file: its language for the highlighter."""


def place(path: str) -> str:
    """Where the book has a file of the repository: a page of docs/, one of PAGES, or a page of source code."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}.md"


class Page:
    """A Markdown file of the repository, as the book has it.

    `path` is the file's path in the repository, `sources` the paths of the source files that it links to.
    """

    def __init__(self, path: str) -> None:
        self.path, self.sources = path, set[str]()

    def render(self, text: str) -> str:
        """The page for MkDocs. Raises ValueError, naming the link, when a link leads to no file."""
        text = re.sub(r"^```math\n(.*?)^```$", _display, text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"\$`([^`]+)`\$", lambda found: convert(found[1]), text)
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
            anchor = re.sub(r"^L(\d+)(-L\d+)?$", r"__codelineno-0-\1", anchor)
        # The plugin for languages wants links between translated pages to name the page without its language.
        placed = placed.replace(".ko.md", ".md")
        relative = posixpath.relpath(placed, posixpath.dirname(place(self.path)))
        return f"]({relative}{'#' + anchor if anchor else ''})"


def _display(found: re.Match[str]) -> str:
    return f'<div class="formula">{convert(found[1].strip(), display="block")}</div>'


def source_page(path: str) -> str:
    """A page that shows a source file with numbered lines."""
    language = LANGUAGES.get(PurePosixPath(path).suffix, "text")
    code = (ROOT / path).read_text().rstrip("\n")
    return f'---\nsearch:\n  exclude: true\n---\n# {path}\n\n````{language} linenums="1"\n{code}\n````\n'


def compose(book: Path = BOOK) -> None:
    """Writes what MkDocs reads into the folder `book`, which is emptied first."""
    shutil.rmtree(book, ignore_errors=True)
    shutil.copytree(ROOT / "docs", book)
    sources: set[str] = set()
    for path in [*(file.relative_to(ROOT).as_posix() for file in (ROOT / "docs").rglob("*.md")), *PAGES]:
        page = Page(path)
        target = book / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page.render((ROOT / path).read_text()))
        sources |= page.sources
    for path in sources:
        target = book / place(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source_page(path))


def main() -> None:
    """Builds the site; exits with MkDocs' status."""
    compose()
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # an advertisement, printed by the theme
    status = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict"], cwd=ROOT, env=environment).returncode
    if status == 0:
        pages = sum(1 for _ in SITE.rglob("*.html"))
        print(f"{pages} pages in {SITE.relative_to(ROOT)}: open {SITE.relative_to(ROOT) / 'index.html'} in a browser")
    sys.exit(status)


if __name__ == "__main__":
    main()
