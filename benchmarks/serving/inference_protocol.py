"""Compares a digit over the Open Inference Protocol with one from /mnist/sample, at the same service and connections.

    python -m benchmarks.serving.inference_protocol

Needs wrk. The loads take turns, in an order that changes every round. Prints, for each, its rate over that of
/mnist/sample?format=npy in the same round: the median and the range of all rounds.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.report import ROOT
from benchmarks.serving.load_generators import Work, wrk
from benchmarks.serving.servers import Server

REFERENCE = "/mnist/sample?format=npy"
INFER = "/v2/models/mnist/infer"


def works(folder: Path) -> dict[str, Work]:
    """The loads by name, with their bodies in `folder`."""
    item = {"name": "seed", "datatype": "UINT64", "shape": [1]}
    data = np.array([7], "<u8").tobytes()
    head = {"inputs": [{**item, "parameters": {"binary_data_size": len(data)}}]}
    text = json.dumps({**head, "parameters": {"binary_data_output": True}}).encode()
    (folder / "binary").write_bytes(text + data)
    (folder / "json").write_text(json.dumps({"inputs": [{**item, "data": [7]}]}))
    return {
        REFERENCE: Work(REFERENCE),
        "/mnist/sample": Work("/mnist/sample"),
        f"{INFER}, binary": Work(INFER, "POST", "application/octet-stream", len(text), (folder / "binary",)),
        f"{INFER}, JSON": Work(INFER, "POST", "application/json", None, (folder / "json",)),
    }


def main() -> None:
    """Reads the command line, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3, help="of each load")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        loads = works(folder)
        environment = {"GAN_PORT": str(arguments.port), "GAN_DEVICE": "cpu"}
        command = [sys.executable, "-m", "service"]
        server = Server("service", command, arguments.port, environment, ROOT, folder / "log")
        server.start(list(loads.values()))
        try:
            ratios: dict[str, list[float]] = {name: [] for name in loads}
            for turn in range(arguments.rounds):
                order = list(loads)[:: -1 if turn % 2 else 1]
                rates = {
                    name: wrk(server.url, loads[name], arguments.connections, arguments.seconds).rate for name in order
                }
                for name, rate in rates.items():
                    ratios[name].append(rate / rates[REFERENCE])
        finally:
            server.stop()
    for name, values in ratios.items():
        print(f"{name:35} {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
