import pytest
from pydantic import ValidationError

from training.config.gan import GanConfig


def test_clusters_are_for_digits_without_labels():
    with pytest.raises(ValidationError, match="--clusters replaces labels, --conditional needs them"):
        GanConfig(clusters=8, conditional=True)


def test_one_cluster_is_none_to_choose_from():
    with pytest.raises(ValidationError, match="2 or more"):
        GanConfig(clusters=1)


def test_digits_start_from_one_checkpoint():
    with pytest.raises(ValidationError, match="at most 1 item"):
        GanConfig(init=["runs/a", "runs/b"])
