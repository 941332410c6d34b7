"""Measures size=native in tiles: the service with an untrained generator of the compact size without norms.

    python -m benchmarks.serving.tiles --seconds 20

Prints rows for the table of docs/operating/operations.md, in the form of `tools.footprint`.
"""

import argparse
import tempfile
from pathlib import Path

import torch

from export.publish import publish
from tools.footprint import Load, measure, service
from training import checkpoint
from training.networks.cyclegan import PRESETS, Generator

LOADS = (
    Load("1600x1200 at size=native, in tiles", "/translate/horse2zebra?size=native", (1600, 1200), 8),
    Load("4000x3000 at size=native, in tiles", "/translate/horse2zebra?size=native", (4000, 3000), 2),
)


def untrained() -> dict[str, object]:
    """What a fit of a pair without norms saves, with random weights."""
    weights = Generator(*PRESETS["compact"][0]._replace(norm="none")).state_dict()
    return {
        "task": "cyclegan",
        "images": 0,
        "config": {"pair": "horse2zebra", "preset": "compact", "generator_norm": "none", "only": "G"},
        "dataset": {},
        "history": [],
        "provenance": {"git_commit": "", "torch": str(torch.__version__)},
        "averages": {"G": weights, "F": weights},
    }


def main() -> None:
    """Reads the command line, exports, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        publish(checkpoint.write(Path(folder) / "run", untrained()), models)
        with service(arguments.port, "--models", str(models)) as (pid, _):
            for load in LOADS:
                print(measure(load, pid, arguments.port, arguments.seconds)[0], flush=True)


if __name__ == "__main__":
    main()
