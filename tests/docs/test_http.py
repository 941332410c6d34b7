"""docs/calling/http.md and problems.md beside the code."""

import ast
import re
from http import HTTPStatus

from service.api import openapi
from tools.render_docs import DOCS

SERVICE = DOCS.parent / "service"
PAGE = (DOCS / "calling" / "http.md").read_text()
HEADERS = PAGE.partition("## Headers of a response")[2].partition("\n## ")[0]
PROBLEMS = (DOCS / "calling" / "problems.md").read_text()
BY_STATUS = {HTTPStatus.NOT_FOUND: "not-found", HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed"}
"""Problems that have the name of their status: what the router refuses."""


def raised() -> set[tuple[int, str]]:
    """Status and name of each problem in the code: two constants side by side in a call or in a tuple."""
    found = set()
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            values = (
                node.args[:2] if isinstance(node, ast.Call) else node.elts[-2:] if isinstance(node, ast.Tuple) else []
            )
            match [value.value for value in values if isinstance(value, ast.Constant)]:
                case [int(status), str(kind)] if 400 <= status < 600:
                    found.add((status, kind))
    return found


def test_the_page_lists_every_problem_with_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \| [A-Z].+\. \| .+\. \|$", PROBLEMS, re.MULTILINE)
    assert {(int(status), kind) for status, kind in rows} == raised() | set(BY_STATUS.items())


def test_the_page_explains_every_header() -> None:
    explained = re.findall(r"^\| (`[A-Z][^|]+) \|", HEADERS, re.MULTILINE)
    assert {name for row in explained for name in re.findall(r"`([^`]+)`", row)} == set(openapi.RESPONSE_HEADERS)
