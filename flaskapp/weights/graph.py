"""The embedding network as an ONNX graph, made from the arrays of a weights file.

The arrays are read from the ``.h5`` file itself, after its hash has been checked. No Keras, no
pickle, no code from a weights file: only numbers of known names and shapes.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp import onnx_format
from flaskapp.errors import WeightsError
from flaskapp.preprocess import CROP_SIZE
from flaskapp.weights.info import remedy
from flaskapp.weights.shape import (
    CENTRES,
    EMBEDDING_SIZE,
    FEATURES,
    FILTERS,
    NECK_FILTERS,
    SHARPNESS,
    SHORTEST,
    VECTOR_SIZE,
    VIEWS,
)

OWN_LAYERS = frozenset(
    f"flaskapp>{name}" for name in ("L1Distance", "MeanOfViews", "WithDistinctness", "WithMirrorImage")
)
"""The network's layers of our own, as Keras writes their registered names."""
NORM_EPSILON = 1e-3  # of Keras's BatchNormalization

Range = tuple[float, float]


def residual_units(arrays: Mapping[str, np.ndarray], block: str) -> int:
    """Return how many residual units follow a block's first convolution, by the arrays that there are."""
    return next(unit for unit in itertools.count() if f"{block}_unit{unit + 1}_1_conv/kernel" not in arrays)


