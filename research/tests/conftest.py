from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import research  # noqa: F401  sets Keras's backend before anything imports Keras
from research.sets.table import TRAINING, VALIDATION, FaceTable
from tests.conftest import hopper, hopper_pixels, pytest_collection_modifyitems, shared  # noqa: F401

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # weights and scored pairs for tests
from tests.conftest import collins, collins_pixels  # noqa: F401

PEOPLE, PHOTOS = 12, 4


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    """Return uint8 (48, 100, 100, 3): four photos each of twelve people, who are patterns of coloured squares."""
    rng = np.random.default_rng(0)
    people = rng.integers(30, 226, (PEOPLE, 10, 10, 3))
    photos = np.repeat(people, PHOTOS, axis=0) + rng.integers(-20, 21, (PEOPLE * PHOTOS, 10, 10, 3))
    return np.kron(photos, np.ones((1, 10, 10, 1))).astype(np.uint8)


@pytest.fixture(scope="session")
def table() -> FaceTable:
    """Return the table of those photos; the last four people validate."""
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(PEOPLE), PHOTOS)
    teacher = np.repeat(rng.normal(size=(PEOPLE, 128)), PHOTOS, axis=0) + 0.3 * rng.normal(size=(len(person), 128))
    return FaceTable(
        set_names=("people",),
        paths=tuple(Path("people") / f"{row}.png" for row in range(len(person))),
        set_index=np.zeros(len(person), int),
        person=person,
        role=np.where(person < PEOPLE - 4, TRAINING, VALIDATION),
        landmarks=np.zeros((len(person), 5, 2), np.float32),
        teacher=(teacher / np.linalg.norm(teacher, axis=1, keepdims=True)).astype(np.float32),
    )
