import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic_settings import CliApp, get_subcommand

from benchmarks.fitting.reference_pair import WAYS, Plan, Step, go, main
from export.cli import Export
from service.card import MODEL_FILE, read_card
from training import checkpoint
from training.cli import STOPPED, Train

SMALL = "--blocks 1 --resize 32 --crop 32 --device cpu --threads 1"


class UpToPublishing(Plan):
    """Without the timing, which says nothing of so small a fit, and the scores, whose networks are not at hand."""

    @property
    def steps(self) -> Iterator[Step]:
        return itertools.islice(super().steps, 4)


@contextmanager
def interrupted(once: Path) -> Iterator[None]:
    """Ctrl-C, a second after that path has appeared."""

    def interrupt() -> None:
        while not once.exists():
            time.sleep(0.01)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's is to be ignored
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGINT, previous)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two noisy pictures a folder."""
    dice = np.random.default_rng(0)
    for name in ("trainA", "trainB", "testA", "testB"):
        folder = tmp_path / "data" / "horse2zebra" / name
        folder.mkdir(parents=True)
        for i in range(2):
            Image.fromarray(dice.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "data"


def test_stretches_lead_from_nothing_to_published_models(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = UpToPublishing(
        data, tmp_path, out, f"--filters 8 --images 100000 {SMALL}", f"--filters 4 --images 2 {SMALL}"
    )
    for seconds in itertools.count(15, 15):  # the first ones may end before the fit has begun
        assert go(plan, seconds) == STOPPED
        if checkpoint.list_checkpoints(out / "runs" / "reference"):
            break
    assert not (out / "done.txt").exists()
    seen = checkpoint.read(out / "runs" / "reference")["images"]
    assert 0 < seen < 100_000

    half_done = out / "models" / "horse2zebra-reference" / "1"  # by a publishing that was interrupted
    half_done.mkdir(parents=True)
    plan = UpToPublishing(data, tmp_path, out, f"--filters 8 --images {seen} {SMALL}", plan.distil)
    assert go(plan, 600) == 0
    assert [path.parent.parent.name for path in sorted(out.glob(f"models/*/1/{MODEL_FILE}"))] == sorted(
        f"{way}{suffix}" for way in WAYS for suffix in ("", "-reference")
    )
    assert read_card(out / "models" / "horse2zebra" / "1").training.config["filters"] == 4
    before = sorted(out.rglob("*.pt"))
    assert go(plan, 600) == 0
    assert sorted(out.rglob("*.pt")) == before


class Nap(Plan):
    """One step, of three seconds."""

    @property
    def steps(self) -> Iterator[Step]:
        yield Step("nap", ["timeit", "-n1", "-r1", "import time; time.sleep(3)"])


def test_an_interrupted_stretch_waits_for_its_step_and_keeps_what_it_did(tmp_path: Path) -> None:
    """Of a signal to the stretch alone the step knows nothing: what it has finished is not to be done again."""
    plan = Nap(tmp_path, tmp_path, tmp_path / "out")
    with interrupted(once=tmp_path / "out"):
        assert go(plan, 600) == STOPPED
    assert (tmp_path / "out" / "done.txt").read_text() == "nap\n"
    assert go(plan, 600) == 0


def test_a_step_that_fails_ends_the_stretch_with_its_status(data: Path, tmp_path: Path) -> None:
    plan = UpToPublishing(data / "nowhere", tmp_path, tmp_path / "out", SMALL, SMALL)
    assert go(plan, 600) not in {0, STOPPED}
    assert not (tmp_path / "out" / "done.txt").exists()


def test_what_wants_no_gpu_can_be_left_out() -> None:
    places = Path("data"), Path("weights"), Path("out")
    whole, short = Plan(*places), Plan(*places, judges=False)
    names = [step.name for step in short.steps]
    assert names == [step.name for step in whole.steps][: len(names)]
    assert names[-1] == "time"
    assert {step.name.split()[0] for step in whole.steps} - {name.split()[0] for name in names} == {"judge", "attach"}


def test_every_published_model_is_judged_and_the_scores_attached() -> None:
    steps = {step.name: step.command for step in Plan(Path("data"), Path("weights"), Path("out")).steps}
    judged = {name.removeprefix("judge ") for name in steps if name.startswith("judge ")}
    assert judged == {f"{way}{suffix}" for way in WAYS for suffix in ("", "-reference")}
    for name in judged:
        assert steps[f"attach {name}"][2] == str(Path("out", "models", name, "1"))
        assert str(Path(steps[f"attach {name}"][2], MODEL_FILE)) in steps[f"judge {name}"]
        assert steps[f"attach {name}"][3] == str(Path("out", "scores", f"{name}.json"))  # as the evaluation names it
    for way in WAYS:  # the compact one is told from its teacher
        assert steps[f"judge {way}"][-2:] == [
            "--against",
            str(Path("out", "models", f"{way}-reference", "1", MODEL_FILE)),
        ]


def test_every_command_is_one_that_its_program_takes() -> None:
    programs = {"training": Train, "export": Export}
    for name, command, _ in Plan(Path("data"), Path("weights"), Path("out")).steps:
        if command[0] in programs:
            assert get_subcommand(CliApp.run(programs[command[0]], command[1:]), cli_exit_on_error=False), name


def test_the_feature_networks_are_asked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["reference_pair", "--data", str(tmp_path), "--weights", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match=r"is not there: docs/fitting/scores\.md says"):
        main()
    assert not (tmp_path / "out").exists()
