"""The training on one's own face: binary cross-entropy on pairs by Keras's own fit, stoppable at any moment.

Two recipes share it. ``whole`` is the original one: every weight learns, from crops that are
changed on the fly. ``head`` lets the trunk be and trains Dense 4096, L1 and sigmoid on the
trunk's features of each photo in its ten versions, which takes a hundredth of the computing.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.augment_images import augment
from flaskapp.errors import DataError
from flaskapp.evaluation.curves import auc, error_curve
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.parallel import replacing
from flaskapp.personal.folder import BACKUP, BEST, LOG, TENSORBOARD
from flaskapp.personal.scoring import Seen, tail_error
from flaskapp.personal.stand_in import StandIn

Photos = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class OwnRecipe:
    """The settings of one training on one's own face."""

    kind: str = "head"  # "head" or "whole"
    minutes: float = 5.0  # at most, over all resumptions
    epochs: int = 30  # at most
    rate: float = 1e-5  # Adam's
    batch_size: int = 64  # pairs
    steps: int = 20  # batches an epoch
    patience: int = 6  # epochs without gain on validation until the end
    seed: int = 2026  # of split, order, augmentation, all
    tensorboard: bool = False  # whether to write TensorBoard's log into the model's folder

    def __post_init__(self) -> None:
        if self.kind not in ("head", "whole"):
            raise ValueError(f"kind expects head or whole. Received: {self.kind!r}")


class FacePairs(keras.utils.PyDataset):
    """Balanced pairs of crops: two photos of me, or one of me and one of somebody else; changed on the fly.

    Endless and seeded: item ``step`` of an epoch is always the same. Both kinds of crops are uint8
    (N, 100, 100, 3), at least two of them mine.
    """

    def __init__(self, mine: np.ndarray, others: Any, recipe: OwnRecipe) -> None:
        super().__init__()
        self.mine, self.others, self.recipe, self.epoch = mine, others, recipe, 0

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> tuple[Photos, np.ndarray]:
        """Return anchors and others float32 (size, …), and labels (size, 1)."""
        size, count = self.recipe.batch_size, len(self.mine)
        rng = np.random.default_rng((self.recipe.seed, self.epoch * self.recipe.steps + step))
        first = rng.integers(0, count, size)
        second = (first + rng.integers(1, count, size)) % count
        same = rng.permutation(size) < size // 2
        return self.photos(first, second, same, rng), same.astype(np.float32)[:, None]

    def photos(self, first: np.ndarray, second: np.ndarray, same: np.ndarray, rng: np.random.Generator) -> Photos:
        """Return rows ``first`` of mine, and ``second`` where it is the same person: float32 (size, 100, 100, 3)."""
        others = self.others[rng.integers(0, len(self.others), len(same))]
        pair = self.mine[first], np.where(same[:, None, None, None], self.mine[second], others)
        anchors, others = (preprocess.to_model_input(augment(faces, rng)) for faces in pair)
        return anchors, others


class FeaturePairs(FacePairs):
    """The same pairs by the trunk's features of V versions of each photo, float32 (N, V, d).

    For others there may be a stand-in, from which they are drawn anew for each batch.
    """

    def photos(self, first: np.ndarray, second: np.ndarray, same: np.ndarray, rng: np.random.Generator) -> Photos:
        """Return any version of each photo, float32 (size, d)."""
        size = len(same)
        anchors, mine = (self.mine[rows, rng.integers(0, self.mine.shape[1], size)] for rows in (first, second))
        if isinstance(self.others, StandIn):
            others = self.others.draw(size, 1, rng).vectors
        else:
            count, versions = self.others.shape[:2]
            others = self.others[rng.integers(0, count, size), rng.integers(0, versions, size)]
        return anchors, np.where(same[:, None], mine, others)


@dataclass(frozen=True)
class Epoch:
    """One epoch in figures."""

    epoch: int  # from 0, which is before training
    loss: float  # mean binary cross-entropy of the training pairs; NaN before training
    validation_loss: float  # of the validation pairs, both kinds weighing the same
    # of the validation pairs where both normal tails weigh the same; the epoch of the least one is kept. Unlike the
    # loss it does not mind by how much a score is right.
    tail_error: float
    auc: float  # of the validation pairs
    spread: float  # standard deviation of the validation scores; near 0 where all are the same
    seconds: float  # of training so far


def best_of(epochs: Sequence[Epoch]) -> int:
    """Return which epoch is kept: the first of least error."""
    return min(range(len(epochs)), key=lambda index: epochs[index].tail_error)


