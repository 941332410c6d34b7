from collections.abc import Callable
from pathlib import Path

import pytest

from service import cpu_session, cuda
from service.card import MODEL_FILE, CardError, ModelCard, TensorSpec, read_card
from service.session import STREAMS, DeviceError, Devices
from service.settings import Settings

MISSING = cuda.missing_part()
MakeSettings = Callable[..., Settings]


@pytest.fixture
def folder(models: Path) -> Path:
    return models / "horse2zebra" / "1"


@pytest.fixture
def card(folder: Path) -> ModelCard:
    return read_card(folder)


def test_device_cpu_runs_on_the_cpu_in_as_many_slots_as_threads(
    make_settings: MakeSettings, folder: Path, card: ModelCard
) -> None:
    loaded = Devices(make_settings(device="cpu", threads=3)).load(folder, card)
    assert (loaded.session.provider, loaded.fallback_reason) == (cpu_session.PROVIDER, None)
    assert len(loaded.slots.all) == 3


def test_models_share_the_slots_of_a_device(make_settings: MakeSettings, models: Path) -> None:
    devices = Devices(make_settings())
    folders = [models / name / "1" for name in ("mnist", "horse2zebra")]
    one, other = (devices.load(folder, read_card(folder)).slots for folder in folders)
    assert one is other


def test_device_cuda_runs_on_cuda_or_says_what_is_missing(
    make_settings: MakeSettings, folder: Path, card: ModelCard
) -> None:
    devices = Devices(make_settings(device="cuda"))
    if MISSING is None:
        loaded = devices.load(folder, card)
        assert loaded.session.provider == cuda.PROVIDER
        assert len(loaded.slots.all) == STREAMS * cuda.device_count()
    else:
        with pytest.raises(DeviceError, match="device=cuda") as caught:
            devices.load(folder, card)
        assert MISSING in str(caught.value)


def test_device_auto_takes_cuda_or_falls_back_with_the_reason(
    make_settings: MakeSettings, folder: Path, card: ModelCard
) -> None:
    loaded = Devices(make_settings(device="auto")).load(folder, card)
    expected = (cuda.PROVIDER, None) if MISSING is None else (cpu_session.PROVIDER, MISSING)
    assert (loaded.session.provider, loaded.fallback_reason) == expected


def test_a_file_that_is_no_model_is_refused(
    make_settings: MakeSettings, tmp_path: Path, publish: Callable[..., Path]
) -> None:
    folder = publish(tmp_path, "horse2zebra")
    card = read_card(folder)
    (folder / MODEL_FILE).write_bytes(b"no model")
    with pytest.raises(CardError, match=r"model\.onnx does not run"):
        Devices(make_settings()).load(folder, card)


def test_a_model_without_the_cards_input_is_refused(make_settings: MakeSettings, folder: Path, card: ModelCard) -> None:
    spec = TensorSpec(name="photo", type="uint8", shape=("N", "H", "W", 3), range="all")
    with pytest.raises(CardError, match="photo"):
        Devices(make_settings()).load(folder, card.model_copy(update={"input": spec}))
