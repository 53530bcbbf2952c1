"""The network that is trained, as layers and as arrays: folded, grown, in half precision, and back again.

It trains *folded*: convolutions with a bias and no normalisation behind them, a quarter faster
and as well. Weights that ship have the normalisation layers, which then change nothing but add
the bias.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from keras import layers

from flaskapp.errors import DataError
from flaskapp.layers import L1Distance
from flaskapp.model import face_features
from flaskapp.parallel import replacing
from flaskapp.weights.shape import EMBEDDING_SIZE, INPUT_SHAPE, RESIDUAL_UNITS, VECTOR_SIZE
from research.distil.pooling import KernelPooling
from research.distil.winograd import WinogradConvolution

__all__ = [
    "BFLOAT16",
    "Arrays",
    "build_student",
    "build_vector_network",
    "grow",
    "random_projection",
    "read_start",
    "save_snapshot",
    "set_arrays",
    "unfolded",
]

Arrays = dict[str, np.ndarray]
META = "meta"
# Convolutions are quicker in bfloat16 where vectors have 512 bits; where they have 256 they take ten times as long.
BFLOAT16 = torch.backends.cpu.get_cpu_capability() == "AVX512"


def build_vector_network(residual_units: Sequence[int] = RESIDUAL_UNITS, **kinds: Any) -> keras.Model:
    """Build what is trained of the network: a face in, the teacher's 128 numbers out.

    Args:
        residual_units: how many residual units follow the first convolution of each block.
        kinds: of layers, as ``model.face_features`` takes them.

    Returns:
        A model from float32 ``(batch, 100, 100, 3)`` RGB in [0, 1] to ``(batch, 128)``.

    Raises:
        ValueError: ``residual_units`` does not have one number per block.
    """
    face = keras.Input(INPUT_SHAPE, name="face")
    x = face_features(face, residual_units, **kinds)
    return keras.Model(face, layers.Dense(VECTOR_SIZE, name="vector")(x), name="vector_network")


def build_student(residual_units: Sequence[int] = RESIDUAL_UNITS) -> keras.Model:
    """Build the folded network, its maps channels first: PyTorch then keeps its quickest layout all the way.

    Winograd's transforms need more digits than bfloat16 has.
    """
    convolution = layers.Conv2D if BFLOAT16 else WinogradConvolution
    layout = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        return build_vector_network(residual_units, normalization=None, convolution=convolution, pooling=KernelPooling)
    finally:
        keras.config.set_image_data_format(layout)


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


def set_arrays(network: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Give a network its arrays by ``layer/variable``.

    Raises:
        DataError: names or shapes are not the network's.
    """
    expected = {variable.path: tuple(variable.shape) for variable in network.variables}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise DataError(
            f"The weights are of another network than the one to be trained: {', '.join(wrong[:4])} differ.",
            "Name other weights to start from, or another number of --units.",
        )
    for variable in network.variables:
        variable.assign(arrays[variable.path].astype(np.float32))


def save_snapshot(path: Path, arrays: Mapping[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write arrays in half precision, and what is to be known of them; a kill leaves the old file or the new one."""
    halves: dict[str, Any] = {name: array.astype(np.float16) for name, array in arrays.items()}
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **(halves | {META: np.array(json.dumps(meta))}))


def read_start(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read weights to start from: a snapshot, or the ``.h5`` of a Siamese network, whose normalisation is folded.

    Returns:
        Arrays by ``layer/variable``, and what a snapshot, or the JSON beside an ``.h5``, says of its training.

    Raises:
        DataError: the file is neither.
    """
    try:
        if path.suffix == ".h5":
            note = path.with_suffix(".json")
            meta = json.loads(note.read_text(encoding="utf-8")).get("training", {}) if note.exists() else {}
            return _read_siamese(path), meta
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            meta = json.loads(str(file[META])) if META in file else {}
            return {name: file[name].astype(np.float32) for name in file.files if name != META}, meta
    except (EOFError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path.name} is neither a snapshot nor a Siamese network ({type(error).__name__}).",
            "Name what this command wrote, or siamese_model_final.h5.",
        ) from error


def _read_siamese(path: Path) -> Arrays:
    siamese = keras.models.load_model(path, custom_objects={"L1Distance": L1Distance}, compile=False)
    twin = siamese.get_layer("embedding_network")
    kernel, bias = twin.get_layer("vector").get_weights()
    arrays = {"vector/kernel": kernel, "vector/bias": bias}
    for layer in twin.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.Conv2D):
            norm = twin.get_layer(layer.name.replace("_conv", "_norm").replace("_depthwise", "_norm"))
            arrays |= _folded(layer, norm)
    return arrays


def _folded(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> Arrays:
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + norm.epsilon)
    (kernel,) = layer.get_weights()
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return {
        f"{layer.name}/kernel": kernel * (scale[:, None] if depthwise else scale),
        f"{layer.name}/bias": beta - mean * scale,
    }


def unfolded(arrays: Mapping[str, np.ndarray], residual_units: Sequence[int]) -> keras.Model:
    """Return the network with its normalisation layers, which add the bias and change nothing else."""
    network = build_vector_network(residual_units)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            convolution = layer.name.replace("global_norm", "global_depthwise").replace("_norm", "_conv")
            bias = arrays[f"{convolution}/bias"]
            ones, zeros = np.ones_like(bias), np.zeros_like(bias)
            layer.set_weights([ones, bias, zeros, ones * (1 - layer.epsilon)])
            network.get_layer(convolution).set_weights([arrays[f"{convolution}/kernel"]])
    network.get_layer("vector").set_weights([arrays["vector/kernel"], arrays["vector/bias"]])
    return network


def grow(arrays: Mapping[str, np.ndarray], network: keras.Model) -> Arrays:
    """Return arrays for a network with more residual units that say what the given ones say.

    A new unit begins as a way through: its last convolution is zero. Whatever else is new stays as the
    network has it.
    """
    grown = {variable.path: np.array(variable.value.detach()) for variable in network.variables}
    if unknown := sorted(arrays.keys() - grown.keys()):
        raise DataError(f"The weights have {unknown[0]}, which the network does not: it can only grow.")
    for name in grown.keys() - arrays.keys():
        if "_2_conv/" in name:
            grown[name] = np.zeros_like(grown[name])
    return grown | {name: old for name, old in arrays.items() if old.shape == grown[name].shape}
