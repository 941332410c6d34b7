"""Measures what a step of CycleGAN costs on this machine.

    python -m benchmarks.fitting.step_cost --preset reference --batch 1 4 8

Prints pairs a second and the share of the hardware's peak for every batch size and option, on random images. The
contenders take turns of ten steps; each figure is the median of the rounds. On a CPU, times are CPU times.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import torch

from training.config.cyclegan import CycleGanConfig
from training.data.unpaired import Domain
from training.distributed import World
from training.flops import CountedSteps, peak_flops, utilisation
from training.run import choose_device, choose_precision
from training.tasks.cyclegan import CycleGanTask

STEPS, ROUNDS = 10, 3
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "augmented": {"augment": True},
}


class Contender:
    """A fit whose steps are timed."""

    def __init__(self, config: CycleGanConfig, world: World, precision: torch.dtype) -> None:
        noise = torch.randint(256, (4, 3, config.resize, config.resize), dtype=torch.uint8)
        domains = Domain("trainA", noise, ""), Domain("trainB", noise, "")
        self.task = CycleGanTask(config, domains, (noise[:1], noise[:1]), world, precision)
        counted = CountedSteps(self.task)
        self.batch, self.place = config.batch, 0
        for _ in range(2 * config.period_steps):  # counts, compiles, warms up
            counted.step(self.place)
            self.place += self.batch
        self.flops = counted.flops_per_image or 0.0

    def seconds(self) -> float:
        """Seconds that STEPS steps take."""
        device = self.task.world.device
        clock = time.perf_counter if device.type == "cuda" else time.process_time
        start = clock()
        for _ in range(STEPS):
            self.task.step(self.place)
            self.place += self.batch
            self.task.update_averages(self.place)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - start


def main() -> None:
    """Measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("compact", "reference"), default="compact")
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=tuple(VARIANTS))
    parser.add_argument("--threads", type=int, default=1, help="on a CPU")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.backends.cudnn.benchmark = True
    torch._dynamo.config.recompile_limit = (
        8 * len(VARIANTS) * len(given.batch)
    )  # beyond this limit, steps run uncompiled
    world = World(device=choose_device("auto"))
    precision = choose_precision("auto", world.device)
    contenders = {}
    for batch in given.batch:
        for name in given.variants:
            print(f"preparing: {name}, batch {batch}", file=sys.stderr, flush=True)  # compilation takes a minute
            settings = VARIANTS[name]
            config = CycleGanConfig(
                preset=given.preset, crop=given.crop, batch=batch, compile=given.compile, **settings
            )
            contenders[name, batch] = Contender(config, world, precision)
    times = [{place: contender.seconds() for place, contender in contenders.items()} for _ in range(ROUNDS)]
    peak = peak_flops(world.device, precision)
    print(f"{given.preset}, {given.crop} px, {world.device}, {precision}, peak {peak / 1e12:.2f} TFLOP/s\n")
    print("| fit | batch | TFLOP a pair | pairs/s | of the peak |\n|---|---|---|---|---|")
    for (name, batch), contender in contenders.items():
        rate = STEPS * batch / statistics.median(time[name, batch] for time in times)
        share = utilisation(contender.flops, rate, peak)
        print(f"| {name} | {batch} | {contender.flops / 1e12:.3f} | {rate:.2f} | {share:.0%} |")


if __name__ == "__main__":
    main()
