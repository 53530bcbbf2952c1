"""Sets of photos that are made up: empty files, and a teacher's embeddings of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from research.sets.file import FaceSet


def unit(*rows) -> np.ndarray:
    """Return embeddings (N, 128) of unit length that begin with the numbers given."""
    vectors = np.zeros((len(rows), 128), np.float32)
    for vector, row in zip(vectors, rows, strict=True):
        vector[: len(row)] = row
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def distinct(count: int, seed: int = 0) -> np.ndarray:
    """Return embeddings (N, 128) of people who do not look alike: all at right angles."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(128, 128)))[0][:count].astype(np.float32)


def write_teacher(path: Path, names, embeddings, usable=None) -> Path:
    count = len(names)
    landmarks = np.arange(count * 10).reshape(count, 5, 2)
    ok = np.ones(count, bool) if usable is None else np.array(usable)
    np.savez(path, paths=np.array(names), landmarks=landmarks.astype(np.float16), embedding=embeddings, ok=ok)
    return path


def touch(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()


def one_set(folder: Path, names, embeddings=None, usable=None, **settings) -> FaceSet:
    embeddings = distinct(len(names)) if embeddings is None else embeddings
    teacher = write_teacher(folder.parent / f"{settings.get('name', 'people')}.npz", names, embeddings, usable)
    touch(folder, names[0])
    return FaceSet(**({"name": "people", "folder": folder, "teacher": teacher} | settings))
