"""From a sets file to a table of photos and their faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from research.sets.crops import Progress, crops_of
from research.sets.file import read_sets
from research.sets.quality import leave_out_faults
from research.sets.roles import LEFT_OUT
from research.sets.table import FaceTable, load_faces

__all__ = ["prepare"]


def prepare(
    sets_file: Path,
    crops_folder: Path,
    say: Callable[[str], Any] = print,
    progress: Progress = iter,
    workers: int = 2,
) -> tuple[FaceTable, np.ndarray]:
    """List the photos, leave out whom training must not see, cut every face that is not cut yet.

    Args:
        sets_file: TOML, see ``research.sets.table``.
        crops_folder: keeps the faces for the next call.
        say: gets a line now and then.
        progress: wraps the iteration over chunks of photos.
        workers: processes that cut.

    Returns:
        The table, and the crops uint8 (N, 100, 100, 3). A photo without a face is LEFT_OUT, and so is a
        training photo that is mislabelled or stands under two names.

    Raises:
        DataError: the sets cannot be used.
    """
    table = load_faces(*read_sets(sets_file))
    for name, reason in table.passed_over.items():
        say(f"  left out: {name}: {reason}")
    crops = crops_of(table, crops_folder, progress, workers)
    table.role[~np.array([crop.any() for crop in crops])] = LEFT_OUT
    # Only now: the file of crops stays good when faults are found otherwise.
    faults = leave_out_faults(table)
    say("  left out: " + ", ".join(f"{count:,} {fault}" for fault, count in faults.items()))
    for name, counts in table.counts().items():
        say(f"  {name}: " + ", ".join(f"{count:,} {role}" for role, count in counts.items() if count))
    return table, crops
