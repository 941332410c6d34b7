from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.distributed import CPU
from training.flops import CountedSteps, peak_flops, utilisation
from training.loop import fit
from training.networks.cyclegan import Discriminator, Generator
from training.stats import read_stats
from training.tasks.base import Task
from training.tasks.cyclegan import CycleGanTask


def test_utilisation_by_hand() -> None:
    assert utilisation(flops_per_image=2e12, images_per_second=60, peak=800e12) == pytest.approx(0.15)


def forward_flops(network: nn.Module, forward: Callable[[Tensor], Tensor], side: int) -> tuple[int, int]:
    """Operations of the convolutions on one image, and those of the first of them."""
    counts: list[int] = []

    def count(layer: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(2 * output[0].numel() * layer.in_channels * layer.kernel_size[0] ** 2)

    handles = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        forward(torch.zeros(1, 3, side, side))
    for handle in handles:
        handle.remove()
    return sum(counts), counts[0]


@pytest.mark.parametrize("every", [1, 2])
def test_operations_of_a_step_are_those_of_its_convolutions(
    cyclegan_task: Callable[..., CycleGanTask], every: int
) -> None:
    task = cyclegan_task(identity_every=every)
    steps = CountedSteps(task)
    for i in range(every):
        assert steps.flops_per_image is None
        steps.step(2 * i)
    g, g_first = forward_flops(network := Generator(4, 1), network, 32)
    d, d_first = forward_flops(patches := Discriminator(4), patches.logits, 32)
    # forward, and backward to inputs and to weights; photographs want no gradient
    translations = 2 * (3 * g - g_first) + 2 * 3 * g
    identities = 2 * (3 * g - g_first) / every
    adversarial, shown = 2 * 2 * d, 4 * (3 * d - d_first)
    assert steps.flops_per_image == pytest.approx(translations + identities + adversarial + shown, rel=1e-6)


def test_later_steps_are_not_counted(cyclegan_task: Callable[..., CycleGanTask]) -> None:
    steps = CountedSteps(cyclegan_task())
    steps.step(0)
    counted = steps.flops_per_image
    steps.step(2)
    assert steps.flops_per_image == counted


def test_counting_does_not_change_a_step(cyclegan_task: Callable[..., CycleGanTask]) -> None:
    plain, counted = cyclegan_task(), cyclegan_task()
    assert plain.step(0) == CountedSteps(counted).step(0)
    for one, other in zip(plain.networks["G"].parameters(), counted.networks["G"].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_peak_is_measured_once(dtype: torch.dtype) -> None:
    peak = peak_flops(CPU, dtype)
    assert 1e8 < peak < 1e14
    assert peak_flops(CPU, dtype) == peak


@pytest.mark.parametrize("name", ["cyclegan", "gan"])
def test_a_fit_reports_its_share_of_the_peak(request: pytest.FixtureRequest, name: str) -> None:
    task: Task = request.getfixturevalue(f"{name}_task")(**({"r1_every": 2} if name == "gan" else {}))
    fit(task)
    lines = read_stats(task.config.out)
    assert all(0 < line["utilisation"] < 1 for line in lines)
