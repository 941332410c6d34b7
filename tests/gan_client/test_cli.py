"""The command, against the service with its bundled models."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from gan_client.cli import SIDES
from service.images.preprocess import MAXIMUM_SIZE, MINIMUM_SIDE

PATIENCE_S = 60.0


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "gan_client", *map(str, arguments)]


def run(address: str, *arguments: str | Path, key: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GAN_CLIENT_URL": address, **({"GAN_CLIENT_KEY": key} if key else {})}
    done = subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def photographs(tmp_path: Path, noise: Callable[..., Image.Image]) -> Path:
    folder = tmp_path / "photographs"
    (folder / "below").mkdir(parents=True)
    for n in range(6):
        noise(64 + n, 64).save(folder / ("below" if n % 2 else ".") / f"{n}.png")
    return folder


def test_a_folder_is_translated_and_what_is_done_is_skipped(
    live_service: str, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "zebras"
    done = run(live_service, "translate", photographs, out, "--size", "64")
    assert (done.returncode, done.stderr) == (0, "6 translated, 0 were there already, 0 failed\n")
    for n in range(6):
        assert Image.open(out / "photographs" / ("below" if n % 2 else ".") / f"{n}.png").size == (64 + n, 64)
    (out / "photographs" / "2.png").unlink()
    kept = out / "photographs" / "4.png"
    before = kept.stat().st_mtime_ns
    done = run(live_service, "translate", photographs, out, "--size", "64")
    assert done.stderr == "1 translated, 5 were there already, 0 failed\n"
    assert kept.stat().st_mtime_ns == before


def test_failures_are_listed_and_tried_again(live_service: str, photographs: Path, tmp_path: Path) -> None:
    out, broken = tmp_path / "zebras", photographs / "3.jpg"
    broken.write_bytes(b"no image")
    done = run(live_service, "translate", photographs, out, "--size", "64")
    assert (done.returncode, "6 translated" in done.stderr) == (1, True)
    (line,) = (out / "failures.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["image"], entry["status"], entry["problem"]) == (str(broken), 415, "not-an-image")
    assert entry["request_id"]
    Image.new("RGB", (64, 64)).save(broken)
    assert run(live_service, "translate", photographs, out, "--size", "64").returncode == 0
    assert not (out / "failures.jsonl").exists()
    assert (out / "photographs" / "3.jpg").exists()


def test_shards_make_one_whole(live_service: str, photographs: Path, tmp_path: Path) -> None:
    (photographs / "broken.png").write_bytes(b"no image")
    runs = [
        run(live_service, "translate", photographs, tmp_path / "out", "--size", "64", "--shard", f"{i}/2")
        for i in (0, 1)
    ]
    assert sorted(done.returncode for done in runs) == [0, 1]
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == [f"{n}.png" for n in range(6)]
    assert len(list((tmp_path / "out").glob("failures-?-of-2.jsonl"))) == 1


def test_a_run_that_is_killed_continues(live_service: str, photographs: Path, tmp_path: Path) -> None:
    for n in range(6, 120):
        (photographs / f"{n}.png").write_bytes((photographs / "0.png").read_bytes())
    arguments = ("translate", photographs, tmp_path / "out", "--size", "64", "--url", live_service)
    with subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + PATIENCE_S
        while len(list((tmp_path / "out").rglob("*.png"))) < 5:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.kill()
    for path in (tmp_path / "out").rglob("*.png"):
        Image.open(path).load()  # whatever has its name is whole
    done = run(live_service, *arguments)
    assert done.returncode == 0
    translated, there = (int(done.stderr.split()[i]) for i in (0, 2))
    assert translated + there == 120
    assert there >= 5
    assert len(list((tmp_path / "out").rglob("*.png"))) == 120


def test_an_interrupt_says_how_to_continue(live_service: str, photographs: Path, tmp_path: Path) -> None:
    for n in range(6, 200):
        (photographs / f"{n}.png").write_bytes((photographs / "0.png").read_bytes())
    arguments = ("translate", photographs, tmp_path / "out", "--url", live_service)
    # a shell starts background jobs with SIGINT ignored, and the tests may be one
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        until = time.monotonic() + PATIENCE_S
        while not list((tmp_path / "out").rglob("*.png")):
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.endswith("gan-client: stopped; the same command continues\n")


REFUSALS = {
    status: (
        status,
        {"Content-Type": "application/problem+json", **({"Retry-After": "3600"} if status == 429 else {})},
        json.dumps({"type": f"urn:gan:problem:{kind}", "detail": "do this", "status": status}).encode(),
    )
    for status, kind in ((403, "not-yours"), (404, "unknown-model"), (429, "rate-limited"))
}


@pytest.fixture
def models(live_service: str) -> tuple[int, dict[str, str], bytes]:
    """The service's own response to GET /models."""
    return 200, {"Content-Type": "application/json"}, httpx.get(f"{live_service}/models").content


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_of_every_image_ends_the_run(
    scripted: Callable, models: tuple, photographs: Path, tmp_path: Path, status: int
) -> None:
    script = scripted(models, REFUSALS[status])
    done = run(script.url, "translate", photographs, tmp_path / "out", "--concurrency", "1")
    assert (done.returncode, "do this" in done.stderr) == (2, True)
    assert len(script.requests) < 4
    assert not (tmp_path / "out" / "failures.jsonl").exists()


