"""The stand-in for other people, computed from training people and put beside the weights."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.errors import DataError
from flaskapp.layers import L1Distance
from flaskapp.model import features_of
from flaskapp.parallel import replacing
from flaskapp.personal.stand_in import fit_stand_in
from research.sets.labelled import Labelled

__all__ = ["add_stand_in"]

PHOTOS_AT_MOST = 9_000
PHOTOS_A_PERSON = 15
AT_ONCE = 512


def add_stand_in(weights: Path, people: Labelled, crops: np.ndarray, seed: int = 0) -> None:
    """Put a stand-in of many people into the JSON beside weights.

    Args:
        weights: the ``.h5``, with its ``.json`` beside it.
        people: photos of training people; some are drawn, whole people at a time.
        crops: uint8 (N, 100, 100, 3), all photos.
        seed: of the drawing.

    Raises:
        DataError: there are too few people; the weights then stay without a stand-in.
    """
    chosen = _drawn(people.person, np.random.default_rng(seed))
    siamese = keras.models.load_model(weights, custom_objects={"L1Distance": L1Distance}, compile=False)
    trunk = features_of(siamese.get_layer("embedding_network"))
    parts = np.array_split(people.rows[chosen], max(1, len(chosen) // AT_ONCE))
    features = [trunk.predict(preprocess.to_model_input(crops[part]), batch_size=64, verbose=0) for part in parts]
    stand_in = fit_stand_in(np.concatenate(features), people.person[chosen])
    note = weights.with_suffix(".json")
    details = json.loads(note.read_text(encoding="utf-8"))
    details["stand_in"] = stand_in.to_json(details["sha256"])
    with replacing(note) as part:
        part.write_text(json.dumps(details, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _drawn(person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw positions of whole people, a few photos of each, until there are enough."""
    order = np.argsort(person, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)
    groups = [group[:PHOTOS_A_PERSON] for group in groups if len(group) > 1]
    chosen: list[int] = []
    for index in rng.permutation(len(groups)):
        if len(chosen) >= PHOTOS_AT_MOST:
            break
        chosen.extend(groups[index].tolist())
    if not chosen:
        raise DataError("A stand-in expects people with two photos or more. Received: none.", "Use more people.")
    return np.sort(np.array(chosen))
