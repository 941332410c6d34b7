import json
import shutil
from pathlib import Path

import pytest

from service.card import CARD_FILE, HALF_FILE, MODEL_FILE, sha256_of
from service.settings import BUNDLED_MODELS
from tools.api_changes import breaking_changes
from tools.render_docs import DOCS, PAGES, models_page, refuse_to_break_clients


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_says_what_the_code_and_the_cards_say(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run python -m tools.render_docs"


def test_clients_of_the_committed_document_go_on_to_work() -> None:
    committed = json.loads((DOCS / "openapi.json").read_text())
    assert breaking_changes(committed, json.loads(PAGES["openapi.json"]())) == []


def test_a_document_that_breaks_clients_is_not_written(tmp_path: Path) -> None:
    page, new = tmp_path / "openapi.json", json.loads((DOCS / "openapi.json").read_text())
    page.write_text(json.dumps(new))
    refuse_to_break_clients(page, json.dumps(new))
    del new["paths"]["/models"]
    with pytest.raises(SystemExit, match="/models: removed"):
        refuse_to_break_clients(page, json.dumps(new))
    page.unlink()
    refuse_to_break_clients(page, json.dumps(new))


def test_a_half_precision_file_is_told_with_its_error(tmp_path: Path) -> None:
    bundled = next((BUNDLED_MODELS / "horse2zebra").iterdir())
    folder = shutil.copytree(bundled, tmp_path / "horse2zebra" / bundled.name)
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "half": None}))
    assert HALF_FILE not in models_page(tmp_path)
    shutil.copy(folder / MODEL_FILE, folder / HALF_FILE)
    parity = {"mean_difference": 0.13, "max_difference": 2, "mean_tolerance": 0.5, "max_tolerance": 8, "checked": []}
    half = {"parity": parity, "sha256": sha256_of(folder / HALF_FILE)}
    (folder / CARD_FILE).write_text(json.dumps({**card, "half": half}))
    page = models_page(tmp_path)
    assert "`model.fp16.onnx`, 2.0 MB" in page
    assert "0.13 grey levels on average and 2 at most (the limits are 0.5 and 8)" in page


def test_a_run_that_began_further_on_is_marked(tmp_path: Path) -> None:
    bundled = next((BUNDLED_MODELS / "horse2zebra").iterdir())
    folder = shutil.copytree(bundled, tmp_path / "horse2zebra" / bundled.name)
    assert "times the distance" not in models_page(tmp_path)
    card = json.loads((folder / CARD_FILE).read_text())
    card["training"]["config"]["extrapolate"] = 2.0
    (folder / CARD_FILE).write_text(json.dumps(card))
    images = card["training"]["images"]
    further = " (started at 2 times the distance of earlier runs from a published file)"
    assert f"and then {images:,}{further} pairs" in models_page(tmp_path)
    card["training"]["history"].append({"images": 12, "config": card["training"]["config"]})
    (folder / CARD_FILE).write_text(json.dumps(card))
    assert f"and then 12{further} and then {images:,}{further} pairs" in models_page(tmp_path)
