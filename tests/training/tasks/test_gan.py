from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from training.data.clusters import cluster
from training.distributed import World
from training.tasks.collapse_watch import CollapseWatch
from training.tasks.gan import GanTask

Build = Callable[..., GanTask]

UNIFORM = torch.full((10,), 0.1, dtype=torch.float64)
PARTS = ["discriminator_loss", "generator_loss", "likelihood_real", "likelihood_fake", "r1_penalty"]


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def moved(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}


def freeze(task: GanTask, optimiser: str) -> None:
    for group in task.optimisers[optimiser].param_groups:
        group["lr"] = 0.0


def rates(task: GanTask, images: int) -> list[float]:
    """Of the generator and the discriminator."""
    task.set_rate(images / task.config.images, images)
    return [group["lr"] for optimiser in task.optimisers.values() for group in optimiser.param_groups]


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
def test_a_step_moves_every_weight_and_reports_every_part(gan_task: Build, loss: str) -> None:
    task = gan_task(loss=loss)
    before = {name: weights(network) for name, network in task.networks.items()}
    parts = task.step(0)
    for name, network in task.networks.items():
        assert moved(network, before[name]) == set(before[name])
    assert list(parts) == PARTS
    assert all(value.shape == () and value.isfinite() and not value.requires_grad for value in parts.values())


def test_the_reported_parts_agree_with_each_other(gan_task: Build) -> None:
    # with a batch of one, means are values: D(x) and D(G(z)) give the discriminator's loss
    parts = gan_task(batch=1).step(0)
    expected = -(parts["likelihood_real"].log() + (1 - parts["likelihood_fake"]).log())
    assert parts["discriminator_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_both_generator_losses_start_from_the_same_game(gan_task: Build) -> None:
    minimax, non_saturating = gan_task(loss="minimax").step(0), gan_task(loss="non_saturating").step(0)
    for part in ("discriminator_loss", "likelihood_real", "likelihood_fake"):
        assert torch.equal(minimax[part], non_saturating[part])
    # D is near 1/2 at the start: log(1 - D) and -log D are near -ln 2 and ln 2
    assert minimax["generator_loss"].item() == pytest.approx(-0.693, abs=0.2)
    assert non_saturating["generator_loss"].item() == pytest.approx(0.693, abs=0.2)


def test_the_generators_loss_does_not_move_the_discriminator(gan_task: Build) -> None:
    task = gan_task()
    freeze(task, "discriminator")
    before = weights(task.networks["discriminator"])
    task.step(0)
    assert not moved(task.networks["discriminator"], before)


def test_the_discriminators_loss_does_not_move_the_generator(gan_task: Build) -> None:
    task = gan_task()
    freeze(task, "generator")
    before = weights(task.networks["generator"])
    task.step(0)
    assert not moved(task.networks["generator"], before)


def test_every_weight_gets_one_gradient_a_step(gan_task: Build) -> None:
    task = gan_task()
    counts: dict[str, int] = {}
    for name, network in task.networks.items():
        for parameter, p in network.named_parameters():
            key = f"{name} {parameter}"
            counts[key] = 0
            p.register_hook(lambda _, key=key: counts.update({key: counts[key] + 1}))
    task.step(0)
    assert set(counts.values()) == {1}
    assert all(p.requires_grad for network in task.networks.values() for p in network.parameters())


def test_the_discriminator_learns_to_tell_real_from_fake(gan_task: Build) -> None:
    task = gan_task(discriminator_rate=2e-3)
    freeze(task, "generator")
    losses = [task.step(4 * i)["discriminator_loss"].item() for i in range(40)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
def test_the_generator_learns_to_fool_a_fixed_discriminator(gan_task: Build, loss: str) -> None:
    task = gan_task(rate=2e-3, loss=loss)
    freeze(task, "discriminator")
    likelihoods = [task.step(4 * i)["likelihood_fake"].item() for i in range(40)]
    assert sum(likelihoods[-5:]) > sum(likelihoods[:5])


def test_a_step_is_a_function_of_weights_and_position(gan_task: Build) -> None:
    torch.manual_seed(1)
    one = gan_task().step(8)
    torch.manual_seed(2)
    other = gan_task().step(8)
    assert one == other


def test_every_step_draws_fresh_noise(gan_task: Build) -> None:
    task = gan_task()
    drawn: list[Tensor] = []
    task.networks["generator"].register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[0]))
    for first in (0, 4, 0):
        task.step(first)
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])


