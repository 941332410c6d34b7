import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.card import CARD_BYTES, CARD_FILE, HALF_FILE, MODEL_FILE, CardError, ModelCard, Score, read_card, sha256_of


@pytest.fixture
def folder(tmp_path: Path, publish: Callable[..., Path]) -> Path:
    return publish(tmp_path, "mnist")


@pytest.fixture
def edit(folder: Path) -> Callable[..., None]:
    """`edit(**fields)`: changes fields of the card on disk."""

    def change(**fields: object) -> None:
        path = folder / CARD_FILE
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def card_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CARD_FILE).read_text())


def test_read_card_returns_what_was_written(folder: Path) -> None:
    card = read_card(folder)
    assert (card.name, card.version, card.task, card.latent) == ("mnist", "1", "sample", 8)
    assert json.loads(card.model_dump_json()) == card_of(folder)


def test_sha256_of_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_card_that_is_too_large_is_not_read(folder: Path) -> None:
    (folder / CARD_FILE).write_bytes(bytes(CARD_BYTES + 1))
    with pytest.raises(CardError, match="1,048,577 bytes, a card has at most 1,048,576"):
        read_card(folder)


@pytest.mark.parametrize("name", [CARD_FILE, MODEL_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CardError, match=f"has no {name}"):
        read_card(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00"])
def test_a_card_that_is_no_card_is_refused(folder: Path, content: str) -> None:
    (folder / CARD_FILE).write_text(content)
    with pytest.raises(CardError, match=r"card\.json is not a model card"):
        read_card(folder)


def test_the_wrong_field_is_named(folder: Path, edit: Callable[..., None]) -> None:
    edit(training={**card_of(folder)["training"], "images": "many"})
    with pytest.raises(CardError, match=r"training\.images"):
        read_card(folder)


def test_an_unknown_field_is_refused(folder: Path, edit: Callable[..., None]) -> None:
    edit(colour="blue")
    with pytest.raises(CardError, match="colour"):
        read_card(folder)


def test_another_models_card_is_refused(folder: Path, edit: Callable[..., None]) -> None:
    edit(version="2")
    with pytest.raises(CardError, match="the card of mnist/2"):
        read_card(folder)


def test_an_altered_model_is_refused(folder: Path) -> None:
    with (folder / MODEL_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CardError, match="sha256"):
        read_card(folder)


def test_a_card_without_hash_is_refused(edit: Callable[..., None], folder: Path) -> None:
    edit(sha256=None)
    with pytest.raises(CardError, match="sha256"):
        read_card(folder)


@pytest.mark.parametrize("name", ["", "Mnist", "a/b", "..", "-a", "a b", "mnist\n"])
def test_names_are_plain_words(folder: Path, name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        ModelCard.model_validate({**card_of(folder), "name": name})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_are_finite(value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Score(metric="FID", value=value, protocol="none")


def test_a_samplers_card_without_latent_is_refused(folder: Path, edit: Callable[..., None]) -> None:
    edit(latent=None)
    with pytest.raises(CardError, match="needs latent"):
        read_card(folder)


@pytest.mark.parametrize("missing", ["direction", "size"])
def test_a_translations_card_without_its_direction_or_size_is_refused(
    tmp_path: Path, publish: Callable[..., Path], missing: str
) -> None:
    folder = publish(tmp_path, "horse2zebra")
    (folder / CARD_FILE).write_text(json.dumps({**card_of(folder), missing: None}))
    with pytest.raises(CardError, match="needs direction and size"):
        read_card(folder)


# half precision


@pytest.fixture
def halved(tmp_path: Path, publish: Callable[..., Path], add_half: Callable[[Path], Path]) -> Path:
    """Folder of a model with a half-precision file."""
    return add_half(publish(tmp_path, "horse2zebra"))


def test_a_card_from_before_half_precision_has_one_artefact(folder: Path) -> None:
    (folder / CARD_FILE).write_text(json.dumps({k: v for k, v in card_of(folder).items() if k != "half"}))
    card = read_card(folder)
    assert card.half_artefact is None
    assert (card.full_artefact.file, card.full_artefact.precision) == (MODEL_FILE, "fp32")


def test_a_card_with_half_precision_has_two_artefacts(halved: Path) -> None:
    card = read_card(halved)
    assert card.half_artefact is not None
    assert (card.half_artefact.file, card.half_artefact.precision) == (HALF_FILE, "fp16")
    assert card.half_artefact.sha256 == sha256_of(halved / HALF_FILE)
    assert card.full_artefact.sha256 == sha256_of(halved / MODEL_FILE)


def test_an_altered_half_precision_file_is_refused(halved: Path) -> None:
    with (halved / HALF_FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CardError, match=r"model\.fp16\.onnx has sha256"):
        read_card(halved)


def test_a_missing_half_precision_file_is_named(halved: Path) -> None:
    (halved / HALF_FILE).unlink()
    with pytest.raises(CardError, match=r"has no model\.fp16\.onnx"):
        read_card(halved)


@pytest.mark.parametrize(
    ("field", "value"), [("file", "../model.onnx"), ("precision", "int8"), ("sha256", None), ("parity", None)]
)
def test_another_account_of_the_half_precision_file_is_refused(halved: Path, field: str, value: object) -> None:
    card = card_of(halved)
    card["half"][field] = value
    (halved / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(CardError, match=f"half.{field}|sha256"):
        read_card(halved)


def test_a_read_error_is_reported_with_its_path(folder: Path) -> None:
    (folder / MODEL_FILE).unlink()
    (folder / MODEL_FILE).symlink_to("/proc/self/mem")  # whose first page nobody has
    with pytest.raises(CardError) as caught:
        read_card(folder)
    assert str(caught.value) == f"{folder}: Input/output error"
