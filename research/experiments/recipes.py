"""Base-training recipes beside each other: one change at a time, the same faces in the same order.

``python -m research.experiments.recipes base-sets.toml --work runs/base --json recipes.json`` trains each
variant from nothing for so many batches, the rate falling to nothing as in the long run, and
prints FNMR of the validation people, by cosine, also of their photos spoiled in four ways, with the
faces a second of this very run. With ``--start WEIGHTS.h5`` all of them go on from weights instead:
what pays late in training may cost at its beginning. One run each, and a short one: small
differences mean little.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import click
import keras
import numpy as np

from flaskapp import preprocess
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
from flaskapp.training.distillation import TEACHER_SIZE, DistillationLoss, Schedule, build_student
from flaskapp.training.fused import FusedBatchNormalization
from flaskapp.training.optimizer import ConvolutionMuon
from flaskapp.training.scores import labelled
from research.experiments.recipe_losses import (
    UNKNOWN,
    MarginAlone,
    MarginBesideDistillation,
    PairsAlone,
    PairScores,
    PersonCosines,
)

BATCH_SIZE = 48
SEED = 2026
ADAMW_RATE = 0.0012
# Share of the first rate at which a later run goes on.
LATE = 0.4
AVERAGE = 0.99
# The shipped weights have seen no blurred faces; that some are is the default of the next.
PLAIN, STILL = Jitter(blurred=0), Jitter(0, 0, 0, 0, 0, 0, 0, blurred=0)
# What is done to every photo of the validation people: the same for all variants.
SPOILED = {
    "covered": replace(STILL, covered=1.0),
    "blurred": replace(STILL, blurred=1.0),
    "small": replace(STILL, coarsened=1.0),
    "JPEG": replace(STILL, compressed=1.0),
}


@dataclass(frozen=True)
class Variant:
    """A recipe; the default is the one that the shipped weights are made by.

    Attributes:
        regression: the loss's share of the teacher's vector itself; the rest is neighbourhoods.
        muon: or AdamW for every weight.
        residual_units: of each block.
        jitter: augmentation.
        centred: whether the mean of the centre's faces is taken off the targets.
        learns: from the teacher, from its people by a margin softmax beside that or alone, or
            from pairs alone.
        flattened: whether the last map is flattened in front of the projection, in place of
            the depthwise convolution over it.
        averaged: whether the weights are measured as an average over about the last 100 batches.
        left_out: the name of a set that is not learned from.
    """

    regression: float = 0.5
    muon: bool = True
    residual_units: Sequence[int] = RESIDUAL_UNITS
    jitter: Jitter = PLAIN
    centred: bool = True
    learns: Literal["teacher", "margin too", "margin", "pairs"] = "teacher"
    flattened: bool = False
    averaged: bool = False
    left_out: str | None = None

    @property
    def can_go_on(self) -> bool:
        """Whether weights of the shipped architecture can be its beginning."""
        return self.residual_units == RESIDUAL_UNITS and not self.flattened

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return what it trains with."""
        if self.muon:
            return ConvolutionMuon(use_ema=self.averaged, ema_momentum=AVERAGE)
        return keras.optimizers.AdamW(ADAMW_RATE, global_clipnorm=1.0)

    def student(self) -> keras.Model:
        """Return the network from a face to 128 numbers."""
        student = build_student(self.residual_units)
        if not self.flattened:
            return student
        numbers = keras.layers.Flatten(dtype="float32")(student.get_layer("block4_pool").output)
        numbers = FusedBatchNormalization(dtype="float32")(numbers)  # as behind the depthwise convolution
        return keras.Model(student.input, keras.layers.Dense(TEACHER_SIZE, dtype="float32")(numbers))


AS_SHIPPED = Variant()
VARIANTS = {
    "as shipped": AS_SHIPPED,
    "regression alone": replace(AS_SHIPPED, regression=1.0),
    "neighbourhoods alone": replace(AS_SHIPPED, regression=0.0),
    "AdamW in place of Muon": replace(AS_SHIPPED, muon=False),
    "the teacher's vectors not centred": replace(AS_SHIPPED, centred=False),
    "mirrored only": replace(AS_SHIPPED, jitter=STILL),
    "without loss of detail": replace(AS_SHIPPED, jitter=replace(PLAIN, coarsened=0, compressed=0)),
    "without small photos": replace(AS_SHIPPED, jitter=replace(PLAIN, coarsened=0)),
    "without JPEG": replace(AS_SHIPPED, jitter=replace(PLAIN, compressed=0)),
    "some blurred": replace(AS_SHIPPED, jitter=Jitter()),
    "parts covered": replace(AS_SHIPPED, jitter=replace(PLAIN, covered=0.3)),
    "the nine augmentations too": replace(AS_SHIPPED, jitter=replace(PLAIN, transformed=0.5)),
    "no residual units": replace(AS_SHIPPED, residual_units=(0, 0, 0, 0)),
    "residual units 0/0/1/2": replace(AS_SHIPPED, residual_units=(0, 0, 1, 2)),
    "residual units 0/1/2/2": replace(AS_SHIPPED, residual_units=(0, 1, 2, 2)),
    "without faces of nobody": replace(AS_SHIPPED, left_out="blends"),
    "flattened": replace(AS_SHIPPED, flattened=True),
    "weights averaged": replace(AS_SHIPPED, averaged=True),
    "margin softmax on people too": replace(AS_SHIPPED, learns="margin too"),
    "margin softmax on people alone": replace(AS_SHIPPED, learns="margin"),
    "BCE on pairs alone": replace(AS_SHIPPED, learns="pairs"),
}


