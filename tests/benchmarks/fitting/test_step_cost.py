import pytest
import torch

from benchmarks.fitting.step_cost import STEPS, VARIANTS, Contender, main
from training.config.cyclegan import CycleGanConfig
from training.distributed import World


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_a_fit_that_can_be_timed(variant: str) -> None:
    config = CycleGanConfig(filters=4, blocks=1, resize=32, crop=32, batch=2, **VARIANTS[variant])
    contender = Contender(config, World(device=torch.device("cpu")), torch.float32)
    assert contender.flops > 0
    before = contender.place
    assert contender.seconds() > 0
    assert contender.place == before + STEPS * config.batch


def test_the_table_has_a_row_for_every_batch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["steps", "--crop", "32", "--batch", "1", "2", "--variants", "default"])
    main()
    head, _, *rows = (line for line in capsys.readouterr().out.splitlines() if line.startswith("|"))
    assert [row.split("|")[1:3] for row in rows] == [[" default ", " 1 "], [" default ", " 2 "]]
    assert {row.count("|") for row in rows} == {head.count("|")}
