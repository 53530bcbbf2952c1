"""What answers: faces in, embeddings out; two embeddings in, a score out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flaskapp.evaluation.decisions import sigmoid
from flaskapp.onnx_session import open_session
from flaskapp.parallel import once
from flaskapp.preprocess import CROP_SIZE
from flaskapp.shortage import tell_shortage
from flaskapp.weights.graph import check_arrays, embedding_graph, read_network
from flaskapp.weights.info import default_weights_path, read_info
from flaskapp.weights.shape import EMBEDDING_SIZE

ROWS_AT_ONCE = 32  # embeddings: half a megabyte in float32


def weighted_l1(references: np.ndarray, probes: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return the weighted L1 distances ``|a − b| · kernel``: the score's log-odds without their offset.

    A few rows at a time, so that they stay in the processor's cache.

    Args:
        references: float32 (N, 4096).
        probes: float32 (N, 4096), or (4096,): one for all.
        kernel: float (4096,), the score's weights; the arithmetic is done in its dtype.

    Returns:
        float (N,) of the kernel's dtype; NaN where an embedding is NaN.
    """
    distances = np.empty(len(references), kernel.dtype)
    part = np.empty((ROWS_AT_ONCE, len(kernel)), kernel.dtype)
    for start in range(0, len(references), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        difference = part[: len(references[rows])]
        np.subtract(references[rows], probes[rows] if probes.ndim > 1 else probes, out=difference, dtype=kernel.dtype)
        distances[rows] = np.abs(difference, out=difference) @ kernel
    return distances


class Runtime:
    """Weights that are ready to compare; safe to share between threads.

    Args:
        path: a ``.h5`` file with its ``.json`` beside it.

    Raises:
        WeightsError: either file is missing, damaged, or does not fit this program.
    """

    def __init__(self, path: Path) -> None:
        self.info = read_info(path)
        network = read_network(path, self.info.sha256)
        arrays = network.arrays
        check_arrays(arrays)
        graph, self._constants = embedding_graph(network)
        self._session = open_session(graph, self._constants)
        self._kernel = arrays["similarity_score/kernel"].astype(np.float64).reshape(EMBEDDING_SIZE)
        self._offset = float(arrays["similarity_score/bias"][0])

    @tell_shortage()
    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Return the embeddings of aligned faces.

        Each face runs alone, so that an embedding can never depend on its neighbours. With one
        view of each, a batch of two gave the same bits and took 9 to 10 ms in place of 10; two
        threads with one face each, as the verifier runs them, took 6.

        Args:
            faces: float32 (N, 100, 100, 3) RGB in [0, 1].

        Returns:
            float32 (N, 4096).

        Raises:
            ValueError: another shape or dtype.
        """
        if faces.ndim != 4 or faces.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or faces.dtype != np.float32:
            raise ValueError(f"embed expects float32 (N, 100, 100, 3). Received: {faces.dtype} {faces.shape}")
        embeddings = [self._session.run(None, {"face": face[None]})[0] for face in faces]
        return np.concatenate([np.empty((0, EMBEDDING_SIZE), np.float32), *embeddings])

    def similarity(self, reference: np.ndarray, probe: np.ndarray) -> float:
        """Return the similarity score of two embeddings (4096,): in [0, 1], higher = more alike."""
        return float(sigmoid(self.log_odds(reference, probe)))

    @property
    def head(self) -> tuple[np.ndarray, float]:
        """What a distance counts for: the score's weights float64 (4096,), and its log-odds at distance 0."""
        return self._kernel, self._offset

    def log_odds(self, reference: np.ndarray, probe: np.ndarray) -> float:
        """Return what the similarity score is the sigmoid of: log(score / (1 − score))."""
        return float(weighted_l1(reference[None], probe, self._kernel)[0]) + self._offset


def pair_log_odds(embeddings: np.ndarray, kernel: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the weighted L1 distance ``|a − b| · kernel`` of many pairs of embeddings.

    Args:
        embeddings: float32 (N, 4096).
        kernel: float32 (4096,), the score's weights.
        first: int (M,), rows.
        second: int (M,), rows, sorted or not.

    Returns:
        float64 (M,); the score's log-odds without its offset.
    """
    answer = np.empty(len(first), np.float64)
    kernel = kernel.astype(np.float32)
    for start in range(0, len(first), 4096):
        part = slice(start, start + 4096)
        answer[part] = weighted_l1(embeddings[first[part]], embeddings[second[part]], kernel)
    return answer


@once
def default_runtime() -> Runtime:
    """Return the shipped weights, loaded once."""
    return Runtime(default_weights_path())
