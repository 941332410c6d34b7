from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.flops import CountedSteps
from training.losses.cyclegan import change_loss
from training.tasks.cyclegan import CycleGanTask

Build = Callable[..., CycleGanTask]

ALWAYS = {
    "adversarial_G",
    "adversarial_F",
    "cycle_X",
    "cycle_Y",
    "discriminator_X",
    "discriminator_Y",
}
IDENTITY = {"identity_G", "identity_F"}


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def moved(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}


def freeze(task: CycleGanTask, optimiser: str) -> None:
    for group in task.optimisers[optimiser].param_groups:
        group["lr"] = 0.0


def gradients(task: CycleGanTask, *names: str) -> list[Tensor]:
    found = [p.grad for name in names for p in task.networks[name].parameters()]
    assert all(g is not None for g in found)
    return [g.clone() for g in found if g is not None]


def assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    """Within a thousandth of each gradient's length: instance normalisation amplifies fp32's rounding."""
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() < 1e-3 * other.norm()


@pytest.mark.parametrize("adversarial", ["least_squares", "cross_entropy"])
@pytest.mark.parametrize(
    "identity",
    [{"identity_weight": 0}, {"identity_every": 1}, {"identity_every": 2}],
    ids=["no identity", "identity", "identity every 2"],
)
@pytest.mark.parametrize("pool", [0, 3])
def test_a_step_moves_every_weight_and_reports_every_part(
    cyclegan_task: Build, adversarial: str, identity: dict[str, float], pool: int
) -> None:
    task = cyclegan_task(adversarial=adversarial, pool=pool, **identity)
    before = {name: weights(network) for name, network in task.networks.items()}
    parts = task.step(0)
    for name, network in task.networks.items():
        assert moved(network, before[name]) == set(before[name])
    assert set(parts) == (ALWAYS if identity.get("identity_weight") == 0 else ALWAYS | IDENTITY)
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in parts.values())


def test_identity_parts_are_absent_in_between(cyclegan_task: Build) -> None:
    task = cyclegan_task(identity_every=2)
    with_identity = [task.step(first).keys() >= IDENTITY for first in (0, 2, 4, 6)]
    assert with_identity == [True, False, True, False]


def test_a_rarer_identity_weighs_as_much_more(cyclegan_task: Build) -> None:
    rare, heavy = cyclegan_task(identity_every=2, identity_weight=5), cyclegan_task(identity_weight=10)
    for task in (rare, heavy):
        task.step(0)
    assert_close(gradients(rare, "G", "F"), gradients(heavy, "G", "F"))


def test_identity_and_cycle_parts_by_hand_at_the_start(cyclegan_task: Build) -> None:
    task = cyclegan_task(batch=1)
    g, f = task.networks["G"], task.networks["F"]
    x, y = (d.batch(0, 1, 32, 0, task.world) for d in task.domains)
    with torch.no_grad():
        expected = {
            "cycle_X": (f(g(x)) - x).abs().mean(),
            "cycle_Y": (g(f(y)) - y).abs().mean(),
            "identity_G": (g(y) - y).abs().mean(),
            "identity_F": (f(x) - x).abs().mean(),
            "adversarial_G": (task.networks["D_Y"].logits(g(x)) - 1).square().mean(),
            "adversarial_F": (task.networks["D_X"].logits(f(y)) - 1).square().mean(),
        }
    parts = task.step(0)
    for name, value in expected.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_generator_gradients_are_those_of_the_weighted_sum(cyclegan_task: Build) -> None:
    task = cyclegan_task(cycle_weight=3, identity_weight=2)
    freeze(task, "generators")
    freeze(task, "discriminators")
    task.step(0)
    taken = gradients(task, "G", "F")
    g, f, d_x, d_y = task.networks.values()
    x, y = (d.batch(0, 2, 32, 0, task.world) for d in task.domains)
    total = (d_y.logits(g(x)) - 1).square().mean() + (d_x.logits(f(y)) - 1).square().mean()
    total = total + 3 * ((f(g(x)) - x).abs().mean() + (g(f(y)) - y).abs().mean())
    total = total + 2 * ((g(y) - y).abs().mean() + (f(x) - x).abs().mean())
    assert_close(taken, list(torch.autograd.grad(total, [*g.parameters(), *f.parameters()])))