class _Watch(keras.callbacks.Callback):
    """Measures each epoch, keeps the weights of the best one, and ends the training in time."""

    def __init__(
        self, folder: Path, pairs: FacePairs, validate: Callable[[], Seen], tell: Callable[[float], Any]
    ) -> None:
        super().__init__()
        self.folder, self.pairs, self.validate, self.recipe, self.tell = folder, pairs, validate, pairs.recipe, tell
        log = folder / LOG
        self.log = [Epoch(**row) for row in json.loads(log.read_text(encoding="utf-8"))] if log.exists() else []
        self.started = time.monotonic() - (self.log[-1].seconds if self.log else 0.0)

    def share(self, epochs: float) -> float:
        """Return how much of the way is gone after so many epochs, at most: by them, or by the time, 0 to 1."""
        return min(1.0, max(epochs / self.recipe.epochs, (time.monotonic() - self.started) / 60 / self.recipe.minutes))

    @property
    def finished(self) -> bool:
        """Whether time, epochs or patience are used up."""
        last = len(self.log) - 1
        return self.share(last) >= 1 or last - best_of(self.log) >= self.recipe.patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Go on from the last backup: an epoch that was measured after it is learned again."""
        del self.log[epoch + 1 :]
        self.pairs.epoch = epoch
        for variable in self.model.variables:
            # Dropout's, which no backup has: each epoch draws its own, always the same.
            if variable.path.endswith("seed_generator_state"):
                variable.assign([self.recipe.seed, epoch])

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Tell how far it is; end when the time is up."""
        share = self.share(len(self.log) - 1 + (batch + 1) / self.recipe.steps)
        self.tell(share)
        self.model.stop_training = share >= 1

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Measure, and end when nothing is gained any more."""
        logs = {} if logs is None else logs
        epoch_log = asdict(self.measure(logs["loss"]))
        logs |= {name: epoch_log[name] for name in ("validation_loss", "tail_error", "auc", "spread")}
        self.model.stop_training = self.finished

    def measure(self, loss: float) -> Epoch:
        """Add an epoch to the log, and keep its weights if it is the best."""
        seen = self.validate()
        losses = np.logaddexp(0.0, np.where(seen.same, -seen.odds, seen.odds))
        self.log.append(
            Epoch(
                len(self.log),
                float(loss),
                validation_loss=float(losses[seen.same].mean() + losses[~seen.same].mean()) / 2,
                tail_error=tail_error(seen.odds, seen.same),
                auc=auc(error_curve(seen.odds, seen.same)),
                spread=float(np.std(sigmoid(seen.odds))),
                seconds=round(time.monotonic() - self.started, 2),
            )
        )
        if best_of(self.log) == len(self.log) - 1:
            with replacing(self.folder / BEST, suffix=".weights.h5") as part:
                self.model.save_weights(part)
        with replacing(self.folder / LOG) as part:
            part.write_text(json.dumps([asdict(epoch) for epoch in self.log]), encoding="utf-8")
        return self.log[-1]


def fit(
    folder: Path, network: keras.Model, pairs: FacePairs, validate: Callable[[], Seen], tell: Callable[[float], Any]
) -> list[Epoch]:
    """Train until the end, going on from the folder's last backup if there is one; keep the best epoch.

    The network, two inputs to a score, is compiled here. ``validate`` returns what it then says of the photos for
    validation; ``tell`` gets the share of the way that is gone, 0 to 1, after each batch. The first of the epochs
    that are returned is before training.

    Raises:
        DataError: what an earlier run left in the folder is damaged.
    """
    recipe = pairs.recipe
    network.compile(keras.optimizers.Adam(recipe.rate, global_clipnorm=1.0), "binary_crossentropy")
    network.optimizer.build(network.trainable_variables)
    try:
        watch = _Watch(folder, pairs, validate, tell)
        backup = keras.callbacks.BackupAndRestore(folder / BACKUP, double_checkpoint=True, delete_checkpoint=False)
        backup.set_model(network)
        backup.on_train_begin()
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"What an earlier run left in {folder.name} is damaged ({type(error).__name__}).",
            "Remove that folder and train again.",
        ) from None
    watch.set_model(network)
    if not watch.log:
        watch.measure(math.nan)
    logging = [keras.callbacks.TensorBoard(folder / TENSORBOARD, write_graph=False)] if recipe.tensorboard else []
    if not watch.finished:
        network.fit(pairs, epochs=recipe.epochs, shuffle=False, verbose=0, callbacks=[watch, *logging, backup])
    network.load_weights(folder / BEST)
    return watch.log
