"""Faces on their way into the network: order, augmentation, batches."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np

from flaskapp import preprocess
from flaskapp.augment_images import augment

COARSEST = 0.4
QUALITIES = 40, 95
COVERED_SIDES = 0.2, 0.5
SPREADS = 0.5, 2.0  # of a blur, in pixels; the eyes are 36 pixels apart

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Jitter:
    """How far a training face may differ from its photo, mirrored every other time.

    Attributes:
        shift: pixels of the 100, to any side.
        turn: degrees, either way.
        zoom: share of the size, either way.
        brightness: share of the brightness, either way.
        contrast: share of the contrast, either way.
        coarsened: share of faces that are shrunk to ``COARSEST`` of their size or more, and
            enlarged again: as of a small photo.
        compressed: share of faces that go through JPEG of quality ``QUALITIES``. A format
            then moves a score less: lossy files of one photo differ in fine detail and colour.
        covered: share of faces of which a rectangle is covered by one colour: as by a hand or a mask.
        transformed: share of faces that go through one of the nine transformations of training on
            one's own face, or none.
        blurred: share of faces that a Gaussian of ``SPREADS`` blurs: as of a photo out of focus.
    """

    shift: float = 2.0
    turn: float = 4.0
    zoom: float = 0.04
    brightness: float = 0.2
    contrast: float = 0.2
    coarsened: float = 0.15
    compressed: float = 0.3
    covered: float = 0.0
    transformed: float = 0.0
    blurred: float = 0.15

    def apply(self, crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return changed copies of uint8 (N, 100, 100, 3) faces, uint8 again."""
        return np.stack([self._apply_one(crop, rng) for crop in crops])

    def _apply_one(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        size = crop.shape[0]
        turn, zoom, dx, dy, gain, contrast = rng.uniform(-1, 1, 6)
        warp = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, turn * self.turn, 1 + zoom * self.zoom)
        warp[:, 2] += dx * self.shift, dy * self.shift
        if rng.random() < 0.5:
            warp = warp @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1.0]])
        crop = cv2.warpAffine(crop, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        gain, contrast = 1 + gain * self.brightness, 1 + contrast * self.contrast
        # contrast around the face's own mean, then brightness
        shift = np.float32(float(crop.mean()) * gain * (1 - contrast))
        crop = cv2.convertScaleAbs(np.maximum(crop * np.float32(contrast * gain) + shift, 0))
        if rng.random() < self.coarsened:
            crop = _coarsened(crop, rng.uniform(COARSEST, 1))
        if rng.random() < self.compressed:
            crop = _compressed(crop, int(rng.integers(*QUALITIES, endpoint=True)))
        # Nothing is drawn for what is not asked for: batches of earlier runs stay as they were.
        if self.transformed and rng.random() < self.transformed:
            crop = augment(crop[None], rng)[0]
        if self.covered and rng.random() < self.covered:
            crop = _covered(crop, rng)
        if self.blurred and rng.random() < self.blurred:
            crop = cv2.GaussianBlur(crop, (0, 0), rng.uniform(*SPREADS))
        return crop


def _coarsened(crop: np.ndarray, scale: float) -> np.ndarray:
    size = crop.shape[0]
    small = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)


def _compressed(crop: np.ndarray, quality: int) -> np.ndarray:
    _, file = cv2.imencode(".jpg", crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))[:, :, ::-1])


def _covered(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = (rng.uniform(*COVERED_SIDES, 2) * crop.shape[:2]).astype(int)
    top, left = rng.integers(0, (crop.shape[0] - height + 1, crop.shape[1] - width + 1))
    crop = crop.copy()
    crop[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return crop


@dataclass(frozen=True)
class Batches:
    """A seeded, endless stream of training batches that can start anywhere.

    Attributes:
        crops: uint8 (N, 100, 100, 3), memory-mapped or not.
        targets: float32 (N, …), what belongs to each face.
        rows: int (M,), the rows to draw from.
        size: faces in a batch.
        jitter: augmentation.
        seed: of order and augmentation.
    """

    crops: np.ndarray
    targets: np.ndarray
    rows: np.ndarray
    size: int
    jitter: Jitter
    seed: int

    @property
    def per_epoch(self) -> int:
        """How many whole batches one pass over the rows gives."""
        return len(self.rows) // self.size

    def ahead(self, step: int) -> Iterator[Batch]:
        """Yield batch number ``step`` and all that follow, each made while the one before is learned from."""
        with ThreadPoolExecutor(1, "batches") as thread:
            coming = thread.submit(self.batch, step)
            while True:
                batch, step = coming.result(), step + 1
                coming = thread.submit(self.batch, step)
                yield batch

    def batch(self, step: int) -> Batch:
        """Return batch number ``step``: float32 (size, 100, 100, 3) in [0, 1] and its targets."""
        epoch, place = divmod(step, self.per_epoch)
        order = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
        rows = np.sort(order[place * self.size : (place + 1) * self.size])
        rng = np.random.default_rng((self.seed, epoch, place))
        return preprocess.to_model_input(self.jitter.apply(self.crops[rows], rng)), self.targets[rows]
