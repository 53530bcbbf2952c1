"""The weights in serving form: faces in, embeddings out; two embeddings in, a score out.

The arrays are read from the ``.h5`` file itself, after its hash has been checked, and
become an ONNX graph in memory. No Keras, no pickle, no code from a weight file: only
numbers of known names and shapes.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.evaluation.decisions import DECISIONS, sigmoid
from flaskapp.onnx_session import open_session
from flaskapp.preprocess import CROP_GEOMETRY, CROP_SIZE
from flaskapp.serving_graph import (
    EMBEDDING_SIZE,
    FILTERS,
    NECK_FILTERS,
    VECTOR_SIZE,
    Network,
    embedding_graph,
    is_grown,
    residual_units,
)
from flaskapp.shortage import tell_shortage

__all__ = [
    "EMBEDDING_SIZE",
    "Runtime",
    "VerdictCounts",
    "WeightsInfo",
    "default_runtime",
    "default_weights_path",
    "pair_log_odds",
    "read_info",
    "read_network",
    "weighted_l1",
]

WEIGHTS_NAME = "siamese_model_final.h5"
ROWS_AT_ONCE = 32  # embeddings: half a megabyte in float32

# As Keras writes the registered names of the layers that look at more than the face as it is.
VIEWS_OF_LAYER: dict[str, Literal[2, 4]] = {"flaskapp>WithMirrorImage": 2, "flaskapp>WithOtherViews": 4}
CERTAINTY = "flaskapp>CertaintyLength"
OWN_LAYERS = frozenset({"flaskapp>L1Distance", "flaskapp>MeanOfViews", CERTAINTY, *VIEWS_OF_LAYER})

_REINSTALL = "Put back the file that belongs to the program, or install it again."
_NAME_OURS = (
    "Name weights that train or train-base of this program wrote, with their .json beside them, both unchanged."
)


@dataclass(frozen=True)
class VerdictCounts:
    """How often weights gave one verdict when they were measured on people they had never seen.

    Attributes:
        impostor_pairs: pairs of two people.
        impostor_with_verdict: how many of them got the verdict.
        genuine_pairs: pairs of one person.
        genuine_with_verdict: how many of them got the verdict.
    """

    impostors: ClassVar[str] = "strangers"
    genuine: ClassVar[str] = "one person"

    impostor_pairs: int
    impostor_with_verdict: int
    genuine_pairs: int
    genuine_with_verdict: int

    def __post_init__(self) -> None:
        if not (
            0 <= self.impostor_with_verdict <= self.impostor_pairs
            and 0 <= self.genuine_with_verdict <= self.genuine_pairs
        ):
            raise ValueError(f"Verdicts cannot outnumber pairs. Received: {self}")

    def __str__(self) -> str:
        return (
            f"Of {self.impostor_pairs:,} pairs of {self.impostors} {self.impostor_with_verdict:,}, "
            f"of {self.genuine_pairs:,} pairs of {self.genuine} {self.genuine_with_verdict:,} got this verdict."
        )

    def to_json(self) -> dict[str, int | str]:
        """Return the counts, and whom they are of, in JSON's types."""
        return {**vars(self), "impostors": self.impostors, "genuine": self.genuine}


@dataclass(frozen=True)
class WeightsInfo:
    """What belongs to a set of weights: the JSON file beside the ``.h5``.

    Attributes:
        name: what the weights are called.
        sha256: of the ``.h5`` file.
        threshold: score that forces a two-way answer, in [0, 1].
        inconclusive_band: ``(low, high)`` with low ≤ threshold ≤ high.
        error_counts: pairs by ground truth ("genuine", "impostor") and verdict, from people
            that neither training nor the choice of the band saw.
        details: the whole JSON, for whoever wants to know more.
    """

    name: str
    sha256: str
    threshold: float
    inconclusive_band: tuple[float, float]
    error_counts: Mapping[str, Mapping[str, int]]
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        low, high = self.inconclusive_band
        if not 0 <= low <= self.threshold <= high <= 1:
            raise WeightsError(
                f"{self.name}: the band expects 0 ≤ low ≤ threshold ≤ high ≤ 1. "
                f"Received: low={low}, threshold={self.threshold}, high={high}.",
                "Use the .json that was written with the weights.",
            )

    @property
    def weights_id(self) -> str:
        """Name and the first twelve digits of the hash: enough to tell weights apart."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def is_personal(self) -> bool:
        """Whether they were trained on one person's face."""
        return "personal" in self.details

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        """Return how often a verdict ("match", "non_match", "inconclusive") was given to whom."""
        impostor, genuine = self.error_counts["impostor"], self.error_counts["genuine"]
        return VerdictCounts(sum(impostor.values()), impostor[verdict], sum(genuine.values()), genuine[verdict])


def default_weights_path() -> Path:
    """Return where the shipped weights lie: inside an installed package, else in the project's folder."""
    package = Path(__file__).parent
    inside = package / WEIGHTS_NAME
    return inside if inside.exists() else package.parent / WEIGHTS_NAME


def _remedy(path: Path) -> str:
    """Say what to try: only the shipped weights can be put back, others must be made by this program."""
    return _REINSTALL if path.resolve() == default_weights_path().resolve() else _NAME_OURS


def read_info(path: Path) -> WeightsInfo:
    """Read and check the JSON file that belongs to a weights file.

    Raises:
        WeightsError: it is missing, unreadable, or made for other crops than this program's.
    """
    note = path.with_suffix(".json")
    try:
        details = json.loads(note.read_text(encoding="utf-8"))
        info = _info_of(details)
        geometry = details["crop_geometry"]
    except FileNotFoundError:
        raise WeightsError(f"{note.name}, which belongs to the weights, is missing.", _remedy(path)) from None
    except OSError as error:
        raise WeightsError(f"{note.name} cannot be read: {error.strerror}.", _remedy(path)) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise WeightsError(
            f"{note.name} is damaged, or of another program ({type(error).__name__}).", _remedy(path)
        ) from None
    if geometry != CROP_GEOMETRY:
        raise WeightsError(
            f"{path.name} was trained on faces cut otherwise than this program cuts them.",
            "Use weights and program of one version.",
        )
    return info


