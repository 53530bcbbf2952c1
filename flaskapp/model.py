"""The Siamese network in plain Keras 3: two photos of faces in, one similarity score out.

``embedding network``: 100×100×3 in four views → four convolutional blocks → one 3×3 depthwise
convolution over the whole map → mean of the views → Dropout → Dense 4096 → length by certainty.
The next weights have a larger one, ``GROWN``: more residual units, a 1×1 convolution before the
depthwise one, and the teacher's own 128 numbers as a layer before the mean.
``Siamese network``: the same embedding network twice (shared weights), L1 distance, Dense
sigmoid.

Nothing here names a backend: the network trains on TensorFlow, JAX or PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from flaskapp.errors import DataError
from flaskapp.layers import CertaintyLength, L1Distance, MeanOfViews, WithOtherViews
from flaskapp.parallel import replacing
from flaskapp.weights.shape import EMBEDDING_SIZE, FILTERS, INPUT_SHAPE, NECK_FILTERS, VECTOR_SIZE, VIEWS

# Further residual units per block: early layers work on large maps and cost most, late ones hold
# most of the weights. From nothing (0, 0, 1, 2) learned fastest per minute of two cores; two units
# more came when its learning had slowed down (research/notes/recipe.md).
RESIDUAL_UNITS = (0, 0, 3, 2)
# Of the network that the next weights have (research/README.md).
GROWN_UNITS = (0, 2, 4, 3)
DROPOUT_RATE = 0.3
# As long as the teacher's vectors are when the trunk learns them. A fifth of the length's power is most
# of what it is worth to people who are not learned from (research/notes/training.md).
CERTAINTY = 0.2, 128**0.5

Layers = Callable[..., keras.layers.Layer]


@dataclass(frozen=True)
class Parts:
    """What makes the trunk's layers; other classes with the same variables may compute the same quicker.

    Attributes:
        convolution: takes the arguments of ``Conv2D``.
        normalization: takes the arguments of ``BatchNormalization``; None where convolutions
            have a bias in its place.
        pooling: takes the arguments of ``MaxPooling2D``.
    """

    convolution: Layers = layers.Conv2D
    normalization: Layers | None = layers.BatchNormalization
    pooling: Layers = layers.MaxPooling2D


def _convolve(x: Any, filters: int, name: str, parts: Parts, kernel_size: int = 3, strides: int = 1) -> Any:
    bias = parts.normalization is None
    x = parts.convolution(filters, kernel_size, strides, padding="same", use_bias=bias, name=f"{name}_conv")(x)
    return _normalize(x, f"{name}_norm", parts)


def _normalize(x: Any, name: str, parts: Parts) -> Any:
    if parts.normalization is None:
        return x
    channels = 1 if keras.config.image_data_format() == "channels_first" else -1
    return parts.normalization(axis=channels, name=name)(x)


def _residual_unit(x: Any, filters: int, name: str, parts: Parts) -> Any:
    """Two 3×3 convolutions and the way around them (He et al., "Deep Residual Learning", 2016)."""
    y = layers.ReLU(name=f"{name}_relu1")(_convolve(x, filters, f"{name}_1", parts))
    y = _convolve(y, filters, f"{name}_2", parts)
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, y]))


def _block(x: Any, number: int, filters: int, residual_units: int, parts: Parts) -> Any:
    name = f"block{number}"
    first = number == 1
    x = _convolve(x, filters, name, parts, kernel_size=5 if first else 3, strides=2 if first else 1)
    relu, pool = layers.ReLU(name=f"{name}_relu"), parts.pooling(name=f"{name}_pool")
    if not residual_units:
        # The largest of a window stays the largest when all below 0 become 0: either order gives
        # the same numbers, and this one has a quarter of them to go through.
        return relu(pool(x))
    x = relu(x)
    for unit in range(1, residual_units + 1):
        x = _residual_unit(x, filters, f"{name}_unit{unit}", parts)
    return pool(x)


PLAIN_PARTS = Parts()


def build_trunk(residual_units: Sequence[int] = RESIDUAL_UNITS, parts: Parts = PLAIN_PARTS) -> keras.Model:
    """Build the convolutional part of the embedding network.

    Args:
        residual_units: how many residual units follow the first convolution of each block.
        parts: what makes its layers.

    Returns:
        A model from float32 ``(batch, 100, 100, 3)`` RGB in [0, 1] to ``(batch, 256)``. Its
        input is channels-last whatever Keras's image data format; the weights are the same.

    Raises:
        ValueError: ``residual_units`` does not have one number per block.
    """
    face = keras.Input(INPUT_SHAPE, name="face")
    return keras.Model(face, _features(face, residual_units, parts), name="trunk")


def build_vector_network(
    residual_units: Sequence[int] = GROWN_UNITS, neck: int = NECK_FILTERS, parts: Parts = PLAIN_PARTS
) -> keras.Model:
    """Build what is trained of the grown network: a face in, the teacher's 128 numbers out.

    Args:
        residual_units: how many residual units follow the first convolution of each block.
        neck: filters of the 1×1 convolution before the depthwise one; 0 = none.
        parts: what makes its layers.

    Returns:
        A model from float32 ``(batch, 100, 100, 3)`` RGB in [0, 1] to ``(batch, 128)``.

    Raises:
        ValueError: ``residual_units`` does not have one number per block.
    """
    face = keras.Input(INPUT_SHAPE, name="face")
    x = _features(face, residual_units, parts, neck)
    return keras.Model(face, layers.Dense(VECTOR_SIZE, name="vector")(x), name="vector_network")


def _features(x: Any, residual_units: Sequence[int], parts: Parts, neck: int = 0) -> Any:
    if len(residual_units) != len(FILTERS):
        raise ValueError(f"residual_units expects {len(FILTERS)} numbers. Received: {tuple(residual_units)}")
    if keras.config.image_data_format() == "channels_first":
        x = layers.Permute((3, 1, 2), name="channels_first")(x)
    for number, (filters, units) in enumerate(zip(FILTERS, residual_units, strict=True), start=1):
        x = _block(x, number, filters, units, parts)
    if neck:
        x = layers.ReLU(name="expand_relu")(_convolve(x, neck, "expand", parts, kernel_size=1))
    # One weight per place and channel instead of a flattened 2,304-wide Dense layer, as
    # MobileFaceNet's global depthwise convolution (Chen et al., 2018).
    x = layers.DepthwiseConv2D(3, use_bias=parts.normalization is None, name="global_depthwise")(x)
    return layers.Flatten(name="flatten")(_normalize(x, "global_norm", parts))


def build_embedding_network(
    residual_units: Sequence[int] = RESIDUAL_UNITS, certainty: tuple[float, float] = CERTAINTY, neck: int = 0
) -> keras.Model:
    """Build the twin: one aligned face in, one embedding out.

    The trunk sees the face, its mirror image, and both moved down a little, and the mean of what
    it says goes on: a photo and its mirror image have one embedding.

    Args:
        residual_units: how many follow the first convolution of each block.
        certainty: exponent and full length of ``CertaintyLength``.
        neck: filters of the 1×1 convolution of the grown network, which has the teacher's 128 numbers
            as a layer too; 0 = neither.

    Returns:
        A model from float32 ``(batch, 100, 100, 3)`` RGB in [0, 1] to float32
        ``(batch, 4096)``, the longer the surer.
    """
    face = keras.Input(INPUT_SHAPE, name="face")
    x = _features(WithOtherViews(name="with_other_views")(face), residual_units, PLAIN_PARTS, neck)
    if neck:
        x = layers.Dense(VECTOR_SIZE, name="vector")(x)
    x = MeanOfViews(VIEWS, name="mean_of_views")(x)
    x = layers.Dropout(DROPOUT_RATE, name="dropout")(x)
    x = layers.Dense(EMBEDDING_SIZE, name="embedding")(x)
    x = CertaintyLength(*certainty, name="certainty_length")(x)
    return keras.Model(face, x, name="embedding_network")


def certainty_of(twin: keras.Model) -> tuple[float, float]:
    """Return exponent and full length of what gives embeddings their length."""
    length = twin.get_layer("certainty_length")
    return length.exponent, length.full


def features_of(twin: keras.Model) -> keras.Model:
    """Return the embedding network without its Dropout and Dense: faces in, features (batch, 256 or 128) out."""
    return keras.Model(twin.input, twin.get_layer("dropout").input)


def build_siamese_network(embedding_network: keras.Model | None = None) -> keras.Model:
    """Build the whole verifier around one embedding network.

    Args:
        embedding_network: the twin; a new one with random weights if not given.

    Returns:
        A model from ``[reference, probe]``, each float32 ``(batch, 100, 100, 3)`` in [0, 1],
        to the similarity score ``(batch, 1)`` in [0, 1]; the higher, the more alike.
    """
    twin = embedding_network or build_embedding_network()
    reference = keras.Input(INPUT_SHAPE, name="reference")
    probe = keras.Input(INPUT_SHAPE, name="probe")
    distance = L1Distance(name="l1_distance")([twin(reference), twin(probe)])
    score = layers.Dense(1, activation="sigmoid", name="similarity_score")(distance)
    return keras.Model([reference, probe], score, name="siamese_network")


def random_projection(inputs: int, outputs: int = EMBEDDING_SIZE, seed: int = 2026) -> np.ndarray:
    """Return a fixed Gaussian matrix that keeps distances.

    For a difference d the mean of ``|d · column|`` over Gaussian columns is
    ``|d| · sqrt(2/π)``: the L1 distance of 4,096 projections is the Euclidean distance of
    what was projected up to a constant and an error of about 1 %
    (Johnson and Lindenstrauss, 1984; Vempala, "The Random Projection Method", 2004).

    Returns:
        float32 ``(inputs, outputs)``, entries of mean 0 and variance ``1 / outputs``.
    """
    values = np.random.default_rng(seed).standard_normal((inputs, outputs))
    return (values / np.sqrt(outputs)).astype(np.float32)


def fold_projection(network: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Put a learned linear projection, spread over 4,096 outputs, into the Dense layer.

    Args:
        network: an embedding network.
        kernel: float ``(256, n)``, the projection learned behind the trunk.
        bias: float ``(n,)``.

    Raises:
        ValueError: the kernel does not fit the trunk's output.
    """
    dense = network.get_layer("embedding")
    expected = dense.kernel.shape[0]
    if kernel.shape[0] != expected:
        raise ValueError(f"kernel expects {expected} rows. Received: {kernel.shape}")
    spread = random_projection(kernel.shape[1])
    dense.set_weights([kernel @ spread, bias @ spread])


