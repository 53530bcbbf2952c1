"""What answers: faces in, embeddings out; two embeddings in, a score out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flaskapp.evaluation.decisions import decide, sigmoid
from flaskapp.onnx_session import open_session
from flaskapp.parallel import once
from flaskapp.preprocess import CROP_SIZE
from flaskapp.shortage import tell_shortage
from flaskapp.weights.graph import check_arrays, embedding_graph, read_arrays
from flaskapp.weights.info import MOST_REFERENCES, WeightsInfo, default_weights_path, read_info
from flaskapp.weights.shape import EMBEDDING_SIZE, FEATURES, SHORTEST

ROWS_AT_ONCE = 32  # embeddings: half a megabyte in float32


def certainties(embeddings: np.ndarray) -> np.ndarray:
    """Return how sure the network is of each face: the length of its embedding, at most 1.

    What was learned by regression comes out shorter where a face does not tell: the mean of all
    that it could be is shorter than any of it. Photos of people set aside, as they come, have a median of about 1.

    Args:
        embeddings: float32 (N, 4096).

    Returns:
        float64 (N,) in [0, 1]; NaN where an embedding is NaN.
    """
    return np.minimum(np.linalg.norm(embeddings.astype(np.float64), axis=1), 1.0)


def surest(embeddings: np.ndarray) -> np.ndarray:
    """Return which embeddings (N, 4096) stand for a person: all, or the 20 that the network is surest of; int (K,)."""
    return np.sort(np.argsort(-certainties(embeddings), kind="stable")[:MOST_REFERENCES])


def weighted_l1(references: np.ndarray, probes: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return ``|a − b| · kernel`` of embeddings at unit length: the score's log-odds without their offset.

    A few rows at a time, so that they stay in the processor's cache.

    Args:
        references: float32 (N, 4096).
        probes: float32 (N, 4096), or (4096,): one for all.
        kernel: float (4096,), the score's weights; the arithmetic is done in its dtype.

    Returns:
        float (N,) of the kernel's dtype; NaN where an embedding is NaN.
    """
    distances = np.empty(len(references), kernel.dtype)
    one_for_all = _unit(probes[None], kernel)[0] if probes.ndim == 1 else None
    for start in range(0, len(references), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        difference = _unit(references[rows], kernel)
        difference -= _unit(probes[rows], kernel) if one_for_all is None else one_for_all
        distances[rows] = np.abs(difference, out=difference) @ kernel
    return distances


def _unit(embeddings: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    unit = embeddings.astype(kernel.dtype)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), SHORTEST)
    return unit


class Runtime:
    """Weights that are ready to compare; safe to share between threads.

    Args:
        path: a ``.h5`` file with its ``.json`` beside it.

    Raises:
        WeightsError: either file is missing, damaged, or does not fit this program.
    """

    def __init__(self, path: Path) -> None:
        self.info = read_info(path)
        arrays = read_arrays(path, self.info.sha256)
        check_arrays(arrays)
        self._kernel = arrays["similarity_score/kernel"].astype(np.float64).reshape(EMBEDDING_SIZE)
        self._offset = float(arrays["similarity_score/bias"][0])
        graph, self._constants = embedding_graph(arrays, self.info.tensor_ranges)
        del arrays  # and the file with them, before the session takes as much again
        self._session = open_session(graph, self._constants)

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Return the embeddings of aligned faces.

        Each face runs alone, so that an embedding can never depend on its neighbours.

        Args:
            faces: float32 (N, 100, 100, 3) RGB in [0, 1].

        Returns:
            float32 (N, 4096); their length says how sure the network is, see ``certainties``.

        Raises:
            ValueError: another shape or dtype.
        """
        return self._see(faces, 0, EMBEDDING_SIZE)

    def features(self, faces: np.ndarray) -> np.ndarray:
        """Return the float32 (N, 129) that embeddings are made of; arguments and errors as of ``embed``."""
        return self._see(faces, 1, FEATURES)

    @tell_shortage()
    def _see(self, faces: np.ndarray, answer: int, size: int) -> np.ndarray:
        if faces.ndim != 4 or faces.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or faces.dtype != np.float32:
            raise ValueError(f"Expected faces, float32 (N, 100, 100, 3). Received: {faces.dtype} {faces.shape}")
        seen = [self._session.run(None, {"face": face[None]})[answer] for face in faces]
        return np.concatenate([np.empty((0, size), np.float32), *seen])

    def similarity(self, reference: np.ndarray, probe: np.ndarray) -> float:
        """Return the similarity score of two embeddings (4096,): in [0, 1], higher = more alike."""
        return float(self.scores(reference[None], probe)[0])

    def scores(self, references: np.ndarray, probes: np.ndarray) -> np.ndarray:
        """Return similarity scores: of the head's log-odds, by how sure the network is of both faces.

        Args:
            references: float32 (N, 4096).
            probes: float32 (N, 4096), or (4096,): one for all.

        Returns:
            float64 (N,) in [0, 1]; NaN where an embedding is NaN.
        """
        odds = weighted_l1(references, probes, self._kernel) + self._offset
        sure, other = certainties(references), certainties(np.atleast_2d(probes))
        return sigmoid(self.info.trust.weigh(odds, sure, other))

    def person_scores(self, references: np.ndarray, probes: np.ndarray) -> np.ndarray:
        """Return how alike each photo is to one person: the scores with all that person's references, fused.

        With one reference they are those of ``scores``; see ``Fusion``, and ``WeightsInfo.for_references``
        for the band that belongs to a number of references.

        Args:
            references: float32 (N, 4096), 1 to 20 photos of one person; their order changes nothing.
            probes: float32 (M, 4096).

        Returns:
            float64 (M,) in [0, 1]; NaN where the embedding, or any reference's, is NaN.

        Raises:
            ValueError: there are no references, or more than 20.
        """
        return sigmoid(person_log_odds(references, probes, *self.head, self.info))

    def odd_ones(self, references: np.ndarray) -> tuple[int, ...]:
        """Return which of one person's photos do not look like the others: those that read non-match with them.

        The least like goes first, then the rest are asked again; of two that are left, both are odd or neither.

        Args:
            references: float32 (N, 4096), 1 to 20.

        Returns:
            Places, 0 is the first; in order.
        """
        left, odd = list(range(len(references))), []
        while len(left) > 1:
            others = ((one, [other for other in left if other != one]) for one in left)
            scores = {one: self.person_scores(references[rest], references[one][None])[0] for one, rest in others}
            worst = min(left, key=scores.__getitem__)
            if decide(scores[worst], self.info.for_references(len(left) - 1).inconclusive_band) != "non_match":
                break
            gone = [worst] if len(left) > 2 else left
            odd += gone
            left = [one for one in left if one not in gone]
        return tuple(sorted(odd))

    @property
    def head(self) -> tuple[np.ndarray, float]:
        """What a distance counts for: the score's weights float64 (4096,), and its log-odds at distance 0."""
        return self._kernel, self._offset


def person_log_odds(
    references: np.ndarray, probes: np.ndarray, kernel: np.ndarray, offset: float, info: WeightsInfo
) -> np.ndarray:
    """Return the log-odds of ``Runtime.person_scores``, float64 (M,), by a head's kernel (4096,) and offset."""
    info = info.for_references(len(references))
    # Each reference by itself: how a product of matrices rounds depends on a row's place.
    odds = [weighted_l1(probes, reference, kernel) + offset for reference in references]
    return info.fusion.fuse(odds, certainties(references), certainties(probes), info.trust)


def pair_log_odds(embeddings: np.ndarray, kernel: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return ``weighted_l1`` of many pairs of embeddings.

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
