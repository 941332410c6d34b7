"""docs/calling/clients.md: how to generate clients, and which generators work."""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.clients.checks import CALLS
from tools.clients.generators import Generator

HEAD = """# Generated clients

The service describes itself at `/openapi.json` (OpenAPI 3.1), and [openapi.json](../openapi.json) is that document.
`python -m tools.clients` generates clients from it, compiles them, calls the nine operations in the table below at a
live service with them, and compares the responses with those to plain HTTP; it writes this page. The programs that use
the clients are in `tools/clients/programs/`: they are examples to start from. The tests run the first two clients.

The operations of [the Open Inference Protocol](v2.md) are tested with the clients of Triton and KServe instead,
archives and images in JSON without a generated client.

    make clients

installs the generators into `.venv` and runs the command. It needs Node.js 20, a JDK, Go and two libraries of the Java
client: `apt-get install nodejs npm default-jdk-headless golang-go libhttpmime-java libjakarta-annotation-api-java`.
"""

NOTES = """## What to know

- **Digits in a format.** A route that returns several types gets the Accept header that the generator chose. Those of
  openapi-generator ask for JSON where a route has JSON, in Python, Go and Java. Send `format=png`, as the programs do.
- **Seeds are strings** of decimal digits, in requests and in responses. A JavaScript number is exact up to 2^53 only,
  and seeds go up to 2^64. The programs use 2^53 + 1.
- **`size` is a string**, a number from 64 to 1024 or `native`. Described as an integer or a word, it made
  openapi-generator's client in Go send the name of its type in place of the value, which got 422.
- **`application/octet-stream`** is among the types of images, because openapi-python-client knows no image type and
  would read digits as JSON. A client that accepts this type alone gets the default format, labelled so.
- **openapi-python-client** warns that it leaves out `image/*` as a request body. Forms and `application/octet-stream`
  remain.
- **openapi-fetch** sends a form with a `bodySerializer`, since its types say that a file is a string.
- **openapi-generator typescript-fetch** needs `importFileExtension=.js` for Node.js without a bundler.
- **openapi-generator java** is compiled with `library=native`, `useJakartaEe=true` and `openApiNullable=false`, which
  need the fewest libraries; Jackson is taken from the generator's own jar.
"""


@dataclass(frozen=True)
class Row:
    """What became of one client."""

    generator: Generator
    compiles: bool
    wrong: dict[str, str]
    """What is wrong with each call; nothing where it works."""


def page(rows: Sequence[Row], findings: Sequence[str], machine: str) -> str:
    """Returns the page. `findings`: of redocly. `machine`: on which the clients ran."""
    head = ["generator", "version", "language", "compiles", *(f"`{call}`" for call in CALLS)]
    table = [_line(head), _line(["---"] * len(head))]
    for row in rows:
        cells = [row.generator.name, row.generator.version, row.generator.language, "yes" if row.compiles else "**no**"]
        table.append(_line(cells + ["**fails**" if row.wrong[call] else "runs" for call in CALLS]))
    said = "says nothing" if not findings else f"has {len(findings)} findings: " + "; ".join(findings)
    measured = f"Run on {machine}. `problem` is a request that fails, whose problem document the client reads."
    lint = f"`redocly lint`, with its recommended rules, {said}."
    return "\n".join([HEAD, "## Which work", "", *table, "", measured, lint, "", NOTES])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
