import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from training import checkpoint
from training.checkpoint import CheckpointError, ResumeError
from training.generators import finished_generators
from training.loop import StoppedError, fit
from training.networks.cyclegan import PRESETS, Size
from training.networks.projected import ProjectedDiscriminator
from training.tasks.distil import DistilTask

Build = Callable[..., DistilTask]
PARTS = {"adversarial_G", "adversarial_F", "teacher_G", "teacher_F", "discriminator_X", "discriminator_Y"}


def parameters(task: DistilTask) -> Iterator[tuple[tuple[str, str], Tensor]]:
    """Every weight by network and name."""
    for network, module in task.networks.items():
        yield from (((network, name), parameter) for name, parameter in module.named_parameters())


def test_a_step_moves_every_weight_and_reports_every_part(distil_task: Build) -> None:
    task = distil_task()
    before = {key: p.detach().clone() for key, p in parameters(task)}
    parts = task.step(0)
    assert set(parts) == PARTS
    assert all(value.isfinite() and not value.requires_grad for value in parts.values())
    assert not any(torch.equal(p, before[key]) for key, p in parameters(task))


def test_the_teacher_stays_as_it_is(distil_task: Build, teacher: dict[str, Any]) -> None:
    task = distil_task()
    for first in (0, 2, 4):
        task.step(first)
    for theirs in finished_generators(teacher):
        ours = task.teachers[theirs.key]
        assert not any(p.requires_grad for p in ours.parameters())
        for one, other in zip(ours.parameters(), theirs.network.parameters(), strict=True):
            assert torch.equal(one, other)


def test_parts_by_hand_at_the_start(distil_task: Build, teacher: dict[str, Any]) -> None:
    task = distil_task()
    x, y = task.images(0).values()
    g, f = (finished.network for finished in finished_generators(teacher))
    with torch.no_grad():
        fake_y, fake_x = task.networks["G"](x), task.networks["F"](y)
        expected = {
            "teacher_G": (fake_y - g(x)).abs().mean(),
            "teacher_F": (fake_x - f(y)).abs().mean(),
            "adversarial_G": (task.networks["D_Y"].logits(fake_y) - 1).square().mean(),
            "adversarial_F": (task.networks["D_X"].logits(fake_x) - 1).square().mean(),
        }
    parts = task.step(0)
    for name, value in expected.items():
        assert parts[name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_a_pupil_comes_nearer_to_its_teacher_than_one_that_is_not_taught(distil_task: Build) -> None:
    def distance(weight: float) -> float:
        task = distil_task(images=80, rate=2e-3, teacher_weight=weight)
        return [float(task.step(first)["teacher_G"]) for first in range(0, 80, 2)][-1]

    assert distance(100) < 0.8 * distance(0)


def test_the_discriminators_begin_as_the_teachers(distil_task: Build, teacher: dict[str, Any]) -> None:
    task = distil_task()
    for name in ("D_X", "D_Y"):
        ours = task.networks[name].state_dict()
        assert all(torch.equal(ours[key], value) for key, value in teacher["networks"][name].items())


def test_the_discriminators_are_made_as_the_teachers(
    cyclegan_task: Callable[..., Any], distil_task: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "reference", (Size(4, 1), 6))
    wide = cyclegan_task(preset="reference")
    wide.step(0)
    taught = distil_task(teacher={**checkpoint_of(wide), "images": 2})
    assert taught.networks["D_X"].score[0].out_channels == 6
    assert all(part.isfinite() for part in taught.step(0).values())


def test_a_teacher_with_discriminators_of_a_retired_kind_is_refused(
    distil_task: Build, teacher: dict[str, Any]
) -> None:
    spectral = {**teacher["networks"], "D_X": {"score.0.parametrizations.weight.original": torch.zeros(4, 3, 4, 4)}}
    with pytest.raises(CheckpointError, match="--teacher's D_X is of a kind that this version cannot build"):
        distil_task(teacher={**teacher, "networks": spectral})


def test_a_discriminator_that_the_teacher_never_fitted_is_new(
    cyclegan_task: Callable[..., Any], distil_task: Build
) -> None:
    teacher = {**checkpoint_of(cyclegan_task(only="F", init=["elsewhere"], seed=5)), "images": 2}

    def taken(history: list[dict[str, Any]]) -> set[str]:
        networks = distil_task(teacher={**teacher, "history": history}).networks
        theirs = teacher["networks"]
        same = {
            name: all(map(torch.equal, networks[name].state_dict().values(), theirs[name].values())) for name in theirs
        }
        return {name for name in ("D_X", "D_Y") if same[name]}

    assert taken([]) == {"D_X"}
    assert taken([{"images": 2, "config": {}}]) == {"D_X", "D_Y"}


def checkpoint_of(task: Any) -> dict[str, Any]:
    config = task.config.model_dump(mode="json")
    return {"task": task.name, "config": config, "provenance": {"git_commit": "c"}, **task.state()}


def test_a_run_that_was_cut_and_resumed_equals_an_uncut_one(distil_task: Build, tmp_path: Path) -> None:
    fit(distil_task(out=tmp_path / "uncut"))
    cut = distil_task(out=tmp_path / "cut")
    step = cut.step

    def stopped(first: int) -> dict[str, Any]:
        if first == 4:
            signal.raise_signal(signal.SIGTERM)
        return step(first)

    cut.step = stopped  # type: ignore[method-assign]  # a step that is watched
    with pytest.raises(StoppedError):
        fit(cut)
    assert fit(distil_task(out=tmp_path / "cut", teacher_weight=10)) == 12
    one, other = checkpoint.read(tmp_path / "cut"), checkpoint.read(tmp_path / "uncut")
    for part in ("networks", "averages"):
        for name in one[part]:
            for key, value in one[part][name].items():
                assert torch.equal(value, other[part][name][key]), (part, name, key)


def test_the_checkpoint_remembers_its_teacher_and_is_finished_generators(distil_task: Build, tmp_path: Path) -> None:
    task = distil_task()
    fit(task)
    state = checkpoint.read(tmp_path / "distilled")
    assert state["dataset"]["teacher"]["sha256"] == "f" * 64
    assert state["dataset"]["teacher"]["images"] == 2
    x = torch.randn(1, 3, 32, 32)
    for one, key in zip(finished_generators(state), "GF", strict=True):
        assert torch.equal(one.network(x), task.averages[key](x))


def test_resuming_with_another_teacher_is_refused(distil_task: Build) -> None:
    fit(distil_task(images=4))
    with pytest.raises(ResumeError, match="--teacher is another one"):
        fit(distil_task(sha256="0" * 64))


def test_only_a_cyclegan_teaches(distil_task: Build, teacher: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="--teacher is of task 'gan'"):
        distil_task(teacher={**teacher, "task": "gan"})


def test_a_teacher_of_another_pair_is_refused(distil_task: Build) -> None:
    with pytest.raises(CheckpointError, match="--teacher translates horse2zebra, --pair is apple2orange"):
        distil_task(pair="apple2orange")


def test_discriminators_of_another_kind_than_the_teachers_are_new(distil_task: Build) -> None:
    task = distil_task(discriminator="projected")
    assert isinstance(task.networks["D_X"], ProjectedDiscriminator)
    assert set(task.step(0)) == PARTS
