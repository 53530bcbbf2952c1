"""Faces a second of two trainers, by turns in one run, in the whole loop: batches, step, optimiser, average.

Turns make a busy moment hit both alike. Faces and targets are random: a step takes as long.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from flaskapp.dataset.sets import TRAINING, FaceTable
from flaskapp.training import distillation
from flaskapp.training.batches import Batches as EarlierBatches
from flaskapp.training.batches import Jitter
from research.distil.faces import Batches, Changes
from research.distil.network import build_student
from research.distil.train import Recipe, Run, Schedule

__all__ = ["rates"]

FACES, BATCH, SEED = 4096, 128, 2026
SMALL, GROWN = (0, 0, 3, 2), (0, 2, 4, 3)
WARM_UP = 3


def _photos() -> tuple[FaceTable, np.ndarray]:
    rng = np.random.default_rng(SEED)
    teacher = rng.normal(size=(FACES, 128)).astype(np.float32)
    table = FaceTable(
        set_names=("random",),
        paths=tuple(Path("random") / f"{row}.png" for row in range(FACES)),
        set_index=np.zeros(FACES, int),
        person=np.arange(FACES),
        role=np.full(FACES, TRAINING),
        landmarks=np.zeros((FACES, 5, 2), np.float32),
        teacher=teacher / np.linalg.norm(teacher, axis=1, keepdims=True),
    )
    return table, rng.integers(0, 256, (FACES, 100, 100, 3), np.uint8)


def _earlier(folder: Path, table: FaceTable, faces: np.ndarray) -> Callable[[], object]:
    batches = EarlierBatches(faces, table.teacher, np.arange(FACES), BATCH, Jitter(), SEED)
    run = distillation.Distillation(folder, batches, distillation.Schedule(10**6), lambda _: {})
    stream = batches.ahead(0)
    return lambda: run._train_step(stream)


def _this(folder: Path, table: FaceTable, faces: np.ndarray, units: Sequence[int], neck: int) -> Callable[[], object]:
    batches = Batches(faces, table.teacher, np.arange(FACES), BATCH, Changes(), SEED)
    run = Run(folder, build_student(units, neck), table, batches, Schedule(), Recipe(BATCH))
    stream = batches.ahead(0)
    return lambda: run._step(*next(stream))


def rates(rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median and the best faces a second of each trainer over so many turns of one batch."""
    table, faces = _photos()
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            "earlier trainer, small network": _earlier(Path(folder) / "earlier", table, faces),
            "this trainer, small network": _this(Path(folder) / "small", table, faces, SMALL, 0),
            "this trainer, grown network": _this(Path(folder) / "grown", table, faces, GROWN, 512),
        }
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(WARM_UP + rounds):
            for name, step in steps.items():
                started = time.perf_counter()
                step()
                taken[name].append(time.perf_counter() - started)
    return {name: (BATCH / statistics.median(t[WARM_UP:]), BATCH / min(t[WARM_UP:])) for name, t in taken.items()}
