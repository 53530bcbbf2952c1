"""The training on one's own face: binary cross-entropy on pairs by Keras's own fit, stoppable at any moment.

Two recipes share it. ``whole`` is the original one: every weight learns, from crops that are
changed on the fly. ``head`` lets the trunk be and trains Dense 4096, L1 and sigmoid on the
trunk's features of each photo in its ten versions, which takes a hundredth of the computing.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.augment_images import augment
from flaskapp.errors import DataError
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.parallel import replacing
from flaskapp.personal.folder import BACKUP, BEST, LOG, RUN_NOTE
from flaskapp.personal.stand_in import StandIn

Batch = tuple[list[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class OwnRecipe:
    """The settings of one training on one's own face.

    Attributes:
        kind: "head" or "whole".
        minutes: at most, over all resumptions.
        epochs: at most.
        rate: Adam's.
        batch_size: pairs.
        steps: batches an epoch.
        patience: epochs without gain on validation until the end.
        seed: of split, order, augmentation, all.
    """

    kind: str = "head"
    minutes: float = 5.0
    epochs: int = 30
    rate: float = 1e-5
    batch_size: int = 64
    steps: int = 20
    patience: int = 6
    seed: int = 2026

    def __post_init__(self) -> None:
        if self.kind not in ("head", "whole"):
            raise ValueError(f"kind expects head or whole. Received: {self.kind!r}")

    def to_json(self) -> dict[str, Any]:
        """Return the settings for the record."""
        return asdict(self)


class Pairs(Protocol):
    """An endless, seeded stream of balanced pairs that can start anywhere."""

    def batch(self, step: int) -> Batch:
        """Return the anchors and the others of batch number ``step``, and float32 labels (size, 1)."""


@dataclass(frozen=True, eq=False)
class FacePairs:
    """Pairs of crops: two photos of me, or one of me and one of somebody else; changed on the fly.

    Attributes:
        mine: uint8 (N, 100, 100, 3), at least two.
        others: uint8 (M, 100, 100, 3).
        size: pairs a batch.
        seed: of everything drawn.
    """

    mine: np.ndarray
    others: np.ndarray
    size: int
    seed: int

    def batch(self, step: int) -> Batch:
        """Return batch number ``step``: float32 (size, 100, 100, 3) twice, in [0, 1], and labels (size, 1)."""
        rng = np.random.default_rng((self.seed, step))
        first, second, same = _draw_rows(len(self.mine), self.size, rng)
        foreign = self.others[rng.integers(0, len(self.others), self.size)]
        others = np.where(same[:, None, None, None], self.mine[second], foreign)
        pair = [preprocess.to_model_input(augment(faces, rng)) for faces in (self.mine[first], others)]
        return pair, same.astype(np.float32)[:, None]


@dataclass(frozen=True, eq=False)
class FeaturePairs:
    """The same pairs by the trunk's features.

    Attributes:
        mine: float32 (N, V, d), V versions of each photo.
        others: float32 (M, V, d), or a stand-in from which others are drawn anew for each batch.
        size: pairs a batch.
        seed: of everything drawn.
    """

    mine: np.ndarray
    others: np.ndarray | StandIn
    size: int
    seed: int

    def batch(self, step: int) -> Batch:
        """Return batch number ``step``: float32 (size, d) twice, and labels (size, 1)."""
        rng = np.random.default_rng((self.seed, step))
        first, second, same = _draw_rows(len(self.mine), self.size, rng)
        pair = [self.mine[rows, rng.integers(0, self.mine.shape[1], self.size)] for rows in (first, second)]
        pair[1] = np.where(same[:, None], pair[1], self._others(rng))
        return pair, same.astype(np.float32)[:, None]

    def _others(self, rng: np.random.Generator) -> np.ndarray:
        if isinstance(self.others, StandIn):
            return self.others.draw(self.size, 1, rng)[0]
        count, versions = self.others.shape[:2]
        return self.others[rng.integers(0, count, self.size), rng.integers(0, versions, self.size)]


def _draw_rows(count: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw two different photos of mine for each pair, and which half of the pairs is genuine."""
    first = rng.integers(0, count, size)
    second = (first + rng.integers(1, count, size)) % count
    return first, second, rng.permutation(size) < size // 2


@dataclass(frozen=True)
class Epoch:
    """One epoch in figures.

    Attributes:
        epoch: from 0, which is before training.
        loss: mean binary cross-entropy of the training pairs; NaN before training.
        validation_loss: of the validation pairs, both kinds weighing the same.
        tail_error: of the validation pairs where both normal tails weigh the same; the epoch
            of the least one is kept. Unlike the loss it does not mind by how much a score is right.
        auc: of the validation pairs.
        spread: standard deviation of the validation scores; near 0 where all are the same.
        seconds: of training so far.
    """

    epoch: int
    loss: float
    validation_loss: float
    tail_error: float
    auc: float
    spread: float
    seconds: float


class Figures(NamedTuple):
    """What a network says of the validation pairs; see ``Epoch``."""

    validation_loss: float
    tail_error: float
    auc: float
    spread: float


Validation = Callable[[keras.Model], Figures]


def log_loss(log_odds: np.ndarray, same: np.ndarray) -> float:
    """Return the binary cross-entropy, genuine and impostor pairs weighing the same."""
    losses = np.logaddexp(0.0, np.where(same, -log_odds, log_odds))
    return float((losses[same].mean() + losses[~same].mean()) / 2)


def best_of(epochs: Sequence[Epoch]) -> int:
    """Return which epoch is kept: the first of least error."""
    return min(range(len(epochs)), key=lambda index: epochs[index].tail_error)


def spread_of(log_odds: np.ndarray) -> float:
    """Return the standard deviation of the scores."""
    return float(np.std(sigmoid(log_odds)))


