"""How many CPU cores this process may really use."""

import math
import os
from pathlib import Path

CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = CGROUP_QUOTA) -> int:
    """Cores that the scheduler lets it run on, or fewer where a container's quota (cgroup v2 `quota`) allows less.

    A thread a core of a large node, under a small quota, would be throttled most of the time.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if share == "max" else max(1, min(cores, math.ceil(int(share) / int(period))))
