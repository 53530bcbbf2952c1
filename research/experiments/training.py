"""How many faces a second the student learns from, layout by layout.

``python -m research.experiments.training`` on the backend that KERAS_BACKEND names. Every variant
takes the same steps on the same random faces, in one run, and the ratio to the first is
printed beside the rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np

from flaskapp.model import Parts, build_trunk
from flaskapp.training.distillation import TEACHER_SIZE, DistillationLoss, build_student
from flaskapp.training.fused import FusedBatchNormalization
from flaskapp.training.optimizer import ConvolutionMuon

BATCH_SIZE = 96
WARM_UP, STEPS = 2, 6


def build_plain() -> keras.Model:
    """The student as Keras builds it by itself: float32, channels last."""
    trunk = build_trunk()
    return keras.Model(trunk.input, keras.layers.Dense(TEACHER_SIZE)(trunk.output))


def build_plain_bfloat16() -> keras.Model:
    """The same with bfloat16 arithmetic."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        trunk = build_trunk()
        return keras.Model(trunk.input, keras.layers.Dense(TEACHER_SIZE, dtype="float32")(trunk.output))
    finally:
        keras.config.set_dtype_policy(policy)


def build_with_plain_convolutions() -> keras.Model:
    """The student as it is trained, but for its convolutions."""
    return build_student(parts=Parts(normalization=FusedBatchNormalization))


VARIANTS: dict[str, Callable[[], keras.Model]] = {
    "Keras's layers, float32": build_plain,
    "Keras's layers, bfloat16": build_plain_bfloat16,
    "the quicker of both, channels-last memory, fused normalisation": build_with_plain_convolutions,
    "as trained: with quick convolutions too": build_student,
}


def faces_per_second(student: keras.Model, faces: np.ndarray, vectors: np.ndarray) -> float:
    """Return the rate of whole training steps, the optimizer's included."""
    student.compile(ConvolutionMuon(), DistillationLoss(vectors))
    for _ in range(WARM_UP):
        student.train_on_batch(faces, vectors)
    started = time.perf_counter()
    for _ in range(STEPS):
        student.train_on_batch(faces, vectors)
    return STEPS * BATCH_SIZE / (time.perf_counter() - started)


def main() -> None:
    """Print how fast each variant learns."""
    rng = np.random.default_rng(0)
    faces = rng.random((BATCH_SIZE, 100, 100, 3), np.float32)
    vectors = rng.standard_normal((BATCH_SIZE, TEACHER_SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    print(f"backend {keras.backend.backend()}, batches of {BATCH_SIZE}, Muon")
    first = None
    for name, build in VARIANTS.items():
        rate = faces_per_second(build(), faces, vectors)
        first = first or rate
        print(f"  {rate:6.0f} faces/s  {rate / first:4.1f} ×  {name}", flush=True)


if __name__ == "__main__":
    main()
