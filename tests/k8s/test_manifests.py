"""The manifests agree with each other, with the service's code and with the restricted Pod Security standard."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.api import status
from service.settings import Settings

from .conftest import CHECKED, FULL, K8S, VERSION, Manifest

ROOT = K8S.parent
Build = Callable[..., list[Manifest]]
OfKind = Callable[[list[Manifest], str], list[Manifest]]
Pods = Callable[[list[Manifest]], list[Manifest]]

every = pytest.mark.parametrize("combination", [*CHECKED, ("train",)], ids="+".join)
secure = pytest.mark.parametrize("combination", [*CHECKED, ("train",), ("client",)], ids="+".join)
serving = pytest.mark.parametrize("combination", CHECKED, ids="+".join)
full = pytest.mark.parametrize("combination", FULL, ids="+".join)


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def port_names(pod: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for c in pod["spec"]["containers"] for port in c["ports"]}


def selectors(node: Any) -> Iterator[dict[str, str]]:
    """The label selectors below a manifest's spec that pick Pods."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("selector", "podSelector", "labelSelector"):
                yield value.get("matchLabels", value)
            elif key != "template" or "spec" in value:
                yield from selectors(value)
    elif isinstance(node, list):
        for value in node:
            yield from selectors(value)


def settings_of(manifests: list[Manifest]) -> dict[str, str]:
    (settings,) = [m["data"] for m in manifests if m["kind"] == "ConfigMap" and "GAN_DEVICE" in m["data"]]
    return settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Manifest]], Settings]:
    """`settings(manifests)`: what the service reads from the environment that they give it."""

    def read(manifests: list[Manifest]) -> Settings:
        for name, value in settings_of(manifests).items():
            monkeypatch.setenv(name, value)
        return Settings()

    return read


# Manifests with each other


@every
def test_selectors_pick_the_pods(build: Build, pods: Pods, combination: tuple[str, ...]) -> None:
    manifests = build(*combination)
    (pod,) = pods(manifests)
    labels = pod["metadata"]["labels"].items()
    others = ("ServiceMonitor", "PersistentVolumeClaim")
    found = [s for m in manifests if m["kind"] not in others for s in selectors(m.get("spec"))]
    assert len(found) >= 2
    assert [s for s in found if not s or not s.items() <= labels] == []


@every
def test_named_ports_are_the_containers(
    build: Build, of_kind: OfKind, pods: Pods, combination: tuple[str, ...]
) -> None:
    manifests = build(*combination)
    (pod,) = pods(manifests)
    names = port_names(pod)
    services = of_kind(manifests, "Service")
    targets = [port["targetPort"] for service in services for port in service["spec"]["ports"]]
    probes = [probe["httpGet"]["port"] for c in pod["spec"]["containers"] for k, probe in c.items() if "Probe" in k]
    allowed = [
        port["port"]
        for policy in of_kind(manifests, "NetworkPolicy")
        for rule in policy["spec"]["ingress"]
        for port in rule.get("ports", [])
    ]
    assert targets
    assert {*targets, *probes, *allowed} <= names.keys()


@secure
def test_what_a_pod_names_is_there(build: Build, pods: Pods, combination: tuple[str, ...]) -> None:
    manifests = build(*combination)
    there = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    (pod,) = pods(manifests)
    spec = pod["spec"]
    named = {("ServiceAccount", spec["serviceAccountName"])}
    for container in containers(pod):
        named |= {("ConfigMap", source["configMapRef"]["name"]) for source in container.get("envFrom", [])}
    for volume in spec["volumes"]:
        if "persistentVolumeClaim" in volume:
            named.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    assert named <= there
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for c in containers(pod) for mount in c["volumeMounts"]} == volumes


