"""Aligned faces of a whole training set, cut once and kept in one file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from flaskapp import preprocess
from flaskapp.dataset.sets import LEFT_OUT, FaceTable
from flaskapp.errors import PhotoError

CHUNK = 256

Progress = Callable[[Iterable[int]], Iterable[int]]


def crops_of(table: FaceTable, folder: Path, progress: Progress = iter, workers: int = 2) -> np.ndarray:
    """Return the aligned face of every row, cutting what is not cut yet.

    The file of an earlier call serves again when it holds the same photos and geometry.

    Args:
        table: the photos; rows without landmarks are detected.
        folder: where ``crops.npy`` and its description lie.
        progress: wraps the iteration over chunks of photos, a progress bar for example.
        workers: processes that decode and warp.

    Returns:
        uint8 (N, 100, 100, 3) RGB, memory-mapped; all zero where a photo was left out or unusable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"photos": _fingerprint(table), "geometry": preprocess.CROP_GEOMETRY, "chunks": 0}
    crops, done = _open_crops(folder, description, len(table))
    starts = range(done * CHUNK, len(table), CHUNK)
    wanted = table.role != LEFT_OUT
    chunks = (
        (table.paths[start : start + CHUNK], table.landmarks[start : start + CHUNK], wanted[start : start + CHUNK])
        for start in starts
    )
    with ProcessPoolExecutor(workers) as pool:
        for start, chunk in zip(progress(starts), pool.map(_cut_chunk, chunks), strict=True):
            crops[start : start + CHUNK] = chunk
            if start // CHUNK % 40 == 0 or start == starts[-1]:
                crops.flush()
                _describe(folder, {**description, "chunks": start // CHUNK + 1})
    return np.load(folder / "crops.npy", mmap_mode="r")


def _open_crops(folder: Path, description: dict, count: int) -> tuple[np.ndarray, int]:
    path, note = folder / "crops.npy", folder / "crops.json"
    if path.exists() and note.exists():
        known = json.loads(note.read_text(encoding="utf-8"))
        if {**known, "chunks": 0} == description:
            return np.load(path, mmap_mode="r+"), known["chunks"]
    shape = (count, preprocess.CROP_SIZE, preprocess.CROP_SIZE, 3)
    crops = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    _describe(folder, description)
    return crops, 0


def _describe(folder: Path, description: dict) -> None:
    (folder / "crops.json").write_text(json.dumps(description), encoding="utf-8")


def _fingerprint(table: FaceTable) -> str:
    digest = hashlib.sha256("\n".join(map(str, table.paths)).encode())
    digest.update(np.nan_to_num(table.landmarks).tobytes())
    digest.update((table.role == LEFT_OUT).tobytes())
    return digest.hexdigest()


def _cut_chunk(chunk: tuple[tuple[Path, ...], np.ndarray, np.ndarray]) -> np.ndarray:
    cv2.setNumThreads(1)
    return np.stack([_cut(*row) for row in zip(*chunk, strict=True)])


def _cut(path: Path, landmarks: np.ndarray, wanted: bool) -> np.ndarray:
    empty = np.zeros((preprocess.CROP_SIZE, preprocess.CROP_SIZE, 3), np.uint8)
    if not wanted:
        return empty
    try:
        return preprocess.crop_photo(path.read_bytes(), None if np.isnan(landmarks).any() else landmarks)
    except (PhotoError, OSError):
        return empty
