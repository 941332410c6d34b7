"""Measures the service, its limits and its peers in one run on this machine.

    make bench                                           installs the peers, runs everything: about 25 minutes
    python -m benchmarks.serving --peers FOLDER          runs everything
    python -m benchmarks.serving --quick --peers FOLDER  a smoke test of about 3 minutes; its figures mean little

Needs wrk (apt install wrk). Each section is written to --out as soon as it is done; --resume skips those that are
there. Contenders take turns within a section, so that a ratio compares what the machine did at the same time.
"""

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.report import ROOT
from benchmarks.serving import contenders
from benchmarks.serving.bench import Bench
from benchmarks.serving.contenders import Place
from benchmarks.serving.goals import figures
from benchmarks.serving.page import RESULTS
from benchmarks.serving.sections import measure


def main() -> None:
    """Reads the command line, measures, prints the figures and renders the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=ROOT / "build" / "peers", help="environments of peers/install.py")
    parser.add_argument("--checkout", type=Path, default=ROOT, help="repository whose service is measured")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the service's dependencies")
    parser.add_argument("--port", type=int, default=18300, help="first of a hundred free ports")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="short and once: a smoke test")
    parser.add_argument("--resume", action="store_true", help="keep the sections that are there")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as scratch:
        place = Place(chosen.checkout.resolve(), chosen.python, chosen.peers.resolve(), Path(scratch), chosen.port)
        bench = Bench(place, contenders.write_bodies(place.scratch / "bodies"), chosen.out, chosen.quick, chosen.resume)
        if not bench.resume:
            for old in bench.out.glob("*.json"):
                old.unlink()
        try:
            measure(bench)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not leave servers behind
            bench.stop()
    results = {path.stem: json.loads(path.read_text()) for path in bench.out.glob("*.json")}
    for figure in figures(results):
        value = "" if figure.value is None else f"{figure.value:.2f}"
        print(f"{figure.what:88} {value:>7} goal {'>=' if figure.at_least else '<='} {figure.goal} {figure.verdict}")
    for problem in bench.problems:
        print(f"problem: {problem}", file=sys.stderr)


if __name__ == "__main__":
    main()
