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


def similarities_of_pairs(
    references: np.ndarray, probes: np.ndarray, first: np.ndarray, second: np.ndarray, runtime: Runtime
) -> np.ndarray:
    """Return the similarity scores of chosen pairs.

    Args:
        references: float32 (N, 4096).
        probes: float32 (K, 4096).
        first: int (M,), row of each pair's reference.
        second: int (M,), row of its probe.
        runtime: the weights.

    Returns:
        float64 (M,) in [0, 1]; NaN where an embedding is NaN.
    """
    scores = np.empty(len(first))
    for row in np.unique(second):
        chosen = second == row
        scores[chosen] = similarities(references[first[chosen]], probes[row], runtime)
    return scores
