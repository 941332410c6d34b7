"""The compose files and what they mount, held against the schema and against the service's settings."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path, PurePosixPath

import pytest
import yaml

from service.settings import Settings
from service.telemetry import tracing

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
FILES = [ROOT / "compose.yaml", DOCKER / "compose.yaml", DOCKER / "compose.gpu.yaml"]
VARIABLES = {f"GAN_{name.upper()}" for name in Settings.model_fields}


def read(path):
    return yaml.safe_load(path.read_text())


def mounted(service):
    """Folders of the container -> folders of the checkout, seen from docker/."""
    pairs = [mount.split(":")[:2] for mount in service["volumes"] if mount.startswith(".")]
    return {inside: outside for outside, inside in pairs}


@pytest.fixture(scope="module")
def services():
    return read(DOCKER / "compose.yaml")["services"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_compose_file_fits_the_schema(path):
    command = Path(sysconfig.get_path("scripts")) / "check-jsonschema"
    if not command.exists():
        pytest.skip("check-jsonschema is not installed")
    result = subprocess.run([command, "--builtin-schema", "vendor.compose-spec", path], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_root_includes_the_cpu_file_under_the_same_name():
    root = read(ROOT / "compose.yaml")
    assert root["include"] == ["docker/compose.yaml"]
    assert root["name"] == read(DOCKER / "compose.yaml")["name"]


def test_the_cpu_file_asks_for_no_gpu_and_the_gpu_file_for_one():
    assert "devices" not in (DOCKER / "compose.yaml").read_text()
    gan = read(DOCKER / "compose.gpu.yaml")["services"]["gan"]
    (device,) = gan["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    assert gan["environment"]["GAN_DEVICE"] == "cuda"


def test_an_operator_can_set_whatever_the_image_does_not_fix(services):
    both = [services["gan"]["environment"], read(DOCKER / "compose.gpu.yaml")["services"]["gan"]["environment"]]
    assert both[0].keys().isdisjoint(both[1])
    passed = {name for environment in both for name, value in environment.items() if value is None}
    fixed = set(re.findall(r"\b(GAN_[A-Z_]+)=", (DOCKER / "Dockerfile").read_text())) | {"GAN_PORT"}
    assert passed == VARIABLES - fixed
    assert {name for name in both[1] if "CUDA" not in name} == {"GAN_DEVICE"}
    assert both[0].keys() - passed == {tracing.ENDPOINT}


def test_traces_are_off_unless_an_address_is_given(services, monkeypatch):
    assert services["gan"]["environment"][tracing.ENDPOINT] == f"${{{tracing.ENDPOINT}:-}}"
    monkeypatch.setenv(tracing.ENDPOINT, "")
    with tracing.exporting():
        assert not tracing.enabled()


def test_every_container_is_confined(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"] == service["memswap_limit"], name
        assert service["restart"] == "unless-stopped", name
        assert "stop_grace_period" in service, name


def test_ports_are_published_to_this_machine_alone(services):
    ports = {name: service["ports"] for name, service in services.items()}
    assert ports["gan"] == ["${GAN_ADDRESS:-127.0.0.1}:${GAN_PUBLISHED_PORT:-8000}:8000"]
    assert all(port.startswith("127.0.0.1:") for name in ("prometheus", "grafana") for port in ports[name])


def test_the_engine_waits_longer_than_the_drain(services):
    seconds = int(services["gan"]["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings.model_fields["shutdown_seconds"].default


def test_images_are_pinned(services):
    for name, service in services.items():
        assert re.fullmatch(r"\$\{[A-Z_]+:-[a-z/-]+:v?\d+\.\d+\.\d+(-cpu)?\}", service["image"]), name


def test_what_is_mounted_exists(services):
    mounts = [mount for service in services.values() for mount in service.get("volumes", []) if mount.startswith(".")]
    assert len(mounts) == 4
    for mount in mounts:
        assert (DOCKER / mount.partition(":")[0]).is_dir(), mount


def test_prometheus_scrapes_the_management_port_and_loads_the_rules(services):
    config = read(DOCKER / "prometheus" / "prometheus.yaml")
    assert config["scrape_configs"][0]["static_configs"] == [{"targets": ["gan:9000"]}]
    (rules,) = map(PurePosixPath, config["rule_files"])
    assert (DOCKER / mounted(services["prometheus"])[str(rules.parent)] / rules.name).is_file()


def test_grafana_finds_the_dashboard_and_its_data_source(services):
    grafana = services["grafana"]
    provider = read(DOCKER / "grafana" / "provisioning" / "dashboards" / "gan.yaml")["providers"][0]
    folder = DOCKER / mounted(grafana)[provider["options"]["path"]]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/dashboard.json"
    assert [json.loads(path.read_text())["title"] for path in folder.glob("*.json")] == ["GAN serving"]
    source = read(DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yaml")["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
