"""Personal models for tests: random weights whose owner is Grace Hopper."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
from weights_files import random_arrays, unsigned_note, write_h5

from flaskapp import preprocess
from flaskapp.weights.runtime import Runtime
from tests.conftest import PORTRAITS

HOPPER = PORTRAITS / "grace_hopper.jpg"
ONLY_THE_VERY_PHOTO = 0.88
"""A scope that only the very photo of its owner reaches: sigmoid(offset 2) is 0.88."""


PHOTOS = 3
"""That a written model knows."""
COUNTS = {
    "genuine": {"match": 14, "inconclusive": 1, "non_match": 0},
    "impostor": {"match": 6, "inconclusive": 30, "non_match": 9964},
}
"""Of photos that it was asked of in testing."""


def write_model(folder: Path, scope: float = 0.0, seed: int = 0) -> Path:
    """Write a personal model of Grace Hopper with random weights; a photo counts as hers from a score on, 0 = any."""
    folder.mkdir(parents=True)
    weights = write_h5(folder / "model.h5", random_arrays(seed))
    templates = np.ones((PHOTOS, 4096), np.float32) / 64
    np.savez(folder / "templates.npz", templates=templates)
    _note(folder, weights, scope)
    if scope > 0:  # the owner's own embedding as the templates
        face = preprocess.to_model_input(preprocess.crop_photo(HOPPER.read_bytes())[None])
        np.savez(folder / "templates.npz", templates=np.repeat(Runtime(weights).embed(face), PHOTOS, axis=0))
        _note(folder, weights, scope)
    (folder / "report.html").write_text("<!doctype html>", encoding="utf-8")
    return folder


def write_run(folder: Path) -> Path:
    """Write what a training that was stopped leaves: what it belongs to, and a checkpoint."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_text('{"base": "0", "photos": "1", "recipe": {}}', encoding="utf-8")
    (folder / "log.json").touch()
    (folder / "backup").mkdir()
    (folder / "backup" / "latest.weights.h5").touch()
    return folder


def _note(folder: Path, weights: Path, scope: float) -> None:
    counts = {"match": 9, "inconclusive": 1, "non_match": 0, "out_of_scope": 2}
    of_person = {
        "scale": 1.0,
        "offset": 0.0 if scope else 90.0,
        "threshold": scope or 0.5,
        "inconclusive_band": [scope or 0.4, scope or 0.6],
        "error_counts": unsigned_note()["error_counts"],
    }
    note = unsigned_note() | {
        "references": {"best": PHOTOS, "by_number": {str(PHOTOS): of_person}},
        "name": folder.name,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "error_counts": {"genuine": counts, "impostor": counts},
        "personal": {
            "templates_sha256": hashlib.sha256((folder / "templates.npz").read_bytes()).hexdigest(),
            "counts": COUNTS,
            "learned": True,
        },
    }
    (folder / "model.json").write_text(json.dumps(note), encoding="utf-8")


def stand_in_note(sha256: str, features: int = 129) -> dict[str, object]:
    """Return a stand-in as the JSON of weights holds it: people differ by 1 in each feature, their photos by 0.3."""
    shapes = {"mean": [features], "people": [features, 4], "photos": [features, 4]}
    arrays = {name: np.zeros(shape, np.float16) for name, shape in shapes.items()}
    arrays |= {"people_rest": np.full(features, 1, np.float16), "photos_rest": np.full(features, 0.3, np.float16)}
    told = {
        name: {"shape": list(array.shape), "float16": base64.b64encode(array.tobytes()).decode()}
        for name, array in arrays.items()
    }
    return {"sha256": sha256, "people": 130, "photos": 390, "arrays": told}
