from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

Build = Callable[..., list[dict[str, Any]]]


def test_the_file_of_keys_comes_from_the_secret(build: Build) -> None:
    manifests = build("cpu", "api-keys")
    (settings,) = [m["data"] for m in manifests if m["kind"] == "ConfigMap" and "GAN_DEVICE" in m["data"]]
    (deployment,) = [m for m in manifests if m["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = [volume for volume in pod["volumes"] if volume.get("secret") == {
        "secretName": "gan-serving-keys", "defaultMode": 0o440,
    }]  # fmt: skip
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == volume["name"]]
    path = PurePosixPath(settings["GAN_KEYS"])
    assert str(path.parent) == mount["mountPath"]
    assert "subPath" not in mount  # which would never see a change
