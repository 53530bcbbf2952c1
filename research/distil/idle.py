"""How many cores other work leaves idle: a run behind other work takes those, and at least one."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

__all__ = ["IdleCores"]

LOOKED_EVERY = 10.0
BUSY = 0.25
"""Seconds between looks; and from which share of a core on other work needs it. Two threads that wait for each
other beside other work are slower than one."""

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class IdleCores:
    """Says how many threads to use just now, by what other processes took of the processors lately."""

    def __init__(self) -> None:
        self.cores = len(os.sched_getaffinity(0))
        self.answer, self.looked, self.others = self.cores, time.monotonic(), _others_seconds()

    def __call__(self) -> int:
        """Return a number of threads, 1 or more."""
        now = time.monotonic()
        if now - self.looked >= LOOKED_EVERY:
            others = _others_seconds()
            busy = (others - self.others) / (now - self.looked)
            self.answer = max(1, self.cores - max(0, math.ceil(busy - BUSY)))
            self.looked, self.others = now, others
        return self.answer


def _others_seconds() -> float:
    """Return the processor seconds that everything but this process has had since the machine started."""
    user, nice, system, _, _, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    own = os.times()
    return (user + nice + system + irq + soft) / TICKS - own.user - own.system
