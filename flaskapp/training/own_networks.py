"""The networks of a training on one's own face: loaded, made anew, taken apart and put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.layers import L1Distance
from flaskapp.model import (
    UNIT_LENGTH,
    build_embedding_network,
    build_siamese_network,
    certainty_of,
    features_of,
    set_score,
)
from flaskapp.training.own_data import Embed
from flaskapp.training.own_figures import Head

__all__ = ["copy_head", "head_of", "hold_normalization", "load_siamese", "siamese_from_scratch", "trunk_of"]

# Random embeddings of unit length lie about this far apart by mean |difference|, times 4,096.
SCRATCH_SCALE, SCRATCH_OFFSET = 600.0, 4.0


def load_siamese(weights: Path) -> keras.Model:
    """Load a network of its own from a weights file."""
    return keras.models.load_model(weights, custom_objects={"L1Distance": L1Distance}, compile=False)


def siamese_from_scratch() -> keras.Model:
    """Build a network with random weights."""
    siamese = build_siamese_network(build_embedding_network(certainty=UNIT_LENGTH))
    set_score(siamese, SCRATCH_SCALE, SCRATCH_OFFSET)
    return siamese


def trunk_of(siamese: keras.Model) -> Embed:
    """Return what gives the trunk's features float32 (N, 256) of crops uint8 (N, 100, 100, 3)."""
    twin = siamese.get_layer("embedding_network")
    trunk = features_of(twin)
    return lambda faces: np.asarray(trunk.predict(preprocess.to_model_input(faces), batch_size=32, verbose=0))


def head_of(network: keras.Model, twin: str = "embedding_network") -> Head:
    """Return the last layers in plain numbers."""
    embedding_network = network.get_layer(twin)
    kernel, bias = embedding_network.get_layer("embedding").get_weights()
    score_kernel, score_bias = network.get_layer("similarity_score").get_weights()
    return Head(kernel, bias, score_kernel.reshape(-1), float(score_bias[0]), certainty_of(embedding_network))


def copy_head(from_twin: Any, source: Any, to_twin: Any, target: Any) -> None:
    """Copy the last layers' weights from one network and its twin to another."""
    to_twin.get_layer("embedding").set_weights(from_twin.get_layer("embedding").get_weights())
    target.get_layer("similarity_score").set_weights(source.get_layer("similarity_score").get_weights())


def hold_normalization(siamese: keras.Model, *, learns: bool) -> None:
    """Freeze batch normalisation: a few pairs of one person and others have other statistics than faces.

    From scratch there is nothing to hold on to: it learns, and forgets faster than usual,
    because there are only a few hundred batches.
    """
    for layer in siamese.get_layer("embedding_network").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = learns
            layer.momentum = 0.9 if learns else layer.momentum
