"""Ray reports nothing unless the user wants it to."""

import os
import subprocess
import sys

import pytest

SWITCH = "RAY_USAGE_STATS_ENABLED"


@pytest.mark.parametrize(("chosen", "expected"), [(None, "0"), ("1", "1")])
def test_usage_reports_are_off_unless_the_user_wants_them(chosen: str | None, expected: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != SWITCH}
    environment |= {SWITCH: chosen} if chosen else {}
    code = f"import gan_batch, os; print(os.environ[{SWITCH!r}])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