def test_discriminators_get_no_gradient_from_the_generators_losses(cyclegan_task: Build) -> None:
    task = cyclegan_task(pool=0)
    freeze(task, "generators")
    freeze(task, "discriminators")
    task.step(0)
    taken = gradients(task, "D_X", "D_Y")
    g, f, d_x, d_y = task.networks.values()
    x, y = (d.batch(0, 2, 32, 0, task.world) for d in task.domains)
    with torch.no_grad():
        fake_y, fake_x = g(x), f(y)
    own = ((d_x.logits(x) - 1).square().mean() + d_x.logits(fake_x).square().mean()) / 2
    own = own + ((d_y.logits(y) - 1).square().mean() + d_y.logits(fake_y).square().mean()) / 2
    assert_close(taken, list(torch.autograd.grad(own, [*d_x.parameters(), *d_y.parameters()])))


def test_no_gradient_of_a_discriminator_is_computed_for_the_generators(cyclegan_task: Build) -> None:
    task = cyclegan_task()
    counts = dict.fromkeys(("D_X", "D_Y"), 0)
    for name in counts:
        first = next(task.networks[name].parameters())
        first.register_hook(lambda _, name=name: counts.update({name: counts[name] + 1}))
    task.step(0)
    assert counts == {"D_X": 1, "D_Y": 1}


def test_discriminators_stay_where_their_own_optimiser_leaves_them(cyclegan_task: Build) -> None:
    task = cyclegan_task()
    freeze(task, "discriminators")
    before = {name: weights(task.networks[name]) for name in ("D_X", "D_Y")}
    task.step(0)
    assert not any(moved(task.networks[name], before[name]) for name in before)
    assert all(p.requires_grad for network in task.networks.values() for p in network.parameters())


def test_generators_stay_where_their_own_optimiser_leaves_them(cyclegan_task: Build) -> None:
    task = cyclegan_task()
    freeze(task, "generators")
    before = {name: weights(task.networks[name]) for name in "GF"}
    task.step(0)
    assert not any(moved(task.networks[name], before[name]) for name in before)


def test_the_pools_keep_the_fakes_of_either_side(cyclegan_task: Build) -> None:
    task = cyclegan_task(pool=3)
    g, f = task.networks["G"], task.networks["F"]
    x, y = (d.batch(0, 2, 32, 0, task.world) for d in task.domains)
    with torch.no_grad():
        fake_y, fake_x = g(x), f(y)
    task.step(0)
    torch.testing.assert_close(task.pools["Y"].images, fake_y)
    torch.testing.assert_close(task.pools["X"].images, fake_x)


def test_a_pool_shows_the_discriminators_older_fakes(cyclegan_task: Build) -> None:
    without, pooled = (
        [task.step(first)["discriminator_Y"].item() for first in range(0, 10, 2)]
        for task in (cyclegan_task(pool=0), cyclegan_task(pool=2))
    )
    assert without[0] == pooled[0]  # the pool fills
    assert without != pooled


@pytest.mark.parametrize(("only", "discriminator", "source"), [("G", "D_Y", "X"), ("F", "D_X", "Y")])
def test_a_generator_that_learns_alone_moves_with_its_discriminator(
    cyclegan_task: Build, only: str, discriminator: str, source: str
) -> None:
    task = cyclegan_task(only=only, init=["elsewhere"])
    before = {name: weights(network) for name, network in task.networks.items()}
    parts = task.step(0)
    for name, network in task.networks.items():
        assert moved(network, before[name]) == (set(before[name]) if name in {only, discriminator} else set())
    domain = discriminator.removeprefix("D_")
    assert set(parts) == {
        f"adversarial_{only}",
        f"cycle_{source}",
        f"identity_{only}",
        f"discriminator_{domain}",
    }


@pytest.mark.parametrize("only", ["G", "F"])
def test_a_generator_that_learns_alone_descends_its_own_direction(cyclegan_task: Build, only: str) -> None:
    task = cyclegan_task(only=only, init=["elsewhere"], cycle_weight=3, identity_weight=2)
    freeze(task, "generators")
    freeze(task, "discriminators")
    task.step(0)
    taken = gradients(task, only)
    here, back, discriminator = (task.networks[n] for n in (("G", "F", "D_Y") if only == "G" else ("F", "G", "D_X")))
    x, y = (d.batch(0, 2, 32, 0, task.world) for d in task.domains)
    source, target = (x, y) if only == "G" else (y, x)
    total = (discriminator.logits(here(source)) - 1).square().mean()
    total = total + 3 * (back(here(source)) - source).abs().mean() + 2 * (here(target) - target).abs().mean()
    assert_close(taken, list(torch.autograd.grad(total, list(here.parameters()))))
    assert all(p.grad is None for p in back.parameters())


def test_alone_a_generator_takes_at_most_half_the_arithmetic(cyclegan_task: Build) -> None:
    def flops(**settings: object) -> float:
        steps = CountedSteps(cyclegan_task(batch=1, **settings))
        steps.step(0)
        assert steps.flops_per_image
        return steps.flops_per_image

    alone = {"only": "G", "init": ["elsewhere"]}
    assert 0.4 < flops(**alone) / flops() <= 0.5
    assert flops(cycle_weight=0) < 0.8 * flops()


