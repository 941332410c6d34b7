from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from training import run
from training.config.cyclegan import CycleGanConfig
from training.data.folders import CROSSES_INTO_TEST
from training.run import DeviceError, choose_device, choose_precision
from training.tasks.cyclegan import CycleGanTask

GPU = torch.cuda.is_available()
CPU = torch.device("cpu")


@pytest.mark.skipif(GPU, reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_with_what_to_do() -> None:
    with pytest.raises(DeviceError, match="no usable GPU here: check the driver, or use --device cpu"):
        choose_device("cuda")


@pytest.mark.skipif(not GPU, reason="no GPU")
def test_a_gpu_that_is_there_is_taken() -> None:
    assert choose_device("cuda").type == "cuda"


def test_auto_takes_a_gpu_when_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if GPU else "cpu")


def test_the_cpu_can_be_asked_for() -> None:
    assert choose_device("cpu").type == "cpu"


@pytest.mark.parametrize(("wanted", "precision"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_precision_that_is_asked_for_is_taken(wanted: str, precision: torch.dtype) -> None:
    assert choose_precision(wanted, CPU) is precision


def test_auto_is_bf16_on_a_cpu_that_computes_in_it() -> None:
    try:
        with open("/proc/cpuinfo") as file:
            native = "avx512_bf16" in file.read()
    except FileNotFoundError:
        pytest.skip("no /proc/cpuinfo to compare with")
    assert choose_precision("auto", CPU) is (torch.bfloat16 if native else torch.float32)


@pytest.mark.skipif(not GPU, reason="no GPU")
def test_auto_is_bf16_on_a_gpu_since_ampere() -> None:
    native = torch.cuda.get_device_capability() >= (8, 0)
    assert choose_precision("auto", torch.device("cuda")) is (torch.bfloat16 if native else torch.float32)


@pytest.fixture
def horse2zebra(tmp_path: Path) -> Path:
    """Two images a folder; the data folder."""
    for folder in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "horse2zebra" / folder).mkdir(parents=True)
        for name in ("one.png", "two.png"):
            Image.new("RGB", (32, 32)).save(tmp_path / "horse2zebra" / folder / name)
    return tmp_path


@pytest.fixture
def task_of(horse2zebra: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CycleGanTask]:
    """`task_of(**settings)`: what would be fitted."""

    def build(**settings: int) -> CycleGanTask:
        tasks: list[CycleGanTask] = []

        def keep(task: CycleGanTask) -> int:
            tasks.append(task)
            return 0

        monkeypatch.setattr(run, "fit", keep)
        out = horse2zebra / "run"
        run.run_cyclegan(CycleGanConfig.model_validate({"data": horse2zebra, "out": out, "device": "cpu", **settings}))
        return tasks[0]

    return build


def test_no_test_image_of_horse2zebra_is_fitted_on(horse2zebra: Path, task_of: Callable[..., CycleGanTask]) -> None:
    (twin,) = CROSSES_INTO_TEST["horse2zebra"]
    Image.new("RGB", (32, 32)).save(horse2zebra / "horse2zebra" / "trainA" / twin)
    task = task_of(resize=32, crop=32)
    assert [len(domain.images) for domain in task.domains] == [2, 2]


@pytest.mark.parametrize(("resize", "side"), [(64, 64), (67, 64)])
def test_the_grid_shows_whole_images_at_the_scale_of_the_crops(
    task_of: Callable[..., CycleGanTask], resize: int, side: int
) -> None:
    task = task_of(resize=resize, crop=32)
    assert [images.shape for images in task.shown] == [(2, 3, side, side)] * 2
    assert max(task.sample_grid().shape) >= 6 * side  # x, G(x), F(G(x)), and y with its
