"""The nine transformations that make one photo of a person into ten.

Each is a pure function from pixels and a seed to new pixels: the seed draws how strong the
change is, within the range that the function names; the same seed gives the same answer.
All take and return uint8 (H, W, 3) RGB and leave their input alone. ``TRANSFORMATIONS``
holds the nine by name, ``augment`` draws among them on the fly, for training.

Luma is Rec. 601's: 0.299 R + 0.587 G + 0.114 B.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Transformation = Callable[[np.ndarray, int], np.ndarray]


def brighter(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo brighter: every value times 1.2 to 1.5, as more light or a longer exposure."""
    return _scaled(_check(pixels), _drawn(seed, 1.2, 1.5))


def darker(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo darker: every value times 0.5 to 0.8, as less light."""
    return _scaled(_check(pixels), _drawn(seed, 0.5, 0.8))


def more_contrast(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo with more contrast: distances from the mean luma times 1.25 to 1.6, as hard light."""
    return _contrasted(_check(pixels), _drawn(seed, 1.25, 1.6))


def less_contrast(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo with less contrast: distances from the mean luma times 0.45 to 0.75, as haze."""
    return _contrasted(_check(pixels), _drawn(seed, 0.45, 0.75))


def mirrored(pixels: np.ndarray, seed: int = 0) -> np.ndarray:  # noqa: ARG001 - one signature for all nine
    """Return the photo with left and right exchanged, as a selfie camera shows it; nothing is drawn."""
    return _check(pixels)[:, ::-1].copy()


def more_saturation(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo more colourful: each pixel's distance from its own luma times 1.4 to 2."""
    return _saturated(_check(pixels), _drawn(seed, 1.4, 2.0))


def less_saturation(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo paler: each pixel's distance from its own luma times 0 to 0.5, down to grey."""
    return _saturated(_check(pixels), _drawn(seed, 0.0, 0.5))


def brighter_more_contrast(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo brighter and with more contrast, by half of each: a face near a lamp."""
    pixels = _contrasted(_check(pixels), _drawn(seed, 1.12, 1.3))
    return _scaled(pixels, _drawn(seed + 1, 1.1, 1.25))


def mirrored_darker_less_saturation(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the photo mirrored, darker by half and paler: a selfie in the evening."""
    pixels = _saturated(_check(pixels)[:, ::-1], _drawn(seed, 0.3, 0.7))
    return _scaled(pixels, _drawn(seed + 1, 0.6, 0.85))


_SINGLE = brighter, darker, more_contrast, less_contrast, mirrored, more_saturation, less_saturation
_COMBINED = brighter_more_contrast, mirrored_darker_less_saturation
TRANSFORMATIONS: Mapping[str, Transformation] = MappingProxyType(
    {function.__name__: function for function in (*_SINGLE, *_COMBINED)}
)


def augment(faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return each face as it is or by one of the nine transformations, all ten equally likely.

    Args:
        faces: uint8 (N, H, W, 3) RGB.
        rng: draws which, and how strong.

    Returns:
        uint8 (N, H, W, 3) RGB.
    """
    functions = tuple(TRANSFORMATIONS.values())
    answer = faces.copy()
    for index, choice in enumerate(rng.integers(0, len(functions) + 1, len(faces))):
        if choice < len(functions):
            answer[index] = functions[choice](faces[index], int(rng.integers(2**31)))
    return answer


def _check(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"Expected uint8 (H, W, 3) RGB. Received: {pixels.dtype} {pixels.shape}")
    return pixels


def _drawn(seed: int, low: float, high: float) -> np.float32:
    return np.float32(np.random.default_rng(seed).uniform(low, high))


def _scaled(pixels: np.ndarray, factor: np.float32) -> np.ndarray:
    return _away_from(np.float32(0), pixels, factor)


def _contrasted(pixels: np.ndarray, factor: np.float32) -> np.ndarray:
    return _away_from(np.float32((pixels @ LUMA).mean(dtype=np.float64)), pixels, factor)


def _saturated(pixels: np.ndarray, factor: np.float32) -> np.ndarray:
    return _away_from((pixels @ LUMA)[..., None], pixels, factor)


def _away_from(centre: Any, pixels: np.ndarray, factor: np.float32) -> np.ndarray:
    return np.clip(np.rint((pixels - centre) * factor + centre), 0, 255).astype(np.uint8)