def test_the_seed_changes_the_weights_and_the_draws(gan_task: Build) -> None:
    one, other = gan_task(seed=0), gan_task(seed=1)
    assert not torch.equal(one.networks["generator"].project[0].weight, other.networks["generator"].project[0].weight)
    assert not torch.equal(one.fixed_z, other.fixed_z)


@pytest.mark.parametrize(
    ("decay_from", "images", "rate"),
    [
        (0.5, 0, 2e-4),
        (0.5, 500, 2e-4),
        (0.5, 750, 1e-4),
        (0.5, 999, 4e-7),
        (0.5, 1000, 0),
        (0, 0, 2e-4),
        (0, 250, 1.5e-4),
        (1, 0, 2e-4),
        (1, 999, 2e-4),
    ],
)
def test_both_rates_are_constant_then_fall_linearly(
    gan_task: Build, decay_from: float, images: int, rate: float
) -> None:
    task = gan_task(images=1000, decay_from=decay_from, rate=2e-4, discriminator_rate=6e-4)
    assert rates(task, images) == pytest.approx([rate, 3 * rate])


def test_averages_follow_the_generator(gan_task: Build) -> None:
    task = gan_task(ema_images=4)
    initial = weights(task.averages["generator"])
    task.step(0)
    assert not moved(task.averages["generator"], initial)
    task.update_averages(1000)  # one half-life of 4 images, in a batch of 4
    for name, average in task.averages["generator"].named_parameters():
        latest = task.networks["generator"].get_parameter(name)
        assert torch.allclose(average, (initial[name] + latest) / 2, atol=1e-7)


def test_the_sample_grid_is_ten_rows_of_ten_digits(gan_task: Build) -> None:
    grid = gan_task().sample_grid()
    assert grid.shape == (10 * 28 + 9 * 2, 10 * 28 + 9 * 2)
    assert grid.dtype is torch.uint8
    assert (grid[28:30] == 255).all()


def test_samples_come_from_the_averaged_generator(gan_task: Build) -> None:
    task = gan_task()
    grid = task.sample_grid()
    nn.init.zeros_(task.networks["generator"].grow[-2].weight)
    assert torch.equal(task.sample_grid(), grid)
    nn.init.zeros_(task.averages["generator"].grow[-2].weight)
    assert not torch.equal(task.sample_grid(), grid)


def by_ink(digits: Tensor) -> Tensor:
    """A stub of a classifier: labels that are as good as random, the same for the same image."""
    return digits.long().sum((1, 2, 3)) % 10


def test_a_generator_with_one_output_is_warned_of_at_the_second_tick(gan_task: Build) -> None:
    task = gan_task(CollapseWatch(by_ink, UNIFORM, warmup_images=0))
    nn.init.zeros_(task.averages["generator"].grow[-2].weight)
    figures, first = task.inspect(8)
    assert first is None
    assert figures["modes"] == 1
    assert figures["kl_from_training"] == pytest.approx(2.302585)  # ln 10
    _, second = task.inspect(16)
    assert second is not None
    assert second.startswith("MODE COLLAPSE: 1 of 10 digits")


def test_a_generator_of_many_outputs_is_not_warned_of(gan_task: Build) -> None:
    task = gan_task(CollapseWatch(by_ink, UNIFORM, warmup_images=0))
    for images in (8, 16, 24):
        figures, warning = task.inspect(images)
        assert figures["modes"] == 10
        assert warning is None


def test_every_tick_looks_at_fresh_digits(gan_task: Build) -> None:
    seen: list[Tensor] = []
    task = gan_task(CollapseWatch(lambda digits: (seen.append(digits), by_ink(digits))[1], UNIFORM, warmup_images=0))
    task.inspect(8)
    task.inspect(16)
    assert seen[0].shape == (1000, 1, 28, 28)
    assert not torch.equal(seen[0], seen[1])


def test_without_a_watch_there_are_no_figures(gan_task: Build) -> None:
    assert gan_task().inspect(8) == ({}, None)


def test_the_r1_penalty_comes_every_so_many_steps(gan_task: Build) -> None:
    task = gan_task(r1_every=3)
    assert ["r1_penalty" in task.step(4 * i) for i in range(7)] == [True, False, False, True, False, False, True]


