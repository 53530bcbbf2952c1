"""How good a photo of a face is, in words: good, fair or poor, and what is wrong with it.

The grade is the network's own certainty. The reasons are measured apart from it, in the pixels
and the landmarks; each limit and how often its reason is right: ``python -m research reasons``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import cv2
import numpy as np
import numpy.typing as npt

from flaskapp.detection import Face
from flaskapp.preprocess.alignment import CROP_SIZE, TEMPLATE, crop_scale
from flaskapp.words import REASONS, grade_words

Grade = Literal["good", "fair", "poor"]
GRADES: tuple[Grade, ...] = get_args(Grade)

NOSE_DEPTH = 0.6
"""How far the tip of the nose stands before the line through the eyes, in distances between the
eyes: about 38 of 63 millimetres in adults. A rough number for a rough estimate."""

NOSE_HEIGHT = 0.6
"""Where the detector sees the nose of a level head: its part of the way from eyes to mouth."""

EYES = TEMPLATE[1][0] - TEMPLATE[0][0]  # between them, in an aligned face
EYES_TO_MOUTH = (TEMPLATE[3][1] - TEMPLATE[0][1]) / EYES
SHARP_SIDE = 50  # at half its size a face's edges tell blur from noise
LEAST_SIDE = 25  # in smaller faces eyes and mouth look like noise
FLAT, WINDOW = 1.5, 11  # grey levels over so many pixels: no skin is so even
BLACK = 8  # added before logarithms: darker than that, camera noise decides


def _four_ways(straight: Sequence[float], diagonal: Sequence[float]) -> tuple[np.ndarray, ...]:
    across, down = np.array([straight], np.float32), np.diag(diagonal).astype(np.float32)
    return across, across.T, down, np.fliplr(down).copy()


BENDS = _four_ways((1, -2, 1), (0.7, -1.4, 0.7))
STEPS = _four_ways((-1, 0, 0, 0, 1), (-1, 0, 0, 1))
NOISE = np.array(((1, -2, 1), (-2, 4, -2), (1, -2, 1)), np.float32)  # of edges hardly anything is left


class Limit(NamedTuple):
    """From where on a measure gives a reason, and what it is where the worst photos are (either may be larger)."""

    reason: str
    named_from: float
    worst: float

    def excess(self, value: float) -> float:
        """Return 0 at the limit, 1 where the worst photos are."""
        return (value - self.named_from) / (self.worst - self.named_from)


# Chosen so that each reason is given to at most about 3 % of validation people's photos; "too dark" to fewer,
# or it would often be said of dark skin.
LIMITS = {
    "eye_distance": Limit("too_small", 11.6, 4.2),
    "yaw": Limit("turned_aside", 40, 65),
    "pitch": Limit("turned_up_or_down", 24, 45),
    "sharpness": Limit("blurred", 0.22, 0.09),
    "noise": Limit("noisy", 4, 13),
    "dark": Limit("too_dark", 5.5, 4.6),
    "bright": Limit("too_bright", 7.53, 7.78),
    "contrast": Limit("little_contrast", 0.75, 0.2),
    "unevenness": Limit("unevenly_lit", 1.35, 3),
    "blocks": Limit("pixelated", 1.75, 5),
    "flat_area": Limit("covered", 0.1, 0.4),
    "eyes": Limit("covered", 0.2, 0),
    "below_eyes": Limit("covered", -0.45, -1.5),
    "mouth": Limit("covered", 0.18, 0),
    "mouth_colour": Limit("covered", 0.16, 0.32),
}


@dataclass(frozen=True)
class Quality:
    """How good a photo of a face is; ``str`` gives it as people read it: "poor: blurred, too dark".

    Attributes:
        grade: good, fair or poor.
        certainty: in [0, 1]; how sure the network is of this face.
        reasons: of ``REASONS``, worst first; none for a good photo, and none where nothing measured explains the grade.

    Raises:
        ValueError: a value is out of its range, or a good photo has reasons.
    """

    grade: Grade
    certainty: float
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.certainty <= 1:
            raise ValueError(f"certainty expects a number in [0, 1]. Received: {self.certainty}")
        if self.grade not in GRADES or not set(self.reasons) <= set(REASONS):
            raise ValueError(f"Expected a grade and reasons. Received: {self.grade}, {self.reasons}")
        if self.grade == "good" and self.reasons:
            raise ValueError(f"A good photo expects no reasons. Received: {self.reasons}")

    def __str__(self) -> str:
        return grade_words(self.grade, self.reasons)

    def to_json(self) -> dict[str, Any]:
        """Return grade, certainty and reasons in JSON's types."""
        return {**asdict(self), "reasons": list(self.reasons)}


