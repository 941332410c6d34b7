"""Images of this checkout, built once a session and only where a test asks for them."""

import pytest

from .engine import CPU, GPU, TRAIN, build, build_with_compose


@pytest.fixture(scope="session")
def cpu_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tag of the image that Compose builds."""
    build_with_compose(tmp_path_factory.mktemp("compose"))
    return CPU


@pytest.fixture(scope="session")
def gpu_image() -> str:
    build("gpu", GPU)
    return GPU


@pytest.fixture(scope="session")
def train_image() -> str:
    """7 GB."""
    build("train", TRAIN)
    return TRAIN