def test_a_rate_limit_makes_the_run_wait(scripted: Callable, models: tuple, photographs: Path, tmp_path: Path) -> None:
    status, headers, body = REFUSALS[429]
    refusal = status, {**headers, "Retry-After": "6"}, body
    translation = 200, {"Content-Type": "image/png", "X-Size": "64x64", "X-Model": "horse2zebra/10"}, b"zebra"
    script = scripted(models, refusal, refusal, translation)
    arguments = ("translate", photographs, tmp_path / "out", "--timeout", "5", "--concurrency", "2")
    done = run(script.url, *arguments)
    assert (done.returncode, done.stderr) == (
        0,
        "waiting 6 s: do this\n6 translated, 0 were there already, 0 failed\n",
    )
    assert len(script.requests) == 1 + 2 + 6


def test_an_interrupt_ends_the_wait(scripted: Callable, models: tuple, photographs: Path, tmp_path: Path) -> None:
    script = scripted(models, REFUSALS[429])
    arguments = ("translate", photographs, tmp_path / "out", "--url", script.url)
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        assert process.stderr
        assert process.stderr.readline() == "waiting 3600 s: do this\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (130, "gan-client: stopped; the same command continues\n")


def test_a_page_in_the_place_of_the_service_is_named(scripted: Callable, tmp_path: Path) -> None:
    script = scripted((200, {"Content-Type": "text/html"}, b"<html>"))
    for arguments in (("models",), ("sample", tmp_path / "digits.png")):
        done = run(script.url, *arguments)
        assert (done.returncode, "not as a GAN service does: is the address right?" in done.stderr) == (2, True)


def test_a_page_in_the_place_of_a_translation_ends_the_run(
    scripted: Callable, models: tuple, photographs: Path, tmp_path: Path
) -> None:
    script = scripted(models, (200, {"Content-Type": "text/html"}, b"<html>"))
    done = run(script.url, "translate", photographs, tmp_path / "out")
    assert (done.returncode, "not as a GAN service does" in done.stderr) == (2, True)


def test_nothing_is_noted_of_options_before_there_is_a_translation(live_service: str, tmp_path: Path) -> None:
    broken, out = tmp_path / "a.png", tmp_path / "out"
    broken.write_bytes(b"no image")
    assert run(live_service, "translate", broken, out, "--size", "64").returncode == 1
    Image.new("RGB", (64, 64)).save(broken)
    assert run(live_service, "translate", broken, out, "--size", "128").returncode == 0
    done = run(live_service, "translate", broken, out, "--size", "64")
    assert (done.returncode, "choose another folder" in done.stderr) == (2, True)


def test_an_odd_entry_of_a_folder_fails_alone(live_service: str, photographs: Path, tmp_path: Path) -> None:
    (photographs / "loop.png").symlink_to("loop.png")
    done = run(live_service, "translate", photographs, tmp_path / "out", "--size", "64")
    assert (done.returncode, "6 translated, 0 were there already, 1 failed" in done.stderr) == (1, True)
    entry = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert (entry["image"], "symbolic links" in entry["detail"]) == (str(photographs / "loop.png"), True)