def assess(crop: np.ndarray, face: Face, certainty: float, bounds: tuple[float, float]) -> Quality:
    """Grade a photo of a face by the network's certainty, and say what is wrong if it is not good.

    Args:
        crop: uint8 (100, 100, 3) RGB, aligned, as the network gets it.
        face: where it is, in the photo's own pixels.
        certainty: in [0, 1].
        bounds: poor below the first, good from the second on.

    Raises:
        ValueError: a value is out of its range, the crop has another shape or type, or the
            landmarks are no five distinct points.
    """
    grade = GRADES[grades_of(certainty, bounds)]
    return Quality(grade, certainty, () if grade == "good" else reasons_of(measured(crop, face)))


def grades_of(certainties: npt.ArrayLike, bounds: tuple[float, float]) -> Any:
    """Return the places in ``GRADES`` of certainties, of any shape, with bounds as ``assess`` takes them; int."""
    if not bounds[0] <= bounds[1]:
        raise ValueError(f"bounds expects two numbers in order. Received: {bounds}")
    return len(bounds) - np.digitize(np.asarray(certainties, np.float64), bounds)


def reasons_of(measures: dict[str, float]) -> tuple[str, ...]:
    """Return what is wrong by these measures, as of ``measured``, worst first.

    What is slight beside the worst is passed over: a blurred mouth has little structure, as a covered one has.
    """
    found = sorted(((limit.excess(measures[name]), limit.reason) for name, limit in LIMITS.items()), reverse=True)
    least = max(found[0][0] / 3, 0)
    return tuple(dict.fromkeys(reason for excess, reason in found if excess > least))


def measured(crop: np.ndarray, face: Face) -> dict[str, float]:
    """Measure what ``LIMITS`` names, in a crop and a face as ``assess`` takes them."""
    if crop.dtype != np.uint8 or crop.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise ValueError(f"An aligned face must be uint8 (100, 100, 3). Received: {crop.dtype} {crop.shape}")
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = crop_scale(face.landmarks)
    side = round(min(max(CROP_SIZE / scale, LEAST_SIDE), CROP_SIZE))  # a small face has fewer pixels than its crop
    return {
        "eye_distance": EYES / scale,
        "yaw": abs(estimated_yaw(face)),
        "pitch": abs(estimated_pitch(face)),
        "sharpness": _sharpness(_resized(grey, min(side, SHARP_SIDE))),
        "noise": _noise(_resized(grey, side)),
        **_light(grey[8:92, 14:86]),
        **_areas(grey),
        **_bands(crop, grey),
    }


def estimated_yaw(face: Face) -> float:
    """Estimate how far a head is turned aside, in degrees: 0 = straight, positive = nose to the photo's right.

    A nose that stands ``NOSE_DEPTH`` before the middle of the eyes moves by
    ``NOSE_DEPTH · sin(yaw)`` along their line, while their distance shrinks by ``cos(yaw)``.
    """
    left, right, nose = (np.array(face.landmarks[index]) for index in range(3))
    along = _part(nose - (left + right) / 2, right - left)
    return math.degrees(math.atan(along / NOSE_DEPTH))


def estimated_pitch(face: Face) -> float:
    """Estimate how far a head is turned down (positive) or up, in degrees, as ``estimated_yaw`` does."""
    left, right, nose, *mouth = np.array(face.landmarks)
    eyes = (left + right) / 2
    along = _part(nose - eyes, np.mean(mouth, axis=0) - eyes) - NOSE_HEIGHT
    return math.degrees(math.atan(along * EYES_TO_MOUTH / NOSE_DEPTH))


