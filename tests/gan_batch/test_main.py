import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["ray", "fsspec"])
def test_without_its_extra_the_command_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from gan_batch.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert f"{missing} is not installed: the extra 'ray' of gan-serving" in done.stderr


INTERRUPTED = """
import sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == "ray":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
"""
"""Ctrl-C during an import."""


def test_an_interrupt_during_the_imports_ends_the_command_quietly() -> None:
    code = INTERRUPTED + "from gan_batch.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