def test_a_service_that_is_down_is_not_waited_for_long(tmp_path: Path) -> None:
    with socket.socket() as unused:  # bound, and nobody listens
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        calls = [command("models", "--url", url), command("sample", tmp_path / "digits.png", "--url", url)]
        processes = [subprocess.Popen(call, stderr=subprocess.PIPE, text=True) for call in calls]
        said = [process.communicate(timeout=PATIENCE_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert all("within 10 s" in text for text in said)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [((), "subcommand is required"), (("translate", "here"), "last the folder for the translations")],
)
def test_a_command_that_lacks_something_is_a_mistake(arguments: tuple[str, ...], reason: str) -> None:
    done = run("http://127.0.0.1:9", *arguments)
    assert (done.returncode, reason in done.stderr) == (2, True)
    assert done.stderr.startswith("gan-client: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_address_of_the_environment_that_is_none_is_a_mistake() -> None:
    done = run("http://[::1", "models")
    assert (done.returncode, "is not the address of a service" in done.stderr) == (2, True)


def test_the_sizes_are_those_of_the_service() -> None:
    assert SIDES == (MINIMUM_SIDE, MAXIMUM_SIZE)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--size", "63x"), "--size: "),
        (("--size", "5"), "--size: "),
        (("--shard", "2/2"), "--shard: expected i/n"),
        (("--concurrency", "0"), "--concurrency: "),
        (("--model", "horse2zebra/99"), "--model: for horse2zebra the service has horse2zebra/10"),
        (("--direction", "cat2dog"), "--direction: the service has horse2zebra, zebra2horse, not cat2dog"),
    ],
)
def test_mistakes_are_named(
    live_service: str, photographs: Path, tmp_path: Path, arguments: tuple, reason: str
) -> None:
    done = run(live_service, "translate", photographs, tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"gan-client: {reason}")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_service_that_goes_away_ends_the_run(start_service: Callable, photographs: Path, tmp_path: Path) -> None:
    for n in range(6, 200):
        (photographs / f"{n}.png").write_bytes((photographs / "0.png").read_bytes())
    with contextlib.ExitStack() as service:
        live_service = service.enter_context(start_service())
        arguments = ("translate", photographs, tmp_path / "out", "--url", live_service, "--timeout", "2")
        process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + PATIENCE_S
        while not list((tmp_path / "out").rglob("*.png")):
            assert time.monotonic() < until
            time.sleep(0.01)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "is the service running" in said) == (2, True)
    assert 0 < len(list((tmp_path / "out").rglob("*.png"))) < 200


def test_a_wrong_key_ends_the_run_at_once(start_service: Callable, photographs: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    made = subprocess.run(
        [sys.executable, "-m", "service", "keys", "add", "alice", "--keys", str(keys)],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with start_service("--keys", str(keys)) as live_service:
        done = run(live_service, "translate", photographs, tmp_path / "out", key="gan_wrong")
        assert (done.returncode, "key-unknown" in done.stderr) == (2, True)
        assert run(live_service, "translate", photographs, tmp_path / "out", "--size", "64", key=made).returncode == 0


@pytest.mark.parametrize(("name", "size"), [("digits.png", (84, 84)), ("digits.npy", None)])
def test_digits_are_written(live_service: str, tmp_path: Path, name: str, size: tuple[int, int] | None) -> None:
    done = run(live_service, "sample", tmp_path / name, "--count", "9", "--seed", "3")
    assert (done.returncode, "9 digits of mnist/3, seed 3" in done.stderr) == (0, True)
    if size is None:
        assert np.load(tmp_path / name).shape == (9, 28, 28)
    else:
        assert Image.open(tmp_path / name).size == size


def test_a_file_of_another_kind_is_refused(live_service: str, tmp_path: Path) -> None:
    done = run(live_service, "sample", tmp_path / "digits.bmp")
    assert (done.returncode, "ends with .png or .npy" in done.stderr) == (2, True)


def test_models_are_listed(live_service: str) -> None:
    lines = [line.split("\t") for line in run(live_service, "models").stdout.splitlines()]
    assert ["horse2zebra/10", "translate", "horse2zebra", "CPUExecutionProvider", "fp32", "default"] in lines
