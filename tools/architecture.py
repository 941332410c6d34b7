"""Draws which package imports which, from the code's imports, in layers (Sugiyama et al. 1981).

`python -m tools.render_docs` writes the drawings into docs/images. An arrow that follows from others is left out.
"""

import tomllib
from html import escape
from itertools import pairwise
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
BOX = (132, 34)
"""Width and height of a box, in pixels; the space between boxes and the height of a row follow."""
GAP, ROW, MARGIN = 22, 74, 20
SWEEPS = 8
"""Times that the rows are sorted by the places of their neighbours."""

Edges = set[tuple[str, str]]
STYLE = (
    "rect{fill:#e8eefc;stroke:#3f51b5}.back{fill:#fff;stroke:none}path{fill:none;stroke:#5a6372;stroke-width:1.3}"
    "text{font:14px sans-serif;text-anchor:middle;fill:#1b2333}"
)
ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" style="fill:#5a6372;stroke:none"/></marker></defs>'
)


def packages_image() -> str:
    """docs/images/packages.svg: the packages of the repository."""
    return draw(*_imports(set(_packages())), "Which package imports which")


def service_image() -> str:
    """docs/images/service.svg: the modules and packages directly below `service`."""
    return draw(*_imports(_graph().find_children("service")), "Which part of the service imports which")


def _packages() -> list[str]:
    """The packages that the contracts in pyproject.toml speak of."""
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    return [str(name) for name in names]


def _graph() -> grimp.ImportGraph:
    first, *rest = _packages()
    return grimp.build_graph(first, *rest, cache_dir=None)


def _imports(nodes: set[str]) -> tuple[set[str], Edges]:
    """The nodes, and pairs (importer, imported) of them. Imports inside a node count for none."""
    graph = _graph()
    owner = {module: node for node in nodes for module in {node} | graph.find_descendants(node)}
    found = {
        (owner[module], owner[imported])
        for module in owner
        for imported in graph.find_modules_directly_imported_by(module)
        if imported in owner and owner[module] != owner[imported]
    }
    return nodes, found


def reduced(edges: Edges) -> Edges:
    """The edges of an acyclic graph without those that follow from others."""

    def reached(start: str, skipped: str) -> set[str]:
        todo, seen = [b for a, b in edges if a == start and b != skipped], set[str]()
        while todo:
            node = todo.pop()
            seen.add(node)
            todo += [b for a, b in edges if a == node and b not in seen]
        return seen

    return {(a, b) for a, b in edges if b not in reached(a, b)}


def levels(nodes: set[str], edges: Edges) -> dict[str, int]:
    """The row of each node, counted from the lowest: one above the highest that it imports. Raises on a cycle."""
    rows: dict[str, int] = {}
    while len(rows) < len(nodes):
        ready = {n: [b for a, b in edges if a == n] for n in nodes - rows.keys()}
        placed = {
            n: max((rows[b] + 1 for b in below), default=0) for n, below in ready.items() if rows.keys() >= {*below}
        }
        if not placed:
            raise ValueError(f"import cycle among {', '.join(sorted(ready))}")
        rows |= placed
    return rows


def draw(nodes: set[str], edges: Edges, title: str) -> str:
    """An SVG of the graph: importers above what they import."""
    edges = reduced(edges)
    rows, chains = levels(nodes, edges), []
    for a, b in sorted(edges):  # a long edge gets a place in every row that it crosses
        between = [f"{a} {b} {row}" for row in range(rows[a] - 1, rows[b], -1)]
        rows |= {name: rows[a] - 1 - i for i, name in enumerate(between)}
        chains.append([a, *between, b])
    order = [sorted(name for name in rows if rows[name] == row) for row in range(max(rows.values()) + 1)]
    links = [pair for chain in chains for pair in pairwise(chain)]
    for sweep in range(SWEEPS):
        for row in order if sweep % 2 else reversed(order):
            _sort(row, order, links)
    widest = max(sum(_width(name) + GAP for name in row) for row in order)
    centre = {
        name: (x, MARGIN + BOX[1] // 2 + (len(order) - 1 - row) * ROW)
        for row, names in enumerate(order)
        for name, x in _places(names, widest)
    }
    width, height = widest + 2 * MARGIN, 2 * MARGIN + BOX[1] + (len(order) - 1) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>{ARROW}",
        f'<rect class="back" width="{width}" height="{height}" rx="8"/>',
        *(_path([centre[name] for name in chain]) for chain in chains),
    ]
    for name in sorted(nodes):
        x, y = centre[name]
        lines.append(f'<rect x="{x - BOX[0] // 2}" y="{y - BOX[1] // 2}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>')
        lines.append(f'<text x="{x}" y="{y + 5}">{escape(name.removeprefix("service."))}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _sort(row: list[str], order: list[list[str]], links: list[tuple[str, str]]) -> None:
    place = {name: (i + 0.5) / len(names) for names in order for i, name in enumerate(names)}

    def middle(name: str) -> float:
        around = [place[b] for a, b in links if a == name] + [place[a] for a, b in links if b == name]
        return sum(around) / len(around) if around else place[name]

    row.sort(key=middle)


def _width(name: str) -> int:
    return 10 if " " in name else BOX[0]


def _places(names: list[str], widest: int) -> list[tuple[str, int]]:
    spare = (widest - sum(_width(name) for name in names)) / (len(names) + 1)
    x, found = float(MARGIN), []
    for name in names:
        x += spare
        found.append((name, round(x + _width(name) / 2)))
        x += _width(name)
    return found


def _path(points: list[tuple[int, int]]) -> str:
    """A smooth line from the lower edge of the first box to the upper edge of the last."""
    (x, y), *rest = points
    drawn = f"M{x} {y + BOX[1] // 2}"
    y += BOX[1] // 2
    for i, (to_x, centre_y) in enumerate(rest):
        to_y = centre_y - BOX[1] // 2 if i == len(rest) - 1 else centre_y
        half = (y + to_y) // 2
        drawn += f" C{x} {half} {to_x} {half} {to_x} {to_y}"
        x, y = to_x, to_y
    return f'<path d="{drawn}" marker-end="url(#arrow)"/>'
