"""One probe and many references at a time, in float32."""

from __future__ import annotations

import numpy as np

from flaskapp.evaluation import sigmoid
from flaskapp.weights.runtime import Runtime, weighted_l1


def similarities(references: np.ndarray, probe: np.ndarray, runtime: Runtime) -> np.ndarray:
    """Return the similarity scores of one probe and many references.

    ``Runtime.similarity`` says the same within 1e-5, one pair at a time in float64.

    Args:
        references: float32 (N, 4096).
        probe: float32 (4096,).
        runtime: the weights.

    Returns:
        float64 (N,) in [0, 1]; NaN where an embedding is NaN.
    """
    kernel, offset = runtime.head
    return sigmoid(weighted_l1(references, probe, kernel.astype(np.float32)).astype(np.float64) + offset)
