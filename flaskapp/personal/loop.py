"""The training loop for one's own face: binary cross-entropy on pairs, stoppable at any moment.

Two recipes share it. ``whole`` is the original one: every weight learns, from crops that are
changed on the fly. ``head`` lets the trunk be and trains Dense 4096, L1 and sigmoid on the
trunk's features of each photo in its ten versions, which takes a hundredth of the computing.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.augment_images import augment
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.personal.checkpoints import load_checkpoint, save_checkpoint
from flaskapp.personal.folder import RUN_NOTE
from flaskapp.personal.stand_in import StandIn

__all__ = ["Epoch", "FacePairs", "FeaturePairs", "OwnRecipe", "OwnTraining", "Validation", "best_of", "log_loss"]

Batch = tuple[list[np.ndarray], np.ndarray]
Way = Callable[[Iterable[float]], Iterable[float]]


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


@dataclass
class State:
    """Where a run stands; with the checkpoint's variables all that a resumption needs."""

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    losses: list[float] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)


class OwnTraining:
    """A resumable run in a folder of its own.

    Args:
        folder: for ``state.npz`` and ``log.csv``; made if absent.
        network: two inputs to a score; compiled here.
        pairs: what it learns from.
        validate: from the network to its figures on the validation pairs.
        recipe: the settings.
        tensorboard: a folder for TensorBoard's log, if one is wanted.
    """

    def __init__(
        self,
        folder: Path,
        network: keras.Model,
        pairs: Pairs,
        validate: Validation,
        recipe: OwnRecipe,
        tensorboard: Path | None = None,
    ) -> None:
        self.folder, self.network, self.pairs, self.validate, self.recipe = folder, network, pairs, validate, recipe
        self.tensorboard = tensorboard
        self.optimizer = keras.optimizers.Adam(recipe.rate, global_clipnorm=1.0)
        network.compile(self.optimizer, "binary_crossentropy")
        self.optimizer.build(network.trainable_variables)
        self.best = network.get_weights()
        self.state = State()

    @property
    def log(self) -> list[Epoch]:
        """The epochs so far, the first of them before training."""
        return [Epoch(**row) for row in self.state.log]

    @property
    def finished(self) -> bool:
        """Whether time, epochs or patience are used up."""
        epochs = self.log
        if not epochs:
            return False
        waited = len(epochs) - 1 - best_of(epochs)
        return self.share >= 1 or waited >= self.recipe.patience

    @property
    def share(self) -> float:
        """How much of the way is gone at most, 0 to 1."""
        recipe = self.recipe
        return min(1.0, max(self.state.step / (recipe.epochs * recipe.steps), self.state.seconds / 60 / recipe.minutes))

    def run(self, way: Way = iter) -> list[Epoch]:
        """Train until the end, from the last checkpoint if there is one; keep the best epoch.

        Args:
            way: wraps an iteration over the shares of the way that are gone, a progress bar for example.

        Raises:
            DataError: the folder's checkpoint is damaged or of another network.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._resume()
        if not self.state.log:
            self._end_epoch()
        for _ in way(self._shares()):
            self._step()
        if self.state.losses:
            self._end_epoch()
        self.network.set_weights(self.best)
        return self.log

    def _shares(self) -> Iterator[float]:
        while not self.finished:
            yield self.share

    def _step(self) -> None:
        started = time.monotonic()
        pair, same = self.pairs.batch(self.state.step)
        self.state.losses.append(float(self.network.train_on_batch(pair, same)))
        self.state.step += 1
        self.state.seconds += time.monotonic() - started
        if self.state.step % self.recipe.steps == 0:
            self._end_epoch()

    def _end_epoch(self) -> None:
        state = self.state
        started = time.monotonic()
        figures = self.validate(self.network)
        state.seconds += time.monotonic() - started
        mean = float(np.mean(state.losses)) if state.losses else math.nan
        state.log.append(asdict(Epoch(len(state.log), mean, *figures, round(state.seconds, 2))))
        state.losses = []
        if figures.tail_error < state.best:
            state.best, self.best = figures.tail_error, self.network.get_weights()
        self._save()

    def _variables(self) -> list[Any]:
        return [*self.network.variables, *self.optimizer.variables]

    def _save(self) -> None:
        save_checkpoint(self.folder / "state.npz", [*self._variables(), *self.best], asdict(self.state))
        with (self.folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.state.log[0]))
            writer.writeheader()
            writer.writerows(self.state.log)
        if self.tensorboard is not None:
            write_tensorboard(self.tensorboard, self.log[-1])

    def _resume(self) -> None:
        path = self.folder / "state.npz"
        if not path.exists():
            return
        variables = self._variables()
        arrays, state = load_checkpoint(path, [*variables, *self.best])
        for variable, array in zip(variables, arrays, strict=False):
            variable.assign(array)
        self.best, self.state = arrays[len(variables) :], State(**state)


def write_tensorboard(folder: Path, epoch: Epoch) -> None:
    """Append an epoch to a log that TensorBoard reads; only TensorFlow can write one."""
    import tensorflow

    with tensorflow.summary.create_file_writer(str(folder)).as_default():
        for name in ("loss", "validation_loss", "tail_error", "auc"):
            if not math.isnan(value := getattr(epoch, name)):
                tensorflow.summary.scalar(name, value, step=epoch.epoch)


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
    for name in ("state.npz", "state.part", "log.csv"):
        (folder / name).unlink(missing_ok=True)
    unfinished = note.with_suffix(".part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(note)
    return False