def test_the_change_loss_by_hand_and_its_weight(cyclegan_task: Build) -> None:
    task = cyclegan_task(change_weight=3, cycle_weight=0, identity_weight=0)
    g, x = task.networks["G"], task.domains[0].batch(0, 2, 32, 0, task.world)
    freeze(task, "generators")
    freeze(task, "discriminators")
    parts = task.step(0)
    made = g(x)
    assert parts["change_G"].item() == pytest.approx(change_loss(x, made).item(), rel=1e-4)
    assert {"change_G", "change_F"} <= set(parts)
    adversarial = (task.networks["D_Y"].logits(made) - 1).square().mean()
    total = adversarial + 3 * change_loss(x, made)
    assert_close(gradients(task, "G"), list(torch.autograd.grad(total, list(g.parameters()))))


def test_a_loss_without_weight_is_left_out(cyclegan_task: Build) -> None:
    parts = cyclegan_task(cycle_weight=0, identity_weight=0).step(0)
    assert set(parts) == {"adversarial_G", "adversarial_F", "discriminator_X", "discriminator_Y"}


@pytest.mark.parametrize(
    ("images", "rate"), [(0, 2e-4), (133_400, 2e-4), (200_100, 1e-4), (266_799, 1.5e-9), (266_800, 0)]
)
def test_the_rate_of_the_paper(cyclegan_task: Build, images: int, rate: float) -> None:
    # 100 of 200 epochs of 1,334 constant, then linear to zero
    task = cyclegan_task(images=266_800)
    task.set_rate(images / task.config.images, images)
    found = [group["lr"] for optimiser in task.optimisers.values() for group in optimiser.param_groups]
    assert found == pytest.approx([rate, rate], rel=1e-3)


def test_a_step_is_a_function_of_weights_and_position(cyclegan_task: Build) -> None:
    torch.manual_seed(1)
    one = cyclegan_task().step(4)
    torch.manual_seed(2)
    other = cyclegan_task().step(4)
    assert one == other


@pytest.mark.parametrize("settings", [{}, {"only": "F", "init": ["elsewhere"]}])
def test_a_step_in_bf16_keeps_weights_in_fp32(cyclegan_task: Build, settings: dict[str, Any]) -> None:
    task = cyclegan_task(torch.bfloat16, **settings)
    parts = task.step(0)
    assert all(value.dtype is torch.float32 and value.isfinite() for value in parts.values())
    assert {p.dtype for network in task.networks.values() for p in network.parameters()} == {torch.float32}


def test_images_of_one_colour_can_be_learnt_from(cyclegan_task: Build) -> None:
    task = cyclegan_task(blocks=6, images=2, batch=1)
    task.domains = [replace(d, images=torch.full_like(d.images, 100 + 50 * i)) for i, d in enumerate(task.domains)]
    for first in (0, 1):
        parts = task.step(first)
        assert all(torch.isfinite(value) for value in parts.values())
    assert all(torch.isfinite(p).all() for network in task.networks.values() for p in network.parameters())


def test_averages_are_of_the_generators_alone(cyclegan_task: Build) -> None:
    task = cyclegan_task()
    task.step(0)
    task.update_averages(2)
    assert list(task.averages) == ["G", "F"]
    for name in "GF":
        latest = weights(task.networks[name])
        for parameter, average in task.averages[name].named_parameters():
            torch.testing.assert_close(average, latest[parameter], rtol=0, atol=1e-6)


def test_the_sample_grid_is_black_where_one_domain_has_fewer_images(cyclegan_task: Build) -> None:
    task = cyclegan_task()
    task.shown = task.shown[0][:1], task.shown[1]
    grid = task.sample_grid()
    assert grid.shape == (2 * 32 + 2, 6 * 32 + 5 * 2, 3)
    assert not any(grid[34:, left : left + 32].any() for left in (0, 34, 68))
    assert torch.equal(grid[34:, 3 * 34 : 3 * 34 + 32], task.shown[1][1].permute(1, 2, 0))


def test_the_sample_grid_has_a_row_for_every_shown_pair(cyclegan_task: Build) -> None:
    task = cyclegan_task()
    grid = task.sample_grid()
    assert grid.shape == (2 * 32 + 2, 6 * 32 + 5 * 2, 3)
    xs, ys = task.shown
    for row in (0, 1):
        top = row * 34
        assert torch.equal(grid[top : top + 32, :32], xs[row].permute(1, 2, 0))
        assert torch.equal(grid[top : top + 32, 3 * 34 : 3 * 34 + 32], ys[row].permute(1, 2, 0))
