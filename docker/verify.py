"""Builds the images and runs them the way an operator would; says what it saw, and fails at the first thing missing.

    python3 docker/verify.py [build] [run] [train]        build and run when none is named; train builds 7 GB more

Needs Docker with compose and nothing else but Python. What can be set, as environment variables:
PYTHON_IMAGE, PROMETHEUS_IMAGE, GRAFANA_IMAGE   in place of the defaults; GRAFANA_IMAGE= leaves Grafana out
DOCKER_BUILD_FLAGS                              more flags for `docker build`, e.g. --secret id=pip,src=pip.conf;
                                                Compose, which has none, is given --secret and --network of them
"""

import argparse
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PHOTOGRAPH = ROOT / "docs" / "images" / "nokota-horses.webp"
CPU, GPU, TRAIN = "gan-serving:0.1.0-cpu", "gan-serving:0.1.0-gpu", "gan-serving:0.1.0-train"
PROJECT = "gan-verify"
PORTS = {"GAN_PUBLISHED_PORT": "18000", "PROMETHEUS_PUBLISHED_PORT": "18090", "GRAFANA_PUBLISHED_PORT": "18030"}
SERVICE, PROMETHEUS, GRAFANA = (f"http://127.0.0.1:{port}" for port in PORTS.values())
WITH_GRAFANA = os.environ.get("GRAFANA_IMAGE") != ""
DRAINED_SECONDS = 8  # of work when SIGTERM comes: well within GAN_SHUTDOWN_SECONDS, and long enough to be seen
OUT_OF_MEMORY_MARGIN = 64  # MB above the idle service: less than one large picture needs


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
DIGITS = """
import pathlib, numpy
raw = pathlib.Path("/tmp/data/MNIST/raw")
raw.mkdir(parents=True)
for name, count in (("train", 600), ("t10k", 100)):
    labels = numpy.arange(count, dtype="u1") % 10
    pictures = numpy.repeat(labels * 25, 28 * 28)
    for kind, sizes, data in (("images-idx3", (count, 28, 28), pictures), ("labels-idx1", (count,), labels)):
        header = bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)
        (raw / f"{name}-{kind}-ubyte").write_bytes(header + data.tobytes())
"""
"""Flat pictures in the files of MNIST, since the container has no network."""


def say(text: str) -> None:
    """One line a finding."""
    print(f"  {text}", flush=True)


def check(condition: bool, what: str) -> None:
    """Ends the run with `what` was expected."""
    if not condition:
        sys.exit(f"FAILED: {what}")


