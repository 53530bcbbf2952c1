"""The Siamese network in plain Keras 3: two photos of faces in, one similarity score out.

``embedding network``: 100×100×3 and its mirror image → four convolutional blocks → a 1×1
convolution → one 3×3 depthwise convolution over the whole map → Dense 128, the vector → mean of
both → with how far it lies from others → Dropout → Dense 4096. An embedding's length says how sure the network is.
``Siamese network``: the same embedding network twice (shared weights), both embeddings at unit
length, L1 distance, Dense sigmoid.

Nothing here names a backend: the network trains on TensorFlow, JAX or PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from flaskapp.errors import DataError
from flaskapp.layers import L1Distance, MeanOfViews, WithDistinctness, WithMirrorImage
from flaskapp.parallel import replacing
from flaskapp.weights.shape import EMBEDDING_SIZE, FILTERS, INPUT_SHAPE, NECK_FILTERS, RESIDUAL_UNITS, VECTOR_SIZE

DROPOUT_RATE = 0.3


def face_features(
    x: Any,
    residual_units: Sequence[int] = RESIDUAL_UNITS,
    normalization: Callable[..., keras.layers.Layer] | None = layers.BatchNormalization,
    convolution: Callable[..., keras.layers.Layer] = layers.Conv2D,
    pooling: Callable[..., keras.layers.Layer] = layers.MaxPooling2D,
) -> Any:
    """Add the convolutional part of the embedding network, the trunk, to a model.

    Args:
        x: float32 ``(batch, 100, 100, 3)`` RGB in [0, 1], channels last whatever Keras's image data
            format; the weights are the same.
        residual_units: how many residual units follow the first convolution of each block.
        normalization: what stands behind each convolution; None = they have a bias in its place.
        convolution: what convolves; another layer may compute the same quicker.
        pooling: what ends each block; likewise.

    Returns:
        float32 ``(batch, 512)``.

    Raises:
        ValueError: ``residual_units`` does not have one number per block.
    """
    if len(residual_units) != len(FILTERS):
        raise ValueError(f"residual_units expects {len(FILTERS)} numbers. Received: {tuple(residual_units)}")
    channels_first, bias = keras.config.image_data_format() == "channels_first", normalization is None

    def normalize(x: Any, name: str) -> Any:
        return normalization(axis=1 if channels_first else -1, name=f"{name}_norm")(x) if normalization else x

    def convolve(x: Any, filters: int, name: str, kernel_size: int = 3, strides: int = 1) -> Any:
        layer = convolution(filters, kernel_size, strides, padding="same", use_bias=bias, name=f"{name}_conv")
        return normalize(layer(x), name)

    if channels_first:
        x = layers.Permute((3, 1, 2), name="channels_first")(x)
    for number, (filters, units) in enumerate(zip(FILTERS, residual_units, strict=True), start=1):
        name = f"block{number}"
        x = convolve(x, filters, name, kernel_size=5, strides=2) if number == 1 else convolve(x, filters, name)
        relu, pool = layers.ReLU(name=f"{name}_relu"), pooling(name=f"{name}_pool")
        if not units:
            # The largest of a window stays the largest when all below 0 become 0: either order gives
            # the same numbers, and this one has a quarter of them to go through.
            x = relu(pool(x))
            continue
        x = relu(x)
        for unit in range(1, units + 1):
            # Two 3×3 convolutions and the way around them (He et al., "Deep Residual Learning", 2016).
            y = layers.ReLU(name=f"{name}_unit{unit}_relu1")(convolve(x, filters, f"{name}_unit{unit}_1"))
            y = layers.Add(name=f"{name}_unit{unit}_add")([x, convolve(y, filters, f"{name}_unit{unit}_2")])
            x = layers.ReLU(name=f"{name}_unit{unit}_relu2")(y)
        x = pool(x)
    x = layers.ReLU(name="expand_relu")(convolve(x, NECK_FILTERS, "expand", kernel_size=1))
    # One weight per place and channel instead of a flattened 2,304-wide Dense layer, as
    # MobileFaceNet's global depthwise convolution (Chen et al., 2018).
    x = layers.DepthwiseConv2D(3, use_bias=bias, name="global_depthwise")(x)
    return layers.Flatten(name="flatten")(normalize(x, "global"))


def build_embedding_network(residual_units: Sequence[int] = RESIDUAL_UNITS) -> keras.Model:
    """Build the twin: one aligned face in, one embedding out.

    The trunk sees the face and its mirror image, and the mean of what it says goes on: a photo and its
    mirror image have one embedding.

    Args:
        residual_units: how many follow the first convolution of each block.

    Returns:
        A model from float32 ``(batch, 100, 100, 3)`` RGB in [0, 1] to float32
        ``(batch, 4096)``, the longer the surer.
    """
    face = keras.Input(INPUT_SHAPE, name="face")
    x = face_features(WithMirrorImage(name="with_mirror_image")(face), residual_units)
    x = layers.Dense(VECTOR_SIZE, name="vector")(x)
    x = WithDistinctness(name="with_distinctness")(MeanOfViews(name="mean_of_views")(x))
    x = layers.Dropout(DROPOUT_RATE, name="dropout")(x)
    return keras.Model(face, layers.Dense(EMBEDDING_SIZE, name="embedding")(x), name="embedding_network")


def score_of(reference: Any, probe: Any) -> Any:
    """Add what compares two embeddings ``(batch, 4096)`` to a model: unit length, L1 distance, Dense sigmoid."""
    unit = layers.UnitNormalization(name="unit_length")
    distance = L1Distance(name="l1_distance")([unit(reference), unit(probe)])
    return layers.Dense(1, activation="sigmoid", name="similarity_score")(distance)


def build_siamese_network(embedding_network: keras.Model | None = None) -> keras.Model:
    """Build the whole verifier around one embedding network.

    Args:
        embedding_network: the twin; a new one with random weights if not given.

    Returns:
        A model from ``[reference, probe]``, each float32 ``(batch, 100, 100, 3)`` in [0, 1],
        to the similarity score ``(batch, 1)`` in [0, 1]; the higher, the more alike.
    """
    twin = embedding_network or build_embedding_network()
    reference, probe = (keras.Input(INPUT_SHAPE, name=name) for name in ("reference", "probe"))
    return keras.Model([reference, probe], score_of(twin(reference), twin(probe)), name="siamese_network")


def features_of(twin: keras.Model) -> keras.Model:
    """Return the embedding network without its Dropout and Dense 4096: faces in, features (batch, 129) out."""
    return keras.Model(twin.input, twin.get_layer("dropout").input)


def set_score(network: keras.Model, scale: float, offset: float) -> None:
    """Make a Siamese network's score ``sigmoid(offset - scale · mean |reference - probe|)``, both at unit length.

    Raises:
        ValueError: ``scale`` is not positive: the score would not fall with the distance.
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
        advice = logging.getLogger("absl")  # to use Keras's newer format; but ``.h5`` is what this program ships
        level = advice.level
        try:
            advice.setLevel(logging.ERROR)
            siamese.save(weights)
        except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk by the latter
            raise DataError(
                f"{out.name} cannot be written.", "Free some space on the disk, or name another place."
            ) from error
        finally:
            advice.setLevel(level)
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        text = json.dumps({**note, "sha256": digest}, indent=2, allow_nan=False)
        beside.write_text(text + "\n", encoding="utf-8")
