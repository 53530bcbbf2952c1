"""Making photos worse in known steps: what cameras, networks and hands before faces do to them.

Each change takes the decoded photo, before any face is looked for, and gives the same pixels
for the same generator. Strengths are measured on the face that the unchanged photo shows. What
``spoiling`` does to a face as the network sees it is done here at the same size in the photo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from flaskapp.detection import Face
from flaskapp.preprocess import CROP_SIZE, TEMPLATE
from research.distil import spoiling

Change = Callable[[np.ndarray, float, Face, np.random.Generator], np.ndarray]

SPOIL = {kind.name: kind.change for kind in spoiling.KINDS}
EYES_APART = TEMPLATE[1][0] - TEMPLATE[0][0]


@dataclass(frozen=True)
class Kind:
    """One way of getting worse.

    Attributes:
        name: short, for files and tables.
        label: what a step's number means.
        values: six steps, from hardly visible to hopeless.
        change: (pixels, value, face, generator) → pixels; uint8 (height, width, 3) RGB.
        unit: written behind a number.
        shared: whether photos that are poor alike share what is drawn (direction, place, colour);
            noise is each photo's own.
    """

    name: str
    label: str
    values: tuple[float, ...]
    change: Change
    unit: str = ""
    shared: bool = False

    def shown(self, step: int) -> str:
        """Write one step."""
        return f"{self.values[step]:g}{self.unit}"


def eye_distance(face: Face) -> float:
    """Return the distance between the eyes in pixels, or what it would be were the head turned straight."""
    # In profile the eyes come together while the face stays as large: then its box says more.
    return max(math.dist(*face.landmarks[:2]), 0.3 * (face.box_xyxy[2] - face.box_xyxy[0]), 1.0)


def expose(pixels: np.ndarray, stops: float, _: Face, __: np.random.Generator) -> np.ndarray:
    """Change the light by so many stops: doubled or halved in linear light, clipped at white.

    sRGB's curve: IEC 61966-2-1.
    """
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    linear = np.minimum(linear * 2.0**stops, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * shown).astype(np.uint8)[pixels]


def flatten(pixels: np.ndarray, share: float, _: Face, __: np.random.Generator) -> np.ndarray:
    """Keep a share of the contrast: every pixel moves towards the photo's mean grey."""
    mean = float(pixels.mean())
    return np.clip(np.round(mean + share * (pixels.astype(np.float32) - mean)), 0, 255).astype(np.uint8)


def desaturate(pixels: np.ndarray, share: float, _: Face, rng: np.random.Generator) -> np.ndarray:
    """Take away a share of the colour."""
    return SPOIL["grey"](pixels, share, rng)


def blurred(name: str) -> Change:
    """Return a blur of spoiling's whose size is a percentage of the distance between the eyes."""
    return lambda pixels, percent, face, rng: SPOIL[name](pixels, max(percent / 100 * eye_distance(face), 0.1), rng)


