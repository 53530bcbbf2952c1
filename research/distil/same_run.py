"""Whether a folder's checkpoint is of this very training: the same photos, teacher and settings."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.errors import DataError
from flaskapp.personal.folder import RUN_NOTE, read_note
from research.sets.table import FaceTable

__all__ = ["check_same_run", "describe_run"]

# Of the mean of all targets, each number: above what another processor rounds otherwise, far below
# what another teacher says.
TOLERANCE = 1e-4


def describe_run(table: FaceTable, rows: np.ndarray, targets: np.ndarray, settings: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a training this one and no other, in JSON's types.

    Args:
        table: the photos.
        rows: int (N,), those that are learned from.
        targets: float32 (all photos, 128), what is learned of each.
        settings: those that a training cannot change on its way.
    """
    names = (f"{table.set_names[table.set_index[row]]} {'/'.join(table.paths[row].parts[-2:])}" for row in rows)
    digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()
    mean = targets[rows].mean(axis=0, dtype=np.float64)
    return {"photos": digest, "targets": np.round(mean, 7).tolist(), **settings}


def check_same_run(folder: Path, description: dict[str, Any], begun: bool) -> None:
    """Refuse to go on with a checkpoint of another training; write down what this one is.

    What has been learned stays learned: weights that go on from a checkpoint know its photos,
    whoever has been left out of the sets since.

    Args:
        folder: the run's own.
        description: as of ``describe_run``.
        begun: whether the folder holds a checkpoint.

    Raises:
        DataError: the checkpoint is of other photos, targets or settings, or nobody knows.
    """
    note = folder / RUN_NOTE
    if begun:
        other = _differences(read_note(note), description)
        if other:
            raise DataError(
                f"{folder.name} holds the checkpoint of another training: {', '.join(other)} differ.",
                "Name another folder for this one, or take state.npz and log.csv away.",
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(description, sort_keys=True) + "\n", encoding="utf-8")


def _differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [name for name in sorted(then.keys() | now.keys()) if not _equal(then.get(name), now.get(name))]


def _equal(then: Any, now: Any) -> bool:
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return bool(np.allclose(np.array(then, float), np.array(now, float), rtol=0, atol=TOLERANCE))
    return bool(then == now)
