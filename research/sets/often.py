"""Which photos are drawn more often: faces that training photos show too rarely, by labels that two sets bring.

Children look alike to the shipped weights, and so do East and Southeast Asian women (the model
card): celebrities' photos have few of either. FairFace says ages and groups in a CSV, UTKFace
in the names of its files (``age_gender_race_date``; 2 is Asian).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["fairface_times", "utkface_times", "write_times"]

CHILD, ASIAN = 3, 2
YOUNG = ("0-2", "3-9")
GROUPS = ("East Asian", "Southeast Asian")
"""How often in a pass, and for whom; a child who is Asian counts as a child."""


def fairface_times(labels: Path) -> Iterator[tuple[str, int]]:
    """Yield ``fairface/file`` and how often, of photos drawn more than once."""
    with labels.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            times = CHILD if row["age"] in YOUNG else ASIAN if row["race"] in GROUPS else 1
            if times > 1:
                yield f"fairface/{Path(row['file']).name}", times


def utkface_times(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield ``utkface/file`` and how often, of photos drawn more than once; a few names lack a part."""
    for name in names:
        parts = name.split("_")
        times = CHILD if int(parts[0]) < 10 else ASIAN if len(parts) == 4 and parts[2] == "2" else 1
        if times > 1:
            yield f"utkface/{name}", times


def write_times(rows: Iterable[tuple[str, int]], out: Path) -> int:
    """Write the CSV that ``research train --times`` reads; return its number of photos."""
    rows = list(rows)
    with out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("photo", "times"), *rows])
    return len(rows)
