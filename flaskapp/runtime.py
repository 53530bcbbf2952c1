"""The weights in serving form: faces in, embeddings out; two embeddings in, a score out.

The arrays are read from the ``.h5`` file itself, after its hash has been checked, and
become an ONNX graph in memory. No Keras, no pickle, no code from a weight file: only
numbers of known names and shapes.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from flaskapp.errors import WeightsError
from flaskapp.onnx_session import open_session
from flaskapp.preprocess import CROP_GEOMETRY, CROP_SIZE

WEIGHTS_NAME = "siamese_model_final.h5"
# Keras's BatchNormalization and UnitNormalization with their default settings.
NORM_EPSILON = 1e-3
BLOCKS = 4
EMBEDDING_SIZE = 4096

_REINSTALL = "Put back the file that belongs to the program, or install it again."


@dataclass(frozen=True)
class VerdictCounts:
    """How often weights gave one verdict when they were measured on people they had never seen.

    Attributes:
        impostor_pairs: pairs of two people.
        impostor_with_verdict: how many of them got the verdict.
        genuine_pairs: pairs of one person.
        genuine_with_verdict: how many of them got the verdict.
    """

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
            f"Of {self.impostor_pairs:,} pairs of strangers {self.impostor_with_verdict:,}, "
            f"of {self.genuine_pairs:,} pairs of one person {self.genuine_with_verdict:,} got this verdict."
        )

    def to_json(self) -> dict[str, int]:
        """Return the counts in JSON's types."""
        return dict(vars(self))


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
                _REINSTALL,
            )

    @property
    def weights_id(self) -> str:
        """Name and the first twelve digits of the hash: enough to tell weights apart."""
        return f"{self.name}@{self.sha256[:12]}"

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        """Return how often a verdict ("match", "non_match", "inconclusive") was given to whom."""
        impostor, genuine = self.error_counts["impostor"], self.error_counts["genuine"]
        return VerdictCounts(sum(impostor.values()), impostor[verdict], sum(genuine.values()), genuine[verdict])


def default_weights_path() -> Path:
    """Return where the shipped weights lie: inside an installed package, else in the project's folder."""
    package = Path(__file__).parent
    inside = package / WEIGHTS_NAME
    return inside if inside.exists() else package.parent / WEIGHTS_NAME


def read_info(path: Path) -> WeightsInfo:
    """Read and check the JSON file that belongs to a weights file.

    Raises:
        WeightsError: it is missing, unreadable, or made for other crops than this program's.
    """
    note = path.with_suffix(".json")
    try:
        details = json.loads(note.read_text(encoding="utf-8"))
        info = WeightsInfo(
            name=str(details["name"]),
            sha256=str(details["sha256"]),
            threshold=float(details["threshold"]),
            inconclusive_band=(float(details["inconclusive_band"][0]), float(details["inconclusive_band"][1])),
            error_counts=details["error_counts"],
            details=details,
        )
        for verdict in ("match", "inconclusive", "non_match"):
            info.verdict_counts(verdict)
        geometry = details["crop_geometry"]
    except FileNotFoundError:
        raise WeightsError(f"{note.name}, which belongs to the weights, is missing.", _REINSTALL) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise WeightsError(f"{note.name} is damaged: {type(error).__name__}.", _REINSTALL) from None
    if geometry != CROP_GEOMETRY:
        raise WeightsError(
            f"{path.name} was trained on faces cut otherwise than this program cuts them.",
            "Use weights and program of one version.",
        )
    return info


def read_arrays(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read the arrays of a Keras ``.h5`` file whose hash is known.

    Returns:
        float32 arrays by ``layer/variable``, the layers of the twin and the score alike.

    Raises:
        WeightsError: the file is missing, was changed, or holds something else.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise WeightsError(f"The weights {path.name} are missing.", _REINSTALL) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"{path.name} is damaged or was changed: its hash is not the expected one.", _REINSTALL)
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays["/".join(name.split("/")[-2:])] = np.asarray(item, np.float32)

    with h5py.File(io.BytesIO(content), "r") as file:
        file["model_weights"].visititems(collect)
    return arrays


