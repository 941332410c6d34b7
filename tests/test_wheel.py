"""The wheel serves without a checkout: it is built, installed into an empty environment and started elsewhere."""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.settings import BUNDLED_MODELS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "service" / "api" / "static"
PATIENCE_S = 60.0


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    """This process's, without settings of the service and without a path to the checkout."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("GAN_", "OTEL_", "PYTHONPATH"))}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of commands of an environment with the wheel alone, which sees this environment's packages behind it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", folder, ROOT, cwd=folder)
    venv.create(folder / "env")
    python = folder / "env" / "bin" / "python"
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = folder.glob("env/lib/python3*/site-packages")
    # lines of a .pth file are paths alone: an editable install among these packages is not followed
    shared = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "shared.pth").write_text("\n".join(shared))
    return python.parent


def test_the_packages_and_their_data_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    packages = "service, training, export, imaging, gan_client, gan_batch"
    code = f"import {packages}; print(*(p.__file__ for p in ({packages})), sep='\\n')"
    files = [Path(line) for line in run(installed / "python", "-c", code, cwd=tmp_path).splitlines()]
    assert [file.is_relative_to(installed.parent) for file in files] == [True] * 6
    assert (files[1].parent / "data" / "horse2zebra.sha256").is_file()
    here = {path.relative_to(BUNDLED_MODELS) for path in BUNDLED_MODELS.rglob("*.*")}
    models = files[0].parent / "models"
    assert {path.relative_to(models) for path in models.rglob("*.*")} == here
    (licence,) = files[0].parents[1].glob("gan_serving-*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def test_every_command_explains_itself(installed: Path, tmp_path: Path) -> None:
    for command in ("gan-serve", "gan-train", "gan-export", "gan-client", "gan-batch"):
        assert "--help" in run(installed / command, "--help", cwd=tmp_path)


@pytest.fixture
def address(installed: Path, tmp_path: Path) -> Iterator[str]:
    """Of the installed service, started in an empty folder."""
    command = [installed / "gan-serve", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        log = []
        for line in process.stderr:
            log.append(line)
            if found := re.search(r"service running on (http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(log))
        process.terminate()
        process.stderr.read()
        assert process.wait(PATIENCE_S) == 0


def test_it_serves_the_bundled_models_and_the_page_without_a_checkout(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE_S) as client:
        digit = client.get("/mnist/sample?seed=1")
        assert digit.status_code == 200
        assert digit.content.startswith(b"\x89PNG")
        names = {folder.name for folder in BUNDLED_MODELS.iterdir()}
        assert {model["name"] for model in client.get("/models").json()["models"]} == names
        assert "text/html" in client.get("/").headers["content-type"]
        files = [path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*.*") if path.name != "index.html"]
        assert {client.get(f"/page/{name}").status_code for name in files} == {200}
