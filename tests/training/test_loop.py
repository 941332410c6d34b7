import signal
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from training import checkpoint
from training.checkpoint import CheckpointError, ResumeError
from training.config.gan import GanConfig
from training.distributed import World
from training.loop import DivergedError, Progress, StoppedError, fit
from training.resume import warm_start
from training.stats import read_stats
from training.tasks.base import Task
from training.tasks.collapse_watch import CollapseWatch
from training.tasks.cyclegan import CycleGanTask
from training.tasks.gan import GanTask

BuildGan = Callable[..., GanTask]
BuildCycleGan = Callable[..., CycleGanTask]


@pytest.fixture(params=["gan", "cyclegan"])
def build(request: pytest.FixtureRequest) -> Callable[..., Task]:
    """Builds either task, 6 steps long with a tick after the fourth (curves, which take time, need two)."""
    return request.getfixturevalue(f"{request.param}_task")


def before_step(task: Task, image: int, action: Callable[[], object]) -> None:
    """Does something just before the step that starts at `image`."""
    step = task.step

    def watched(first: int) -> dict[str, Tensor]:
        if first == image:
            action()
        return step(first)

    task.step = watched  # type: ignore[method-assign]  # a step that is watched


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: signal.raise_signal(number)  # to this very thread: two that another gets may become one


def fail() -> None:
    raise RuntimeError("power cut")


