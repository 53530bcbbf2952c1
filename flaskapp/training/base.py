"""Base training from folders to ``siamese_model_final.h5``: three steps, one command.

1. The trunk learns the teacher's numbers (``distillation``).
2. They are folded into Dense 4096 + L1 + sigmoid (``model.fold_projection``).
3. The head is trained on pairs as far as other people gain by it (``head``).

Then the score is calibrated, and band and threshold are chosen, on people set aside for
that; and how often each verdict is wrong is counted on people set aside for nothing else.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.dataset import sets
from flaskapp.dataset.crops import Progress, crops_of
from flaskapp.dataset.quality import leave_out_faults
from flaskapp.dataset.sets import FaceTable
from flaskapp.errors import DataError
from flaskapp.evaluation.calibration import fit_calibration
from flaskapp.layers import L1Distance
from flaskapp.model import (
    EMBEDDING_SIZE,
    build_embedding_network,
    build_siamese_network,
    build_trunk,
    certainty_of,
    fold_projection,
    set_score,
    unfold_projection,
)
from flaskapp.training.batches import Batches, Jitter
from flaskapp.training.centring import centre_rows, centred_teacher, fit_projection
from flaskapp.training.distillation import TEACHER_SIZE, Distillation, Schedule, Way
from flaskapp.training.features import trunk_features, trunk_weights
from flaskapp.training.head import LabelledFeatures, build_head, train_head
from flaskapp.training.same_run import check_same_run, describe_run
from flaskapp.training.scores import Labelled, labelled, log_odds
from flaskapp.training.shipping import ship
from flaskapp.training.standing_in import add_stand_in

VALIDATION_PHOTOS = 1800
IMPOSTOR_PAIRS = 200_000
HEAD_PHOTOS = 24_000
# For a mean, or a regression on 256 numbers: twice as many change neither.
SOME_PHOTOS = 6_000
FIRST_PAIRS = 40_000
# Scale and offset until the calibration people give it theirs.
UNTRAINED_SCORE = 100.0, 2.0
# Of each kind, for each part of the people. Half of the pairs may then err before an error
# rate is shown by ten errors: enough to try things out, too few for weights worth keeping.
FEWEST_PAIRS = 20
# As the model names the layers of residual units.
UNIT_LAYER = re.compile(r"^block\d+_unit\d+_")
# So many photos need no counting of their millions of pairs.
MANY_PHOTOS = 10_000


@dataclass(frozen=True)
class Reporter:
    """Who is told how a run goes; by default nobody but a reader of printed lines.

    Attributes:
        say: gets a line now and then.
        cutting: wraps the iteration over chunks of photos whose faces are cut.
        learning: wraps the iteration over the distillation's way, shares of 0 to 1.
    """

    say: Callable[[str], Any] = print
    cutting: Progress = iter
    learning: Way = iter


@dataclass(frozen=True)
class Recipe:
    """The settings of a base training run.

    Attributes:
        epochs: passes over the training photos.
        minutes: of distillation at most, over all resumptions; None = no limit.
        batch_size: faces.
        rate: Muon's learning rate.
        constant: share of the way at that rate; over the rest it falls to nothing.
        seed: of everything.
        start: weights of an earlier run to go on from, a ``.h5``; None = from nothing.
    """

    epochs: float = 10.0
    minutes: float | None = None
    batch_size: int = 64
    rate: float = 0.035
    constant: float = 0.6
    seed: int = 2026
    start: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the settings for the record; ``start`` by the beginning of its file's hash."""
        start = None if self.start is None else hashlib.sha256(self.start.read_bytes()).hexdigest()[:12]
        return {**asdict(self), "start": start}


