"""Aligned faces of a whole training set, cut once and kept in one file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flaskapp import preprocess
from flaskapp.errors import PhotoError
from flaskapp.parallel import replacing
from flaskapp.preprocess.files import read_photo
from research.sets.table import LEFT_OUT, FaceTable

CHUNK = 256
# Every so many chunks the file is known to be good so far: 10,000 faces, half a minute's work.
CHUNKS_A_NOTE = 40

Progress = Callable[[Iterable[int]], Iterable[int]]
_Rows = tuple[tuple[Path, ...], np.ndarray, np.ndarray]


def crops_of(table: FaceTable, folder: Path, progress: Progress = iter, workers: int = 2) -> np.ndarray:
    """Return the aligned face of every row, cutting what is not cut yet.

    The file of an earlier call serves again, and one that was stopped goes on, if it is of
    the same photos, landmarks and geometry; else all is cut anew. That photos of the same
    name still hold the same picture is taken on trust.

    Args:
        table: the photos; rows without landmarks are detected.
        folder: where ``crops.npy`` and its description lie.
        progress: wraps the iteration over chunks of photos, a progress bar for example.
        workers: processes that decode and warp.

    Returns:
        uint8 (N, 100, 100, 3) RGB, memory-mapped; all zero where a photo was left out or unusable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"photos": _fingerprint(table), "geometry": preprocess.CROP_GEOMETRY}
    crops, done = _open_crops(folder, description, len(table))
    starts = range(done * CHUNK, len(table), CHUNK)
    with mapping(min(workers, len(starts))) as mapped:
        chunks = mapped(_cut_chunk, _chunks(table, starts))
        for start, chunk in zip(progress(starts), chunks, strict=True):
            crops[start : start + CHUNK] = chunk
            done = start // CHUNK + 1
            if done % CHUNKS_A_NOTE == 0 or start == starts[-1]:
                crops.flush()
                _describe(folder, description, done)
    return np.load(folder / "crops.npy", mmap_mode="r")


def _chunks(table: FaceTable, starts: Iterable[int]) -> Iterator[_Rows]:
    wanted = table.role != LEFT_OUT
    for start in starts:
        rows = slice(start, start + CHUNK)
        yield table.paths[rows], table.landmarks[rows], wanted[rows]


@contextmanager
def mapping(workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give a ``map`` that runs in so many processes, or in this one if they would not pay."""
    if workers < 2:
        yield map
        return
    # A fork would take over whatever locks the threads of Keras's backend hold just then.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        try:
            yield pool.map
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else leaving would wait for all that is queued
            raise


def crops_as_served(paths: list[Path], known: np.ndarray, workers: int = 2) -> np.ndarray:
    """Return faces found and cut as the program does it for a user.

    Args:
        paths: N photos.
        known: uint8 (N, 100, 100, 3), cut by known landmarks; they stand in where no face is
            found (a head crop of 64 pixels, say).
        workers: processes that decode, detect and warp.

    Returns:
        uint8 (N, 100, 100, 3) RGB.
    """
    starts = range(0, len(paths), CHUNK)
    with mapping(min(workers, len(starts))) as mapped:
        chunks = mapped(
            _serve_chunk, ((paths[start : start + CHUNK], known[start : start + CHUNK]) for start in starts)
        )
        return np.concatenate([known[:0], *chunks])


def _serve_chunk(chunk: tuple[list[Path], np.ndarray]) -> np.ndarray:
    cv2.setNumThreads(1)
    return np.stack([_serve(path, known) for path, known in zip(*chunk, strict=True)])


def _serve(path: Path, known: np.ndarray) -> np.ndarray:
    try:
        return preprocess.crop_photo(read_photo(path))
    except (PhotoError, OSError):
        return known


def _open_crops(folder: Path, description: dict[str, Any], count: int) -> tuple[np.memmap, int]:
    """Return the file to cut into and how many of its chunks are done."""
    path, shape = folder / "crops.npy", (count, preprocess.CROP_SIZE, preprocess.CROP_SIZE, 3)
    known, done = _known(folder)
    if known == description and path.exists():
        crops = np.load(path, mmap_mode="r+")
        if crops.shape == shape and crops.dtype == np.uint8:
            return crops, done
    _describe(folder, description, 0)
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape), 0


def _known(folder: Path) -> tuple[dict[str, Any] | None, int]:
    """Return the description that lies in the folder, and its number of chunks done."""
    try:
        known = json.loads((folder / "crops.json").read_text(encoding="utf-8"))
        done = int(known.pop("chunks"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None, 0
    return known, done


def _describe(folder: Path, description: dict[str, Any], done: int) -> None:
    with replacing(folder / "crops.json") as part:
        part.write_text(json.dumps({**description, "chunks": done}), encoding="utf-8")


def _fingerprint(table: FaceTable) -> str:
    # However the sets file was named, and wherever the photos lie, they are the same photos.
    paths = [path.absolute() for path in table.paths]
    base = os.path.commonpath([path.parent for path in paths])
    names = "\n".join(path.relative_to(base).as_posix() for path in paths)
    digest = hashlib.sha256(names.encode("utf-8", "surrogateescape"))
    digest.update(np.nan_to_num(table.landmarks).tobytes())
    digest.update((table.role == LEFT_OUT).tobytes())
    return digest.hexdigest()


def _cut_chunk(rows: _Rows) -> np.ndarray:
    cv2.setNumThreads(1)  # the processes are the threads
    return np.stack([_cut(*row) for row in zip(*rows, strict=True)])


def _cut(path: Path, landmarks: np.ndarray, wanted: bool) -> np.ndarray:
    if wanted:
        try:
            data = read_photo(path)
            if np.isnan(landmarks).any():
                return preprocess.crop_photo(data)
            return preprocess.crop_face(preprocess.decode_photo(data), landmarks)
        except (PhotoError, ValueError):  # ValueError: landmarks that are no face
            pass
    return np.zeros((preprocess.CROP_SIZE, preprocess.CROP_SIZE, 3), np.uint8)