@pytest.mark.parametrize("regulariser", ["spectral", "none"])
def test_another_regulariser_has_no_penalty(gan_task: Build, regulariser: str) -> None:
    parts = gan_task(regulariser=regulariser).step(0)
    assert list(parts) == PARTS[:-1]


def test_a_penalty_that_comes_seldom_weighs_as_much_more(gan_task: Build) -> None:
    gradients = []
    for every, weight in ((3, 2.0), (1, 6.0), (1, 2.0)):
        task = gan_task(r1_every=every, r1_weight=weight)
        task.step(0)
        gradients.append(task.networks["discriminator"].features[0].weight.grad.clone())
    seldom, heavier, light = gradients
    assert torch.allclose(seldom, heavier)
    assert not torch.allclose(seldom, light)


def test_the_penalty_moves_the_discriminator(gan_task: Build) -> None:
    gradients = {}
    for weight in (1e-9, 100.0):
        task = gan_task(r1_weight=weight, r1_every=1)
        task.step(0)
        gradients[weight] = task.networks["discriminator"].features[0].weight.grad.clone()
    assert not torch.allclose(gradients[1e-9], gradients[100.0], rtol=0.1)


def test_the_penalty_is_not_run_through_torch_compile(gan_task: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def count(function: Callable[..., Tensor], **_: object) -> Callable[..., Tensor]:
        def run(*inputs: Tensor) -> Tensor:
            compiled.append(function)
            return function(*inputs)

        return run

    monkeypatch.setattr(torch, "compile", count)
    parts = gan_task(compile=True).step(0)
    assert len(compiled) == 3  # G(z), D on both, D on G(z); the penalty has second derivatives
    assert parts == gan_task().step(0)


def test_a_conditional_fit_shows_both_networks_the_labels(gan_task: Build) -> None:
    task = gan_task(conditional=True)
    before = {name: weights(network) for name, network in task.networks.items()}
    seen: list[Tensor] = []
    task.networks["generator"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    task.step(0)
    assert torch.equal(seen[0], task.digits.batch(0, 4, 0, World())[1])
    assert "classes.weight" in moved(task.networks["discriminator"], before["discriminator"])


def test_the_grid_of_a_conditional_fit_has_a_digit_a_column(gan_task: Build) -> None:
    task = gan_task(conditional=True)
    asked: list[Tensor] = []
    task.averages["generator"].register_forward_pre_hook(lambda _, inputs: asked.append(inputs[1]))
    task.sample_grid()
    assert asked[0].tolist() == 10 * list(range(10))


def test_a_resumed_run_goes_on_counting_bad_ticks(gan_task: Build) -> None:
    first, second = (gan_task(CollapseWatch(by_ink, UNIFORM, warmup_images=0)) for _ in range(2))
    for task in (first, second):
        nn.init.zeros_(task.averages["generator"].grow[-2].weight)
    assert first.inspect(8)[1] is None
    second.restore(first.state())
    assert second.inspect(16)[1] is not None


def test_clusters_are_shared_out_as_the_data_has_them_and_are_labels_of_the_discriminator(gan_task: Build) -> None:
    task = gan_task(clusters=3)
    chosen = task.networks["generator"].cluster(torch.randn(50_000, 4, generator=torch.Generator().manual_seed(0)))
    found = torch.bincount(cluster(task.digits.images, 3, seed=0)) / 32
    assert (torch.bincount(chosen) / 50_000).tolist() == pytest.approx(found.tolist(), abs=0.02)
    before = weights(task.networks["discriminator"])
    task.step(0)
    assert "classes.weight" in moved(task.networks["discriminator"], before)


def test_fakes_are_labelled_with_the_cluster_that_their_noise_chose(gan_task: Build) -> None:
    task = gan_task(clusters=3)
    made: list[Tensor] = []
    labels: list[Tensor] = []
    task.networks["generator"].register_forward_pre_hook(lambda _, inputs: made.append(inputs[0]))
    logits = task.logits

    def note(images: Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        labels.append(label)
        return logits(images, label)

    task.logits = note
    task.step(0)
    expected = task.networks["generator"].cluster(made[0])
    assert torch.equal(labels[0][4:], expected)  # beside the four real ones
    assert torch.equal(labels[1], expected)


def test_the_averaged_generator_chooses_among_the_same_clusters(gan_task: Build) -> None:
    task = gan_task(clusters=3)
    task.step(0)
    task.update_averages(4)
    assert torch.equal(task.averages["generator"].thresholds, task.networks["generator"].thresholds)
