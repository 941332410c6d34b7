"""Runs `docker compose up` with a real engine, and uses it as clients and operators do: `make docker-test`."""

import json
import os
import struct
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .engine import (
    PORTS,
    PROJECT,
    ROOT,
    compose,
    docker,
    get,
    healthy,
    inspect,
    metrics_of,
    until,
)

pytestmark = pytest.mark.docker

PHOTOGRAPH = ROOT / "docs" / "images" / "nokota-horses.webp"
SERVICE, PROMETHEUS, GRAFANA = (f"http://127.0.0.1:{port}" for port in PORTS.values())
WITH_GRAFANA = os.environ.get("GRAFANA_IMAGE") != ""
DRAINED_SECONDS = 8  # of work when SIGTERM comes: well within GAN_SHUTDOWN_SECONDS, and long enough to be seen
OUT_OF_MEMORY_MARGIN = 64  # MB above the idle service: less than one large image needs
COLLECTOR = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(self.path, *(stage for stage in ("queue", "inference", "decode", "encode") if stage.encode() in body))
        self.send_response(200)
        self.end_headers()
HTTPServer(("", 4318), Collector).serve_forever()
"""
"""An HTTP server in place of a collector; prints which of a request's spans have come."""


@pytest.fixture(scope="module", autouse=True)
def up(cpu_image: str) -> Iterator[None]:
    """The service, Prometheus and Grafana, healthy; none of their containers and volumes is left behind."""
    services = ["gan", "prometheus"] + (["grafana"] if WITH_GRAFANA else [])
    try:
        compose("up", "--detach", "--no-build", "--wait", *services, GAN_THREADS="2")
        yield
    finally:
        docker("compose", "down", "--volumes", status=None)


def gan() -> str:
    """The service's container."""
    return compose("ps", "--quiet", "gan")


def restart(**variables: str) -> None:
    """Starts the service again, if need be with other variables, and waits until it is healthy."""
    compose("up", "--detach", "--no-build", "--wait", "gan", **variables)


def translate(kind: str, size: str = "256") -> tuple[int, bytes]:
    """The photograph through horse2zebra."""
    url = f"{SERVICE}/translate/horse2zebra?format={kind}&size={size}"
    return get(url, PHOTOGRAPH.read_bytes(), {"Content-Type": "image/webp"})


def png_size(body: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    assert body.startswith(b"\x89PNG"), body[:80]
    width, height = struct.unpack(">II", body[16:24])
    return width, height


def query(expression: str) -> list[dict[str, Any]]:
    """Prometheus's result for a query."""
    _, body = get(f"{PROMETHEUS}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    return list(json.loads(body)["data"]["result"])


def test_a_setting_of_the_environment_reaches_the_service(cpu_image: str) -> None:
    assert inspect(gan(), "{{.Config.Image}}") == cpu_image
    assert "GAN_THREADS=2" in json.loads(inspect(gan(), "{{json .Config.Env}}"))


def test_digits_and_a_translation_come_through_the_published_port() -> None:
    status, body = get(f"{SERVICE}/mnist/sample?count=4&seed=1")
    assert (status, png_size(body)) == (200, (56, 56))
    status, body = translate("png")
    assert (status, png_size(body)) == (200, (1024, 664))  # the photograph's size


@pytest.mark.parametrize("path", ["/metrics", "/healthz/ready"])
def test_management_routes_are_not_published(path: str) -> None:
    assert get(SERVICE + path)[0] == 404


def test_the_container_is_confined_and_the_server_is_process_one() -> None:
    write = "touch /app/x || touch /opt/venv/x || touch /x"
    denied = docker("exec", gan(), "sh", "-c", write, status=1).stderr
    assert denied.count("Read-only file system") == 3
    capabilities = docker("exec", gan(), "grep", "-E", "CapEff|CapBnd|NoNewPrivs", "/proc/1/status").stdout.split()
    assert capabilities[1::2] == ["0" * 16, "0" * 16, "1"]
    user, command = docker("exec", gan(), "sh", "-c", "id -u; tr '\\0' ' ' < /proc/1/cmdline").stdout.splitlines()
    assert user == "10001"
    assert command.startswith("python -m service")


def test_prometheus_scrapes_the_service_and_evaluates_the_rules() -> None:
    assert translate("png")[0] == 200
    until(lambda: query('up{job="gan-serving",instance="gan:9000"} == 1'), 60, "the service scraped by Prometheus")
    until(lambda: query('gan_requests_total{route="/translate/{direction}",outcome="ok"} >= 1'), 60, "requests counted")
    assert query("gan_model_info")
    _, body = get(f"{PROMETHEUS}/api/v1/rules")
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]
    assert rules
    assert [rule["name"] for rule in rules if rule["health"] == "err"] == []


@pytest.mark.skipif(not WITH_GRAFANA, reason="GRAFANA_IMAGE= leaves Grafana out")
def test_grafana_shows_the_dashboard_without_a_login() -> None:
    status, body = get(f"{GRAFANA}/api/search?type=dash-db")
    assert (status, [item["title"] for item in json.loads(body)]) == (200, ["GAN serving"])
    assert get(f"{GRAFANA}/api/datasources/proxy/uid/prometheus/api/v1/query?query=up")[0] == 200


def test_the_spans_of_a_translation_arrive_at_a_collector(cpu_image: str) -> None:
    collector = f"{PROJECT}-collector"
    docker("rm", "--force", collector, status=None)
    where = (f"--network={PROJECT}_default", "--network-alias=collector", "--env=PYTHONUNBUFFERED=1")
    docker("run", "--detach", "--name", collector, *where, "--entrypoint=python", cpu_image, "-c", COLLECTOR)
    try:
        restart(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318")
        assert translate("png")[0] == 200
        spans = {"/v1/traces", "queue", "inference", "decode", "encode"}
        until(lambda: spans <= set(docker("logs", collector).stdout.split()), 30, "the spans at the collector")
    finally:
        docker("rm", "--force", collector)
    restart()


def test_sigterm_while_requests_run_loses_none_of_them() -> None:
    container, start = gan(), time.monotonic()
    assert translate("jpeg", "512")[0] == 200  # alone it has all cores: many take as long each
    accepted = min(64, max(2, round(DRAINED_SECONDS / (time.monotonic() - start))))
    with ThreadPoolExecutor(accepted) as pool:
        responses = [pool.submit(translate, "jpeg", "512") for _ in range(accepted)]
        until(lambda: metrics_of(container)["gan_requests_in_flight"] == accepted, 30, "all requests in flight")
        compose("stop", "gan")
        results = [response.result() for response in responses]
    assert [(status, body[:300]) for status, body in results if status != 200] == []
    assert inspect(container, "{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false"
    restart()


def test_a_service_that_is_killed_for_memory_is_restarted_and_serves() -> None:
    resident = docker("exec", gan(), "sh", "-c", "awk '/VmRSS/{print $2}' /proc/1/status").stdout
    limit, began = int(resident) // 1024 + OUT_OF_MEMORY_MARGIN, str(time.time())
    restart(GAN_MEMORY=f"{limit}m")
    container = gan()
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(translate, "jpeg", "1024")  # whose results are lost with the process
        until(lambda: int(inspect(container, "{{.RestartCount}}")) > 0, 60, "killed and restarted")
    until(lambda: healthy(container), 90, "healthy after the restart")
    seen = ("events", "--since", began, "--until", str(time.time()), "--filter", f"container={container}")
    events = docker(*seen, "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}").stdout
    assert "oom" in events
    assert "die 137" in events
    assert get(f"{SERVICE}/mnist/sample?count=4")[0] == 200