class _Batches(keras.utils.PyDataset):
    """The pairs of one epoch after the other, as ``fit`` takes them."""

    def __init__(self, pairs: Pairs, steps: int) -> None:
        super().__init__()
        self.pairs, self.steps, self.epoch = pairs, steps, 0

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        pair, same = self.pairs.batch(self.epoch * self.steps + step)
        return tuple(pair), same


class _Watch(keras.callbacks.Callback):
    """Measures each epoch, keeps the weights of the best one, and ends the training in time."""

    def __init__(
        self, folder: Path, batches: _Batches, validate: Validation, recipe: OwnRecipe, tell: Callable[[float], Any]
    ) -> None:
        super().__init__()
        self.folder, self.batches, self.validate, self.recipe, self.tell = folder, batches, validate, recipe, tell
        self.best = folder / BEST
        self.log = _read_log(folder / LOG)
        self.started = time.monotonic() - (self.log[-1].seconds if self.log else 0.0)
        self.steps = 0

    @property
    def finished(self) -> bool:
        """Whether time, epochs or patience are used up."""
        last = len(self.log) - 1
        return last >= 0 and (self.share >= 1 or last - best_of(self.log) >= self.recipe.patience)

    @property
    def seconds(self) -> float:
        """How long the training has taken, over all resumptions."""
        return time.monotonic() - self.started

    @property
    def share(self) -> float:
        """How much of the way is gone at most, 0 to 1."""
        done = (max(len(self.log) - 1, 0) * self.recipe.steps + self.steps) / (self.recipe.epochs * self.recipe.steps)
        return min(1.0, max(done, self.seconds / 60 / self.recipe.minutes))

    def begin(self, network: keras.Model) -> None:
        """Measure the network as it is before training, unless an earlier run has done so."""
        self.set_model(network)
        if not self.log:
            self._measure(math.nan)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Go on from the last backup: an epoch that was measured after it is learned again."""
        del self.log[epoch + 1 :]
        self.batches.epoch, self.steps = epoch, 0
        for (
            variable
        ) in self.model.variables:  # Dropout's, which no backup has: each epoch draws its own, always the same
            if variable.path.endswith("seed_generator_state"):
                variable.assign([self.recipe.seed, epoch])

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Tell how far it is; end when the time is up."""
        self.steps = batch + 1
        self.tell(self.share)
        self.model.stop_training = self.share >= 1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Measure, and end when nothing is gained any more."""
        logs = {} if logs is None else logs
        self.steps = 0
        figures = self._measure(float(logs["loss"]))
        logs |= figures._asdict()
        self.model.stop_training = self.finished

    def _measure(self, loss: float) -> Figures:
        figures = self.validate(self.model)
        self.log.append(Epoch(len(self.log), loss, *figures, round(self.seconds, 2)))
        if best_of(self.log) == len(self.log) - 1:
            with replacing(self.best, suffix=".weights.h5") as part:
                self.model.save_weights(part)
        with replacing(self.folder / LOG) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, [column.name for column in fields(Epoch)])
            writer.writeheader()
            writer.writerows(asdict(epoch) for epoch in self.log)
        return figures


def _read_log(path: Path) -> list[Epoch]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
            for row in csv.DictReader(file)
        ]


def fit(
    folder: Path,
    network: keras.Model,
    pairs: Pairs,
    validate: Validation,
    recipe: OwnRecipe,
    tell: Callable[[float], Any] = lambda _: None,
    tensorboard: Path | None = None,
) -> list[Epoch]:
    """Train until the end, going on from the folder's last backup if there is one; keep the best epoch.

    Args:
        folder: for backup, best weights and log; made if absent.
        network: two inputs to a score; compiled here.
        pairs: what it learns from.
        validate: from the network to its figures on the validation pairs.
        recipe: the settings.
        tell: gets the share of the way that is gone, 0 to 1, after each batch.
        tensorboard: a folder for TensorBoard's log, if one is wanted.

    Returns:
        The epochs, the first of them before training.

    Raises:
        DataError: what an earlier run left in the folder is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.compile(keras.optimizers.Adam(recipe.rate, global_clipnorm=1.0), "binary_crossentropy")
    network.optimizer.build(network.trainable_variables)
    batches = _Batches(pairs, recipe.steps)
    try:
        watch = _Watch(folder, batches, validate, recipe, tell)
        backup = keras.callbacks.BackupAndRestore(folder / BACKUP, double_checkpoint=True, delete_checkpoint=False)
        backup.set_model(network)
        backup.on_train_begin()
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"What an earlier run left in {folder.name} is damaged ({type(error).__name__}).",
            "Remove that folder and train again.",
        ) from None
    watch.begin(network)
    logging = [keras.callbacks.TensorBoard(tensorboard, write_graph=False)] if tensorboard else []
    if not watch.finished:
        network.fit(batches, epochs=recipe.epochs, shuffle=False, verbose=0, callbacks=[watch, *logging, backup])
    network.load_weights(watch.best)
    return watch.log


def claim_folder(folder: Path, description: dict[str, Any]) -> bool:
    """Make a folder this run's own; return whether an earlier, stopped run of the same kind left it.

    What another run left there, of other photos or settings, is removed.
    """
    note = folder / RUN_NOTE
    text = json.dumps(description, sort_keys=True)
    try:
        if note.read_text(encoding="utf-8") == text:
            return True
    except (OSError, UnicodeDecodeError):
        pass
    folder.mkdir(parents=True, exist_ok=True)
    for name in (BEST, LOG):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / BACKUP, ignore_errors=True)
    with replacing(note) as part:
        part.write_text(text, encoding="utf-8")
    return False
