import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from service.card import CARD_FILE, HALF_FILE, MODEL_FILE, sha256_of
from service.settings import BUNDLED_MODELS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def render() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", DOCS / "render.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["settings.md", "metrics.md", "models.md"])
def test_a_page_says_what_the_code_and_the_cards_say(render: ModuleType, name: str) -> None:
    assert (DOCS / name).read_text() == render.PAGES[name](), "run docs/render.py"


def test_a_half_precision_file_is_told_with_its_error(render: ModuleType, tmp_path: Path) -> None:
    bundled = next((BUNDLED_MODELS / "horse2zebra").iterdir())
    folder = shutil.copytree(bundled, tmp_path / "horse2zebra" / bundled.name)
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, "half": None}))
    assert HALF_FILE not in render.models_page(tmp_path)
    shutil.copy(folder / MODEL_FILE, folder / HALF_FILE)
    parity = {"mean_difference": 0.13, "max_difference": 2, "mean_tolerance": 0.5, "max_tolerance": 8, "checked": []}
    half = {"parity": parity, "sha256": sha256_of(folder / HALF_FILE)}
    (folder / CARD_FILE).write_text(json.dumps({**card, "half": half}))
    page = render.models_page(tmp_path)
    assert "`model.fp16.onnx`, 2.0 MB" in page
    assert "0.13 grey levels on average and 2 at most (published are 0.5 and 8)" in page


def test_a_run_that_began_further_on_is_told_so(render: ModuleType, tmp_path: Path) -> None:
    bundled = next((BUNDLED_MODELS / "horse2zebra").iterdir())
    folder = shutil.copytree(bundled, tmp_path / "horse2zebra" / bundled.name)
    assert "times as far" not in render.models_page(tmp_path)
    card = json.loads((folder / CARD_FILE).read_text())
    card["training"]["config"]["extrapolate"] = 2.0
    (folder / CARD_FILE).write_text(json.dumps(card))
    images = card["training"]["images"]
    further = " (from 2 times as far as runs before it had come from a published file)"
    assert f"and then {images:,}{further} pairs" in render.models_page(tmp_path)
    card["training"]["history"].append({"images": 12, "config": card["training"]["config"]})
    (folder / CARD_FILE).write_text(json.dumps(card))
    assert f"and then 12{further} and then {images:,}{further} pairs" in render.models_page(tmp_path)
