from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service import cuda
from service.card import MODEL_FILE, CardError, ModelCard, TensorSpec, read_card
from service.session import CPU, DeviceError, Session

MISSING = cuda.missing_part()


@pytest.fixture
def folder(models: Path) -> Path:
    return models / "horse2zebra" / "1"


@pytest.fixture
def card(folder: Path) -> ModelCard:
    return read_card(folder)


def test_device_cpu_runs_on_the_cpu(folder: Path, card: ModelCard) -> None:
    session = Session(folder, card, "cpu", threads=1)
    assert (session.provider, session.fallback_reason) == (CPU, None)


def test_a_batch_goes_through_the_model(folder: Path, card: ModelCard) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
    answer = Session(folder, card, "cpu", threads=1).run(batch)
    assert answer.dtype == np.uint8
    assert (answer == 255 - batch).all()


def test_a_sampler_gets_its_latent_vectors(models: Path) -> None:
    folder = models / "mnist" / "1"
    digits = Session(folder, read_card(folder), "cpu", threads=1).run(np.array([[0] * 8, [9] * 8], np.float32))
    assert digits.shape == (2, 28, 28)
    assert (digits[0] == 128).all()
    assert (digits[1] == 255).all()


def test_device_cuda_runs_on_cuda_or_says_what_is_missing(folder: Path, card: ModelCard) -> None:
    if MISSING is None:
        assert Session(folder, card, "cuda", threads=1).provider == cuda.PROVIDER
    else:
        with pytest.raises(DeviceError, match="device=cuda") as caught:
            Session(folder, card, "cuda", threads=1)
        assert MISSING in str(caught.value)


def test_device_auto_takes_cuda_or_falls_back_with_the_reason(folder: Path, card: ModelCard) -> None:
    session = Session(folder, card, "auto", threads=1)
    expected = (cuda.PROVIDER, None) if MISSING is None else (CPU, MISSING)
    assert (session.provider, session.fallback_reason) == expected


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, publish: Callable[..., Path]) -> None:
    folder = publish(tmp_path, "horse2zebra")
    card = read_card(folder)
    (folder / MODEL_FILE).write_bytes(b"no model")
    with pytest.raises(CardError, match=r"model\.onnx does not run"):
        Session(folder, card, "cpu", threads=1)


def test_a_model_without_the_cards_input_is_refused(folder: Path, card: ModelCard) -> None:
    spec = TensorSpec(name="photo", type="uint8", shape=("N", "H", "W", 3), range="all")
    with pytest.raises(CardError, match="photo"):
        Session(folder, card.model_copy(update={"input": spec}), "cpu", threads=1)


def test_a_sampler_with_labels_gets_them_from_the_last_column(tmp_path: Path, publish: Callable[..., Path]) -> None:
    folder = publish(tmp_path, "mnist-conditional")
    rows = np.array([[1] + [0] * 7 + [3], [2] + [0] * 7 + [9]], np.float32)
    digits = Session(folder, read_card(folder), "cpu", threads=1).run(rows)
    assert [np.unique(digit).tolist() for digit in digits] == [[85], [245]]
