"""Marks as slow what takes seconds a test, so that `make test-fast` can leave it out."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SLOW = (
    "benchmarks/fitting",
    "docker/prometheus",
    "export",
    "k8s",
    "service/routes/test_models.py",
    "service/routes/test_translate.py",
    "service/test_cli.py",
    "service/test_codec_process.py",
    "service/test_codec_threads.py",
    "service/test_codecs.py",
    "service/test_cpu_session.py",
    "service/test_imports.py",
    "service/test_request_head.py",
    "service/test_server.py",
    "service/test_session.py",
    "service/test_state.py",
    "service/test_tracing.py",
    "test_bundled_models.py",
    "test_end_to_end.py",
    "training/evaluation",
    "training/test_cli.py",
    "training/test_cyclegan_task.py",
    "training/test_digit_classifier.py",
    "training/test_distil_task.py",
    "training/test_distributed.py",
    "training/test_extrapolation.py",
    "training/test_gan_task.py",
    "training/test_training_loop.py",
    "training/test_utilisation.py",
    "training/test_warm_start.py",
)
"""Files and folders below tests/. A single slow test of another file has the mark itself."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Adds the mark; an entry that leads nowhere is an error, so that the list follows when files move."""
    if missing := [entry for entry in SLOW if not (TESTS / entry).exists()]:
        raise pytest.UsageError(f"tests/conftest.py: SLOW names what does not exist: {', '.join(missing)}")
    for item in items:
        if any(item.path.is_relative_to(TESTS / entry) for entry in SLOW):
            item.add_marker(pytest.mark.slow)
