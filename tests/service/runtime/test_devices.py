from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.card import HALF_FILE, MODEL_FILE, CardError, ModelCard, TensorSpec, read_card
from service.runtime import cpu, cuda_driver
from service.runtime.devices import SLOTS_PER_GPU, DeviceError, Devices, Loaded
from service.settings import Settings

MISSING = cuda_driver.missing_part()
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
    assert (loaded.session.provider, loaded.fallback_reason) == (cpu.PROVIDER, None)
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
        assert loaded.session.provider == cuda_driver.PROVIDER
        assert len(loaded.slots.all) == SLOTS_PER_GPU * cuda_driver.device_count()
    else:
        with pytest.raises(DeviceError, match="device=cuda") as caught:
            devices.load(folder, card)
        assert MISSING in str(caught.value)


def test_device_auto_takes_cuda_or_falls_back_with_the_reason(
    make_settings: MakeSettings, folder: Path, card: ModelCard
) -> None:
    loaded = Devices(make_settings(device="auto")).load(folder, card)
    expected = (cuda_driver.PROVIDER, None) if MISSING is None else (cpu.PROVIDER, MISSING)
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


# half precision

BLACK = np.zeros((1, 64, 64, 3), np.uint8)


@pytest.fixture
def halved(tmp_path: Path, publish: Callable[..., Path], add_half: Callable[[Path], Path]) -> Path:
    """An inversion whose half-precision file turns black into 254, the other into 255."""
    return add_half(publish(tmp_path, "horse2zebra"))


def output(loaded: Loaded) -> int:
    """What the session makes of black, in each pixel."""
    rows = loaded.session.run(loaded.slots.all[0], BLACK, alone=True)
    return int(rows.min()) if rows.min() == rows.max() else -1


@pytest.mark.usefixtures("seeming_cuda")
@pytest.mark.parametrize(
    ("device", "fp16", "precision"),
    [("cuda", True, "fp16"), ("auto", True, "fp16"), ("cuda", False, "fp32"), ("cpu", True, "fp32")],
)
def test_only_cuda_runs_the_half_precision_file_unless_it_must_not(
    make_settings: MakeSettings, halved: Path, device: str, fp16: bool, precision: str
) -> None:
    card = read_card(halved)
    loaded = Devices(make_settings(device=device, cuda_fp16=fp16)).load(halved, card)
    expected = {"fp16": card.half_artefact, "fp32": card.full_artefact}[precision]
    assert (loaded.artefact, loaded.fallback_reason) == (expected, None)
    assert loaded.session.provider == (cpu.PROVIDER if device == "cpu" else cuda_driver.PROVIDER)
    assert output(loaded) == {"fp16": 254, "fp32": 255}[precision]


@pytest.mark.usefixtures("seeming_cuda")
def test_cuda_runs_a_model_without_half_precision_in_fp32(
    make_settings: MakeSettings, folder: Path, card: ModelCard
) -> None:
    loaded = Devices(make_settings(device="cuda")).load(folder, card)
    assert (loaded.artefact.file, loaded.fallback_reason) == (MODEL_FILE, None)


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_half_precision_file_that_cuda_does_not_run_gives_way_with_the_reason(
    make_settings: MakeSettings, halved: Path, seeming_cuda: dict[str, Exception], device: str
) -> None:
    seeming_cuda[HALF_FILE] = RuntimeError("no kernel for Pad\nand a trace")
    loaded = Devices(make_settings(device=device)).load(halved, read_card(halved))
    assert (loaded.session.provider, loaded.artefact.precision) == (cuda_driver.PROVIDER, "fp32")
    assert loaded.fallback_reason == "model.fp16.onnx: no kernel for Pad"
    assert output(loaded) == 255


def test_with_no_file_that_cuda_runs_each_reason_is_said(
    make_settings: MakeSettings, halved: Path, seeming_cuda: dict[str, Exception]
) -> None:
    seeming_cuda |= {HALF_FILE: RuntimeError("no kernel"), MODEL_FILE: RuntimeError("out of memory")}
    card, reasons = read_card(halved), "model.fp16.onnx: no kernel; model.onnx: out of memory"
    loaded = Devices(make_settings(device="auto")).load(halved, card)
    assert (loaded.session.provider, loaded.artefact.precision) == (cpu.PROVIDER, "fp32")
    assert loaded.fallback_reason == reasons
    with pytest.raises(DeviceError, match=reasons):
        Devices(make_settings(device="cuda")).load(halved, card)