def train_base(
    sets_file: Path, work: Path, out: Path, recipe: Recipe, reporter: Reporter | None = None, workers: int = 2
) -> None:
    """Make weights from folders of photos; goes on where an earlier call in ``work`` stopped.

    Args:
        sets_file: TOML, see ``flaskapp.dataset.sets``.
        work: folder for crops, checkpoints and the log.
        out: the ``.h5`` to write, with its ``.json`` beside it.
        recipe: the settings.
        reporter: who is told how it goes.
        workers: processes that cut faces.

    Raises:
        DataError: the sets cannot be used, or have nobody to learn from or to choose with.
    """
    reporter = reporter or Reporter()
    table, crops = prepare(sets_file, work, reporter, workers)
    # Without training people the head stays as it is folded; whoever learns from some needs enough.
    named = len(labelled(table, sets.TRAINING).rows) > 0
    for role in (*([sets.TRAINING] if named else []), sets.VALIDATION, sets.CALIBRATION, sets.REPORTING):
        _check_people(table, role)
    reporter.say("Step 1 of 3: distilling the teacher")
    student = distil(table, crops, work, recipe, reporter.learning)
    centre(student, table, crops, recipe.seed)
    reporter.say("Steps 2 and 3: folding its numbers into the head, training the head on pairs")
    siamese = build_from_student(student)
    errors = list[float]()
    if named:
        errors = fit_head(siamese, student, table, crops, recipe.seed)
        reporter.say(f"Error of validation people, before and after: {errors[0]:.4f}, {min(errors):.4f}")
    else:
        set_score(siamese, *UNTRAINED_SCORE)
        reporter.say("Nobody to train the head with has a name: it stays as it is folded.")
    reporter.say("Calibrating, and counting verdicts on people held out")
    ship(siamese, table, crops, out, recipe, work / "log.csv", errors, workers)
    try:
        add_stand_in(out, labelled(table, sets.TRAINING), crops)
    except DataError as error:  # the weights are none the worse; only train without --others needs it
        reporter.say(f"Without a stand-in for other people: {error}")
    reporter.say(f"Written: {out.name} and {out.with_suffix('.json').name}")


def make_stand_in(
    sets_file: Path, work: Path, weights: Path, reporter: Reporter | None = None, workers: int = 2
) -> None:
    """Compute the stand-in for other people anew and put it into the JSON beside weights.

    Args:
        sets_file: as for ``train_base``; training people are all that is looked at.
        work: folder with the crops, as ``train_base`` leaves it.
        weights: the ``.h5`` whose trunk it is to be of.
        reporter: who is told how it goes.
        workers: processes that cut faces, if they are not cut yet.

    Raises:
        DataError: the sets cannot be used, or hold too few people.
    """
    reporter = reporter or Reporter()
    table, crops = prepare(sets_file, work, reporter, workers)
    add_stand_in(weights, labelled(table, sets.TRAINING), crops)
    reporter.say(f"Written: {weights.with_suffix('.json').name}")


def _check_people(table: FaceTable, role: int) -> None:
    """Refuse, before hours of training, sets that it could not be finished with."""
    people = labelled(table, role)
    if len(people.rows) > MANY_PHOTOS:
        return
    _, _, same = people.pairs()
    genuine, impostor = int(np.sum(same)), int(np.sum(~same))
    if min(genuine, impostor) < FEWEST_PAIRS:
        raise DataError(
            f"Training expects {sets.ROLE_NAMES[role]} people with {FEWEST_PAIRS} pairs of photos of one person and "
            f"as many of two, both photos from one set. Received: {genuine} and {impostor}.",
            "Give sets of labelled people a part in this; see train-base --help.",
        )


def prepare(
    sets_file: Path, work: Path, reporter: Reporter | None = None, workers: int = 2
) -> tuple[FaceTable, np.ndarray]:
    """List the photos, leave out whom training must not see, cut every face.

    Returns:
        The table, and the crops uint8 (N, 100, 100, 3); a photo without a face, and a training
        photo that is mislabelled or stands under two names, is LEFT_OUT.
    """
    reporter = reporter or Reporter()
    table = sets.load_faces(*sets.read_sets(sets_file))
    for name, reason in table.passed_over.items():
        reporter.say(f"  left out: {name}: {reason}")
    crops = crops_of(table, work, reporter.cutting, workers)
    table.role[~np.array([crop.any() for crop in crops])] = sets.LEFT_OUT
    # Only now: the file of crops stays good when faults are found otherwise.
    faults = leave_out_faults(table)
    reporter.say("  left out: " + ", ".join(f"{count:,} {fault}" for fault, count in faults.items()))
    for name, counts in table.counts().items():
        reporter.say(f"  {name}: " + ", ".join(f"{count:,} {role}" for role, count in counts.items() if count))
    return table, crops


