"""The embedding network as an ONNX graph, made from the arrays of a weights file.

The arrays are read from the ``.h5`` file itself, after its hash has been checked. No Keras, no
pickle, no code from a weights file: only numbers of known names and shapes.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from flaskapp.errors import WeightsError
from flaskapp.onnx_session import declare_constant
from flaskapp.preprocess import CROP_SIZE
from flaskapp.weights.info import remedy
from flaskapp.weights.shape import EMBEDDING_SIZE, FILTERS, MOVED_PIXELS, NECK_FILTERS, VECTOR_SIZE, VIEWS

# The network's layers of our own, as Keras writes their registered names.
CERTAINTY = "flaskapp>CertaintyLength"
OWN_LAYERS = frozenset({"flaskapp>L1Distance", "flaskapp>MeanOfViews", "flaskapp>WithOtherViews", CERTAINTY})
NORM_EPSILON = 1e-3  # of Keras's BatchNormalization


@dataclass(frozen=True, eq=False)
class Network:
    """What a weights file holds.

    Attributes:
        arrays: float32, by ``layer/variable``, the layers of the twin and the score alike.
        certainty: an embedding is as long as ``(length / full) ** exponent``, of exponent and full length.
    """

    arrays: Mapping[str, np.ndarray]
    certainty: tuple[float, float]


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
    # Left and right exchanged: each row's pixels taken from the last to the first.
    x = build.add("Concat", [x, build.add_told("Slice", x, [-1], [-CROP_SIZE - 1], [3], [-1])], axis=0)
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
    views = build.add_told("Reshape", x, [VIEWS, -1, channels])
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


def read_network(path: Path, sha256: str) -> Network:
    """Read the network of a Keras ``.h5`` file whose hash is known.

    What is hashed is what is read: the file is opened once.

    Raises:
        WeightsError: the file is missing, was changed, is no Keras file, or has layers of another version.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise WeightsError(f"The weights {path.name} are missing.", remedy(path)) from None
    except OSError as error:
        raise WeightsError(f"The weights {path.name} cannot be read: {error.strerror}.", remedy(path)) from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"{path.name} is damaged or was changed: its hash is not the expected one.", remedy(path))
    try:
        with h5py.File(io.BytesIO(content)) as file:
            layers = _settings_of_layers(json.loads(file.attrs.get("model_config", "{}")))
            arrays = _arrays_below(file["model_weights"])
        _check_own_layers(path, layers)
        certainty = _certainty(layers)
    except (OSError, KeyError, TypeError, ValueError):
        raise WeightsError(f"{path.name} is not a Keras weights file.", remedy(path)) from None
    return Network(arrays, certainty)


def _settings_of_layers(config: Any) -> dict[str, Any]:
    """Return layers by class name, anywhere in a network's configuration as Keras writes it, with their settings."""
    found: dict[str, Any] = {}
    if isinstance(config, dict):
        found[str(config.get("class_name"))] = config.get("config")
    for part in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        found |= _settings_of_layers(part)
    return found


def _check_own_layers(path: Path, layers: Mapping[str, Any]) -> None:
    """Refuse another network: without the layer that makes views, say, every score would be another one."""
    own = {name for name in layers if name.startswith("flaskapp>")}
    if own != OWN_LAYERS:
        raise WeightsError(
            f"{path.name} has other layers than this version: {', '.join(sorted(own ^ OWN_LAYERS))}.",
            "Use weights and program of one version.",
        )


def _certainty(layers: Mapping[str, Any]) -> tuple[float, float]:
    """Return exponent and full length of the layer that gives embeddings their length."""
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
                "Use weights that fit this version of the program.",
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
