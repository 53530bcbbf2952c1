"""Converts MTCNN's weights from the ``mtcnn`` package to the ONNX files that the product runs.

``python -m research mtcnn-weights`` writes them. It was done once and need not be done again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from flaskapp.errors import WeightsError
from flaskapp.onnx_format import IR_VERSION, OPSET

# Offset and scale that the networks were trained with: (pixel - 127.5) / 128.
PIXEL_MEAN = 127.5
PIXEL_SCALE = 128.0

MAP_SIZE = 3
"""Side of the map that the second and the third network flatten."""


@dataclass(frozen=True)
class Pool:
    """Max pooling of stride 2.

    Attributes:
        size: height and width of its window.
        padding: "SAME_UPPER" pads the far edges, "VALID" drops them.
    """

    size: int
    padding: str = "SAME_UPPER"


@dataclass(frozen=True)
class Architecture:
    """What one of the three networks is made of.

    Attributes:
        sha256: of the package's file, a pickle, which is opened only if it is the known one.
        pools: what follows each convolution and its PReLU, from input to output.
        heads: outputs, each with its number of channels, in the file's order.
        side: of the square images it takes, in pixels; 0 for any: a network without dense layers.
    """

    sha256: str
    pools: Sequence[Pool | None]
    heads: Sequence[tuple[str, int]]
    side: int = 0


ARCHITECTURES = {
    "pnet": Architecture(
        sha256="ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        pools=(Pool(2), None, None),
        heads=(("offsets", 4), ("scores", 2)),
    ),
    "rnet": Architecture(
        sha256="cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        pools=(Pool(3), Pool(3, "VALID"), None),
        heads=(("offsets", 4), ("scores", 2)),
        side=24,
    ),
    "onet": Architecture(
        sha256="94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        pools=(Pool(3), Pool(3, "VALID"), Pool(2), None),
        heads=(("offsets", 4), ("landmarks", 10), ("scores", 2)),
        side=48,
    ),
}


def write_models(folder: Path) -> list[Path]:
    """Write pnet.onnx, rnet.onnx and onet.onnx.

    Raises:
        WeightsError: the package's files are not the known ones.
    """
    paths = [folder / f"{name}.onnx" for name in ARCHITECTURES]
    for path in paths:
        path.write_bytes(build_model(path.stem).SerializeToString(deterministic=True))
    return paths


def build_model(name: str) -> ModelProto:
    """Return the network "pnet", "rnet" or "onet" with the package's weights.

    It takes "images", float32 (N, height, width, 3) RGB in [0, 255], and gives "offsets" (..., 4),
    "scores" (...) in [0, 1] and, if it is the last, "landmarks" (..., 10), all float32; ... is
    (N, rows, columns) for the first network and (N,) for the others.

    Raises:
        WeightsError: the package's file is not the known one.
    """
    graph = _build_graph(name, ARCHITECTURES[name], _read_weights(name))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def _read_weights(name: str) -> list[np.ndarray]:
    """Return the arrays of one network, float32, in the package's order and layout."""
    # To import the package would load TensorFlow.
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or spec.origin is None:
        raise WeightsError("The package mtcnn is missing.", "Run make research.")
    path = Path(spec.origin).parent / "assets" / "weights" / f"{name}.lz4"
    if hashlib.sha256(path.read_bytes()).hexdigest() != ARCHITECTURES[name].sha256:
        raise WeightsError(f"{path} is not the known file.", "Use mtcnn 1.0.0.")
    weights: list[np.ndarray] = joblib.load(path)
    return weights


