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
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", TEXT, re.M | re.S))


def test_hadolint_finds_nothing():
    command = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not command.exists():
        pytest.skip("hadolint is not installed")
    result = subprocess.run([command, DOCKERFILE], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_there_is_a_stage_for_each_image():
    assert {"cpu", "gpu", "train", "client", "ray"} <= STAGES.keys()


def test_what_is_copied_exists_and_is_let_through_by_dockerignore():
    sources = re.findall(r"^COPY (?!--from)(?:--chmod=\d+ )?(.+) \S+$", TEXT, re.M)
    allowed = [line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    for source in " ".join(sources).split():
        assert (ROOT / source).exists(), source
        assert any(source == entry or source.startswith(f"{entry}/") for entry in allowed), source


def test_the_images_user_can_read_what_comes_straight_from_the_checkout():
    last = [STAGES[name] for name in ("cpu", "gpu", "train", "ray")]
    copies = [line for body in last for line in re.findall(r"^COPY (?!--from).+$", body, re.M)]
    assert len(copies) == 6
    assert all(line.startswith("COPY --chmod=755 ") for line in copies)


def test_every_requirement_is_held_to_its_hash():
    installs = re.findall(r"pip --python /opt/venv install (.+)", TEXT)
    assert len(installs) == 8
    assert all("--require-hashes" in install or "--no-index --no-deps" in install for install in installs)


def pins(lock):
    return dict(re.findall(r"^([a-z][\w.-]*)==(\S+)", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.M))


def test_every_image_can_make_traces_as_an_operator_cannot_add_to_it():
    assert "-r /requirements/tracing.txt" in STAGES["requirements"]
    tracing, service = pins("tracing"), pins("cpu")
    del service["onnxruntime"]
    assert tracing.items() > service.items()
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["tracing"]
    assert {requirement.partition(">")[0] for requirement in extra} <= tracing.keys() - service.keys()


def test_only_one_lock_brings_each_build_of_onnx_runtime_and_both_are_of_one_version():
    found = {(path.stem, n, v) for path in LOCKS for n, v in pins(path.stem).items() if n.startswith("onnxruntime")}
    assert {(lock, name) for lock, name, _ in found} == {("cpu", "onnxruntime"), ("cuda", "onnxruntime-gpu")}
    assert len({version for _, _, version in found}) == 1


def test_no_lock_names_an_index():
    assert LOCKS
    assert [path.name for path in LOCKS if "://" in path.read_text()] == []


def test_what_builds_the_project_agrees_with_the_other_locks():
    build = pins("build")
    assert "hatchling" in build
    for lock in {path.stem for path in LOCKS} - {"build", "kserve"}:  # KServe is installed apart
        common = build.keys() & pins(lock).keys()
        assert {name: build[name] for name in common} == {name: pins(lock)[name] for name in common}, lock


@pytest.mark.parametrize("lock", ["cpu", "cuda", "train", "test", "client", "ray"])
def test_locks_that_are_installed_together_agree(lock):
    common = pins("tracing").keys() & pins(lock).keys()
    assert len(common) > 20
    assert {name: pins("tracing")[name] for name in common} == {name: pins(lock)[name] for name in common}


def test_the_train_image_has_what_compiled_code_includes():
    assert " g++ " in STAGES["train"]
    assert STAGES["train"].count('test -e "$header"') == 2  # installed where it is missing, and then it is there


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


def test_every_file_calls_an_image_by_version_and_target():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    targets = set(re.findall(r"image-(\w+)", (ROOT / "Makefile").read_text().partition("image-%")[0]))
    assert targets == {"cpu", "gpu", "train", "client", "ray"} <= STAGES.keys()
    folders = [path for name in ("docker", "k8s", "docs") for path in (ROOT / name).rglob("*") if path.is_file()]
    files = [path for path in folders if path.suffix in ("", ".md", ".py", ".yaml")]
    named = {path.name: re.findall(r"\bgan-serving(?:-\w+)?:\d[-\w.]*", path.read_text()) for path in files}
    named["README.md"] += re.findall(r"\bgan-serving(?:-\w+)?:\d[-\w.]*", (ROOT / "README.md").read_text())
    found = {image for images in named.values() for image in images}
    assert found == {f"{project['name']}:{project['version']}-{target}" for target in targets}
    for name in ("Dockerfile", "compose.yaml", "compose.gpu.yaml", "containers.md"):
        assert named[name], name
    assert "-t gan-serving:$(VERSION)-$* " in (ROOT / "Makefile").read_text()
    overlays = [(p.parent.name, p.read_text()) for p in (ROOT / "k8s" / "overlays").glob("*/kustomization.yaml")]
    tags = {name: re.findall(r"name: (\S+)\n +newTag: (\S+)", text) for name, text in overlays}
    image_of = {**{target: target for target in targets}, "kserve": "cpu"}
    assert tags == {name: [(project["name"], f"{project['version']}-{image}")] for name, image in image_of.items()}