def distil(table: FaceTable, crops: np.ndarray, work: Path, recipe: Recipe, way: Way = iter) -> keras.Model:
    """Train the student, resuming what ``work`` holds; return it.

    Raises:
        DataError: too few training photos have a teacher embedding, or ``work`` holds the
            checkpoint of another training.
    """
    rows = np.flatnonzero((table.role == sets.TRAINING) & ~np.isnan(table.targets).any(axis=1))
    if len(rows) < recipe.batch_size:
        raise DataError(
            f"Distillation expects teacher embeddings for at least {recipe.batch_size} training photos. "
            f"Received: {len(rows)}.",
            hint="Name a teacher file in the sets file.",
        )
    targets = np.nan_to_num(centred_teacher(table))
    batches = Batches(crops, targets, rows, recipe.batch_size, Jitter(), recipe.seed)
    steps = max(1, round(recipe.epochs * batches.per_epoch))
    minutes = math.inf if recipe.minutes is None else recipe.minutes
    schedule = Schedule(steps, minutes, recipe.rate, constant=recipe.constant)
    people = labelled(table, sets.VALIDATION).rows[:VALIDATION_PHOTOS]
    faces, person = crops[people], table.person[people]
    run = Distillation(work, batches, schedule, lambda student: vector_figures(student, faces, person))
    # How long it goes on may change on the way.
    settings = {key: value for key, value in recipe.to_json().items() if key not in ("epochs", "minutes")}
    check_same_run(work, describe_run(table, rows, targets, settings), run.begun)
    if recipe.start is not None and not run.begun:
        start_from(run.student, recipe.start)
        if len(centre_rows(table)):
            refit_projection(run.student, crops, rows, targets, recipe.seed)
    return run.run(way)


def refit_projection(student: keras.Model, crops: np.ndarray, rows: np.ndarray, targets: np.ndarray, seed: int) -> None:
    """Fit the projection to targets that weights may not have learned, unless it is nearer to them as it is.

    Nearer by cosine, on photos that the fit did not see: a projection that learned these very targets learned them
    from far more photos than are looked at here.
    """
    some, others = np.array_split(_some_of(rows, seed, 2 * SOME_PHOTOS), 2)
    known, unknown = trunk_features(student, crops, some), trunk_features(student, crops, others)
    layer = student.get_layer("projection")
    choices = [fit_projection(known, targets[some] * TEACHER_SIZE**0.5), layer.get_weights()]
    layer.set_weights(max(choices, key=lambda choice: _mean_cosine(unknown @ choice[0] + choice[1], targets[others])))


def _mean_cosine(vectors: np.ndarray, unit_targets: np.ndarray) -> float:
    length = np.maximum(np.linalg.norm(vectors, axis=1), np.finfo(np.float32).tiny)
    return float(np.mean(np.sum(vectors * unit_targets, axis=1) / length))


def centre(student: keras.Model, table: FaceTable, crops: np.ndarray, seed: int) -> None:
    """Make the mean of the student's vectors over the sets named as centre exactly zero."""
    rows = centre_rows(table)
    if len(rows):
        projection = student.get_layer("projection")
        kernel, _ = projection.get_weights()
        mean = trunk_features(student, crops, np.sort(_some_of(rows, seed))).mean(axis=0)
        projection.set_weights([kernel, -mean @ kernel])


def _some_of(rows: np.ndarray, seed: int, count: int = SOME_PHOTOS) -> np.ndarray:
    return np.random.default_rng(seed).permutation(rows)[:count]


def start_from(student: keras.Model, weights: Path) -> None:
    """Give a student what the weights of an earlier run know.

    Residual units that the weights do not have begin by changing nothing: the scale behind
    their second convolution is 0, so that the student says what the weights say.

    Raises:
        DataError: the file is no Siamese network of this shape, or of this shape with fewer units.
    """
    try:
        siamese = keras.models.load_model(weights, custom_objects={"L1Distance": L1Distance}, compile=False)
        twin, trunk = siamese.get_layer("embedding_network"), build_trunk()
        known = {layer.name: layer.get_weights() for layer in twin.layers}
        if {name for name in known if UNIT_LAYER.search(name)} - {layer.name for layer in trunk.layers}:
            raise ValueError("it has more residual units")
        for layer in trunk.layers:
            if layer.name in known or not UNIT_LAYER.search(layer.name):
                layer.set_weights(known[layer.name])
            elif layer.name.endswith("_2_norm"):
                scale, *others = layer.get_weights()
                layer.set_weights([np.zeros_like(scale), *others])
        projection = unfold_projection(twin, student.output_shape[-1])
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"{weights.name} is not a Siamese network that training can go on from ({type(error).__name__}).",
            "Name weights that train-base wrote, siamese_model_final.h5 for example.",
        ) from error
    student.set_weights([*trunk.get_weights(), *projection])