class _GraphBuilder:
    """Collects the nodes of one ONNX graph, layer after layer.

    Where a tensor's range is known, it is rounded to 256 steps, and ONNX Runtime computes in whole numbers what
    lies between two such tensors: B. Jacob et al., "Quantization and training of neural networks for efficient
    integer-arithmetic-only inference", CVPR 2018.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], ranges: Mapping[str, Range]) -> None:
        self.arrays, self.ranges = arrays, ranges
        self.nodes: list[bytes] = []
        self.constants: dict[str, np.ndarray] = {}
        self.told: list[bytes] = []
        self.counts = Counter[str]()
        self.steps: dict[str, np.float32] = {}  # of rounded tensors

    def add(self, operator: str, inputs: list[str], *constants: np.ndarray, **attributes: int | Sequence[int]) -> str:
        """Append one operator and return the name of its output, or of that rounded."""
        output = f"{operator.lower()}{self.counts[operator]}"
        self.counts[operator] += 1
        names = [f"{output}_{index}" for index in range(len(constants))]
        for name, array in zip(names, constants, strict=True):
            # What owns its numbers keeps nothing else in memory: the arrays are parts of the whole file.
            self.constants[name] = np.require(array, requirements=("C", "O"))
        self.nodes.append(onnx_format.node(operator, inputs + names, output, **attributes))
        return self._rounded(output) if output in self.ranges else output

    def add_told(self, operator: str, x: str, *told: list[int]) -> str:
        """Append an operator that is told a shape, or places and axes."""
        names = [f"{operator.lower()}{self.counts[operator]}_told{index}" for index in range(len(told))]
        self.told += map(onnx_format.integers, names, told)
        return self.add(operator, [x, *names])

    def _rounded(self, x: str) -> str:
        low, high = self.ranges[x]
        step = np.float32((high - low) / 255)
        zero = np.uint8(round(-low / step))
        whole = self.add("QuantizeLinear", [x], np.array(step), np.array(zero))
        rounded = self.add("DequantizeLinear", [whole], np.array(step), np.array(zero))
        self.steps[rounded] = step
        return rounded

    def convolve(self, x: str, layer: str, norm: str, **attributes: int | Sequence[int]) -> str:
        """Append a convolution with the batch normalisation behind it folded in."""
        kernel = self.arrays[f"{layer}/kernel"]
        # Keras's (height, width, in, out) to ONNX's (out, in, height, width); a depthwise
        # kernel is (height, width, channels, 1) and becomes (channels, 1, height, width).
        kernel = kernel.transpose(2, 3, 0, 1) if "group" in attributes else kernel.transpose(3, 2, 0, 1)
        scale = self.arrays[f"{norm}/gamma"] / np.sqrt(self.arrays[f"{norm}/moving_variance"] + NORM_EPSILON)
        bias = self.arrays[f"{norm}/beta"] - self.arrays[f"{norm}/moving_mean"] * scale
        scaled = np.multiply(kernel, scale[:, None, None, None], out=np.empty(kernel.shape, np.float32))
        if x not in self.steps:
            return self.add("Conv", [x], scaled, bias, **attributes)
        # Seven bits, so that no processor's sum of two products overflows 16: the answer is the same on all.
        step = np.maximum(np.abs(scaled).max(axis=(1, 2, 3)), np.float32(1e-9)) / np.float32(63)
        scaled /= step[:, None, None, None]
        whole = np.rint(scaled, out=scaled).astype(np.int8)
        of_sum = step * self.steps[x]
        constants = (
            self._whole(f"{layer}_kernel", whole, step),
            self._whole(f"{layer}_bias", np.rint(bias / of_sum).astype(np.int32), of_sum),
        )
        return self.add("Conv", [x, *constants], **attributes)

    def _whole(self, name: str, numbers: np.ndarray, step: np.ndarray) -> str:
        """Append constants in whole numbers, with a step a channel."""
        self.constants[name] = numbers
        return self.add("DequantizeLinear", [name], step, np.zeros(len(step), numbers.dtype), axis=0)


def embedding_graph(
    arrays: Mapping[str, np.ndarray], ranges: Mapping[str, Range] | None = None
) -> tuple[bytes, dict[str, np.ndarray]]:
    """Return the embedding network as an ONNX graph: faces (N, 100, 100, 3) → embeddings (N, 4096).

    It also tells the features (N, 129) that the embeddings are made of.

    Args:
        arrays: by ``layer/variable``, as ``check_arrays`` lets them pass.
        ranges: lowest and highest number of tensors that are rounded; without, all is computed in float32.

    Returns:
        The graph as an .onnx file, and its constants apart, as ``open_session`` takes them.
    """
    build = _GraphBuilder(arrays, ranges or {})
    x = build.add("Transpose", ["face"], perm=[0, 3, 1, 2])
    # Left and right exchanged: each row's pixels taken from the last to the first.
    x = build.add("Concat", [x, build.add_told("Slice", x, [-1], [-CROP_SIZE - 1], [3], [-1])], axis=0)
    for number in range(1, len(FILTERS) + 1):
        x = _add_block(build, x, f"block{number}")
    x = build.add("Relu", [build.convolve(x, "expand_conv", "expand_norm")])
    x = build.add("Flatten", [build.convolve(x, "global_depthwise", "global_norm", group=NECK_FILTERS)])
    x = build.add("Gemm", [x], arrays["vector/kernel"], arrays["vector/bias"])
    x = build.add("ReduceMean", [build.add_told("Reshape", x, [VIEWS, -1, VECTOR_SIZE])], axes=[0], keepdims=0)
    features = _add_distinctness(build, x)
    x = build.add("Gemm", [features], arrays["embedding/kernel"], arrays["embedding/bias"])
    declared = (onnx_format.declared(name, array) for name, array in build.constants.items())
    face = {"face": ("faces", CROP_SIZE, CROP_SIZE, 3)}
    answer = {x: ("faces", EMBEDDING_SIZE), features: ("faces", FEATURES)}
    return onnx_format.model(build.nodes, face, answer, [*build.told, *declared]), build.constants


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


def _add_distinctness(build: _GraphBuilder, x: str) -> str:
    """Append ``layers.WithDistinctness``."""
    centres = build.arrays["with_distinctness/centres"]

    def length_of(x: str) -> str:
        return build.add("ReduceL2", [x], axes=[1], keepdims=1)

    length = length_of(x)
    unit = build.add("Div", [x, build.add("Max", [length], np.array(SHORTEST, np.float32))])
    cosines = build.add("MatMul", [unit], centres.T)
    near = build.add("Softmax", [build.add("Mul", [cosines], np.array(SHARPNESS, np.float32))], axis=1)
    typical = build.add_told("ReduceSum", build.add("Mul", [near, cosines]), [1])
    distinct = build.add("Add", [build.add("Neg", [typical])], np.array(1, np.float32))
    both = build.add("Concat", [unit, distinct], axis=1)
    return build.add("Mul", [both, build.add("Div", [length, length_of(both)])])


def read_arrays(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read the arrays, float32 by ``layer/variable``, of a Keras ``.h5`` file whose hash is known.

    What is hashed is what is read: the file is opened once, and the arrays are parts of what it held.

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
    import h5py  # here, as it takes 40 ms, in which photos can be decoded

    try:
        with h5py.File(io.BytesIO(content)) as file:
            # Sought as text: to read 80,000 characters of JSON takes six milliseconds.
            layers = set(re.findall(r'"class_name": "(flaskapp>\w+)"', file.attrs.get("model_config", "")))
            arrays = _arrays_below(file["model_weights"], content)
    except (OSError, KeyError, TypeError, ValueError):
        raise WeightsError(f"{path.name} is not a Keras weights file.", remedy(path)) from None
    # Without the layer that adds the mirror image, say, every score would be another one.
    if other := OWN_LAYERS ^ layers:
        raise WeightsError(
            f"{path.name} has other layers than this version: {', '.join(sorted(other))}.",
            "Use weights and program of one version.",
        )
    return arrays


def _arrays_below(group: Any, content: bytes) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        if hasattr(item, "dtype"):
            place = item.id.get_offset() if item.dtype == np.dtype("<f4") else None  # None, too: not in one piece
            array = item[()] if place is None else np.frombuffer(content, "<f4", item.size, place).reshape(item.shape)
            arrays["/".join(name.split("/")[-2:])] = np.asarray(array, np.float32)

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
    return shapes | {
        **_convolution_shapes("expand", (1, 1, FILTERS[-1], NECK_FILTERS), NECK_FILTERS),
        **_norm_shapes("global", NECK_FILTERS),
        "global_depthwise/kernel": (3, 3, NECK_FILTERS, 1),
        "vector/kernel": (NECK_FILTERS, VECTOR_SIZE),
        "vector/bias": (VECTOR_SIZE,),
        "with_distinctness/centres": (CENTRES, VECTOR_SIZE),
        "embedding/kernel": (FEATURES, EMBEDDING_SIZE),
        "embedding/bias": (EMBEDDING_SIZE,),
        "similarity_score/kernel": (EMBEDDING_SIZE, 1),
        "similarity_score/bias": (1,),
    }


def _convolution_shapes(name: str, kernel: tuple[int, ...], channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}_conv/kernel": kernel, **_norm_shapes(name, channels)}


def _norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}_norm/{part}": (channels,) for part in ("beta", "gamma", "moving_mean", "moving_variance")}
