"""The stand-in for other people, computed from training people and put beside the weights."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores
from flaskapp.errors import DataError
from flaskapp.parallel import map_in_order, replacing
from flaskapp.personal.stand_in import FIELDS, StandIn
from flaskapp.weights.runtime import Runtime
from research.sets.labelled import Labelled

__all__ = ["add_stand_in", "fit_stand_in", "note_of"]

PEOPLE_RANK, PHOTO_RANK = 64, 96
FEWEST_PEOPLE = 2 * PEOPLE_RANK
PHOTOS_AT_MOST = 9_000
PHOTOS_A_PERSON = 15


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
    note = weights.with_suffix(".json")
    details = json.loads(note.read_text(encoding="utf-8"))
    chosen = _drawn(people.person, np.random.default_rng(seed))
    runtime, faces = Runtime(weights), crops[people.rows[chosen]]
    seen = map_in_order(lambda face: runtime.features(preprocess.to_model_input(face[None])), faces, allowed_cores())
    features = np.concatenate(list(seen))
    stand_in = fit_stand_in(features, people.person[chosen])
    details["stand_in"] = note_of(stand_in, details["sha256"])
    with replacing(note) as part:
        part.write_text(json.dumps(details, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def fit_stand_in(features: np.ndarray, person: np.ndarray) -> StandIn:
    """Fit the stand-in to the features of many people's photos.

    Args:
        features: float (N, d).
        person: int (N,); who has a single photo tells nothing and is left out.

    Raises:
        DataError: fewer than ``FEWEST_PEOPLE`` people: it could then be told who is in it.
    """
    _, group, counts = np.unique(person, return_inverse=True, return_counts=True)
    kept = counts[group] > 1
    features = features[kept].astype(np.float64)
    _, group, counts = np.unique(group[kept], return_inverse=True, return_counts=True)
    if len(counts) < FEWEST_PEOPLE:
        raise DataError(
            f"A stand-in expects at least {FEWEST_PEOPLE} people with two photos or more. Received: {len(counts)}.",
            "Use more training people.",
        )
    centres = np.zeros((len(counts), features.shape[1]))
    np.add.at(centres, group, features)
    centres /= counts[:, None]
    apart = features - centres[group]
    within = apart.T @ apart / (len(features) - len(counts))
    mean = centres.mean(axis=0)
    # A person's mean of n photos scatters by a further within / n.
    between = np.cov(centres.T) - within * np.mean(1 / counts)
    people, people_rest = _strongest(between, PEOPLE_RANK)
    photos, photos_rest = _strongest(within, PHOTO_RANK)
    count = len(counts), len(features)
    return StandIn(mean.astype(np.float32), people, people_rest, photos, photos_rest, count)


def note_of(stand_in: StandIn, sha256: str) -> dict[str, Any]:
    """Return a stand-in as text: float16 numbers in base64, and the hash of the weights it belongs to."""
    arrays = {name: np.asarray(getattr(stand_in, name), np.float16) for name in FIELDS}
    return {
        "sha256": sha256,
        "people": stand_in.count[0],
        "photos": stand_in.count[1],
        "arrays": {
            name: {"shape": list(array.shape), "float16": base64.b64encode(array.tobytes()).decode("ascii")}
            for name, array in arrays.items()
        },
    }


def _strongest(covariance: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the strongest directions times their spread (d, rank), and the spread of the rest (d,)."""
    variances, directions = np.linalg.eigh(covariance)
    kept = directions[:, ::-1][:, :rank] * np.sqrt(np.maximum(variances[::-1][:rank], 0))
    rest = np.sqrt(np.maximum(np.diag(covariance) - np.sum(kept**2, axis=1), 0))
    return kept.astype(np.float32), rest.astype(np.float32)


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
