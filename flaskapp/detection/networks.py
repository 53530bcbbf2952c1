"""The three networks of MTCNN, built in memory from the numbers in the ``mtcnn`` package.

K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", 2016. The package (MIT licence) ships the weights as
joblib pickles and runs them on TensorFlow; here its files are found without importing it,
checked against known hashes, read as plain numbers, and run on ONNX Runtime.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.onnx_session import open_session

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto
    from onnxruntime import InferenceSession

__all__ = ["Network", "load_network", "read_weights"]

PACKAGE = "mtcnn"
REINSTALL = "Install it again: pip install --force-reinstall --no-deps mtcnn==1.0.0"

# Offset and scale that the networks were trained with: (pixel - 127.5) / 128.
PIXEL_MEAN = 127.5
PIXEL_SCALE = 128.0


@dataclass(frozen=True)
class Convolution:
    """A convolution without padding, its PReLU, and the pooling behind it.

    Attributes:
        kernel: height and width of the kernel.
        inputs: channels that come in.
        outputs: channels that go out.
        pool: height and width of the max pooling of stride 2; 0 for none.
        pool_padding: "SAME_UPPER" pads the pooling's far edges, "VALID" drops them.
    """

    kernel: int
    inputs: int
    outputs: int
    pool: int = 0
    pool_padding: str = "SAME_UPPER"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of kernel (height, width, in, out), bias and PReLU slope in the file."""
        return (
            (self.kernel, self.kernel, self.inputs, self.outputs),
            (self.outputs,),
            (1, 1, self.outputs),
        )


@dataclass(frozen=True)
class Architecture:
    """What one of the three networks is made of.

    Attributes:
        input_size: side of the square input, in pixels; the first network takes any size.
        sha256: of the package's file.
        convolutions: from input to output.
        at_once: most images in one run; more are run one batch after the other. What a run works
            in grows with its batch: for four thousand faces at once it would be eight gigabytes.
        map_size: side of the last convolution's map, which is flattened; 0: fully
            convolutional.
        hidden: width of the dense layer behind it.
        heads: outputs in the file's order, each with its number of channels.
    """

    input_size: int
    sha256: str
    convolutions: tuple[Convolution, ...]
    heads: tuple[tuple[str, int], ...]
    at_once: int
    map_size: int = 0
    hidden: int = 0

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all arrays in the order in which the file holds them."""
        last = self.convolutions[-1].outputs
        shapes: list[tuple[int, ...]] = [shape for part in self.convolutions for shape in part.shapes]
        before_heads: tuple[int, ...] = (1, 1, last)
        if self.map_size:
            shapes += [(self.map_size**2 * last, self.hidden), (self.hidden,), (self.hidden,)]
            before_heads = (self.hidden,)
        for _, width in self.heads:
            shapes += [(*before_heads, width), (width,)]
        return tuple(shapes)


ARCHITECTURES = {
    "pnet": Architecture(
        input_size=12,
        sha256="ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
        convolutions=(Convolution(3, 3, 10, pool=2), Convolution(3, 10, 16), Convolution(3, 16, 32)),
        heads=(("offsets", 4), ("scores", 2)),
        at_once=1,
    ),
    "rnet": Architecture(
        input_size=24,
        sha256="cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
        convolutions=(
            Convolution(3, 3, 28, pool=3),
            Convolution(3, 28, 48, pool=3, pool_padding="VALID"),
            Convolution(2, 48, 64),
        ),
        at_once=256,
        map_size=3,
        hidden=128,
        heads=(("offsets", 4), ("scores", 2)),
    ),
    "onet": Architecture(
        input_size=48,
        sha256="94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        convolutions=(
            Convolution(3, 3, 32, pool=3),
            Convolution(3, 32, 64, pool=3, pool_padding="VALID"),
            Convolution(3, 64, 64, pool=2),
            Convolution(2, 64, 128),
        ),
        at_once=64,
        map_size=3,
        hidden=256,
        heads=(("offsets", 4), ("landmarks", 10), ("scores", 2)),
    ),
}


class Network:
    """One of the three networks, ready to run from any number of threads.

    Args:
        name: "pnet", "rnet" or "onet".
        session: its graph on ONNX Runtime.
    """

    def __init__(self, name: str, session: InferenceSession) -> None:
        architecture = ARCHITECTURES[name]
        self.input_size = architecture.input_size
        self._at_once = architecture.at_once
        self._outputs = [head for head, _ in architecture.heads]
        self._session = session

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            images: float32 (N, height, width, 3) RGB in [0, 255].

        Returns:
            "offsets" float32 (..., 4), "scores" (...) in [0, 1], and from the last network
            "landmarks" (..., 10); ... is (N, rows, columns) for the first network and (N,)
            for the others.
        """
        starts = range(0, max(len(images), 1), self._at_once)
        runs = [self._session.run(self._outputs, {"images": images[at : at + self._at_once]}) for at in starts]
        answers = runs[0] if len(runs) == 1 else map(np.concatenate, zip(*runs, strict=True))
        return dict(zip(self._outputs, answers, strict=True))


def load_network(name: str) -> Network:
    """Return the network "pnet", "rnet" or "onet" with the package's weights.

    Raises:
        WeightsError: the package is missing, or its file is not the known one.
    """
    architecture = ARCHITECTURES[name]
    weights = read_weights(name)
    return Network(name, open_session(_build_graph(name, architecture, weights)))


