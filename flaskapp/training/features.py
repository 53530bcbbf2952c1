"""What the trunk says of many faces, as the network uses it."""

from __future__ import annotations

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.layers import VIEWS, MeanOfViews, WithOtherViews
from flaskapp.model import INPUT_SHAPE, build_trunk
from flaskapp.training.distillation import QUICK_PARTS, fast_layout

__all__ = ["trunk_features", "trunk_weights"]


def trunk_weights(student: keras.Model) -> list[np.ndarray]:
    """Return the student's weights without its projection, in the trunk's order."""
    return student.get_weights()[:-2]


def trunk_features(student: keras.Model, crops: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the trunk's features of rows of the crops as the network uses them, float32 (len(rows), 256).

    They are the mean over the views that the network looks at, in float32 arithmetic.

    Args:
        student: as of ``distillation.build_student``.
        crops: uint8 (N, 100, 100, 3).
        rows: int (M,), which of them.
    """
    with fast_layout("float32"):
        trunk = build_trunk(parts=QUICK_PARTS)
        trunk.set_weights(trunk_weights(student))
        face = keras.Input(INPUT_SHAPE)
        features = keras.Model(face, MeanOfViews(VIEWS)(trunk(WithOtherViews()(face))))
    parts = np.array_split(rows, max(1, len(rows) // 2048))
    faces = (preprocess.to_model_input(crops[part]) for part in parts)
    return np.concatenate([features.predict(part, batch_size=64, verbose=0) for part in faces])
