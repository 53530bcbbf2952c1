"""Photos that people really have: the ways in which a face gets spoiled, and another camera's colours.

Two photos that are poor in the same way lie near each other for a network that never saw such
photos. One that has to give the clean photo's answer for a spoiled one learns to look past
what can be looked past; and where nothing can be seen, regression itself makes its answer
short, which is how it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["KINDS", "Kind", "another_camera", "spoil"]

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

SIZES = 0.5, 1.5  # of a face whose pixels get spoiled, beside the network's
WAYS_AT_ONCE = 0.4, 0.4, 0.2  # how often a face is spoiled in one, in two, in three ways
EYES_Y, MOUTH_Y = 30, 72  # where alignment puts them, of 100 (preprocess.TEMPLATE)


@dataclass(frozen=True)
class Kind:
    """One way in which a face gets spoiled.

    Attributes:
        name: for tables.
        change: (face uint8 (100, 100, 3) RGB, strength, generator) → the same, spoiled.
        drawn: least and most of the strengths that training draws, evenly by their logarithm.
        measured: three strengths for the table, each worse than the one before.
        draw_alike: whether faces that are spoiled *alike* share what is drawn (the colour of a mask,
            where the light comes from); noise is everybody's own.
        often: how many times as often as another kind it is drawn.
        any_size: whether training does it half of the time at another size of the face: pixels of a
            photo are seldom as large as the network's.
    """

    name: str
    change: Change
    drawn: tuple[float, float]
    measured: tuple[float, float, float]
    draw_alike: bool = False
    often: float = 1.0
    any_size: bool = False

    def draw(self, face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the face spoiled at a strength drawn by chance."""
        strength = _between(*self.drawn, rng)
        if not self.any_size or rng.random() < 0.5:
            return self.change(face, strength, rng)
        side = round(len(face) * _between(*SIZES, rng))
        resized = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA if side < len(face) else cv2.INTER_LINEAR)
        spoiled = self.change(resized, strength, rng)
        return cv2.resize(spoiled, face.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _between(least: float, most: float, rng: np.random.Generator) -> float:
    """Draw a number, evenly by its logarithm."""
    return float(np.exp(rng.uniform(np.log(least), np.log(most))))


def _uint8(face: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(face), 0, 255).astype(np.uint8)


def _blur(face: np.ndarray, spread: float, _: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(face, (0, 0), spread, borderType=cv2.BORDER_REPLICATE)


def _motion(face: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Blur along a line of so many pixels, in a direction drawn by chance."""
    size = int(np.ceil(length)) | 1
    line = np.zeros((size, size), np.float32)
    middle, angle = (size - 1) / 2, rng.uniform(0, np.pi)
    along = np.array((np.cos(angle), np.sin(angle))) * (length - 1) / 2
    (x0, y0), (x1, y1) = (np.rint((middle + sign * along) * 16).astype(int).tolist() for sign in (-1, 1))
    cv2.line(line, (x0, y0), (x1, y1), 1.0, 1, cv2.LINE_AA, 4)
    return cv2.filter2D(face, -1, line / line.sum(), borderType=cv2.BORDER_REPLICATE)


def _colour_noise(face: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    return _uint8(face + spread * rng.standard_normal(face.shape, np.float32))


def _grain(face: np.ndarray, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Make it grey, with one noise for all three channels: film, or a camera at night."""
    return _uint8(_desaturate(face, 1, rng) + spread * rng.standard_normal((*face.shape[:2], 1), np.float32))


def _little_light(face: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Count so many photons where white is, and brighten what was counted: the noise of little light."""
    return _uint8(rng.poisson(face * (photons / 255)) * (255 / photons))


def _mosaic(face: np.ndarray, across: float, _: np.random.Generator) -> np.ndarray:
    return _resized(face, across, cv2.INTER_NEAREST)


def _small(face: np.ndarray, across: float, _: np.random.Generator) -> np.ndarray:
    return _resized(face, across, cv2.INTER_CUBIC)


def _resized(face: np.ndarray, across: float, back: int) -> np.ndarray:
    small = cv2.resize(face, (round(across), round(across)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, face.shape[1::-1], interpolation=back)


def _jpeg(face: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    file = cv2.imencode(".jpg", face[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))[:, :, ::-1])


def _desaturate(face: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[:, :, None]
    return _uint8(face + share * (grey.astype(np.float32) - face))


def _dim(face: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    """Leave so much of the light, and no noise with it: a photo darkened by hand, or a thrifty camera."""
    return _uint8(face * share)


def _gamma(face: np.ndarray, exponent: float, _: np.random.Generator) -> np.ndarray:
    return _uint8(255 * (np.arange(256) / 255) ** exponent)[face]


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Draw what something that covers a face looks like: mostly without much colour, often dark."""
    grey = 255 * rng.beta(0.6, 1.0)
    return _uint8(grey + rng.normal(0, 20 if rng.random() < 0.7 else 80, 3))


def _cover_eyes(face: np.ndarray, height: float, rng: np.random.Generator) -> np.ndarray:
    side = round(rng.uniform(0, 16))
    return _covered(face, EYES_Y - height / 2, side, height, 100 - 2 * side, rng)


def _cover_mouth(face: np.ndarray, height: float, rng: np.random.Generator) -> np.ndarray:
    """Cover the face from its lower edge up, as a mask does."""
    return _covered(face, 100 - height, 0, height, 100, rng)


def _cover(face: np.ndarray, side: float, rng: np.random.Generator) -> np.ndarray:
    """Cover a rectangle as large as a square of that side, anywhere."""
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    height, width = min(side * stretch, 100), min(side / stretch, 100)
    top, left = rng.uniform(0, 100 - height), rng.uniform(0, 100 - width)
    return _covered(face, top, left, height, width, rng)


def _covered(
    face: np.ndarray, top: float, left: float, height: float, width: float, rng: np.random.Generator
) -> np.ndarray:
    face = face.copy()
    y0, x0, y1, x1 = np.rint((top, left, top + height, left + width)).astype(int)
    face[y0:y1, x0:x1] = _colour(rng)
    return face


def _side_light(face: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Take so much of the light off one side, along a soft line through the face."""
    angle, place, width = rng.uniform(0, 2 * np.pi), rng.normal(0, 10), rng.uniform(4, 20)
    y, x = np.mgrid[:100, :100] - 49.5
    lit = 1 / (1 + np.exp(-(x * np.cos(angle) + y * np.sin(angle) - place) / width))
    return _uint8(face * (1 - share * lit)[:, :, None])


# Motion and covered eyes, where strangers still pass after 750,000 faces and the network does not know that it errs,
# are drawn more often; so is light that was taken away, after which it took blurred photos for good ones, and JPEG,
# after which pairs of one person read non_match most often.
KINDS = (
    Kind("blur", _blur, (1, 7), (2, 4, 6)),
    Kind("motion", _motion, (5, 19), (7, 11, 17), draw_alike=True, often=2),
    Kind("colour noise", _colour_noise, (8, 70), (20, 40, 60), any_size=True),
    Kind("grey grain", _grain, (8, 60), (15, 30, 45), any_size=True),
    Kind("little light", _little_light, (2, 60), (20, 8, 3), any_size=True),
    Kind("mosaic", _mosaic, (8, 40), (20, 16, 12)),
    Kind("small", _small, (8, 40), (20, 16, 12)),
    Kind("jpeg", _jpeg, (2, 35), (10, 5, 3), often=2, any_size=True),
    Kind("grey", _desaturate, (0.5, 1), (0.5, 0.75, 1)),
    Kind("dark", _gamma, (1.3, 5), (2, 3, 4)),
    Kind("dim", _dim, (0.06, 0.7), (0.35, 0.18, 0.09), often=2),
    Kind("pale", _gamma, (0.2, 0.75), (0.5, 0.35, 0.25)),
    Kind("side light", _side_light, (0.4, 0.98), (0.7, 0.85, 0.95), draw_alike=True),
    Kind("eyes covered", _cover_eyes, (6, 36), (16, 22, 30), draw_alike=True, often=2),
    Kind("mouth covered", _cover_mouth, (20, 60), (35, 42, 50), draw_alike=True),
    Kind("covered", _cover, (20, 70), (35, 50, 65), draw_alike=True),
)

SHARES = np.array([kind.often for kind in KINDS]) / sum(kind.often for kind in KINDS)


def spoil(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a face uint8 (100, 100, 3) RGB spoiled in one to three ways, drawn by chance."""
    ways = 1 + rng.choice(len(WAYS_AT_ONCE), p=WAYS_AT_ONCE)
    for index in rng.choice(len(KINDS), ways, replace=False, p=SHARES):
        face = KINDS[index].draw(face, rng)
    return face


def another_camera(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a face uint8 (100, 100, 3) RGB as another camera would have it: colours, tones, and JPEG.

    Else sharing a camera would look like sharing a face.
    """
    tint, gamma = np.exp(rng.uniform(-0.18, 0.18, 3)), np.exp(rng.uniform(-0.35, 0.35))
    black, saturation = rng.uniform(-12, 12), rng.uniform(0.4, 1.5)
    tones = 255 * (np.arange(256) / 255) ** gamma
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.float32)
    coloured = np.clip(grey + saturation * (face - grey), 0, 255).astype(np.uint8)
    face = _uint8(tones[coloured] * tint + black)
    return _jpeg(face, rng.uniform(40, 95), rng) if rng.random() < 0.5 else face