def _info_of(details: Mapping[str, Any]) -> WeightsInfo:
    low, high = details["inconclusive_band"]
    info = WeightsInfo(
        name=str(details["name"]),
        sha256=str(details["sha256"]),
        threshold=float(details["threshold"]),
        inconclusive_band=(float(low), float(high)),
        error_counts=details["error_counts"],
        details=details,
    )
    for verdict in DECISIONS:
        info.verdict_counts(verdict)
    return info


def read_network(path: Path, sha256: str) -> Network:
    """Read the network of a Keras ``.h5`` file whose hash is known.

    What is hashed is what is read: the file is opened once.

    Raises:
        WeightsError: the file is missing, was changed, is no Keras file, or has layers of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"The weights {path.name} are missing.", _remedy(path)) from None
    except OSError as error:
        raise WeightsError(f"The weights {path.name} cannot be read: {error.strerror}.", _remedy(path)) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"{path.name} is damaged or was changed: its hash is not the expected one.", _remedy(path))
    try:
        with h5py.File(io.BytesIO(content)) as file:
            layers = _settings_of_layers(json.loads(file.attrs.get("model_config", "{}")))
            arrays = _arrays_below(file["model_weights"])
        certainty = _certainty(layers)
    except (OSError, KeyError, TypeError, ValueError):
        raise WeightsError(f"{path.name} is not a Keras weights file.", _remedy(path)) from None
    # Without a layer that makes views, say, every score would be another one.
    if unknown := {name for name in layers if name.startswith("flaskapp>")} - OWN_LAYERS:
        raise WeightsError(
            f"{path.name} has layers that this version does not know: {', '.join(sorted(unknown))}.",
            "Use weights and program of one version.",
        )
    views: Literal[1, 2, 4] = max((VIEWS_OF_LAYER[name] for name in layers.keys() & VIEWS_OF_LAYER.keys()), default=1)
    return Network(arrays, views, certainty)


def _settings_of_layers(config: Any) -> dict[str, Any]:
    """Return layers by class name, anywhere in a network's configuration as Keras writes it, with their settings."""
    found: dict[str, Any] = {}
    if isinstance(config, dict):
        found[str(config.get("class_name"))] = config.get("config")
    for part in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        found |= _settings_of_layers(part)
    return found


def _certainty(layers: Mapping[str, Any]) -> tuple[float, float]:
    """Return exponent and full length of the layer that gives embeddings their length."""
    if CERTAINTY not in layers:
        return 0.0, 1.0
    exponent, full = float(layers[CERTAINTY]["exponent"]), float(layers[CERTAINTY]["full"])
    if not (0 <= exponent <= 1 and 0 < full < math.inf):
        raise ValueError(f"A length expects 0 ≤ exponent ≤ 1 and 0 < full. Received: {exponent}, {full}")
    return exponent, full


def _arrays_below(group: Any) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays["/".join(name.split("/")[-2:])] = np.asarray(item, np.float32)

    group.visititems(collect)
    return arrays


def check_arrays(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse arrays that are not those of the network, whatever made them.

    Raises:
        WeightsError: an array is missing, superfluous, or of another shape.
    """
    expected = _expected_shapes(arrays)
    received = {name: array.shape for name, array in arrays.items()}
    for name in sorted(expected.keys() | received.keys()):
        if expected.get(name) != received.get(name):
            raise WeightsError(
                f"The weights do not hold the expected network: {name} expects "
                f"{expected.get(name, 'not to be there')}. Received: {received.get(name, 'nothing')}.",
                "Use weights and program of one version.",
            )


def _expected_shapes(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that the network must have; ``arrays`` says how many residual units."""
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (inputs, outputs) in enumerate(itertools.pairwise((3, *FILTERS)), start=1):
        block, side = f"block{number}", 5 if number == 1 else 3
        shapes |= _convolution_shapes(block, (side, side, inputs, outputs), outputs)
        for unit in range(1, residual_units(arrays, block) + 1):
            for half in (1, 2):
                shapes |= _convolution_shapes(f"{block}_unit{unit}_{half}", (3, 3, outputs, outputs), outputs)
    channels = features = FILTERS[-1]
    if is_grown(arrays):
        shapes |= _convolution_shapes("expand", (1, 1, channels, NECK_FILTERS), NECK_FILTERS)
        channels, features = NECK_FILTERS, VECTOR_SIZE
        shapes |= {"vector/kernel": (channels, features), "vector/bias": (features,)}
    return shapes | {
        **_norm_shapes("global", channels),
        "global_depthwise/kernel": (3, 3, channels, 1),
        "embedding/kernel": (features, EMBEDDING_SIZE),
        "embedding/bias": (EMBEDDING_SIZE,),
        "similarity_score/kernel": (EMBEDDING_SIZE, 1),
        "similarity_score/bias": (1,),
    }


def _convolution_shapes(name: str, kernel: tuple[int, ...], channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}_conv/kernel": kernel, **_norm_shapes(name, channels)}


def _norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}_norm/{part}": (channels,) for part in ("beta", "gamma", "moving_mean", "moving_variance")}


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


_default: Runtime | None = None
_lock = threading.Lock()


def default_runtime() -> Runtime:
    """Return the shipped weights, loaded once."""
    global _default
    with _lock:
        if _default is None:
            _default = Runtime(default_weights_path())
        return _default
