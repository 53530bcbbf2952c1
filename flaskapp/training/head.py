"""Steps two and three of base training: from the teacher's numbers to a similarity score.

The projection learned by distillation is spread over 4,096 outputs (``fold_projection``),
the score gets its two numbers by logistic regression, and then the whole head is trained
by binary cross-entropy on pairs for as long as people not learned from gain by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from flaskapp.layers import CertaintyLength, L1Distance
from flaskapp.model import DROPOUT_RATE, EMBEDDING_SIZE

LEARNING_RATE = 1e-5
PAIRS_AN_EPOCH = 16_384
BATCH_SIZE = 256


@dataclass(frozen=True)
class LabelledFeatures:
    """What the trunk says about photos of known people.

    Attributes:
        features: float32 (N, 256).
        person: int (N,).
    """

    features: np.ndarray
    person: np.ndarray

    def pairs(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw balanced pairs: half of one person, half of two.

        Returns:
            Rows of the anchors (count,), of the others (count,), and float32 labels (count,).
        """
        members = _members(self.person)
        order = rng.permutation(count)
        same = order < count // 2
        anchor_people = rng.integers(0, len(members), count)
        other_people = (anchor_people + rng.integers(1, len(members), count)) % len(members)
        anchors, others = np.empty(count, np.int64), np.empty(count, np.int64)
        for index, (own, other) in enumerate(zip(anchor_people, other_people, strict=True)):
            if same[index]:
                anchors[index], others[index] = rng.choice(members[own], 2, replace=False)
            else:
                anchors[index], others[index] = rng.choice(members[own]), rng.choice(members[other])
        return anchors, others, same.astype(np.float32)


def _members(person: np.ndarray) -> list[np.ndarray]:
    """Group rows by person; whoever has a single photo makes no genuine pair and is left out."""
    order = np.argsort(person, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)
    return [group for group in groups if len(group) > 1]


def build_head(features: int, certainty: tuple[float, float]) -> keras.Model:
    """Build the Siamese network without its trunk: two feature vectors in, a score out.

    Args:
        features: how many numbers a vector has.
        certainty: of the network that it is to be the head of, as ``model.certainty_of`` says.
    """
    vector = keras.Input((features,))
    x = layers.Dropout(DROPOUT_RATE)(vector)
    x = CertaintyLength(*certainty)(layers.Dense(EMBEDDING_SIZE, name="embedding")(x))
    twin = keras.Model(vector, x, name="twin")
    reference, probe = keras.Input((features,)), keras.Input((features,))
    distance = L1Distance()([twin(reference), twin(probe)])
    score = layers.Dense(1, activation="sigmoid", name="similarity_score")(distance)
    return keras.Model([reference, probe], score, name="head")


def train_head(
    head: keras.Model,
    training: LabelledFeatures,
    validation_error: Callable[[keras.Model], float],
    seed: int = 0,
    epochs: int = 30,
    patience: int = 4,
) -> list[float]:
    """Train the head by binary cross-entropy on pairs; keep the best epoch, or none.

    Args:
        head: with the folded projection and the regression's two numbers in it.
        training: people to learn from.
        validation_error: the figure to bring down, on other people.
        seed: of the pairs.
        epochs: at most so many, of ``PAIRS_AN_EPOCH`` pairs each.
        patience: epochs without gain until the end.

    Returns:
        The validation error before and after each epoch; the head has the weights of the least.
    """
    rng = np.random.default_rng(seed)
    head.compile(keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0), "binary_crossentropy")
    errors, best = [validation_error(head)], head.get_weights()
    for _ in range(epochs):
        anchors, others, same = training.pairs(PAIRS_AN_EPOCH, rng)
        head.fit(
            [training.features[anchors], training.features[others]], same[:, None], batch_size=BATCH_SIZE, verbose=0
        )
        errors.append(validation_error(head))
        if errors[-1] <= min(errors):
            best = head.get_weights()
        if len(errors) - 1 - int(np.argmin(errors)) >= patience:
            break
    head.set_weights(best)
    return errors
