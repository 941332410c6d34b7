"""No security check of checkov fails but those that k8s/checkov.yaml gives a reason for."""

import shutil
import subprocess

import pytest

from .conftest import K8S


@pytest.mark.skipif(shutil.which("checkov") is None, reason="checkov is not installed; it needs its own environment")
def test_no_check_fails_without_a_reason() -> None:
    command = ["checkov", "--config-file", "k8s/checkov.yaml"]
    result = subprocess.run(command, cwd=K8S.parent, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