def assert_same(ours: Any, theirs: Any, where: str) -> None:
    """Bit for bit, whatever the containers."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), where
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), where
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{where}.{i}")
    elif isinstance(theirs, Tensor):
        assert ours.dtype is theirs.dtype, where
        assert torch.equal(ours, theirs), where
    else:
        assert ours == theirs, where


def assert_same_run(ours: Path, theirs: Path) -> None:
    one, other = checkpoint.read(ours), checkpoint.read(theirs)
    for part in ("images", "networks", "averages", "optimisers", "pools"):
        assert_same(one[part], other[part], part)


@pytest.mark.parametrize("step", [1, 4, 5], ids=["before the tick", "at the tick", "after the tick"])
def test_a_run_that_was_cut_and_resumed_equals_an_uncut_one(
    build: Callable[..., Task], tmp_path: Path, step: int
) -> None:
    uncut = build(out=tmp_path / "uncut")
    total, batch = uncut.config.images, uncut.config.batch
    assert fit(uncut) == total

    cut = build(out=tmp_path / "cut")
    before_step(cut, (step - 1) * batch, send(signal.SIGTERM))
    with pytest.raises(StoppedError):
        fit(cut)
    assert checkpoint.read(tmp_path / "cut")["images"] == step * batch

    assert fit(build(out=tmp_path / "cut")) == total
    assert_same_run(tmp_path / "cut", tmp_path / "uncut")


@pytest.mark.parametrize(
    "changed",
    [{}, {"augment": True}, {"discriminator": "projected"}],
    ids=["plain", "augmented", "projected"],
)
def test_a_run_in_bf16_with_a_pool_resumes_bit_for_bit(
    cyclegan_task: BuildCycleGan, tmp_path: Path, changed: dict[str, Any]
) -> None:
    settings = {"images": 8, **changed}
    fit(cyclegan_task(torch.bfloat16, out=tmp_path / "uncut", **settings))
    cut = cyclegan_task(torch.bfloat16, out=tmp_path / "cut", **settings)
    before_step(cut, 2, send(signal.SIGTERM))
    with pytest.raises(StoppedError):
        fit(cut)
    fit(cyclegan_task(torch.bfloat16, out=tmp_path / "cut", **settings))
    assert_same_run(tmp_path / "cut", tmp_path / "uncut")


def moves_of_moments_alone(task: Task) -> list[Tensor]:
    """What a step without gradients does to each weight."""
    weights = [p for o in task.optimisers.values() for group in o.param_groups for p in group["params"]]
    before = [weight.detach().clone() for weight in weights]
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    for optimiser in task.optimisers.values():
        optimiser.step()
    return [weight.detach() - old for weight, old in zip(weights, before, strict=True)]


@pytest.mark.parametrize("precisions", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)])
def test_a_run_goes_on_in_another_precision_with_every_moment_at_its_weight(
    cyclegan_task: BuildCycleGan, precisions: tuple[torch.dtype, torch.dtype]
) -> None:
    # weights lie in memory as their precision has it, and Adam's fused form pairs them with moments as they lie
    first, second = map(cyclegan_task, precisions)
    for number in range(3):
        first.step(number * first.config.batch)
    second.restore({**deepcopy(first.state()), "config": first.config.model_dump(mode="json")})
    for moved, expected in zip(moves_of_moments_alone(second), moves_of_moments_alone(first), strict=True):
        assert expected.any()
        torch.testing.assert_close(moved, expected)


def test_a_run_that_crashed_resumes_from_its_last_tick_and_equals_an_uncut_one(
    gan_task: BuildGan, tmp_path: Path
) -> None:
    fit(gan_task(out=tmp_path / "uncut"))
    crashed = gan_task(out=tmp_path / "crashed")
    before_step(crashed, 20, fail)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(crashed)
    assert checkpoint.read(tmp_path / "crashed")["images"] == 16
    fit(gan_task(out=tmp_path / "crashed"))
    assert_same_run(tmp_path / "crashed", tmp_path / "uncut")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_leaves(
    gan_task: BuildGan, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    task = gan_task()
    before_step(task, 8, send(number))
    with pytest.raises(StoppedError):
        fit(task)
    assert checkpoint.read(tmp_path / "gan")["images"] == 12
    assert "stopped at image 12; the same command resumes from there" in capsys.readouterr().out
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_a_second_interrupt_leaves_at_once(gan_task: BuildGan, tmp_path: Path) -> None:
    task = gan_task(tick_images=8)

    def twice() -> None:
        handler = signal.getsignal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        while signal.getsignal(signal.SIGINT) is handler:  # until it has run: two signals at once are one to Python
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    before_step(task, 12, twice)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(task)
    finally:
        signal.signal(signal.SIGINT, before)
    assert checkpoint.read(tmp_path / "gan")["images"] == 8


def test_a_finished_run_does_nothing_when_run_again(
    build: Callable[..., Task], capsys: pytest.CaptureFixture[str]
) -> None:
    first = build()
    total, out = fit(first), first.config.out
    files = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in out.rglob("*")}
    again = build()
    before_step(again, 0, fail)
    before_step(again, total, fail)
    capsys.readouterr()
    assert fit(again) == total
    assert capsys.readouterr().out == f"{out} is finished at image {total}: to go on, ask for more --images\n"
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in out.rglob("*")} == files


def test_a_finished_run_goes_on_when_it_is_made_longer(gan_task: BuildGan, tmp_path: Path) -> None:
    fit(gan_task())
    longer = gan_task(images=32, tick_images=100)
    before_step(longer, 0, fail)
    assert fit(longer) == 32
    assert checkpoint.read(tmp_path / "gan")["images"] == 32


def test_a_run_ends_with_the_batch_that_completes_it(gan_task: BuildGan) -> None:
    assert fit(gan_task(images=10, tick_images=100)) == 12


def test_a_run_writes_samples_curves_and_a_line_a_tick(build: Callable[..., Task]) -> None:
    length = build().config.images
    task = build(tick_images=length // 3)
    fit(task)
    config, ticks = task.config, [length // 3, length // 3 * 2, length]
    samples = sorted((config.out / "samples").iterdir())
    assert [path.name for path in samples] == [f"{images:09d}.png" for images in ticks]
    with Image.open(samples[-1]) as image:
        height, width = task.sample_grid().shape[:2]
        assert image.size == (width, height)
    assert [line["images"] for line in read_stats(config.out)] == ticks
    with Image.open(config.out / "curves.png") as image:
        assert image.convert("L").getextrema() == (0, 255)
    assert list((config.out / "tensorboard").glob("events.*"))


def test_a_line_holds_the_means_of_its_tick(gan_task: BuildGan, tmp_path: Path) -> None:
    task = gan_task(tick_images=8)
    losses: list[float] = []
    step = task.step

    def noted(first: int) -> dict[str, Tensor]:
        parts = step(first)
        losses.append(parts["generator_loss"].item())
        return parts

    task.step = noted  # type: ignore[method-assign]  # a step that is watched
    fit(task)
    written = [line["generator_loss"] for line in read_stats(tmp_path / "gan")]
    assert written == pytest.approx([sum(losses[i : i + 2]) / 2 for i in (0, 2, 4)])
    assert all(line["images_per_second"] > 0 for line in read_stats(tmp_path / "gan"))


def test_a_checkpoint_says_where_it_came_from(gan_task: BuildGan, tmp_path: Path) -> None:
    task = gan_task(seed=3)
    fit(task)
    state = checkpoint.read(tmp_path / "gan")
    assert state["task"] == "gan"
    assert state["config"] == task.config.model_dump(mode="json")
    assert state["config"]["seed"] == 3
    assert state["dataset"] == {"name": "MNIST, training set", "sha256": task.digits.sha256}
    assert state["provenance"]["torch"] == torch.__version__
    assert state["provenance"]["git_commit"]


def test_there_are_no_duplicate_lines_after_a_crash(gan_task: BuildGan, tmp_path: Path) -> None:
    out = tmp_path / "gan"
    fit(gan_task(tick_images=8))
    newest = checkpoint.list_checkpoints(out)[-1]  # at 24; its line is written, the file is lost
    newest.unlink()
    with (out / "stats.jsonl").open("a") as file:
        file.write('{"images": 28, "gener')
    old = (out / "stats.jsonl").read_text().splitlines()
    assert fit(gan_task(tick_images=8)) == 24
    assert [line["images"] for line in read_stats(out)] == [8, 16, 24]
    new = (out / "stats.jsonl").read_text().splitlines()
    assert new[:2] == old[:2]
    assert new[2] != old[2]


def test_a_weight_that_is_not_finite_names_the_last_good_checkpoint_and_leaves_it(
    gan_task: BuildGan, tmp_path: Path
) -> None:
    out, task = tmp_path / "gan", gan_task(tick_images=8)
    poison = task.networks["generator"].grow[0].weight
    before_step(task, 12, lambda: poison.data.fill_(float("nan")))
    with pytest.raises(DivergedError) as caught:
        fit(task)
    good = out / "checkpoint-000000008.pt"
    assert str(caught.value) == (
        f"discriminator_loss, generator_loss, likelihood_fake is not finite by image 16; "
        f"the last good checkpoint is {good}: start from it with --init, another --out and a lower --rate"
    )
    assert checkpoint.list_checkpoints(out) == [good]
    weights = checkpoint.read(good)["networks"]["generator"]
    assert all(value.isfinite().all() for value in weights.values())


def test_a_weight_that_is_not_finite_is_not_saved_though_the_losses_are(gan_task: BuildGan, tmp_path: Path) -> None:
    task = gan_task(tick_images=8)
    step = task.step

    def overflow(first: int) -> dict[str, Tensor]:
        losses = step(first)
        if first == 12:  # the last step of the tick
            task.networks["discriminator"].score.bias.data.fill_(float("inf"))
        return losses

    task.step = overflow  # type: ignore[method-assign]  # a step that is watched
    with pytest.raises(DivergedError, match="a weight is not finite by image 16"):
        fit(task)
    assert checkpoint.read(tmp_path / "gan")["images"] == 8


def test_a_rate_that_diverges_at_once_leaves_no_checkpoint(gan_task: BuildGan, tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"is not finite by image 8; there is no checkpoint yet"):
        fit(gan_task(rate=1e38, tick_images=8))
    assert not checkpoint.list_checkpoints(tmp_path / "gan")


def test_a_run_that_is_stopped_after_it_diverged_is_not_saved(gan_task: BuildGan, tmp_path: Path) -> None:
    task = gan_task(tick_images=8)

    def poison_and_stop() -> None:
        task.networks["discriminator"].score.bias.data.fill_(float("inf"))
        send(signal.SIGTERM)()

    before_step(task, 8, poison_and_stop)
    with pytest.raises(DivergedError):
        fit(task)
    assert checkpoint.read(tmp_path / "gan")["images"] == 8


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("rate", 1e-3, r"rate: 0\.0006 there, 0\.001 asked for"),
        ("seed", 1, "seed: 0 there, 1 asked for"),
        ("loss", "minimax", "loss: non_saturating there, minimax asked for"),
        ("width", 3, "width: 2 there, 3 asked for"),
    ],
)
def test_resuming_with_another_setting_names_it(
    gan_task: BuildGan, tmp_path: Path, setting: str, value: object, message: str
) -> None:
    fit(gan_task(images=8))
    content = (tmp_path / "gan" / "checkpoint-000000008.pt").read_bytes()
    with pytest.raises(ResumeError, match=message):
        fit(gan_task(**{setting: value}))
    assert (tmp_path / "gan" / "checkpoint-000000008.pt").read_bytes() == content


def test_resuming_names_every_setting_that_differs(gan_task: BuildGan) -> None:
    fit(gan_task(images=8))
    with pytest.raises(ResumeError, match=r"batch: 4 there, 8 asked for.*decay_from: 0\.5 there, 1\.0 asked for"):
        fit(gan_task(batch=8, decay_from=1.0))


def test_resuming_on_changed_images_is_refused(gan_task: BuildGan, cyclegan_task: BuildCycleGan) -> None:
    for build in (gan_task, cyclegan_task):
        fit(build(images=8))
        task = build(images=12)
        task.dataset["sha256"] = "another"
        with pytest.raises(ResumeError, match=r"an image was added, removed or changed.*new run with --init"):
            fit(task)


def test_where_and_how_fast_may_change_on_resuming(gan_task: BuildGan, tmp_path: Path) -> None:
    fit(gan_task(images=8))
    free = {"images": 24, "tick_images": 20, "data": tmp_path / "elsewhere", "threads": 3, "device": "cpu"}
    assert fit(gan_task(**free)) == 24


def forget_settings(folder: Path, *names: str) -> None:
    """Makes a checkpoint look older than these settings."""
    state = checkpoint.read(folder)
    state["config"] = {name: value for name, value in state["config"].items() if name not in names}
    checkpoint.write(folder, state)


def test_settings_that_a_checkpoint_lacks_are_their_defaults(cyclegan_task: BuildCycleGan, tmp_path: Path) -> None:
    out = tmp_path / "cyclegan"
    fit(cyclegan_task(images=4))
    forget_settings(out, "augment", "filters")
    with pytest.raises(ResumeError, match="augment: False there, True asked for"):
        fit(cyclegan_task(augment=True))
    assert fit(cyclegan_task()) == 12
    assert checkpoint.read(out)["config"]["augment"] is False


def test_resuming_the_other_task_is_refused(gan_task: BuildGan, cyclegan_task: BuildCycleGan, tmp_path: Path) -> None:
    fit(gan_task(images=4, out=tmp_path / "run"))
    with pytest.raises(ResumeError, match="of task gan, not cyclegan"):
        fit(cyclegan_task(out=tmp_path / "run"))


def test_starting_from_the_weights_of_the_other_task_is_refused(
    gan_task: BuildGan, cyclegan_task: BuildCycleGan, tmp_path: Path
) -> None:
    fit(gan_task(images=4))
    with pytest.raises(ResumeError, match="of task gan, not cyclegan"):
        fit(cyclegan_task(init=[tmp_path / "gan"]))


@pytest.mark.parametrize(
    "changed",
    [{"filters": 8}, {"blocks": 2}],
    ids=lambda changed: "-".join(changed),
)
def test_starting_from_networks_of_another_shape_is_refused(
    cyclegan_task: BuildCycleGan, tmp_path: Path, changed: dict[str, Any]
) -> None:
    fit(cyclegan_task(out=tmp_path / "first"))
    (name,) = changed
    with pytest.raises(ResumeError, match=rf"first are not those of these settings \(.*{name}: .* asked for"):
        fit(cyclegan_task(out=tmp_path / "second", init=[tmp_path / "first"], **changed))


@pytest.mark.parametrize("out", ["cyclegan", "second"], ids=["resumed", "started from"])
def test_a_run_with_settings_that_are_not_known_any_more_is_refused(
    cyclegan_task: BuildCycleGan, tmp_path: Path, out: str
) -> None:
    fit(cyclegan_task())
    state = checkpoint.read(tmp_path / "cyclegan")
    checkpoint.write(tmp_path / "cyclegan", {**state, "config": {**state["config"], "residual": True}})
    with pytest.raises(ResumeError, match="fitted with residual, which this version does not know"):
        fit(cyclegan_task(out=tmp_path / out, init=[tmp_path / "cyclegan"], images=20))


def test_retired_settings_that_were_off_do_not_keep_a_run_from_resuming(
    cyclegan_task: BuildCycleGan, tmp_path: Path
) -> None:
    fit(cyclegan_task(images=4))
    state = checkpoint.read(tmp_path / "cyclegan")
    off = {"antialias": "none", "discriminator_filters": None, "discriminator_norm": "instance", "r1_weight": 0.0}
    older = {**off, "augment": [], "r1_every": 16, "extrapolate": None, "extrapolate_from": None, "return_weight": 0.0}
    checkpoint.write(tmp_path / "cyclegan", {**state, "config": {**state["config"], **older}})
    assert fit(cyclegan_task()) == 12


@pytest.mark.parametrize(
    ("name", "value"),
    [("r1_weight", 0.1), ("return_weight", 0.5), ("discriminator_norm", "spectral"), ("antialias", "discriminators")],
)
def test_a_run_with_a_retired_setting_is_not_resumed_and_can_start_another(
    cyclegan_task: BuildCycleGan, tmp_path: Path, name: str, value: object
) -> None:
    fit(cyclegan_task(images=4))
    state = checkpoint.read(tmp_path / "cyclegan")
    checkpoint.write(tmp_path / "cyclegan", {**state, "config": {**state["config"], name: value}})
    with pytest.raises(ResumeError, match=rf"{name}: {value} there, which this version does not have"):
        fit(cyclegan_task())
    assert fit(cyclegan_task(out=tmp_path / "second", init=[tmp_path / "cyclegan"], images=4)) == 4


def test_discriminators_of_a_retired_kind_are_refused_with_the_way_to_keep_the_generators(
    cyclegan_task: BuildCycleGan, tmp_path: Path
) -> None:
    fit(cyclegan_task(images=4))
    state = checkpoint.read(tmp_path / "cyclegan")
    for name in ("D_X", "D_Y"):  # as spectral normalisation named its weights
        weights = state["networks"][name]
        state["networks"][name] = {
            key.replace(".weight", ".parametrizations.weight.original"): w for key, w in weights.items()
        }
    checkpoint.write(tmp_path / "cyclegan", {**state, "config": {**state["config"], "discriminator_norm": "spectral"}})
    with pytest.raises(ResumeError, match=r"discriminator_norm: spectral there.*gan-export publish.*both \.onnx files"):
        fit(cyclegan_task(out=tmp_path / "second", init=[tmp_path / "cyclegan"], images=4))


def test_resuming_a_truncated_checkpoint_is_refused(gan_task: BuildGan, tmp_path: Path) -> None:
    fit(gan_task())
    newest = checkpoint.list_checkpoints(tmp_path / "gan")[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"checkpoint-000000024\.pt.*truncated"):
        fit(gan_task())


def test_init_starts_from_the_weights_at_image_zero(build: Callable[..., Task], tmp_path: Path) -> None:
    fit(build(out=tmp_path / "first"))
    first = checkpoint.read(tmp_path / "first")

    task = build(out=tmp_path / "second", init=[tmp_path / "first"])
    started: list[dict[str, Any]] = []
    before_step(task, 0, lambda: started.append(checkpoint_parts(task)))
    fit(task)
    assert_same(started[0]["networks"], first["networks"], "networks")
    assert_same(started[0]["averages"], first["averages"], "averages")
    assert all(not optimiser["state"] for optimiser in started[0]["optimisers"].values())
    assert read_stats(tmp_path / "second")[0]["images"] == task.config.tick_images
    earlier = [{"images": first["images"], "config": first["config"]}]
    assert checkpoint.read(tmp_path / "second")["history"] == earlier
    resumed = build(out=tmp_path / "second", init=[tmp_path / "first"], images=2 * task.config.images)
    fit(resumed)
    assert resumed.history == earlier


def checkpoint_parts(task: Task) -> dict[str, Any]:
    return {
        part: {
            name: {k: v.clone() if isinstance(v, Tensor) else v for k, v in held.items()}
            for name, held in states.items()
        }
        for part, states in task.state().items()
        if part not in ("pools", "history", "bad_ticks")
    }


def test_init_is_ignored_when_the_run_resumes(gan_task: BuildGan, tmp_path: Path) -> None:
    fit(gan_task(out=tmp_path / "other", seed=1))
    fit(gan_task(out=tmp_path / "plain"))
    task = gan_task(out=tmp_path / "cut")
    before_step(task, 12, send(signal.SIGTERM))
    with pytest.raises(StoppedError):
        fit(task)
    fit(gan_task(out=tmp_path / "cut", init=[tmp_path / "other"]))
    assert_same_run(tmp_path / "cut", tmp_path / "plain")


def test_a_collapse_is_reported_and_does_not_end_the_run(
    gan_task: BuildGan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uniform = torch.full((10,), 0.1, dtype=torch.float64)
    ones = CollapseWatch(lambda digits: torch.ones(len(digits), dtype=torch.int64), uniform, warmup_images=0)
    assert fit(gan_task(ones, tick_images=8)) == 24
    out = capsys.readouterr()
    assert (out.out + out.err).count("WARNING: MODE COLLAPSE: 1 of 10 digits") == 2  # at the second and third tick
    assert [line["modes"] for line in read_stats(tmp_path / "gan")] == [1, 1, 1]


def test_averages_taken_over_from_another_run_do_not_vanish_at_once(build: Callable[..., Task], tmp_path: Path) -> None:
    fit(build(out=tmp_path / "first"))
    task = build(out=tmp_path / "second", init=[tmp_path / "first"], ema_images=1e-3)
    first = checkpoint.read(tmp_path / "first")
    checkpoint.write(tmp_path / "first", {**first, "images": 10_000_000})
    warm_start(task, task.config.init)
    task.config.ema_images = 1e6
    before = [p.clone() for average in task.averages.values() for p in average.parameters()]
    with torch.no_grad():
        for network in task.networks.values():
            for p in network.parameters():
                p.add_(1)
    task.update_averages(task.config.batch)
    after = [p for average in task.averages.values() for p in average.parameters()]
    assert all((new - old).abs().max() < 1e-3 for old, new in zip(before, after, strict=True))


def test_a_run_of_minutes_ends_by_the_clock_with_its_rate_at_zero(
    build: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = build(minutes=1, images=10**9, decay_from=0.5, tick_images=10**9)
    now, rates = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    step = task.step

    def ten_seconds(first: int) -> dict[str, Tensor]:
        rates.append(next(iter(task.optimisers.values())).param_groups[0]["lr"] / task.config.rate)
        now[0] += 10
        return step(first)

    task.step = ten_seconds  # type: ignore[method-assign]  # a step that is watched
    assert fit(task) == 6 * task.config.batch
    assert rates == pytest.approx([1, 1, 1, 1, 2 / 3, 1 / 3])
    assert checkpoint.read(task.config.out)["seconds"] == 60
    again = build(minutes=1, images=10**9, decay_from=0.5, tick_images=10**9)
    before_step(again, 6 * task.config.batch, fail)
    assert fit(again) == 6 * task.config.batch


class Clock:
    """Shows the time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_images_count_when_no_minutes_are_set(clock: Clock) -> None:
    progress = Progress(GanConfig(images=400), World(), seconds=0.0, clock=clock)
    clock.now += 10**6
    assert [progress.done(images) for images in (0, 100, 399, 400, 464)] == [0, 0.25, 399 / 400, 1, 1]


def test_the_clock_counts_when_minutes_are_set(clock: Clock) -> None:
    progress = Progress(GanConfig(images=400, minutes=2), World(), seconds=0.0, clock=clock)
    shares = []
    for seconds in (0, 30, 89, 1, 60):
        clock.now += seconds
        shares.append(progress.done(10**9))
    assert shares == [0, 0.25, 119 / 120, 1, 1]


def test_time_before_a_resumption_counts(clock: Clock) -> None:
    progress = Progress(GanConfig(minutes=2), World(), seconds=60, clock=clock)
    clock.now += 30
    assert progress.seconds == 90
    assert progress.done(0) == 0.75