def add_noise(name: str) -> Change:
    """Return one of spoiling's changes of single pixels, made where the face has as many as the network sees.

    What it adds there is added to the photo: each of a large photo's many pixels alone would be
    averaged away before the network sees them.
    """

    def change(pixels: np.ndarray, strength: float, face: Face, rng: np.random.Generator) -> np.ndarray:
        small = _scaled(pixels, EYES_APART / eye_distance(face))
        added = SPOIL[name](small, strength, rng).astype(np.int16) - small
        added = cv2.resize(added, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        return np.clip(pixels + added, 0, 255).astype(np.uint8)

    return change


def grain(pixels: np.ndarray, spread: float, face: Face, rng: np.random.Generator) -> np.ndarray:
    """Make the photo grey, with one noise for all channels."""
    return add_noise("grey grain")(SPOIL["grey"](pixels, 1, rng), spread, face, rng)


def mosaic(pixels: np.ndarray, percent: float, face: Face, _: np.random.Generator) -> np.ndarray:
    """Make squares whose side is a percentage of the distance between the eyes."""
    small = _scaled(pixels, 100 / (percent * eye_distance(face)))
    return cv2.resize(small, pixels.shape[1::-1], interpolation=cv2.INTER_NEAREST)


def shrink(pixels: np.ndarray, height: float, face: Face, _: np.random.Generator) -> np.ndarray:
    """Shrink the photo until the face is so many pixels high; a smaller one stays as it is."""
    return _scaled(pixels, height / face.height)


def _scaled(pixels: np.ndarray, factor: float) -> np.ndarray:
    size_wh = [max(round(side * min(factor, 1.0)), 1) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)


def cover(name: str, side: Callable[[float], float] = float) -> Change:
    """Return one of spoiling's covers, laid over the face as it stands in the photo.

    Args:
        name: of the kind.
        side: percentage → what spoiling takes, in pixels of its face.
    """

    def change(pixels: np.ndarray, percent: float, face: Face, rng: np.random.Generator) -> np.ndarray:
        seed = int(rng.integers(2**32))
        on_black, on_white = (
            SPOIL[name](
                np.full((CROP_SIZE, CROP_SIZE, 3), ground, np.uint8), side(percent), np.random.default_rng(seed)
            )
            for ground in (0, 255)
        )
        covers = (on_black == on_white).all(axis=2)
        crop, photo = (np.array(points) @ (1, 1j) for points in (TEMPLATE, face.landmarks))
        turn, shift = np.linalg.lstsq(np.stack((crop, np.ones(5)), axis=1), photo, rcond=None)[0]
        to_photo = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
        there = cv2.warpAffine(covers.astype(np.uint8), to_photo, pixels.shape[1::-1], flags=cv2.INTER_NEAREST)
        return np.where(there[:, :, None] > 0, on_black[covers][0], pixels)

    return change


EYES, HEIGHT = "% of the eyes' distance", "% of forehead to chin"
KINDS = (
    Kind("blur", f"spread, {EYES}", (3, 6, 9, 13, 18, 25), blurred("blur"), " %"),
    Kind("motion", f"length, {EYES}", (10, 20, 30, 45, 60, 80), blurred("motion"), " %", shared=True),
    Kind("colour noise", "spread, grey levels", (10, 20, 30, 45, 60, 80), add_noise("colour noise")),
    Kind("grey grain", "spread, grey levels", (8, 15, 25, 35, 50, 70), grain),
    Kind("low light", "photons where white is", (60, 30, 15, 8, 4, 2), add_noise("little light")),
    Kind("mosaic", f"squares, {EYES}", (5, 8, 11, 15, 20, 28), mosaic, " %"),
    Kind("size", "height of the face in pixels", (64, 50, 40, 32, 28, 25), shrink, " px"),
    Kind("jpeg", "JPEG quality", (50, 30, 20, 10, 5, 2), add_noise("jpeg")),
    Kind("contrast", "share of the contrast left", (0.5, 0.35, 0.25, 0.18, 0.13, 0.1), flatten),
    Kind("grey", "share of the colour lost", (0.2, 0.4, 0.6, 0.8, 0.9, 1), desaturate),
    Kind("dark", "light, in stops", (-1, -2, -3, -4.5, -6, -8), expose),
    Kind("bright", "light, in stops", (0.5, 1, 1.5, 2, 3, 4), expose),
    Kind("eyes covered", HEIGHT, (8, 12, 16, 22, 28, 36), cover("eyes covered"), " %", shared=True),
    Kind("mouth covered", HEIGHT, (20, 28, 35, 42, 50, 60), cover("mouth covered"), " %", shared=True),
    Kind("covered", "% of the face", (5, 10, 20, 30, 40, 55),
         cover("covered", lambda percent: 10 * math.sqrt(percent)), " %", shared=True),
)  # fmt: skip
