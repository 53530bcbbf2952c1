"""The embedding network as an ONNX graph, made from the arrays of a weights file."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from flaskapp.onnx_session import declare_constant
from flaskapp.preprocess import CROP_SIZE

__all__ = [
    "EMBEDDING_SIZE",
    "FILTERS",
    "MOVED_PIXELS",
    "NECK_FILTERS",
    "VECTOR_SIZE",
    "Network",
    "embedding_graph",
    "is_grown",
    "residual_units",
]

# The network of flaskapp.model, which cannot be imported here: it loads Keras. A test holds
# both to each other.
FILTERS = (64, 128, 128, 256)
EMBEDDING_SIZE = 4096
MOVED_PIXELS = 2
NECK_FILTERS = 512
VECTOR_SIZE = 128
NORM_EPSILON = 1e-3  # of Keras's BatchNormalization


@dataclass(frozen=True, eq=False)
class Network:
    """What a weights file holds.

    Attributes:
        arrays: float32, by ``layer/variable``, the layers of the twin and the score alike.
        views: how many views of each face the network looks at, to go on with the mean of what it
            says of them: 1 is the face alone, as the first versions' weights have it, 2 its mirror
            image too, 4 both moved down a little as well.
        certainty: an embedding is as long as ``(length / full) ** exponent``, of exponent and full
            length; exponent 0 is unit length, as earlier weights have it.
    """

    arrays: Mapping[str, np.ndarray]
    views: Literal[1, 2, 4] = 1
    certainty: tuple[float, float] = (0.0, 1.0)


def is_grown(arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether it is the grown network, with a 1×1 convolution and the teacher's 128 numbers as layers."""
    return "expand_conv/kernel" in arrays


def residual_units(arrays: Mapping[str, np.ndarray], block: str) -> int:
    """Return how many residual units follow a block's first convolution, by the arrays that there are."""
    return next(unit for unit in itertools.count() if f"{block}_unit{unit + 1}_1_conv/kernel" not in arrays)


class _GraphBuilder:
    """Collects the nodes of one ONNX graph, layer after layer."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.told: list[TensorProto] = []

    def add(self, operator: str, inputs: list[str], *constants: np.ndarray, **attributes: object) -> str:
        """Append one operator and return the name of its output."""
        output = f"{operator.lower()}{len(self.nodes)}"
        names = [f"{output}_{index}" for index in range(len(constants))]
        for name, array in zip(names, constants, strict=True):
            self.constants[name] = np.ascontiguousarray(array, np.float32)
        self.nodes.append(helper.make_node(operator, inputs + names, [output], name=output, **attributes))
        return output

    def add_told(self, operator: str, x: str, *told: list[int]) -> str:
        """Append an operator that is told a shape, or places and axes."""
        names = [f"{operator.lower()}{len(self.nodes)}_told{index}" for index in range(len(told))]
        self.told += [
            numpy_helper.from_array(np.array(numbers, np.int64), name)
            for numbers, name in zip(told, names, strict=True)
        ]
        return self.add(operator, [x, *names])

    def convolve(self, x: str, layer: str, norm: str, **attributes: object) -> str:
        """Append a convolution with the batch normalisation behind it folded in."""
        kernel = self.arrays[f"{layer}/kernel"]
        # Keras's (height, width, in, out) to ONNX's (out, in, height, width); a depthwise
        # kernel is (height, width, channels, 1) and becomes (channels, 1, height, width).
        kernel = kernel.transpose(2, 3, 0, 1) if "group" in attributes else kernel.transpose(3, 2, 0, 1)
        scale = self.arrays[f"{norm}/gamma"] / np.sqrt(self.arrays[f"{norm}/moving_variance"] + NORM_EPSILON)
        bias = self.arrays[f"{norm}/beta"] - self.arrays[f"{norm}/moving_mean"] * scale
        return self.add("Conv", [x], kernel * scale[:, None, None, None], bias, **attributes)


def embedding_graph(network: Network) -> tuple[GraphProto, dict[str, np.ndarray]]:
    """Return the embedding network as an ONNX graph: faces (N, 100, 100, 3) → embeddings (N, 4096).

    Args:
        network: its arrays as ``check_arrays`` lets them pass.

    Returns:
        The graph, and its constants apart, as ``open_session`` takes them.
    """
    arrays = network.arrays
    build = _GraphBuilder(arrays)
    x = build.add("Transpose", ["face"], perm=[0, 3, 1, 2])
    if network.views > 1:
        # Left and right exchanged: each row's pixels taken from the last to the first.
        x = build.add("Concat", [x, build.add_told("Slice", x, [-1], [-CROP_SIZE - 1], [3], [-1])], axis=0)
    if network.views > 2:
        top = build.add_told("Slice", x, [0], [1], [2])
        rest = build.add_told("Slice", x, [0], [CROP_SIZE - MOVED_PIXELS], [2])
        x = build.add("Concat", [x, build.add("Concat", [*[top] * MOVED_PIXELS, rest], axis=2)], axis=0)
    for number in range(1, len(FILTERS) + 1):
        x = _add_block(build, x, f"block{number}")
    channels = FILTERS[-1]
    if is_grown(arrays):
        x, channels = build.add("Relu", [build.convolve(x, "expand_conv", "expand_norm")]), NECK_FILTERS
    x = build.convolve(x, "global_depthwise", "global_norm", group=channels)
    x = build.add("Flatten", [x])
    if is_grown(arrays):
        x, channels = build.add("Gemm", [x], arrays["vector/kernel"], arrays["vector/bias"]), VECTOR_SIZE
    if network.views > 1:
        views = build.add_told("Reshape", x, [network.views, -1, channels])
        x = build.add("ReduceMean", [views], axes=[0], keepdims=0)
    x = build.add("Gemm", [x], arrays["embedding/kernel"], arrays["embedding/bias"])
    x = _add_length(build, x, *network.certainty)
    graph = helper.make_graph(
        build.nodes,
        "embedding_network",
        [helper.make_tensor_value_info("face", TensorProto.FLOAT, ["faces", CROP_SIZE, CROP_SIZE, 3])],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["faces", EMBEDDING_SIZE])],
        [*build.told, *(declare_constant(name, array.shape) for name, array in build.constants.items())],
    )
    return graph, build.constants


def _add_length(build: _GraphBuilder, x: str, exponent: float, full: float) -> str:
    unit = build.add("LpNormalization", [x], axis=1, p=2)
    if exponent == 0:
        return unit
    share = build.add("Div", [build.add("ReduceL2", [x], axes=[1], keepdims=1)], np.array(full))
    return build.add("Mul", [unit, build.add("Pow", [share], np.array(exponent))])


def _add_block(build: _GraphBuilder, x: str, name: str) -> str:
    # "Same" padding of a 5×5 convolution with stride 2 over 100 pixels: 1 before, 2 behind.
    shape = {"strides": [2, 2], "pads": [1, 1, 2, 2]} if name == "block1" else {"pads": [1, 1, 1, 1]}
    x = build.add("Relu", [build.convolve(x, f"{name}_conv", f"{name}_norm", **shape)])
    for unit in range(1, residual_units(build.arrays, name) + 1):
        y = x
        for half in (1, 2):
            layer = f"{name}_unit{unit}_{half}"
            y = build.convolve(y, f"{layer}_conv", f"{layer}_norm", pads=[1, 1, 1, 1])
            y = build.add("Relu", [y]) if half == 1 else y
        x = build.add("Relu", [build.add("Add", [x, y])])
    return build.add("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
