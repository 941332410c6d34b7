"""Runs a generated client against the live service, and checks what it got beside what plain HTTP gets."""

import json
import os
import subprocess
from pathlib import Path

import httpx

OPERATIONS = (
    "sampleDigits",
    "interpolateDigits",
    "sampleChosenDigits",
    "translateImage",
    "listModels",
    "checkLive",
    "checkReady",
    "checkStartup",
    "getMetrics",
)
"""The operations that every program calls."""
PROBLEM = "problem"
"""The call that fails: a direction that does not exist, whose problem document the client reads."""
CALLS = (*OPERATIONS, PROBLEM)
SEED = "9007199254740993"
"""2^53 + 1, which JavaScript would round as a number."""
TIMEOUT_S = 120


def results(command: list[str], url: str, image: Path, out: Path) -> dict[str, str]:
    """Runs a program; returns what is wrong with each of its calls, which is nothing for those that work."""
    out.mkdir()
    done = subprocess.run(
        [*command, url, str(image), str(out)], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        return dict.fromkeys(CALLS, f"the program ended with {done.returncode}: {done.stderr[-500:]}")
    expected = _expected(url, image)
    return {call: _wrong(out, call, expected[call]) for call in CALLS}


def _wrong(out: Path, call: str, expected: bytes | None) -> str:
    error = out / f"{call}.error"
    if error.exists():
        return error.read_text()[:500]
    found = (out / call).read_bytes()
    if expected is None:  # counters go on
        return "" if b"\ngan_requests_total{" in found else f"no metrics: {found[:100]!r}"
    return "" if found == expected else f"got {found[:60]!r}, expected {expected[:60]!r}"


def _expected(url: str, image: Path) -> dict[str, bytes | None]:
    with httpx.Client(base_url=url, timeout=TIMEOUT_S) as client:
        digits = client.get("/mnist/sample", params={"seed": SEED, "count": 4}).raise_for_status()
        ends = {"from": SEED, "to": "7", "steps": "3"}
        between = client.get("/mnist/interpolate", params=ends).raise_for_status()
        chosen = client.post("/mnist/sample", json={"seeds": [SEED, "7"]}).raise_for_status()
        body = {"file": image.read_bytes()}
        translation = client.post("/translate/horse2zebra", params={"size": "128"}, files=body).raise_for_status()
        models = client.get("/models").raise_for_status().json()["models"]
    return {
        "sampleDigits": digits.content,
        "interpolateDigits": between.content,
        "sampleChosenDigits": chosen.content,
        "translateImage": translation.content,
        "listModels": " ".join(model["id"] for model in models).encode(),
        **dict.fromkeys(("checkLive", "checkReady", "checkStartup"), b"ok"),
        "getMetrics": None,
        PROBLEM: b"404 urn:gan:problem:unknown-direction",
    }


def redocly_findings(document: Path, commands: Path) -> list[str]:
    """Returns what `redocly lint`, with its recommended rules, says about a document."""
    command = [str(commands / "redocly"), "lint", "--format", "json", str(document)]
    environment = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    report = json.loads(done.stdout[done.stdout.index("{") :])
    return [f"{problem['ruleId']}: {problem['message']}" for problem in report["problems"]]