@full
def test_the_monitor_finds_the_management_port_and_the_ingress_the_public_one(
    build: Build, of_kind: OfKind, combination: tuple[str, ...]
) -> None:
    manifests = build(*combination)
    services = {service["metadata"]["name"]: service for service in of_kind(manifests, "Service")}
    (monitor,) = of_kind(manifests, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (watched,) = [s for s in services.values() if wanted <= s["metadata"]["labels"].items()]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in watched["spec"]["ports"]] == ["management"]
    assert endpoint["path"] in {route.path for route in status.router.routes}
    assert watched["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "gan-serving"

    (ingress,) = of_kind(manifests, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    public = services[backend["name"]]
    assert [port["name"] for port in public["spec"]["ports"]] == [backend["port"]["name"]] == ["http"]
    assert rule["host"] in ingress["spec"]["tls"][0]["hosts"]


# Manifests with the code


@serving
def test_the_environment_is_one_that_the_service_takes(
    build: Build, settings: Callable[..., Settings], combination: tuple[str, ...]
) -> None:
    manifests = build(*combination)
    given = settings_of(manifests)
    assert {name.removeprefix("GAN_").lower() for name in given} <= Settings.model_fields.keys()
    assert settings(manifests).device == {"cpu": "cpu", "gpu": "cuda"}[combination[0]]


@serving
def test_container_ports_and_threads_are_those_of_the_settings(
    build: Build, pods: Pods, settings: Callable[..., Settings], combination: tuple[str, ...]
) -> None:
    manifests = build(*combination)
    (pod,) = pods(manifests)
    (container,) = pod["spec"]["containers"]
    chosen = settings(manifests)
    assert port_names(pod) == {"http": chosen.port, "management": chosen.management_port}
    assert container["resources"]["requests"]["cpu"] == str(chosen.threads)
    assert "cpu" not in container["resources"]["limits"]
    assert chosen.host == "0.0.0.0"


@serving
def test_probes_ask_for_the_three_status_routes(build: Build, pods: Pods, combination: tuple[str, ...]) -> None:
    (pod,) = pods(build(*combination))
    (container,) = pod["spec"]["containers"]
    asked = {k.removesuffix("Probe"): probe["httpGet"] for k, probe in container.items() if k.endswith("Probe")}
    routes = {route.path for route in status.router.routes}
    assert {kind: (get["path"], get["port"]) for kind, get in asked.items()} == {
        "startup": ("/healthz/startup", "management"),
        "readiness": ("/healthz/ready", "management"),
        "liveness": ("/healthz/live", "management"),
    }
    assert {get["path"] for get in asked.values()} <= routes


@serving
def test_the_grace_period_is_longer_than_the_drain(
    build: Build, pods: Pods, settings: Callable[..., Settings], combination: tuple[str, ...]
) -> None:
    manifests = build(*combination)
    (pod,) = pods(manifests)
    (container,) = pod["spec"]["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before > 0
    assert before + settings(manifests).shutdown_seconds < pod["spec"]["terminationGracePeriodSeconds"]


@full
def test_the_ingress_takes_what_the_service_takes_and_waits_as_long(
    build: Build, of_kind: OfKind, settings: Callable[..., Settings], combination: tuple[str, ...]
) -> None:
    manifests = build(*combination)
    (ingress,) = of_kind(manifests, "Ingress")
    notes, chosen = ingress["metadata"]["annotations"], settings(manifests)
    sizes = [value for name, value in notes.items() if name.endswith("body-size")]
    times = [value for name, value in notes.items() if name.endswith("timeout")]
    assert [int(size.removesuffix("m")) * 2**20 for size in sizes] == [chosen.body_bytes] * 2
    assert len(times) == 4
    assert all(int(t.removesuffix("s")) > chosen.timeout_seconds for t in times)


# Security


@secure
def test_images_are_pinned_and_name_no_registry(build: Build, pods: Pods, combination: tuple[str, ...]) -> None:
    (pod,) = pods(build(*combination))
    images = {container["image"] for container in containers(pod)}
    assert images == {f"gan-serving:{VERSION}-{combination[0]}"}


@secure
def test_pods_keep_to_the_restricted_standard(build: Build, pods: Pods, combination: tuple[str, ...]) -> None:
    (pod,) = pods(build(*combination))
    spec = pod["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec.keys().isdisjoint({"hostNetwork", "hostPID", "hostIPC"})
    assert all(volume.keys() & {"emptyDir", "persistentVolumeClaim", "secret"} for volume in spec["volumes"])
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not any("hostPort" in port for port in container.get("ports", []))
        assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]


@secure
def test_no_pod_holds_a_token(build: Build, of_kind: OfKind, pods: Pods, combination: tuple[str, ...]) -> None:
    manifests = build(*combination)
    (pod,) = pods(manifests)
    (account,) = of_kind(manifests, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert pod["spec"]["automountServiceAccountToken"] is False


@secure
def test_pods_run_as_the_user_of_the_images(build: Build, pods: Pods, combination: tuple[str, ...]) -> None:
    dockerfile = ROOT / "docker" / "Dockerfile"
    users = re.findall(r"^USER (\d+):(\d+)$", dockerfile.read_text(), re.MULTILINE)
    (pod,) = pods(build(*combination))
    context = pod["spec"]["securityContext"]
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == users[-1]


@serving
def test_metrics_are_for_the_monitoring_namespace_alone_and_nothing_goes_out(
    build: Build, of_kind: OfKind, combination: tuple[str, ...]
) -> None:
    (policy,) = of_kind(build(*combination), "NetworkPolicy")
    rules = {port["port"]: rule for rule in policy["spec"]["ingress"] for port in rule["ports"]}
    assert "from" not in rules["http"]
    (peer,) = rules["management"]["from"]
    assert peer == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert policy["spec"]["egress"] == []


# Rollouts and scaling


@serving
def test_a_drain_takes_one_pod_at_a_time(build: Build, of_kind: OfKind, combination: tuple[str, ...]) -> None:
    (budget,) = of_kind(build(*combination), "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1


@serving
def test_a_rollout_asks_for_no_gpu_that_is_not_there(
    build: Build, of_kind: OfKind, combination: tuple[str, ...]
) -> None:
    (deployment,) = of_kind(build(*combination), "Deployment")
    rolling = deployment["spec"]["strategy"]["rollingUpdate"]
    pod = deployment["spec"]["template"]["spec"]
    limits = pod["containers"][0]["resources"]["limits"]
    if combination[0] == "gpu":
        assert rolling == {"maxSurge": 0, "maxUnavailable": 1}
        assert limits["nvidia.com/gpu"] == 1
        assert pod["nodeSelector"]
        assert pod["tolerations"]
        assert pod.get("runtimeClassName") == ("nvidia" if "runtime-class" in combination else None)
    else:
        assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
        assert "nvidia.com/gpu" not in limits


@serving
def test_an_autoscaler_owns_the_number_of_replicas(build: Build, of_kind: OfKind, combination: tuple[str, ...]) -> None:
    manifests = build(*combination)
    (deployment,) = of_kind(manifests, "Deployment")
    scalers = [*of_kind(manifests, "ScaledObject"), *of_kind(manifests, "HorizontalPodAutoscaler")]
    least = {"cpu": 2, "gpu": 1}[combination[0]]
    assert len(scalers) == any("autoscaling" in part for part in combination)
    if not scalers:
        assert deployment["spec"]["replicas"] == least
        return
    spec = scalers[0]["spec"]
    assert "replicas" not in deployment["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    if scalers[0]["kind"] == "ScaledObject":
        assert (spec["minReplicaCount"], spec["fallback"]["replicas"]) == (least, least)
        assert spec["maxReplicaCount"] > least
    else:
        assert spec["minReplicas"] == least < spec["maxReplicas"]


# The training Job


def test_the_jobs_numbers_and_names_agree(build: Build, of_kind: OfKind, pods: Pods) -> None:
    manifests = build("train")
    (job,), (pod,), (service,) = of_kind(manifests, "Job"), pods(manifests), of_kind(manifests, "Service")
    (fit,) = pod["spec"]["containers"]
    given = {e["name"]: e["value"] for e in fit["env"]}
    nodes = int(given["NODES"])
    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (nodes, nodes)
    assert int(given["IMAGES"]) % nodes == 0  # --batch is NODES, and the last checkpoint is IMAGES
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    script = fit["command"][-1]
    (port,) = service["spec"]["ports"]
    assert f"--master-addr={job['metadata']['name']}-0.{service['metadata']['name']} " in script
    assert f"--master-port={port['port']} " in script
    assert port_names(pod) == {port["targetPort"]: port["port"]}
    assert "--nproc-per-node=gpu" in script  # as many as the limits give the Pod


def test_the_jobs_volumes_can_be_shared_by_nodes(build: Build, of_kind: OfKind) -> None:
    claims = of_kind(build("train"), "PersistentVolumeClaim")
    assert [claim["spec"]["accessModes"] for claim in claims] == [["ReadWriteMany"]] * 2


# The client's Job


def test_the_clients_pods_share_all_images(build: Build, of_kind: OfKind, pods: Pods) -> None:
    manifests = build("client")
    (job,), (pod,) = of_kind(manifests, "Job"), pods(manifests)
    (translate,) = pod["spec"]["containers"]
    given = {e["name"]: e.get("value") for e in translate["env"]}
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == int(given["SHARDS"])
    (rule,) = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if rule["action"] == "FailIndex"]
    assert rule["onExitCodes"]["containerName"] == translate["name"]
    assert {mount["mountPath"] for mount in translate["volumeMounts"]} >= set(translate["command"][-1].split()[-2:])


def test_the_clients_pods_reach_the_service(build: Build, of_kind: OfKind, pods: Pods) -> None:
    manifests, serving_manifests = build("client"), build("cpu")
    (policy,) = of_kind(manifests, "NetworkPolicy")
    peer, _ = policy["spec"]["egress"]
    (served,) = pods(serving_manifests)
    assert peer["to"][0]["podSelector"]["matchLabels"].items() <= served["metadata"]["labels"].items()
    assert peer["ports"] == [{"protocol": "TCP", "port": port_names(served)["http"]}]
    (pod,) = pods(manifests)
    (url,) = [e["value"] for e in pod["spec"]["containers"][0]["env"] if e["name"] == "GAN_CLIENT_URL"]
    services = {m["metadata"]["name"]: m["spec"]["ports"] for m in of_kind(serving_manifests, "Service")}
    (port,) = services[url.removeprefix("http://")]
    assert port["port"] == 80
