"""The CycloneDX documents of the images, from the locks."""

import json
import re
from pathlib import Path

import pytest

from tools.sbom import IMAGES, ROOT, merged, write

TOOLS = ROOT / "build" / "supply" / "bin"
A = "a==1 \\\n    --hash=sha256:aa\n    # via x\n"
B = "b==2 ; python_version < '3.13' \\\n    --hash=sha256:bb\n"


def test_a_package_of_two_locks_is_listed_once() -> None:
    assert merged([B + A, A]) == f"{A}{B}"


def test_the_later_of_two_versions_is_the_one_that_is_installed() -> None:
    newer = A.replace("==1", "==3")
    assert merged([A, newer]) == newer
    assert merged([B, B.replace("<", ">=")]) == B + B.replace("<", ">=")  # for two versions of Python


def test_every_image_has_the_locks_that_its_file_installs() -> None:
    stages = re.split(r"^FROM ", (ROOT / "docker" / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    parents, own, images = {}, {}, {}
    for stage in stages:
        parent, name = re.match(r"(\S+) AS (\S+)", stage).groups()
        parents[name], own[name] = parent, set(re.findall(r"^COPY requirements/(\w+)\.txt", stage, re.MULTILINE))
        if found := re.findall(r"^COPY --from=(requirements-\w+) /opt/venv", stage, re.MULTILINE):
            (images[name],) = found

    def locks(stage: str) -> set[str]:
        return own.get(stage, set()) | (locks(parents[stage]) if stage in parents else set())

    assert {image: locks(stage) for image, stage in images.items()} == {n: set(found) for n, found in IMAGES.items()}


@pytest.mark.skipif(not TOOLS.is_dir(), reason="the tools are not installed: make supply")
def test_a_document_names_every_locked_package_with_its_hashes(tmp_path: Path) -> None:
    document = json.loads(write("cpu", TOOLS, tmp_path).read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["name"] == "gan-serving"
    listed = {one["name"]: one for one in document["components"]}
    assert {"fastapi", "onnxruntime", "opentelemetry-sdk"} <= listed.keys()
    assert listed["pillow"]["purl"].startswith("pkg:pypi/pillow@")
    assert all(reference["hashes"] for one in listed.values() for reference in one["externalReferences"])