def read_weights(name: str) -> list[np.ndarray]:
    """Return the arrays of one network, float32, in the package's order and layout.

    The file is an lz4 frame around a joblib pickle. A pickle can run code when it is
    loaded, so it is not: in joblib's format each array's raw numbers lie right behind a
    short description of them, and as the file's hash is known, so are the shapes.

    Raises:
        WeightsError: the package is missing, or its file is not the known one.
    """
    import lz4.frame

    path = _weights_folder() / f"{name}.lz4"
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The detector's weights {path.name} cannot be read.", REINSTALL) from error
    architecture = ARCHITECTURES[name]
    if hashlib.sha256(packed).hexdigest() != architecture.sha256:
        raise WeightsError(f"The detector's weights {path.name} are not the known ones.", REINSTALL)
    return list(_raw_arrays(lz4.frame.decompress(packed), architecture.shapes))


def _weights_folder() -> Path:
    """Find the installed package without importing it, as that would load TensorFlow."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(f"The package {PACKAGE}, which holds the detector's weights, is missing.", REINSTALL)
    return Path(spec.origin).parent / "assets" / "weights"


def _raw_arrays(pickled: bytes, shapes: tuple[tuple[int, ...], ...]) -> Iterator[np.ndarray]:
    # Each description ends with "alignment: 16" and the opcodes SETITEMS and BUILD; then
    # come one byte that counts the padding, the padding, and the numbers.
    end_of_description = b"K\x10ub"
    position = 0
    for shape in shapes:
        position = pickled.index(end_of_description, position) + len(end_of_description)
        position += 1 + pickled[position]
        count = int(np.prod(shape))
        yield np.frombuffer(pickled, "<f4", count, position).reshape(shape)
        position += 4 * count


def _build_graph(name: str, architecture: Architecture, weights: list[np.ndarray]) -> GraphProto:
    import onnx.helper as onnx_helper
    from onnx import TensorProto

    side = architecture.input_size if architecture.map_size else None
    places = ["images"] if architecture.map_size else ["images", "rows", "columns"]
    builder = _GraphBuilder(weights)
    builder.add("Transpose", ["images"], "pixels", perm=(0, 3, 1, 2))
    features = "pixels"
    for convolution in architecture.convolutions:
        features = builder.convolve(features, convolution)
    if architecture.map_size:
        features = builder.dense(features, architecture.map_size)
    for head, _ in architecture.heads:
        builder.head(features, head, dense=bool(architecture.map_size))
    outputs = [
        onnx_helper.make_tensor_value_info(head, TensorProto.FLOAT, places if head == "scores" else [*places, width])
        for head, width in architecture.heads
    ]
    images = onnx_helper.make_tensor_value_info("images", TensorProto.FLOAT, ["images", side, side, 3])
    return onnx_helper.make_graph(builder.nodes, name, [images], outputs, builder.constants)


class _GraphBuilder:
    """Turns the file's arrays, one after the other, into nodes and constants.

    Args:
        weights: all arrays of one network in the file's order.
    """

    def __init__(self, weights: list[np.ndarray]) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._weights = iter(weights)
        self._names = itertools.count()

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        """Append one operator and return the name of what it puts out."""
        import onnx.helper as onnx_helper

        output = output or f"{operator}_{next(self._names)}"
        self.nodes.append(onnx_helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, array: np.ndarray) -> str:
        """Store one array and return its name."""
        import onnx.numpy_helper as numpy_helper

        name = f"constant_{next(self._names)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def convolve(self, features: str, convolution: Convolution) -> str:
        """Append convolution, PReLU and pooling."""
        kernel, bias, slope = (next(self._weights) for _ in range(3))
        if features == "pixels":
            # Exact, as nothing pads the input of the first convolution.
            bias = bias - kernel.sum(axis=(0, 1, 2), dtype=np.float64) * PIXEL_MEAN / PIXEL_SCALE
            kernel = kernel / PIXEL_SCALE
        kernel = kernel.transpose(3, 2, 0, 1)
        features = self.add("Conv", [features, self.constant(kernel), self.constant(bias)])
        features = self.prelu(features, slope.reshape(-1, 1, 1))
        if not convolution.pool:
            return features
        window = (convolution.pool, convolution.pool)
        return self.add("MaxPool", [features], kernel_shape=window, strides=(2, 2), auto_pad=convolution.pool_padding)

    def dense(self, features: str, map_size: int) -> str:
        """Append the dense layer behind the flattened map, and its PReLU."""
        kernel, bias, slope = (next(self._weights) for _ in range(3))
        # The file's rows run over width, height, channel; the map here is channel first.
        rows = kernel.reshape(map_size, map_size, -1, kernel.shape[1]).transpose(2, 1, 0, 3)
        kernel = rows.reshape(kernel.shape)
        features = self.add("Flatten", [features])
        features = self.add("Gemm", [features, self.constant(kernel), self.constant(bias)])
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
            inputs = [features, self.constant(kernel), self.constant(bias)]
            self._answer(self.add("Gemm", inputs), name, axis=1)
        else:
            inputs = [features, self.constant(kernel.T[:, :, None, None]), self.constant(bias)]
            channels_last = self.add("Transpose", [self.add("Conv", inputs)], perm=(0, 2, 3, 1))
            self._answer(channels_last, name, axis=3)

    def _answer(self, features: str, name: str, axis: int) -> None:
        if name != "scores":
            self.add("Identity", [features], name)
            return
        axes = self._axes(axis)
        self.add("Squeeze", [self.add("Sigmoid", [features]), axes], name)

    def _axes(self, axis: int) -> str:
        import onnx.numpy_helper as numpy_helper

        name = f"axes_{next(self._names)}"
        self.constants.append(numpy_helper.from_array(np.array([axis], np.int64), name))
        return name