def docker(
    *arguments: str, status: int | None = 0, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a docker command; `status` None accepts any exit status."""
    environment = os.environ | PORTS | {"COMPOSE_PROJECT_NAME": PROJECT} | (variables or {})
    result = subprocess.run(["docker", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    if status is not None and result.returncode != status:
        sys.exit(f"FAILED: docker {shlex.join(arguments)}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result


def compose(*arguments: str, **variables: str) -> str:
    """Runs a compose command on the root's compose.yaml, with further variables for it."""
    return docker("compose", *arguments, variables=variables).stdout.strip()


def get(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and body; an error's too."""
    request = urllib.request.Request(url, body, headers or {})  # noqa: S310 -- this machine's own addresses
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 -- likewise
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def until(true: Callable[[], object], seconds: float, what: str) -> float:
    """Waits until `true` returns something true; returns how many seconds that took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            if true():
                return time.monotonic() - start
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"FAILED: {what} within {seconds:g} s\n{docker('compose', 'logs', '--tail=20', status=None).stdout}")


def inspect(container: str, template: str) -> str:
    """One field of a container or an image."""
    return docker("inspect", "--format", template, container).stdout.strip()


def build_flags() -> list[str]:
    """What every build is given."""
    flags = shlex.split(os.environ.get("DOCKER_BUILD_FLAGS", ""))
    image = os.environ.get("PYTHON_IMAGE")
    return flags + (["--build-arg", f"PYTHON_IMAGE={image}"] if image else [])


def build_target(target: str, tag: str) -> str:
    """Builds one image; returns BuildKit's log."""
    start = time.monotonic()
    log = docker(
        "build", "--progress=plain", *build_flags(), "-f", "docker/Dockerfile", "--target", target, "-t", tag, "."
    )
    say(f"{tag}: {megabytes(tag):,.0f} MB, built in {time.monotonic() - start:.1f} s")
    return log.stderr


def megabytes(tag: str) -> float:
    """Size of an image, uncompressed."""
    return int(inspect(tag, "{{.Size}}")) / 1e6


def compose_flags(folder: Path) -> list[str]:
    """The build flags that Compose reads from a file alone: what names the root's file and one in `folder`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network")
    parser.add_argument("--secret", action="append", default=[])
    flags, _ = parser.parse_known_args(build_flags())
    secrets = [dict(part.split("=", 1) for part in secret.split(",")) for secret in flags.secret]
    if not (flags.network or secrets):
        return []
    added = {"secrets": [secret["id"] for secret in secrets]} | ({"network": flags.network} if flags.network else {})
    more = {
        "services": {"gan": {"build": added}},
        "secrets": {secret["id"]: {"file": str(Path(secret["src"]).resolve())} for secret in secrets},
    }
    file = folder / "flags.yaml"
    file.write_text(json.dumps(more))
    return ["-f", "compose.yaml", "-f", str(file)]


def build_with_compose() -> None:
    """What `docker compose up --build` builds, and what it would for a GPU."""
    docker("rmi", "--force", CPU, status=None)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        docker("compose", *compose_flags(Path(folder)), "build", "gan")
    say(f"docker compose build gan: {CPU}, {megabytes(CPU):,.0f} MB, in {time.monotonic() - start:.1f} s")
    config = docker("compose", "-f", "docker/compose.yaml", "-f", "docker/compose.gpu.yaml", "config", "--format=json")
    gan = json.loads(config.stdout)["services"]["gan"]
    (device,) = gan["deploy"]["resources"]["reservations"]["devices"]
    found = (gan["image"], gan["build"]["target"], gan["environment"]["GAN_DEVICE"], device["driver"])
    check(found == (GPU, "gpu", "cuda", "nvidia"), f"the GPU's command to ask for the gpu image and a GPU, got {found}")
    say(f"docker compose with compose.gpu.yaml: {GPU} and one GPU")


def build() -> None:
    """Both serving images, and again after a change of the source."""
    print("build")
    build_with_compose()
    build_target("gpu", GPU)
    changed = ROOT / "service" / "__init__.py"
    before = changed.read_bytes()
    try:
        changed.write_bytes(before + f"# {time.time()}\n".encode())
        log = build_target("cpu", f"{PROJECT}:changed")
    finally:
        changed.write_bytes(before)
    steps = [line for line in log.splitlines() if "RUN" in line and "--require-hashes" in line]
    cached = [step.split()[0] for step in steps if f"{step.split()[0]} CACHED" in log]
    check(bool(steps) and len(cached) == len(steps), f"no requirement installed again after a source change:\n{log}")
    say(f"after a change of the source: all {len(cached)} steps that install requirements are cached")
    docker("rmi", f"{PROJECT}:changed")


def images() -> None:
    """What the images hold and how they begin."""
    print("images")
    for tag in (CPU, GPU):
        probe = "for tool in gcc g++ cc c++ clang tcc as ld make nvcc curl; do command -v $tool; done; id -u; id -g"
        found = docker("run", "--rm", "--network=none", "--entrypoint=sh", tag, "-c", probe).stdout.split()
        check(found == ["10001", "10001"], f"{tag} to have no compiler and to run as 10001:10001, found {found}")
        check(inspect(tag, "{{.Config.User}}") == "10001:10001", f"{tag} to name its user by number")
        labels = json.loads(inspect(tag, "{{json .Config.Labels}}"))
        missing = {"title", "description", "version", "revision", "base.name"} - {
            name.removeprefix("org.opencontainers.image.") for name in labels
        }
        check(not missing, f"{tag} to have the OCI labels {missing}")
    say("no compiler, no curl; user 10001:10001; OCI labels")
    for tag in (CPU, GPU):
        refused = docker("run", "--rm", "--network=none", "--read-only", tag, "--device=cuda", status=2)
        check("device=cuda, but" in refused.stderr, f"{tag} to say why device=cuda fails, said {refused.stderr}")
        say(f"{tag} --device=cuda: status 2, {refused.stderr.strip().splitlines()[-1]}")


def started(name: str, tag: str, *flags: str) -> None:
    """Starts a container as hardened as Compose's, without a network, and waits until it is healthy."""
    docker("rm", "--force", name, status=None)
    hardened = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    docker("run", "--detach", "--name", name, "--network=none", *hardened, *flags, tag)
    until(lambda: inspect(name, "{{.State.Health.Status}}") == "healthy", 90, f"{tag} healthy")


def loud_fallback() -> None:
    """The gpu image without a GPU and device=auto: it serves, and says on what."""
    print("gpu image without a GPU, device=auto")
    name = f"{PROJECT}-auto"
    started(name, GPU)
    logs = docker("logs", name)
    warning = next((line for line in (logs.stdout + logs.stderr).splitlines() if "device=auto" in line), "")
    check("runs on the CPU" in warning, "a warning that the models run on the CPU")
    check(metrics_of(name)["gan_device_fallback"] == 1, "gan_device_fallback 1")
    say(f"healthy; gan_device_fallback 1; log: {warning.strip()}")
    docker("stop", name)
    check(inspect(name, "{{.State.ExitCode}}") == "0", "exit status 0 after docker stop")
    docker("rm", name)


def other_models() -> None:
    """A folder of models that is mounted over the image's is what is served."""
    name = f"{PROJECT}-models"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(ROOT / "models" / "mnist", Path(folder) / "mnist")
        started(name, CPU, f"--volume={folder}:/app/models:ro")
        log = docker("logs", name)
        docker("rm", "--force", name)
    served = re.findall(r"serving (\S+) on", log.stdout + log.stderr)
    there = [f"mnist/{version.name}" for version in sorted((ROOT / "models" / "mnist").iterdir())]
    check(served == there, f"{there} to be served from the mounted folder, got {served}")
    say(f"a folder mounted over /app/models: {', '.join(served)} and nothing else")


def metrics_of(container: str) -> dict[str, float]:
    """The management port's metrics, read inside the container: the port is not published."""
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9000/metrics').read().decode())"
    text = docker("exec", container, "python", "-c", ask).stdout
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def up() -> str:
    """`docker compose up`; returns the service's container."""
    print("docker compose up")
    services = ["gan", "prometheus"] + (["grafana"] if WITH_GRAFANA else [])
    start = time.monotonic()
    compose("up", "--detach", "--no-build", "--wait", *services, GAN_THREADS="2")
    say(f"{', '.join(services)} healthy after {time.monotonic() - start:.1f} s")
    gan = compose("ps", "--quiet", "gan")
    check(inspect(gan, "{{.Config.Image}}") == CPU, f"compose to run {CPU}")
    variables = json.loads(inspect(gan, "{{json .Config.Env}}"))
    check("GAN_THREADS=2" in variables, f"a setting of the environment to reach the service, got {variables}")
    return gan


def requests(gan: str) -> None:
    """Pictures through the published port, what is not published, and what the container may write."""
    status, body = get(f"{SERVICE}/mnist/sample?count=4&seed=1")
    check((status, png_size(body)) == (200, (56, 56)), f"four digits as one PNG, got {status} {body[:80]!r}")
    status, body = translate("png")
    check(
        status == 200 and png_size(body) == (1024, 664), f"a zebra of the photograph's size, got {status} {body[:80]!r}"
    )
    say(f"digits 56x56, a translation {png_size(body)[0]}x{png_size(body)[1]} through the published port")
    for path in ("/metrics", "/healthz/ready"):
        check(get(SERVICE + path)[0] == 404, f"{path} to be on the management port alone")
    write = "touch /app/x || touch /opt/venv/x || touch /x"
    denied = docker("exec", gan, "sh", "-c", write, status=1).stderr
    check(denied.count("Read-only file system") == 3, f"a read-only root, got {denied}")
    capabilities = docker("exec", gan, "grep", "-E", "CapEff|CapBnd|NoNewPrivs", "/proc/1/status").stdout.split()
    check(capabilities[1::2] == ["0" * 16, "0" * 16, "1"], f"no capabilities and no new ones, got {capabilities}")
    user = docker("exec", gan, "sh", "-c", "id -u; tr '\\0' ' ' < /proc/1/cmdline").stdout.splitlines()
    check(user[0] == "10001" and user[1].startswith("python -m service"), f"the server as process 1, got {user}")
    say(f"root file system read-only, no capabilities; process 1 is {user[1].strip()!r} as user {user[0]}")


def translate(kind: str, size: str = "256") -> tuple[int, bytes]:
    """The photograph through horse2zebra."""
    url = f"{SERVICE}/translate/horse2zebra?format={kind}&size={size}"
    return get(url, PHOTOGRAPH.read_bytes(), {"Content-Type": "image/webp"})


def png_size(body: bytes) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) when it is no PNG."""
    if not body.startswith(b"\x89PNG"):
        return 0, 0
    width, height = struct.unpack(">II", body[16:24])
    return width, height


def query(expression: str) -> list[dict[str, Any]]:
    """A query's answer from Prometheus."""
    _, body = get(f"{PROMETHEUS}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    return list(json.loads(body)["data"]["result"])


def scraped() -> None:
    """Prometheus has the service, its requests and the rules."""
    up_now = 'up{job="gan-serving",instance="gan:9000"} == 1'
    until(lambda: query(up_now), 60, "the service scraped by Prometheus")
    until(lambda: query('gan_requests_total{route="/translate/{direction}",outcome="ok"} >= 1'), 60, "requests counted")
    models = query("gan_model_info")
    _, body = get(f"{PROMETHEUS}/api/v1/rules")
    groups = json.loads(body)["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    broken = [rule["name"] for rule in rules if rule["health"] == "err"]
    check(bool(rules) and not broken, f"rules that evaluate, broken: {broken or 'none loaded'}")
    say(f"scraped: up == 1, {len(models)} models, requests counted; {len(rules)} rules loaded, none broken")


def dashboard() -> None:
    """Grafana has the data source and the dashboard."""
    if not WITH_GRAFANA:
        say("Grafana left out")
        return
    status, body = get(f"{GRAFANA}/api/search?type=dash-db")
    found = [item["title"] for item in json.loads(body)] if status == 200 else []
    check(bool(found), f"a dashboard for who has not logged in, got {status} {body[:200]!r}")
    status, body = get(f"{GRAFANA}/api/datasources/proxy/uid/prometheus/api/v1/query?query=up")
    check(status == 200, f"the data source answering through Grafana, got {status} {body[:200]!r}")
    say(f"Grafana: dashboards {found}, its data source answers")


def traces() -> None:
    """With a collector's address in the environment, the spans of a request arrive there."""
    collector = f"{PROJECT}-collector"
    docker("rm", "--force", collector, status=None)
    where = (f"--network={PROJECT}_default", "--network-alias=collector", "--env=PYTHONUNBUFFERED=1")
    docker("run", "--detach", "--name", collector, *where, "--entrypoint=python", CPU, "-c", COLLECTOR)
    compose("up", "--detach", "--no-build", "--wait", "gan", OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318")
    check(translate("png")[0] == 200, "a translation while traces are made")
    spans = {"/v1/traces", "queue", "inference", "decode", "encode"}
    until(lambda: spans <= set(docker("logs", collector).stdout.split()), 30, "a translation's spans at the collector")
    say("traces: the spans of a translation came to a collector at the address in the environment")
    docker("rm", "--force", collector)
    compose("up", "--detach", "--no-build", "--wait", "gan")


def drain(gan: str) -> None:
    """SIGTERM while requests run: each of the accepted is answered."""
    print("docker compose stop while requests run")
    start = time.monotonic()
    check(translate("jpeg", "512")[0] == 200, "a translation")  # alone it has all cores: many take as long each
    accepted = min(64, max(2, round(DRAINED_SECONDS / (time.monotonic() - start))))
    with ThreadPoolExecutor(accepted) as pool:
        answers = [pool.submit(translate, "jpeg", "512") for _ in range(accepted)]
        until(lambda: metrics_of(gan)["gan_requests_in_flight"] == accepted, 30, "all requests in flight")
        start = time.monotonic()
        compose("stop", "gan")
        seconds = time.monotonic() - start
        results = [answer.result() for answer in answers]
    lost = [(status, body[:300]) for status, body in results if status != 200]
    check(not lost, f"every accepted request answered, got {lost}\n{docker('logs', '--tail=20', gan).stderr}")
    code, killed = inspect(gan, "{{.State.ExitCode}} {{.State.OOMKilled}}").split()
    check((code, killed) == ("0", "false"), f"exit status 0, got {code}")
    say(f"{accepted} of {accepted} accepted requests answered 200; stopped in {seconds:.1f} s, status 0")
    compose("up", "--detach", "--no-build", "--wait", "gan")


def out_of_memory(gan: str) -> None:
    """A memory limit that idling fits and work does not: killed, restarted, healthy and serving again by itself."""
    print("killed for memory")
    idle = int(docker("exec", gan, "sh", "-c", "awk '/VmRSS/{print $2}' /proc/1/status").stdout) // 1024
    limit, began = idle + OUT_OF_MEMORY_MARGIN, str(time.time())
    compose("up", "--detach", "--no-build", "--wait", "gan", GAN_MEMORY=f"{limit}m")
    gan = compose("ps", "--quiet", "gan")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(translate, "jpeg", "1024") for _ in range(4)]
        until(
            lambda: int(inspect(gan, "{{.RestartCount}}")) > 0, 60, "the kernel to kill it and the engine to restart it"
        )
        lost = sum(answer.exception() is not None for answer in answers)
    seconds = until(lambda: inspect(gan, "{{.State.Health.Status}}") == "healthy", 90, "healthy after the restart")
    seen = ("events", "--since", began, "--until", str(time.time()), "--filter", f"container={gan}")
    events = docker(*seen, "--format", "{{.Action}} {{.Actor.Attributes.exitCode}}").stdout
    check("oom" in events and "die 137" in events, f"the engine to report an out-of-memory kill, got {events}")
    check(get(f"{SERVICE}/mnist/sample?count=4")[0] == 200, "digits from the restarted service")
    say(
        f"idle {idle} MB, limit {limit} MB: oom, status 137, {lost} requests lost; "
        f"restarted by itself, healthy {seconds:.1f} s later"
    )


def run() -> None:
    """Everything that needs running containers; leaves none behind."""
    images()
    other_models()
    loud_fallback()
    try:
        gan = up()
        requests(gan)
        scraped()
        dashboard()
        traces()
        drain(compose("ps", "--quiet", "gan"))
        out_of_memory(compose("ps", "--quiet", "gan"))
    finally:
        docker("rm", "--force", f"{PROJECT}-collector", status=None)
        docker("compose", "down", "--volumes", status=None)


def train() -> None:
    """The train image fits through torch.compile on a read-only root, and a fit that is stopped says so."""
    print("train")
    build_target("train", TRAIN)
    hardened = ("--read-only", "--tmpfs=/tmp:exec", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    fit = "exec gan-train gan --device cpu --data /tmp/data --cache /tmp/cache --out /tmp/run"

    def container(*flags: str, more: str) -> str:
        script = f"python -c '{DIGITS}'; {fit} {more}"
        return docker("run", "--network=none", *hardened, *flags, "--entrypoint=sh", TRAIN, "-euc", script).stdout

    start = time.monotonic()
    said = container("--rm", more="--compile --images 256")
    check("images       256 / 256" in said, f"a fit of 256 images, got {said}")
    say(f"gan-train gan --compile --images 256: done in {time.monotonic() - start:.0f} s")
    name = f"{PROJECT}-fit"
    docker("rm", "--force", name, status=None)
    container("--detach", "--name", name, more="--tick-images 128")
    until(lambda: "images       128 /" in docker("logs", name).stdout, 300, "a first checkpoint")
    docker("stop", "--time=60", name)  # it saves, and draws its curves
    code = inspect(name, "{{.State.ExitCode}}")
    check(code == "75", f"exit status 75 of a fit that was stopped, got {code}")
    say(f"docker stop of a fit: {docker('logs', name).stdout.strip().splitlines()[-1]!r}, status {code}")
    docker("rm", name)


if __name__ == "__main__":
    phases = {"build": build, "run": run, "train": train}
    for phase in sys.argv[1:] or ("build", "run"):
        phases[phase]()
    print("all seen")
