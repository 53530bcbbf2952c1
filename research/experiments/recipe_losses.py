"""What other recipes learn from: who a face is, in place of or beside what the teacher says of it.

Targets here have 129 columns: the teacher's vector of unit length, then the person's number, from
0 on, or ``UNKNOWN``. Networks end in the student's vector, then whatever the loss needs of it.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from flaskapp.training.distillation import TEACHER_SIZE, DistillationLoss

UNKNOWN = -1
# H. Wang et al., "CosFace: Large margin cosine loss for deep face recognition", 2018: their margin,
# at about half of their scale, for small batches. Neither they nor the share were searched for.
SCALE, MARGIN = 30.0, 0.35
MARGIN_SHARE = 0.05
FIRST_OFFSET, FIRST_SCALE = 8.0, 8.0


class PersonCosines(keras.layers.Layer):
    """Behind a vector (batch, 128) its cosine to each person's centre (batch, people), which is learned.

    Args:
        centres: float32 (people, 128), where they begin.
    """

    def __init__(self, centres: np.ndarray) -> None:
        super().__init__(name="person_cosines", dtype="float32")
        self.first_centres = centres

    def build(self, _: tuple[int, ...]) -> None:
        """Make the centres."""
        self.centres = self.add_weight(shape=self.first_centres.shape, name="centres")
        self.centres.assign(self.first_centres)

    def call(self, vectors: Any) -> Any:
        """Return vectors and cosines side by side."""
        cosines = ops.matmul(ops.normalize(vectors, axis=-1), ops.transpose(ops.normalize(self.centres, axis=-1)))
        return ops.concatenate([vectors, cosines], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of both."""
        return (*input_shape[:-1], input_shape[-1] + len(self.first_centres))


class PairScores(keras.layers.Layer):
    """Behind a vector the log-odds (batch, batch) that two faces of the batch are one person's.

    Offset minus scale times the distance of the two vectors at unit length: what Dense 4096, the
    L1 distance and the sigmoid say once the vector is folded into them, up to 1 %
    (``model.random_projection``).
    """

    def build(self, _: tuple[int, ...]) -> None:
        """Make offset and scale."""
        self.offset = self.add_weight(shape=(), name="offset")
        self.scale = self.add_weight(shape=(), name="scale")
        self.offset.assign(FIRST_OFFSET)
        self.scale.assign(FIRST_SCALE)

    def call(self, vectors: Any) -> Any:
        """Return vectors and log-odds side by side."""
        unit = ops.normalize(vectors, axis=-1)
        squared = ops.maximum(2 - 2 * ops.matmul(unit, ops.transpose(unit)), 1e-6)
        return ops.concatenate([vectors, self.offset - self.scale * ops.sqrt(squared)], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of both, as far as it is known before there is a batch."""
        return (*input_shape[:-1], None)


def margin_softmax(person: Any, cosines: Any) -> Any:
    """Return CosFace's loss (batch,) of cosines (batch, people); 0 where the person is unknown."""
    known = ops.cast(person >= 0, "float32")
    own = ops.one_hot(ops.cast(ops.maximum(person, 0), "int32"), cosines.shape[-1])
    logits = SCALE * (cosines - MARGIN * own)
    return -known * ops.sum(own * ops.log_softmax(logits), axis=-1)


def pair_cross_entropy(person: Any, log_odds: Any) -> Any:
    """Return binary cross-entropy (batch,) of all pairs of a batch, genuine and impostor ones alike in weight.

    The sum over the batch is half the mean over the genuine pairs and half that over the others,
    times the batch's size. A face is no pair with itself.
    """
    size = ops.shape(person)[0]
    other = 1 - ops.eye(size)
    same = ops.cast(ops.equal(person[:, None], person[None, :]), "float32") * other
    different = other - same
    genuine = same * ops.softplus(-log_odds) / ops.maximum(ops.sum(same), 1)
    impostor = different * ops.softplus(log_odds) / ops.maximum(ops.sum(different), 1)
    return ops.sum(genuine + impostor, axis=-1) * ops.cast(size, "float32") / 2


class MarginBesideDistillation(keras.losses.Loss):
    """Distillation as shipped, and margin softmax with a share of ``MARGIN_SHARE``."""

    def __init__(self, faces: np.ndarray, seed: int) -> None:
        super().__init__(name="margin_beside_distillation")
        self.distillation = DistillationLoss(faces, seed)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,)."""
        told = self.distillation.call(y_true[:, :TEACHER_SIZE], y_pred[:, :TEACHER_SIZE])
        return told + MARGIN_SHARE * margin_softmax(y_true[:, TEACHER_SIZE], y_pred[:, TEACHER_SIZE:])


class MarginAlone(keras.losses.Loss):
    """Margin softmax on people; no teacher but in where the people's centres begin."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,)."""
        return margin_softmax(y_true[:, TEACHER_SIZE], y_pred[:, TEACHER_SIZE:])


class PairsAlone(keras.losses.Loss):
    """Binary cross-entropy on the pairs of a batch; no teacher."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,)."""
        return pair_cross_entropy(y_true[:, TEACHER_SIZE], y_pred[:, TEACHER_SIZE:])
