"""The stand-in for other people, of the trunk's features of training people."""

from __future__ import annotations

import json

import cv2
import keras
import numpy as np
from weights_files import write_weights_files

from flaskapp.personal.stand_in import stand_in_of
from research.distil.stand_in import add_stand_in
from research.sets.labelled import Labelled


def pattern(seed: int) -> np.ndarray:
    """Return a picture uint8 (100, 100, 3) of soft patches: somebody's face."""
    patches = np.random.default_rng(seed).integers(20, 236, (5, 5, 3), np.uint8)
    return cv2.resize(patches, (100, 100), interpolation=cv2.INTER_LINEAR)


def test_it_is_put_beside_the_weights(tmp_path, monkeypatch):
    weights = write_weights_files(tmp_path)
    face = keras.Input((100, 100, 3))
    features = keras.layers.Flatten()(keras.layers.AveragePooling2D(10)(face))
    twin = keras.Model(face, keras.layers.Dropout(0.3, name="dropout")(features))

    class Siamese:
        def get_layer(self, _name):
            return twin

    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: Siamese())
    person = np.repeat(np.arange(150), 3)
    crops = np.stack([pattern(number) for number in person]) // 2 + np.random.default_rng(0).integers(
        0, 100, (450, 1, 1, 1), np.uint8
    )
    add_stand_in(weights, Labelled(np.arange(450), person, np.zeros(450, int)), crops)
    details = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert stand_in_of(details, details["sha256"]).count == (150, 450)
    assert not list(tmp_path.glob("*.part*"))