class _GraphBuilder:
    """Collects the nodes of one ONNX graph, layer after layer."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, inputs: list[str], constants: Mapping[str, np.ndarray] | None = None, **attributes: Any) -> str:
        """Append one operator and return the name of its output."""
        output = f"{operator.lower()}{len(self.nodes)}"
        names = list(inputs)
        for suffix, array in (constants or {}).items():
            names.append(f"{output}_{suffix}")
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), names[-1]))
        self.nodes.append(helper.make_node(operator, names, [output], name=output, **attributes))
        return output

    def convolve(self, x: str, layer: str, norm: str, **attributes: Any) -> str:
        """Append a convolution with the batch normalisation behind it folded in (Keras's HWIO to ONNX's OIHW)."""
        kernel = self.arrays[f"{layer}/kernel"]
        kernel = kernel.transpose(2, 3, 0, 1) if "group" in attributes else kernel.transpose(3, 2, 0, 1)
        scale = self.arrays[f"{norm}/gamma"] / np.sqrt(self.arrays[f"{norm}/moving_variance"] + NORM_EPSILON)
        bias = self.arrays[f"{norm}/beta"] - self.arrays[f"{norm}/moving_mean"] * scale
        return self.add("Conv", [x], {"kernel": kernel * scale[:, None, None, None], "bias": bias}, **attributes)


def embedding_graph(arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the embedding network as an ONNX graph: faces (N, 100, 100, 3) → (N, 4096) of unit length.

    Raises:
        WeightsError: an array of the network is missing or has the wrong shape.
    """
    build = _GraphBuilder(arrays)
    x = build.add("Transpose", ["face"], perm=[0, 3, 1, 2])
    for number in range(1, BLOCKS + 1):
        x = _add_block(build, x, f"block{number}", first=number == 1)
    x = build.convolve(x, "global_depthwise", "global_norm", group=arrays["global_depthwise/kernel"].shape[2])
    x = build.add("Flatten", [x])
    x = build.add("Gemm", [x], {"kernel": arrays["embedding/kernel"], "bias": arrays["embedding/bias"]})
    x = build.add("LpNormalization", [x], axis=1, p=2)
    shape = ["faces", CROP_SIZE, CROP_SIZE, 3]
    return helper.make_graph(
        build.nodes,
        "embedding_network",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["faces", EMBEDDING_SIZE])],
        build.constants,
    )


def _add_block(build: _GraphBuilder, x: str, name: str, first: bool) -> str:
    # "Same" padding of a 5×5 convolution with stride 2 over 100 pixels: 1 before, 2 behind.
    shape = {"strides": [2, 2], "pads": [1, 1, 2, 2]} if first else {"pads": [1, 1, 1, 1]}
    x = build.add("Relu", [build.convolve(x, f"{name}_conv", f"{name}_norm", **shape)])
    unit = 1
    while f"{name}_unit{unit}_1_conv/kernel" in build.arrays:
        y = x
        for half in (1, 2):
            layer = f"{name}_unit{unit}_{half}"
            y = build.convolve(y, f"{layer}_conv", f"{layer}_norm", pads=[1, 1, 1, 1])
            y = build.add("Relu", [y]) if half == 1 else y
        x = build.add("Relu", [build.add("Add", [x, y])])
        unit += 1
    return build.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])


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
        try:
            self._session = open_session(embedding_graph(arrays))
            self._kernel = arrays["similarity_score/kernel"].astype(np.float64).reshape(EMBEDDING_SIZE)
            self._offset = float(arrays["similarity_score/bias"][0])
        except (KeyError, IndexError, ValueError) as error:
            raise WeightsError(f"{path.name} does not hold the expected network: {error}", _REINSTALL) from None

    def embed(self, faces: np.ndarray) -> np.ndarray:
        """Return the embeddings of aligned faces.

        Each face runs alone, so that an embedding never depends on its neighbours in a batch.

        Args:
            faces: float32 (N, 100, 100, 3) RGB in [0, 1].

        Returns:
            float32 (N, 4096), each of unit length.

        Raises:
            ValueError: another shape or dtype.
        """
        if faces.ndim != 4 or faces.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or faces.dtype != np.float32:
            raise ValueError(f"embed expects float32 (N, 100, 100, 3). Received: {faces.dtype} {faces.shape}")
        if len(faces) == 0:
            return np.empty((0, EMBEDDING_SIZE), np.float32)
        return np.concatenate([self._session.run(None, {"face": face[None]})[0] for face in faces])

    def similarity(self, reference: np.ndarray, probe: np.ndarray) -> float:
        """Return the similarity score of two embeddings (4096,): in [0, 1], higher = more alike."""
        distance = np.abs(reference.astype(np.float64) - probe.astype(np.float64))
        log_odds = float(distance @ self._kernel) + self._offset
        return float(0.5 * (1 + np.tanh(log_odds / 2)))


_default: Runtime | None = None
_lock = threading.Lock()


def default_runtime() -> Runtime:
    """Return the shipped weights, loaded once."""
    global _default
    with _lock:
        if _default is None:
            _default = Runtime(default_weights_path())
        return _default
