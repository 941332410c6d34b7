"""The notebook runs from top to bottom, with a service beside it."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "start" / "notebook.ipynb"


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_it_fits_draws_and_translates(
    notebook: nbformat.NotebookNode, live_service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_CLIENT_URL", live_service)
    monkeypatch.setenv("MPLBACKEND", "agg")
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    reached = int(printed.split("clusters reached: ")[1].split()[0])
    assert reached >= 4
    assert "(32, 28, 28) mnist/3" in printed
    assert "horse2zebra/" in printed
    images = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(images) == 4
