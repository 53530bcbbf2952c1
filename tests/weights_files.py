"""Weights files for tests, written without Keras: the layout of Keras's ``.h5``, random numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flaskapp.preprocess import CROP_GEOMETRY

FILTERS = (64, 128, 128, 256)
RESIDUAL_UNITS = (0, 0, 0, 2)  # where maps are small
BAND = (0.4, 0.6)
LAYERS = {
    "flaskapp>WithMirrorImage": {},
    "flaskapp>MeanOfViews": {},
    "flaskapp>WithDistinctness": {},
    "flaskapp>L1Distance": {},
}
"""The network's layers of our own, and what is said of them."""


def random_arrays(
    seed: int = 0, scale: float = 600.0, offset: float = 2.0, residual_units: Sequence[int] = RESIDUAL_UNITS
) -> dict[str, np.ndarray]:
    """Return the arrays of a network that has learned nothing, as ``runtime.read_arrays`` does.

    Args:
        seed: of the numbers.
        scale: how fast the score falls with the mean L1 distance of two embeddings.
        offset: log odds of the score at distance 0.
        residual_units: how many follow each block's first convolution.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, np.ndarray] = {}

    def convolution(name: str, *shape: int) -> None:
        arrays[f"{name}_conv/kernel"] = rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        normalization(f"{name}_norm", shape[3])

    def normalization(name: str, channels: int) -> None:
        for part, mean in (("beta", 0.0), ("gamma", 1.0), ("moving_mean", 0.0), ("moving_variance", 1.0)):
            arrays[f"{name}/{part}"] = np.abs(rng.normal(mean, 0.1, channels))

    for number, (inputs, outputs) in enumerate(pairwise((3, *FILTERS)), start=1):
        side = 5 if number == 1 else 3
        convolution(f"block{number}", side, side, inputs, outputs)
        for unit in range(1, residual_units[number - 1] + 1):
            for half in (1, 2):
                convolution(f"block{number}_unit{unit}_{half}", 3, 3, outputs, outputs)
    convolution("expand", 1, 1, 256, 512)
    arrays["global_depthwise/kernel"] = rng.normal(0, 1 / 3, (3, 3, 512, 1))
    normalization("global_norm", 512)
    arrays["vector/kernel"] = rng.normal(0, 1 / 16, (512, 128))
    arrays["vector/bias"] = rng.normal(0, 1e-3, 128)
    arrays["with_distinctness/centres"] = rng.normal(0, 1 / 16, (256, 128))
    arrays["embedding/kernel"] = rng.normal(0, 1 / 64 / 50, (129, 4096))  # lengths are certainties: below 1
    arrays["embedding/bias"] = np.zeros(4096)
    arrays["similarity_score/kernel"] = np.full((4096, 1), -scale / 4096)
    arrays["similarity_score/bias"] = np.array([offset])
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def note_for(weights: Path, band: tuple[float, float] = BAND, **changes: Any) -> dict[str, Any]:
    """Return what belongs into the ``.json`` beside a weights file."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return {**unsigned_note(band), "name": weights.stem, "sha256": digest, **changes}


def unsigned_note(band: tuple[float, float] = BAND) -> dict[str, Any]:
    """Return a note that belongs to no file yet."""
    return {
        "name": "random",
        "threshold": sum(band) / 2,
        "inconclusive_band": list(band),
        "error_counts": {
            "genuine": {"match": 90, "inconclusive": 6, "non_match": 4},
            "impostor": {"match": 1, "inconclusive": 19, "non_match": 980},
        },
        "crop_geometry": CROP_GEOMETRY,
        "trust": {"match": [0.0, 0.0], "doubt": 0.0, "least": 0.0},
        "grade_bounds": [0.0, 0.0],  # whatever random weights say of a photo, it is a good one
    }


def write_note(weights: Path, band: tuple[float, float] = BAND, **changes: Any) -> Path:
    """Write the ``.json`` beside a weights file; return the weights' path."""
    weights.with_suffix(".json").write_text(json.dumps(note_for(weights, band, **changes)), encoding="utf-8")
    return weights


def write_h5(weights: Path, arrays: Mapping[str, np.ndarray], layers: Mapping[str, Any] = LAYERS) -> Path:
    """Write arrays and layers of our own where Keras puts them; return the path."""
    with h5py.File(weights, "w") as file:
        settings = [{"class_name": name, "config": config} for name, config in layers.items()]
        file.attrs["model_config"] = json.dumps({"layers": settings})
        for name, array in arrays.items():
            layer = name.partition("/")[0]
            twin = layer if layer == "similarity_score" else "embedding_network"
            file[f"model_weights/{twin}/{name}"] = array
    return weights


def write_weights_files(folder: Path, band: tuple[float, float] = BAND, seed: int = 0) -> Path:
    """Write random weights and their note; return the ``.h5``."""
    return write_note(write_h5(folder / "random.h5", random_arrays(seed)), band)
