"""The Dockerfile, held against the repository, the service's settings and hadolint."""

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from service.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
TEXT = DOCKERFILE.read_text()
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.M | re.S))


def test_hadolint_finds_nothing():
    command = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not command.exists():
        pytest.skip("hadolint is not installed")
    result = subprocess.run([command, DOCKERFILE], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_there_is_a_stage_for_each_image():
    assert {"cpu", "gpu", "train"} <= STAGES.keys()


def test_what_is_copied_exists_and_is_let_through_by_dockerignore():
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.M)
    allowed = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    for source in " ".join(sources).split():
        assert (ROOT / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in allowed), source


def test_every_requirement_is_held_to_its_hash():
    installs = re.findall(r"pip --python /opt/venv install (.+)", TEXT)
    assert len(installs) == 5
    assert all("--require-hashes" in install or "--no-index --no-deps" in install for install in installs)


def test_requirements_are_installed_before_the_source_is_copied():
    assert TEXT.index("COPY service service") > TEXT.rindex("--require-hashes")
    assert not any("COPY service" in body for name, body in STAGES.items() if name.startswith("requirements"))


def test_the_environment_consists_of_settings_the_service_has():
    variables = set(re.findall(r"\b(GAN_[A-Z_]+)=", TEXT))
    assert {"GAN_HOST", "GAN_MANAGEMENT_PORT", "GAN_LOG_FORMAT", "GAN_MODELS", "GAN_DEVICE"} == variables
    assert variables <= {f"GAN_{name.upper()}" for name in Settings.model_fields}


def test_the_environment_is_accepted_by_the_service(monkeypatch):
    for name, value in re.findall(r"\b(GAN_[A-Z_]+)=(\S+)", STAGES["serve"]):
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert STAGES["serve"].count(f"EXPOSE {settings.port} {settings.management_port}\n") == 1


def test_the_server_is_process_one_and_the_user_a_number():
    assert 'ENTRYPOINT ["python", "-m", "service"]' in STAGES["serve"]
    assert re.findall(r"^USER (.+)$", STAGES["runtime"], re.M) == ["10001:10001"]
    assert re.findall(r"^USER (.+)$", STAGES["train"], re.M)[-1] == "10001:10001"
    assert not any("USER" in STAGES[name] for name in ("serve", "cpu", "gpu"))


def test_the_version_is_the_projects():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'image.version="{version}"' in TEXT
    for path in (ROOT / "docker" / "compose.yaml", ROOT / "docker" / "compose.gpu.yaml", ROOT / "docker" / "verify.py"):
        assert f"gan-serving:{version}-" in path.read_text()
