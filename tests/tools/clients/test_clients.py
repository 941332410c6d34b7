"""Clients of the committed document, generated, compiled and run against the real service with its bundled models."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tools.clients.checks import CALLS, redocly_findings, results
from tools.clients.generators import GENERATORS, BuildError, Generator, install_node_packages
from tools.footprint import service
from tools.render_docs import DOCS

DOCUMENT = DOCS / "openapi.json"
CONFIGURATION = DOCS.parent / "tools" / "clients" / "schemathesis.toml"
QUICK = [generator for generator in GENERATORS if "java" not in generator.tools]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with service(port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside that of the packages for Node.js, which are installed once."""
    return tmp_path_factory.mktemp("clients")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.effect_noise((140, 100), 80).convert("RGB").save(path)
    return path


def need(generator: Generator) -> None:
    """Skips the test on a machine without the generator's tools; in CI they must be there."""
    if generator.missing and not os.environ.get("CI"):
        pytest.skip(f"{', '.join(generator.missing)} is not installed: Node.js 20 or newer comes with npm")


@pytest.mark.parametrize("generator", QUICK, ids=lambda generator: generator.package)
def test_a_client_works_on_every_route(generator: Generator, folder: Path, url: str, image: Path) -> None:
    need(generator)
    here = folder / generator.package
    here.mkdir()
    command = generator.build(DOCUMENT, here)
    assert results(command, url, image, here / "out") == dict.fromkeys(CALLS, "")


def test_redocly_finds_nothing(folder: Path, tmp_path: Path) -> None:
    need(QUICK[1])
    commands = install_node_packages(folder / "node")
    assert redocly_findings(DOCUMENT, commands) == []
    wrong = tmp_path / "openapi.json"
    wrong.write_text(DOCUMENT.read_text().replace('"operationId": "checkReady"', '"operationId": "checkLive"'))
    assert any("operation-operationId-unique" in finding for finding in redocly_findings(wrong, commands))


def schemathesis(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs all checks with few examples; the same ones each time."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"]
    options = ["--max-examples", "10", "--seed", "1", "--no-color"]
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parent)}
    return subprocess.run(
        [*command, *options, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_schemathesis_finds_nothing(url: str, tmp_path: Path) -> None:
    done = schemathesis(tmp_path, f"{url}/openapi.json")
    assert done.returncode == 0, done.stdout
    assert "18 selected / 18 total" in done.stdout
    assert "No issues found" in done.stdout


def test_schemathesis_finds_what_the_document_gets_wrong(url: str, tmp_path: Path) -> None:
    document = json.loads(DOCUMENT.read_text())
    document["components"]["schemas"]["ModelInfo"]["properties"]["id"] = {"type": "integer"}
    wrong = tmp_path / "openapi.json"
    wrong.write_text(json.dumps(document))
    done = schemathesis(tmp_path, "--url", url, "--include-path", "/models", wrong)
    assert done.returncode == 1
    assert "Response violates schema" in done.stdout


def test_a_client_that_cannot_be_generated_is_told_with_the_reason(tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text("{}")
    with pytest.raises(BuildError, match="Failed to parse"):
        QUICK[0].build(document, tmp_path)


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert dataclasses.replace(QUICK[0], tools=("no-such-tool",)).missing == ["no-such-tool"]
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.20.4\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert QUICK[1].missing == ["npm", "node 20"]


def test_what_a_client_got_wrong_is_told(tmp_path: Path, url: str, image: Path) -> None:
    program = tmp_path / "main.sh"
    program.write_text(
        "\n".join(f"echo -n ok > $3/{call}" for call in CALLS[1:]) + "\necho refused > $3/sampleDigits.error\n"
    )
    wrong = results(["bash", str(program)], url, image, tmp_path / "out")
    assert wrong["sampleDigits"] == "refused\n"
    assert wrong["translateImage"].startswith("got b'ok', expected b'\\x89PNG")
    assert wrong["getMetrics"] == "no metrics: b'ok'"
    assert wrong["checkLive"] == ""
    failing = results(["bash", "-c", "echo broken >&2; exit 3"], url, image, tmp_path / "other")
    assert failing == dict.fromkeys(CALLS, "the program ended with 3: broken\n")