@dataclass(frozen=True)
class BatchesOfPairs(Batches):
    """Batches in which every person stands twice; targets end in the person's number."""

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return half as many people as there are faces, each with two photos."""
        rng = np.random.default_rng((self.seed, step))
        person = self.targets[self.rows, TEACHER_SIZE]
        people, photos = np.unique(person, return_counts=True)
        people = people[(people != UNKNOWN) & (photos > 1)]
        chosen = rng.choice(people, self.size // 2, replace=False)
        rows = np.concatenate([rng.choice(self.rows[person == one], 2, replace=False) for one in chosen])
        return preprocess.to_model_input(self.jitter.apply(self.crops[rows], rng)), self.targets[rows]


def with_people(targets: np.ndarray, person: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return targets with the number of each training person behind them, and the people's mean vectors."""
    known = rows[person[rows] != sets.UNKNOWN_PERSON]
    names, numbers = np.unique(person[known], return_inverse=True)
    told = np.full(len(targets), UNKNOWN, np.float32)
    told[known] = numbers
    centres = np.zeros((len(names), TEACHER_SIZE), np.float32)
    np.add.at(centres, numbers, targets[known])
    return np.concatenate([targets, told[:, None]], axis=1), centres


def taught(variant: Variant, student: keras.Model, faces: np.ndarray, centres: np.ndarray) -> keras.Model:
    """Return the student with what its loss needs behind it, compiled."""
    layer: keras.layers.Layer
    loss: keras.losses.Loss
    if variant.learns == "teacher":
        student.compile(variant.optimizer(), DistillationLoss(faces, SEED, variant.regression))
        return student
    if variant.learns == "margin too":
        layer, loss = PersonCosines(centres), MarginBesideDistillation(faces, SEED)
    elif variant.learns == "margin":
        layer, loss = PersonCosines(centres), MarginAlone()
    else:
        layer, loss = PairScores(dtype="float32"), PairsAlone()
    model = keras.Model(student.input, layer(student.output))
    model.compile(variant.optimizer(), loss)
    return model


def train(
    variant: Variant, table: FaceTable, crops: np.ndarray, steps: int, start: Path | None
) -> tuple[keras.Model, float]:
    """Train a variant, from nothing or from weights; return the student and the faces a second."""
    keras.utils.set_random_seed(SEED)
    targets = centred_teacher(table) if variant.centred else table.targets
    # Where there is no such set nothing is left out, and the variant is as shipped.
    learned = np.array([name != variant.left_out for name in table.set_names])[table.set_index]
    rows = np.flatnonzero((table.role == sets.TRAINING) & learned & ~np.isnan(targets).any(axis=1))
    told, centres = with_people(targets, table.person, rows)
    if variant.learns == "teacher":
        told = targets
    batches = (BatchesOfPairs if variant.learns == "pairs" else Batches)(
        crops, told, rows, BATCH_SIZE, variant.jitter, SEED
    )
    student = variant.student()
    model = taught(variant, student, targets[rows], centres)
    optimizer = model.optimizer
    rate = float(optimizer.learning_rate) * (1 if start is None else LATE)
    if start is not None:
        start_from(student, start)
        refit_projection(student, crops, rows, targets, SEED)
    schedule = Schedule(steps, rate=rate)
    seconds = 0.0
    for step in range(steps):
        started = time.perf_counter()
        optimizer.learning_rate = schedule.rate_at(step, 0)
        model.train_on_batch(*batches.batch(step))
        seconds += time.perf_counter() - started
    if variant.averaged:
        optimizer.finalize_variable_values(model.trainable_variables)
    return student, steps * BATCH_SIZE / seconds


def spoiled_figures(student: keras.Model, faces: np.ndarray, person: np.ndarray) -> dict[str, float]:
    """Return the FNMR at FMR 1 % of faces uint8 (N, 100, 100, 3), all of them spoiled, by way."""
    told = {}
    for way, jitter in SPOILED.items():
        spoiled = jitter.apply(faces, np.random.default_rng(SEED))
        told[way] = vector_figures(student, spoiled, person)["fnmr_at_fmr_0.01"]
    return told


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
    """Train each variant, and print its figures."""
    table, crops = prepare(sets_file, work)
    people = labelled(table, sets.VALIDATION).rows[:VALIDATION_PHOTOS]
    click.echo(f"\n{steps} batches of {BATCH_SIZE} each\n")
    click.echo(f"| recipe | FNMR at FMR 1 % | 0.1 % | 1 %, all {' | '.join(SPOILED)} | faces/s |")
    click.echo("|" + "---|" * (4 + len(SPOILED)))
    faces, person = crops[people], table.person[people]

    def measure(name: str, student: keras.Model, rate: float | None) -> dict[str, float]:
        figures = vector_figures(student, faces, person) | spoiled_figures(student, faces, person)
        shares = [f"{100 * share:.1f} %" for share in figures.values()]
        click.echo(f"| {' | '.join([name, *shares, '–' if rate is None else f'{rate:.0f}'])} |")
        return figures

    if start is not None:
        student = AS_SHIPPED.student()
        start_from(student, start)
        measure("before any of them", student, None)
    told = {}
    for name, variant in VARIANTS.items():
        if (only and name not in only) or (start is not None and not variant.can_go_on):
            continue
        student, rate = train(variant, table, crops, steps, start)
        figures = measure(name, student, rate)
        told[name] = {**figures, "faces_a_second": rate, "steps": steps, "recipe": asdict(variant)}
        if json_file:
            json_file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