def vector_figures(student: keras.Model, faces: np.ndarray, person: np.ndarray) -> dict[str, float]:
    """Return how well the student's 128 numbers tell people apart, by cosine, for the log."""
    vectors = student.predict(preprocess.to_model_input(faces), batch_size=128, verbose=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(len(person), 1)
    return fnmr_figures((vectors @ vectors.T)[first, second], person[first] == person[second])


def fnmr_figures(scores: np.ndarray, same: np.ndarray) -> dict[str, float]:
    """Return FNMR at FMR 1 % and 0.1 %: plain shares for a log, without intervals."""
    impostor = np.sort(scores[~same])
    figures = {}
    for fmr in (0.01, 0.001):
        threshold = impostor[len(impostor) - 1 - int(fmr * len(impostor))]
        figures[f"fnmr_at_fmr_{fmr}"] = round(float(np.mean(scores[same] <= threshold)), 5)
    return figures


def build_from_student(student: keras.Model) -> keras.Model:
    """Return the float32 Siamese network that says what the student says; its score is untrained."""
    twin, trunk = build_embedding_network(), build_trunk()
    trunk.set_weights(trunk_weights(student))
    for layer in trunk.layers:
        twin.get_layer(layer.name).set_weights(layer.get_weights())
    fold_projection(twin, *student.get_layer("projection").get_weights())
    return build_siamese_network(twin)


def fit_head(siamese: keras.Model, student: keras.Model, table: FaceTable, crops: np.ndarray, seed: int) -> list[float]:
    """Give the score its numbers and train the head on features of the fixed trunk.

    Returns:
        The validation figure before and after each epoch; the network has the best epoch's head.
    """
    rng = np.random.default_rng(seed)
    training = labelled_features(student, crops, _some_people(table, rng))
    people = labelled(table, sets.VALIDATION)
    people = Labelled(*(values[:VALIDATION_PHOTOS] for values in vars(people).values()))
    validation = labelled_features(student, crops, people)
    twin = siamese.get_layer("embedding_network")
    head = build_head(training.features.shape[1], certainty_of(twin))
    head.get_layer("twin").get_layer("embedding").set_weights(twin.get_layer("embedding").get_weights())
    anchors, others, same = training.pairs(FIRST_PAIRS, rng)
    embeddings = _twin_embeddings(head, training.features)
    distance = log_odds(embeddings, np.full(EMBEDDING_SIZE, 1 / EMBEDDING_SIZE), anchors, others)
    calibration = fit_calibration(distance, same > 0.5)
    set_score(head, -calibration.scale, calibration.offset)
    errors = train_head(head, training, _validation_figure(validation, people, rng), seed)
    twin.get_layer("embedding").set_weights(head.get_layer("twin").get_layer("embedding").get_weights())
    siamese.get_layer("similarity_score").set_weights(head.get_layer("similarity_score").get_weights())
    return errors


def labelled_features(student: keras.Model, crops: np.ndarray, people: Labelled) -> LabelledFeatures:
    """Return the trunk's features of labelled photos."""
    return LabelledFeatures(trunk_features(student, crops, people.rows), people.person)


def _some_people(table: FaceTable, rng: np.random.Generator) -> Labelled:
    """Return some training people's photos."""
    people = labelled(table, sets.TRAINING)
    chosen = np.sort(rng.permutation(len(people.rows))[:HEAD_PHOTOS])
    return Labelled(people.rows[chosen], people.person[chosen], people.set_index[chosen])


def _twin_embeddings(head: keras.Model, features: np.ndarray) -> np.ndarray:
    return head.get_layer("twin").predict(features, batch_size=512, verbose=0)


def _validation_figure(
    validation: LabelledFeatures, people: Labelled, rng: np.random.Generator
) -> Callable[[keras.Model], float]:
    """Return what measures a head on validation people: the mean FNMR at FMR 1 % and 0.1 %."""
    first, second, same = people.pairs()
    impostor = rng.permutation(np.flatnonzero(~same))[:IMPOSTOR_PAIRS]
    chosen = np.sort(np.concatenate([np.flatnonzero(same), impostor]))
    first, second, same = first[chosen], second[chosen], same[chosen]

    def figure(head: keras.Model) -> float:
        kernel = head.get_layer("similarity_score").get_weights()[0].reshape(-1)
        scores = log_odds(_twin_embeddings(head, validation.features), kernel, first, second)
        return float(np.mean(list(fnmr_figures(scores, same).values())))

    return figure
