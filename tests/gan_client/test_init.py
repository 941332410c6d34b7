import subprocess
import sys

import pytest


@pytest.mark.parametrize("missing", ["httpx", "tenacity"])
def test_without_its_extra_the_package_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from gan_client import Client"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"ImportError: {missing} is not installed: the extra 'client' of gan-serving installs it"
