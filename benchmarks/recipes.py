"""Base-training recipes beside each other: one change at a time, the same faces in the same order.

``python -m benchmarks.recipes base-sets.toml --work runs/base --json recipes.json`` trains each
variant from nothing for so many batches, the rate falling to nothing as in the long run, and
prints FNMR of the validation people, by cosine, with the faces a second of this very run. With
``--start WEIGHTS.h5`` all of them go on from weights instead: what pays late in training may
cost at its beginning. One run each, and a short one: small differences mean little.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import keras
import numpy as np

from flaskapp.dataset import sets
from flaskapp.dataset.sets import FaceTable
from flaskapp.model import RESIDUAL_UNITS
from flaskapp.training.base import (
    VALIDATION_PHOTOS,
    prepare,
    refit_projection,
    start_from,
    vector_figures,
)
from flaskapp.training.batches import Batches, Jitter
from flaskapp.training.centring import centred_teacher
from flaskapp.training.distillation import DistillationLoss, Schedule, build_student
from flaskapp.training.optimizer import ConvolutionMuon
from flaskapp.training.scores import labelled

BATCH_SIZE = 48
SEED = 2026
ADAMW_RATE = 0.0012
# Share of the first rate at which a later run goes on.
LATE = 0.4
PLAIN, STILL = Jitter(), Jitter(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Variant:
    """A recipe; the default is the one that the shipped weights are made by.

    Attributes:
        regression: the loss's share of the teacher's vector itself; the rest is neighbourhoods.
        muon: or AdamW for every weight.
        residual_units: of each block.
        jitter: augmentation.
        centred: whether the mean of the centre's faces is taken off the targets.
    """

    regression: float = 0.5
    muon: bool = True
    residual_units: Sequence[int] = RESIDUAL_UNITS
    jitter: Jitter = PLAIN
    centred: bool = True

    def optimizer(self) -> keras.optimizers.Optimizer:
        return ConvolutionMuon() if self.muon else keras.optimizers.AdamW(ADAMW_RATE, global_clipnorm=1.0)


AS_SHIPPED = Variant()
VARIANTS = {
    "as shipped": AS_SHIPPED,
    "regression alone": replace(AS_SHIPPED, regression=1.0),
    "neighbourhoods alone": replace(AS_SHIPPED, regression=0.0),
    "AdamW in place of Muon": replace(AS_SHIPPED, muon=False),
    "the teacher's vectors not centred": replace(AS_SHIPPED, centred=False),
    "mirrored only": replace(AS_SHIPPED, jitter=STILL),
    "without loss of detail": replace(AS_SHIPPED, jitter=Jitter(coarsened=0, compressed=0)),
    "no residual units": replace(AS_SHIPPED, residual_units=(0, 0, 0, 0)),
    "residual units 0/1/2/2": replace(AS_SHIPPED, residual_units=(0, 1, 2, 2)),
}


def train(
    variant: Variant, table: FaceTable, crops: np.ndarray, steps: int, start: Path | None
) -> tuple[keras.Model, float]:
    """Train a variant, from nothing or from weights; return the student and the faces a second."""
    keras.utils.set_random_seed(SEED)
    targets = centred_teacher(table) if variant.centred else table.targets
    rows = np.flatnonzero((table.role == sets.TRAINING) & ~np.isnan(targets).any(axis=1))
    batches = Batches(crops, targets, rows, BATCH_SIZE, variant.jitter, SEED)
    student, optimizer = build_student(variant.residual_units), variant.optimizer()
    student.compile(optimizer, DistillationLoss(targets[rows], SEED, variant.regression))
    rate = float(optimizer.learning_rate) * (1 if start is None else LATE)
    if start is not None:
        start_from(student, start)
        refit_projection(student, crops, rows, targets, SEED)
    schedule = Schedule(steps, rate=rate)
    seconds = 0.0
    for step in range(steps):
        started = time.perf_counter()
        optimizer.learning_rate = schedule.rate_at(step, 0)
        student.train_on_batch(*batches.batch(step))
        seconds += time.perf_counter() - started
    return student, steps * BATCH_SIZE / seconds


@click.command()
@click.argument("sets_file", type=click.Path(exists=True, path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder with the crops, as of train-base.")
@click.option("--steps", type=click.IntRange(min=1), default=400, show_default=True, help="Batches of 48 faces.")
@click.option("--start", type=click.Path(exists=True, path_type=Path), help="Weights that all variants go on from.")
@click.option("--only", multiple=True, type=click.Choice(list(VARIANTS)), help="Some variants only.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures, after each variant.")
def main(
    sets_file: Path, work: Path, steps: int, start: Path | None, only: tuple[str, ...], json_file: Path | None
) -> None:
    table, crops = prepare(sets_file, work)
    people = labelled(table, sets.VALIDATION).rows[:VALIDATION_PHOTOS]
    click.echo(
        f"\n{steps} batches of {BATCH_SIZE} each\n\n| recipe | FNMR at FMR 1 % | 0.1 % | faces/s |\n|---|---|---|---|"
    )
    told = {}
    for name, variant in VARIANTS.items():
        # Other units have nothing to go on from.
        if (only and name not in only) or (start is not None and variant.residual_units != RESIDUAL_UNITS):
            continue
        student, rate = train(variant, table, crops, steps, start)
        figures = vector_figures(student, crops[people], table.person[people])
        shares = [f"{100 * share:.1f} %" for share in figures.values()]
        click.echo(f"| {' | '.join([name, *shares, f'{rate:.0f}'])} |")
        told[name] = {**figures, "faces_a_second": rate, "steps": steps, "recipe": asdict(variant)}
        if json_file:
            json_file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