def _build_graph(name: str, architecture: Architecture, weights: Sequence[np.ndarray]) -> GraphProto:
    builder = _GraphBuilder(weights)
    features = builder.add("Transpose", ["images"], "pixels", perm=(0, 3, 1, 2))
    for pool in architecture.pools:
        features = builder.convolve(features, pool)
    if architecture.side:
        features = builder.dense(features)
    for head, _ in architecture.heads:
        builder.head(features, head, dense=bool(architecture.side))
    places = ["images"] if architecture.side else ["images", "rows", "columns"]
    outputs = [
        helper.make_tensor_value_info(head, TensorProto.FLOAT, places if head == "scores" else [*places, width])
        for head, width in architecture.heads
    ]
    sides = [architecture.side] * 2 if architecture.side else ["height", "width"]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["images", *sides, 3])
    return helper.make_graph(builder.nodes, name, [images], outputs, builder.constants)


class _GraphBuilder:
    """Turns the file's arrays, one after the other, into nodes and constants.

    Args:
        weights: all arrays of one network in the file's order.
    """

    def __init__(self, weights: Sequence[np.ndarray]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._weights: Iterator[np.ndarray] = iter(weights)
        self._names = itertools.count()

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        """Append one operator and return the name of what it puts out."""
        output = output or f"{operator}_{next(self._names)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, array: np.ndarray) -> str:
        """Store one array, float32 unless it counts, and return its name."""
        name = f"constant_{next(self._names)}"
        dtype = np.int64 if array.dtype.kind == "i" else np.float32
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def convolve(self, features: str, pool: Pool | None) -> str:
        """Append convolution without padding, PReLU and pooling."""
        kernel, bias, slope = (next(self._weights) for _ in range(3))
        if features == "pixels":
            # Exact, as nothing pads the input of the first convolution.
            bias = bias - kernel.sum(axis=(0, 1, 2), dtype=np.float64) * PIXEL_MEAN / PIXEL_SCALE
            kernel = kernel / PIXEL_SCALE
        kernel = kernel.transpose(3, 2, 0, 1)
        features = self.add("Conv", [features, self.constant(kernel), self.constant(bias)])
        features = self.prelu(features, slope.reshape(-1, 1, 1))
        if pool is None:
            return features
        window = (pool.size, pool.size)
        return self.add("MaxPool", [features], kernel_shape=window, strides=(2, 2), auto_pad=pool.padding)

    def dense(self, features: str) -> str:
        """Append the dense layer behind the flattened map, and its PReLU."""
        kernel, bias, slope = (next(self._weights) for _ in range(3))
        # The file's rows run over width, height, channel; the map here is channel first.
        rows = kernel.reshape(MAP_SIZE, MAP_SIZE, -1, kernel.shape[1]).transpose(2, 1, 0, 3)
        features = self.add("Flatten", [features])
        features = self.add("Gemm", [features, self.constant(rows.reshape(kernel.shape)), self.constant(bias)])
        return self.prelu(features, slope)

    def prelu(self, features: str, slope: np.ndarray) -> str:
        """Append x where x is positive, slope · x elsewhere.

        Written as slope · x + (1 - slope) · max(x, 0): ONNX Runtime's own PRelu branches at
        each number and took two thirds of the first network's time.
        """
        straight = self.add("Mul", [features, self.constant(slope)])
        bent = self.add("Mul", [self.add("Relu", [features]), self.constant(1 - slope)])
        return self.add("Add", [straight, bent])

    def head(self, features: str, name: str, *, dense: bool) -> None:
        """Append one output; "scores" becomes the probability of a face."""
        kernel, bias = (next(self._weights) for _ in range(2))
        kernel = kernel.reshape(kernel.shape[-2:])
        if name == "scores":
            # Softmax over two classes is the sigmoid of their difference.
            kernel, bias = kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]
        if dense:
            answer = self.add("Gemm", [features, self.constant(kernel), self.constant(bias)])
        else:
            convolved = self.add("Conv", [features, self.constant(kernel.T[:, :, None, None]), self.constant(bias)])
            answer = self.add("Transpose", [convolved], perm=(0, 2, 3, 1))
        if name == "scores":
            self.add("Squeeze", [self.add("Sigmoid", [answer]), self.constant(np.array([-1]))], name)
        else:
            self.add("Identity", [answer], name)
