from tools.clients.checks import CALLS
from tools.clients.generators import GENERATORS
from tools.clients.page import HEAD, NOTES, Row, page
from tools.render_docs import DOCS


def test_the_committed_page_has_every_generator_and_no_failure() -> None:
    text = (DOCS / "calling" / "clients.md").read_text()
    assert text.startswith(HEAD)
    assert text.endswith(NOTES)
    rows = [line for line in text.splitlines() if line.startswith(tuple(f"| {g.name} |" for g in GENERATORS))]
    assert len(rows) == len(GENERATORS)
    assert all(row.count("| runs ") == len(CALLS) for row in rows)
    assert "`redocly lint`, with its recommended rules, says nothing." in text


def test_the_page_tells_failures_and_findings() -> None:
    wrong = {call: "refused" if call == "listModels" else "" for call in CALLS}
    text = page([Row(GENERATORS[0], False, wrong)], ["no-empty-servers: none"], "a machine")
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {GENERATORS[0].name} |"))
    assert row.count("| runs ") == len(CALLS) - 1
    assert row.count("| **fails** ") == 1
    assert "| **no** |" in row
    assert "has 1 findings: no-empty-servers: none." in text
