"""What of the machine this process may use: cores, memory, and so how many photos at a time.

``os.cpu_count()`` and the machine's memory say what there is. A container, a service or a
batch system may use a part of it, and is slowed down or killed when it takes more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

OWN_GROUPS = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")  # where Linux says in which control groups this process is, and what they may use
BYTES_AT_REST = 350_000_000  # what a server takes before the first photo, twice the samples' warm-up
BYTES_A_PHOTO = 400_000_000  # most that looking at one photo takes


def allowed_cores() -> int:
    """Return how many processor cores this process may use, at least 1: by affinity and by quota."""
    # Python 3.13 has os.process_cpu_count for the first half.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _groups("cpu"):
        words = _words(group / "cpu.max") or [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
        if len(words) == 2 and words[0].isdecimal() and int(words[1]):  # else the quota is "max", or -1
            cores = min(cores, ceil(int(words[0]) / int(words[1])))
    return max(cores, 1)


def allowed_bytes() -> int | None:
    """Return how much memory this process may use; None where nothing says so."""
    names = ("memory.max", "memory.high", "memory.limit_in_bytes")
    words = [word for group in _groups("memory") for name in names for word in _words(group / name)]
    limits = [int(word) for word in words if word.isdecimal() and int(word)]  # else "max"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(limits, default=None)


def photos_at_once() -> int:
    """Return how many photos are worth looking at, at a time.

    Two for each core, since a comparison looks at two, and two comparisons at least; but no more than
    there is memory for, were each of them as costly as a photo may be.
    """
    wished, memory = 2 * max(allowed_cores(), 2), allowed_bytes()
    return wished if memory is None else max(min(wished, (memory - BYTES_AT_REST) // BYTES_A_PHOTO), 1)


def _groups(controller: str) -> Iterator[Path]:
    """Give the folders of the control groups that this process is in, from its own up to the topmost.

    Each may limit what is below it. In a container its own is often mounted as if it were the topmost.
    """
    try:
        lines = OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = GROUPS / controller if controllers else GROUPS  # version 1 has a tree for each controller, 2 one for all
        parts = [part for part in name.split("/") if part not in ("", "..")]
        for length in range(len(parts), -1, -1):
            yield top.joinpath(*parts[:length])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
