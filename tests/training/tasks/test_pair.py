"""Projected discriminators, generators without norms and the warm-up, in whole tasks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.images import to_signed
from training.networks.cyclegan import Generator, fold_norms
from training.networks.efficientnet_lite import EfficientNetLite0
from training.networks.projected import ProjectedDiscriminator
from training.tasks.base import Task
from training.tasks.cyclegan import CycleGanTask
from training.tasks.distil import DistilTask

PROJECTED: dict[str, Any] = {"discriminator": "projected"}
BuildCycleGan = Callable[..., CycleGanTask]


@pytest.fixture
def projected_distil_task(
    cyclegan_task: BuildCycleGan, distil_task: Callable[..., DistilTask], teacher: dict[str, Any]
) -> DistilTask:
    taught_by = cyclegan_task(**PROJECTED)
    settings = taught_by.config.model_dump(mode="json")
    return distil_task(teacher={**teacher, "config": settings, **taught_by.state()}, **PROJECTED)


def copies(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def assert_learning_moved(task: Task, before: dict[str, dict[str, Tensor]]) -> None:
    """Every weight of the generators and heads has moved, and nothing else.

    The heads' last biases may stay: in the hinge loss real and fake images cancel there until a logit exceeds 1.
    """
    for name, network in task.networks.items():
        fixed = {key for key in before[name] if key.startswith("mixing.")}
        assert (len(fixed) > 0) == name.startswith("D")
        moved = {key for key, p in network.named_parameters() if not torch.equal(p, before[name][key])}
        last_biases = {key for key in before[name] if key.startswith("heads.") and key.endswith(".4.bias")}
        assert moved | last_biases == set(before[name]) - fixed, name


@pytest.mark.parametrize("kind", ["cyclegan", "distil"])
def test_a_step_moves_generators_and_heads_and_nothing_frozen(
    cyclegan_task: BuildCycleGan, projected_distil_task: DistilTask, features: EfficientNetLite0, kind: str
) -> None:
    task = cyclegan_task(**PROJECTED, warmup_images=0) if kind == "cyclegan" else projected_distil_task
    before, frozen = {name: copies(network) for name, network in task.networks.items()}, copies(features)
    parts = task.step(0)
    assert_learning_moved(task, before)
    assert all(torch.equal(p, frozen[name]) for name, p in features.named_parameters())
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in parts.values())


def test_the_adversarial_parts_are_means_over_the_scales(cyclegan_task: BuildCycleGan) -> None:
    task = cyclegan_task(**PROJECTED, augment=False)
    images, (g, f) = task.images(0), (task.networks[name] for name in "GF")
    for optimiser in task.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = 0.0
    parts = task.step(0)
    d_x, d_y = (task.networks[name].eval() for name in ("D_X", "D_Y"))  # as steps of power iterations change little
    assert isinstance(d_x, ProjectedDiscriminator)
    assert isinstance(d_y, ProjectedDiscriminator)
    with torch.no_grad():
        fakes = {"Y": g(images["X"]), "X": f(images["Y"])}
        for discriminator, domain, generator in ((d_y, "Y", "G"), (d_x, "X", "F")):
            real, fake = discriminator.logits(images[domain]), discriminator.logits(fakes[domain])
            adversarial = -sum(scale.mean() for scale in fake) / 4
            halves = sum((1 - r).relu().mean() + (1 + s).relu().mean() for r, s in zip(real, fake, strict=True)) / 2
            assert parts[f"adversarial_{generator}"].item() == pytest.approx(float(adversarial), abs=0.1)
            assert parts[f"discriminator_{domain}"].item() == pytest.approx(float(halves) / 4, abs=0.1)


@pytest.mark.parametrize(("settings", "betas"), [({}, (0.5, 0.999)), (PROJECTED, (0.0, 0.99))])
def test_adams_betas_are_those_of_the_discriminators_kind(
    cyclegan_task: BuildCycleGan, settings: dict[str, Any], betas: tuple[float, float]
) -> None:
    task = cyclegan_task(**settings)
    assert {group["betas"] for o in task.optimisers.values() for group in o.param_groups} == {betas}


def test_a_pupil_of_projected_discriminators_has_their_betas(projected_distil_task: DistilTask) -> None:
    optimisers = projected_distil_task.optimisers.values()
    assert {group["betas"] for o in optimisers for group in o.param_groups} == {(0.0, 0.99)}


def test_the_generators_rate_alone_rises_over_the_warm_up(cyclegan_task: BuildCycleGan) -> None:
    task = cyclegan_task(warmup_images=8, rate=1e-3, discriminator_rate=2e-3, decay_from=1)
    rates = []
    for images in (0, 2, 6, 7, 8, 100):
        task.set_rate(0.1, images)
        rates.append([task.optimisers[name].param_groups[0]["lr"] for name in ("generators", "discriminators")])
    assert rates == [pytest.approx([1e-3 * share, 2e-3]) for share in (1 / 8, 3 / 8, 7 / 8, 1, 1, 1)]


def test_the_warm_up_and_the_decay_multiply(cyclegan_task: BuildCycleGan) -> None:
    task = cyclegan_task(warmup_images=8, rate=1e-3, discriminator_rate=2e-3, decay_from=0)
    task.set_rate(0.25, 3)
    assert [task.optimisers[name].param_groups[0]["lr"] for name in ("generators", "discriminators")] == (
        pytest.approx([1e-3 * 0.75 / 2, 2e-3 * 0.75])
    )


def test_projected_discriminators_need_the_feature_network(cyclegan_task: BuildCycleGan) -> None:
    task = cyclegan_task(**PROJECTED)
    with pytest.raises(ValueError, match="need the feature network"):
        CycleGanTask(task.config, tuple(task.domains), task.shown, task.world, torch.float32)


def test_both_discriminators_share_one_feature_network_and_differ_in_their_mixing(
    cyclegan_task: BuildCycleGan,
) -> None:
    task = cyclegan_task(**PROJECTED)
    one, other = (task.state()["networks"][name] for name in ("D_X", "D_Y"))
    mixing = [name for name in one if name.startswith("mixing.")]
    assert len(mixing) == 7
    assert not any(torch.equal(one[name], other[name]) for name in mixing)
    assert sum(weights.numel() for weights in one.values()) < 1e6  # without the feature network


def saved(task: Task) -> dict[str, Any]:
    return {"config": task.config.model_dump(mode="json"), **task.state()}


def test_generators_with_norms_start_generators_without(cyclegan_task: BuildCycleGan) -> None:
    normed, free = cyclegan_task(seed=3), cyclegan_task(generator_norm="none")
    free.take(saved(normed))
    for name, domain in zip("GF", free.domains, strict=True):
        images = to_signed(domain.images)  # all of them: they are fewer than those whose statistics are folded
        source = normed.averages[name]
        assert isinstance(source, Generator)
        expected = fold_norms(source, [images])
        for weights in (free.networks[name].state_dict(), free.averages[name].state_dict()):
            assert weights.keys() == expected.keys()
            for key, weight in weights.items():
                assert torch.allclose(weight, expected[key], atol=1e-5)
    assert all(value.isfinite() for value in free.step(0).values())


def test_generators_without_norms_start_none_with_them(cyclegan_task: BuildCycleGan) -> None:
    with pytest.raises(ValueError, match="have no norms"):
        cyclegan_task().take(saved(cyclegan_task(generator_norm="none")))


def test_generators_without_norms_resume(cyclegan_task: BuildCycleGan) -> None:
    task = cyclegan_task(generator_norm="none")
    task.step(0)
    resumed = cyclegan_task(generator_norm="none", seed=9)
    resumed.restore(saved(task))
    for name, network in task.networks.items():
        assert all(torch.equal(w, resumed.networks[name].state_dict()[key]) for key, w in network.state_dict().items())