def unfold_projection(network: keras.Model, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the projection that ``fold_projection`` spread over 4,096 outputs.

    Args:
        network: an embedding network.
        outputs: of the projection, n.

    Returns:
        float32 kernel ``(256, n)`` and bias ``(n,)``: exactly those that were folded in, or,
        when the head has been trained since, the nearest by least squares.
    """
    spread = random_projection(outputs)
    kernel, bias = network.get_layer("embedding").get_weights()
    solution = np.linalg.lstsq(spread.T, np.vstack([kernel, bias]).T, rcond=None)[0].T
    return solution[:-1].astype(np.float32), solution[-1].astype(np.float32)


def set_score(network: keras.Model, scale: float, offset: float) -> None:
    """Make the score ``sigmoid(offset - scale · mean |reference - probe|)``.

    Args:
        network: a Siamese network.
        scale: how fast the score falls with the mean L1 distance; more than 0.
        offset: the score's log-odds at distance 0.

    Raises:
        ValueError: ``scale`` is not positive.
    """
    if not scale > 0:
        raise ValueError(f"scale expects a number above 0. Received: scale={scale}")
    dense = network.get_layer("similarity_score")
    kernel = np.full(dense.kernel.shape, -scale / EMBEDDING_SIZE, np.float32)
    dense.set_weights([kernel, np.array([offset], np.float32)])


def write_weights(siamese: keras.Model, out: Path, note: Mapping[str, Any]) -> None:
    """Write an ordinary Keras ``.h5`` and what belongs to it.

    Both files are finished under other names first: a kill leaves the old pair or the new
    one, or, between the two renames, a pair that does not fit and is refused.

    Args:
        siamese: the network.
        out: the ``.h5``; the note becomes the ``.json`` beside it.
        note: what is known of the weights; their hash is added.

    Raises:
        DataError: a weight is not finite, or the file cannot be written.
    """
    if not all(np.isfinite(array).all() for array in siamese.get_weights()):
        raise DataError("The network holds numbers that are not finite: the training went wrong.", "Lower the rate.")
    with replacing(out.with_suffix(".json"), ".json") as beside, replacing(out, ".h5") as weights:
        try:
            with _without_advice():
                siamese.save(weights)
        except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk by the latter
            raise DataError(
                f"{out.name} cannot be written.", "Free some space on the disk, or name another place."
            ) from error
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        text = json.dumps({**note, "sha256": digest}, indent=2, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence Keras's advice to use its newer format: ``.h5`` is what this program ships."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