def _part(way: np.ndarray, line: np.ndarray) -> float:
    """Return how far a way goes along a line, in lengths of the line."""
    length = float(line @ line)
    return float(way @ line) / length if length else math.inf


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def _middle(values: np.ndarray) -> Any:
    """Return the median along the first axis; five times as quick as NumPy's."""
    return np.sort(values, axis=0)[len(values) // 2]


def _spread(grey: np.ndarray) -> float:
    return float(cv2.meanStdDev(grey)[1][0, 0])


def _sharpness(grey: np.ndarray) -> float:
    """Return how much of the steps over four pixels happens within two, along the direction where it is least."""

    def strength(kernel: np.ndarray) -> float:
        return float(np.abs(cv2.filter2D(grey, -1, kernel, borderType=cv2.BORDER_REPLICATE)).mean())

    return min(strength(bend) / (strength(step) + 0.5) for bend, step in zip(BENDS, STEPS, strict=True))


def _noise(grey: np.ndarray) -> float:
    """Return the noise's spread in grey levels of 255; half the pixels have so little structure that they tell it.

    J. Immerkær, "Fast noise variance estimation", 1996, with the median in the mean's place.
    """
    left = np.abs(cv2.filter2D(grey, -1, NOISE)[::2, ::2])
    return float(_middle(left.ravel()) / (0.6745 * 6))  # 6: the kernel's length


def _light(grey: np.ndarray) -> dict[str, float]:
    """Measure the light, all in stops: its mean, its range, and how far two halves differ."""
    stops = np.log2(grey[::2, ::2] + BLACK)
    level, (least, most) = float(stops.mean()), np.percentile(stops, (5, 95))
    halves = (np.array_split(stops, 2, axis) for axis in (0, 1))
    uneven = max(abs(float(one.mean() - other.mean())) for one, other in halves)
    return {"dark": level, "bright": level, "contrast": float(most - least), "unevenness": uneven}


def _areas(grey: np.ndarray) -> dict[str, float]:
    """Measure what part is flatter than any skin, and whether the rest has few but large steps, as blocks have."""
    inner = slice(WINDOW // 2, -(WINDOW // 2), 3)  # no multiple of it is the side of JPEG's blocks
    mean, square = (cv2.blur(values, (WINDOW, WINDOW))[inner, inner] for values in (grey, grey * grey))
    even = square - mean * mean < FLAT**2
    steps = [np.abs(grey[inner, inner] - before[inner, inner]) for before in (np.roll(grey, 1, 0), np.roll(grey, 1, 1))]
    blocks = [float(step.mean() / (_middle(step) + 1)) for step in (one[~even] for one in steps) if step.size]
    flat = even & (mean > 2 * BLACK) & (mean < 255 - BLACK)
    return {"flat_area": float(flat[:, 5:-5].mean()), "blocks": sum(blocks) / 2}


def _bands(crop: np.ndarray, grey: np.ndarray) -> dict[str, float]:
    """Measure eyes and mouth beside the rest of the face.

    Sunglasses are seen by what lies below the eyes, where skin is as light as on the cheeks.
    """
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.5)
    whole = _spread(smooth) + 1
    below = []
    for left, right in ((22, 42), (58, 78)):
        cheek = float(_middle(smooth[50:62:2, left:right:2].ravel()))
        below.append(math.log2((float(smooth[36:43, left:right].mean()) + BLACK) / (cheek + BLACK)))
    upper = np.concatenate((_colours(crop[10:20:2, 30:70:2]), _colours(crop[42:52:2, 22:78:2])))
    lower = _colours(crop[64:90:2, 30:70:2])
    return {
        "eyes": max(_spread(smooth[24:36, 22:42]), _spread(smooth[24:36, 58:78])) / whole,
        "below_eyes": max(below),
        "mouth": _spread(smooth[65:78, 33:67]) / whole,
        "mouth_colour": math.dist(_middle(upper), _middle(lower)),
    }


def _colours(pixels: np.ndarray) -> np.ndarray:
    """Return what colours are apart from their lightness, (N, 2): else shadow would be another colour."""
    luma, red, blue = np.moveaxis(cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb).reshape(-1, 3).astype(np.float32), 1, 0)
    return np.stack((red - 128, blue - 128), axis=1) / (luma + 4 * BLACK)[:, None]
