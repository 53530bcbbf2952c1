"""Making photos worse in known steps: what cameras, networks and hands before faces do to them.

Each change takes the decoded photo, before any face is looked for, and gives the same pixels
for the same seed. What depends on the face (how strong a blur is, what is covered, how small
the face becomes) is measured in parts of the face that the unchanged photo shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from flaskapp.detection import Face

Change = Callable[[np.ndarray, float, Face, np.random.Generator], np.ndarray]

COVER = (127, 127, 127)


@dataclass(frozen=True)
class Kind:
    """One way of getting worse.

    Attributes:
        name: short, for files and tables.
        label: what a step's number means.
        values: six steps.
        change: (pixels, value, face, generator) → pixels; uint8 (height, width, 3) RGB.
        unit: written behind a number.
    """

    name: str
    label: str
    values: tuple[float, ...]
    change: Change
    unit: str = ""

    def shown(self, value: float) -> str:
        """Write one step."""
        return f"{value:g}{self.unit}"


def eye_distance(face: Face) -> float:
    """Return the distance between the eyes in pixels, or what it would be were the head turned straight."""
    (left_x, left_y), (right_x, right_y) = face.landmarks[:2]
    seen = math.hypot(right_x - left_x, right_y - left_y)
    # In profile the eyes come together while the face stays as large: then its box says more.
    return max(seen, 0.3 * face.width, 1.0)


def expose(pixels: np.ndarray, stops: float, _: Face, __: np.random.Generator) -> np.ndarray:
    """Change the light by so many stops: doubled or halved in linear light, clipped at white.

    sRGB's curve: IEC 61966-2-1.
    """
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    linear = np.minimum(linear * 2.0**stops, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table = np.round(255 * shown).astype(np.uint8)
    return table[pixels]


def flatten(pixels: np.ndarray, share: float, _: Face, __: np.random.Generator) -> np.ndarray:
    """Keep a share of the contrast: every pixel moves towards the photo's mean grey."""
    mean = float(pixels.mean())
    return np.clip(np.round(mean + share * (pixels.astype(np.float32) - mean)), 0, 255).astype(np.uint8)


def blur(pixels: np.ndarray, percent: float, face: Face, _: np.random.Generator) -> np.ndarray:
    """Blur by a Gaussian whose spread is a percentage of the distance between the eyes."""
    return cv2.GaussianBlur(pixels, (0, 0), max(percent / 100 * eye_distance(face), 0.1))


def compress(pixels: np.ndarray, quality: float, _: Face, __: np.random.Generator) -> np.ndarray:
    """Save as JPEG and open again."""
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1])


def shrink(pixels: np.ndarray, height: float, face: Face, _: np.random.Generator) -> np.ndarray:
    """Shrink the photo until the face is so many pixels high; a smaller one stays as it is."""
    factor = min(height / face.height, 1.0)
    size_wh = tuple(max(round(side * factor), 1) for side in pixels.shape[1::-1])
    return cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)


def add_noise(pixels: np.ndarray, spread: float, _: Face, generator: np.random.Generator) -> np.ndarray:
    """Add normal noise, of its own for each pixel and channel, in grey levels of 255."""
    noise = generator.normal(0, spread, pixels.shape).astype(np.float32)
    return np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)


def cover(pixels: np.ndarray, percent: float, face: Face, generator: np.random.Generator) -> np.ndarray:
    """Cover a percentage of the face's box by a grey piece of the box's shape, somewhere in it."""
    left, top, _, _ = face.box_xyxy
    side = math.sqrt(percent / 100)
    width, height = side * face.width, side * face.height
    x = left + generator.random() * (face.width - width)
    y = top + generator.random() * (face.height - height)
    covered = pixels.copy()
    first, last = (round(x), round(y)), (round(x + width), round(y + height))
    covered[max(first[1], 0) : max(last[1], 0), max(first[0], 0) : max(last[0], 0)] = COVER
    return covered


KINDS = (
    Kind("brightness", "light, in stops", (-8, -6, -4, -2, 1.5, 3), expose),
    Kind("contrast", "share of the contrast left", (0.5, 0.3, 0.2, 0.1, 0.06, 0.03), flatten),
    Kind("blur", "spread of the blur, % of the distance between the eyes", (3, 6, 9, 13, 18, 25), blur, " %"),
    Kind("jpeg", "JPEG quality", (50, 30, 20, 10, 5, 2), compress),
    Kind("size", "height of the face in pixels", (80, 64, 50, 40, 32, 24), shrink, " px"),
    Kind("noise", "spread of the noise, grey levels", (10, 20, 30, 45, 60, 80), add_noise),
    Kind("occlusion", "part of the face's box that is covered", (5, 10, 20, 30, 40, 55), cover, " %"),
)
