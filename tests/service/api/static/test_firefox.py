"""The page in the system's Firefox, driven over WebDriver BiDi. Skipped where Firefox is not installed."""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
PATIENCE_S = 60.0

Ask = Callable[..., dict[str, Any]]

UNTIL = """async (selector, text) => {
  for (;;) {
    if (document.querySelector(selector)?.textContent.includes(text)) return true;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}"""


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Ask]:
    """`ask(method, **params)`: the result of a command of WebDriver BiDi."""
    if FIREFOX is None:
        pytest.skip("Firefox is not installed: apt-get install firefox-esr")
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(tmp_path), "--remote-debugging-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        address = next(
            found[1] for line in process.stderr if (found := re.search(r"BiDi listening on (ws://\S+)", line))
        )
        numbers = itertools.count()
        try:
            with connect(f"{address}/session", max_size=None, proxy=None) as socket:

                def send(method: str, **params: object) -> dict[str, Any]:
                    number = next(numbers)
                    socket.send(json.dumps({"id": number, "method": method, "params": params}))
                    while (message := json.loads(socket.recv(PATIENCE_S))).get("id") != number:
                        pass
                    assert message["type"] == "success", message
                    result: dict[str, Any] = message["result"]
                    return result

                send("session.new", capabilities={})
                yield send
        finally:
            process.terminate()
            process.stderr.read()


def test_digits_and_a_translation_in_firefox(ask: Ask, address: str) -> None:
    tab = ask("browsingContext.getTree")["contexts"][0]["context"]

    def run(function: str, *arguments: str) -> Any:
        given = [{"type": "string", "value": argument} for argument in arguments]
        target, settings = {"context": tab}, {"functionDeclaration": function, "awaitPromise": True}
        done = ask("script.callFunction", target=target, arguments=given, **settings)
        assert done["type"] == "success", done
        return done["result"].get("value")

    ask("browsingContext.navigate", context=tab, url=f"{address}/?lang=en&seed=3&count=16&chosen=4", wait="complete")
    assert run(UNTIL, "#digits > .status", "16 digits, seeds from 3 upwards")
    assert run("() => document.getElementById('large').alt") == "Digit of seed 4"
    run("() => document.querySelector('[data-example=foal]').click()")
    assert run(UNTIL, "#translation > .status", "Translated in")
    assert run("() => document.getElementById('after').naturalWidth") == 400
    run("() => document.getElementById('cycle-run').click()")
    assert run(UNTIL, "#cyclegan > .status", "After the cycle")
    run("() => document.querySelector('[data-language=ko]').click()")
    assert run(UNTIL, "#digits > .status", "첫 시드 3")
