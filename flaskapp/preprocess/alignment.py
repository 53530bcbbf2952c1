"""From five landmarks to the network's input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

Points = Sequence[Sequence[float]] | np.ndarray

CROP_SIZE = 100  # side of an aligned face in pixels

TEMPLATE = ((31.7, 30.1), (68.1, 30.2), (50.0, 51.9), (33.6, 70.7), (65.5, 70.8))
"""Where an aligned face has its left eye, right eye, nose, left and right mouth corner (x, y).

From the middle of the forehead to the chin. Tight on purpose: many training photos are cut
below the hairline, and a wider view would show streaks of repeated border there.
"""

CROP_GEOMETRY: dict[str, Any] = {
    "crop_size": CROP_SIZE,
    "template": [list(point) for point in TEMPLATE],
    "landmarks": "left eye, right eye, nose, left mouth corner, right mouth corner",
    "transform": "least-squares similarity",
    "resampling": "bilinear, averaged over areas where it shrinks",
    "border": "replicate",
    "channels": "RGB",
    "value_range": [0.0, 1.0],
}
"""How faces are cut, in JSON's types: stored beside the weights, compared when they load."""

# A face this much larger than its crop fills a photo of 6,400 pixels; beyond it a little
# aliasing is cheaper than the memory.
LARGEST_OVERSAMPLING = 32

# A face larger than its crop by less than this is sampled as if it were of its size.
NEGLIGIBLE = 0.01


def align_face(photo: np.ndarray, landmarks: Points, template: Points = TEMPLATE, size: int = CROP_SIZE) -> np.ndarray:
    """Turn, scale and shift a face so that its landmarks lie on ``TEMPLATE``.

    Beyond the photo's edge its border pixels are repeated: a flat colour there would be a
    mark that says more about how a photo was cut than about the face.

    Args:
        photo: uint8 (height, width, 3) RGB.
        landmarks: (5, 2) x, y in the photo's pixels, ordered as ``TEMPLATE``.
        template: where they are to lie, for other views of a face than the network's.
        size: side of the result in pixels.

    Returns:
        uint8 (size, size, 3) RGB.

    Raises:
        ValueError: the landmarks are not five finite, distinct points.
    """
    # Landmarks go in as the detector tells them, though warping counts from the middle of the
    # first pixel and not from its edge: the template was set for them, and so was training.
    turn, shift = _similarity(landmarks, template)
    # Bilinear sampling looks at four pixels only. Where the crop is smaller than the face,
    # cut it so large that no pixel is passed over, then average whole blocks of pixels.
    times = min(max(math.ceil(1 / abs(turn) - NEGLIGIBLE), 1), LARGEST_OVERSAMPLING)
    # Pixel centres stay where they were: pixel 0 becomes pixels 0 to times - 1, whose middle is (times - 1) / 2.
    turn, shift = turn * times, shift * times + (times - 1) / 2 * (1 + 1j)
    photo_to_crop = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    large_wh = size * times, size * times
    large = cv2.warpAffine(photo, photo_to_crop, large_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return large if times == 1 else cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)


def crop_scale(landmarks: Points) -> float:
    """Return how many pixels of the crop one pixel of the photo becomes.

    Above 1 the face is enlarged: a sharper photo would show more of it.
    """
    return abs(_similarity(landmarks, TEMPLATE)[0])


def to_model_input(crops: np.ndarray) -> np.ndarray:
    """Return crops uint8 (N, 100, 100, 3) RGB as float32 in [0, 1], the network's input.

    Raises:
        ValueError: another shape or type.
    """
    if crops.dtype != np.uint8 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
        expected = f"uint8 (N, {CROP_SIZE}, {CROP_SIZE}, 3)"
        raise ValueError(f"Aligned faces must be {expected}. Received: {crops.dtype} {crops.shape}")
    return crops.astype(np.float32) / np.float32(255)


def _similarity(landmarks: Points, template: Points) -> tuple[complex, complex]:
    """Return the similarity transform that carries ``landmarks`` (5, 2) nearest to ``template`` (5, 2).

    S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991. In the plane, without mirroring, it is linear over the complex numbers:
    with points as z = x + iy it is z → turn · z + shift, and ``turn`` (its size the scale,
    its angle the rotation) is an ordinary least-squares slope. Returns ``turn`` and ``shift``.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    if points.shape != (len(TEMPLATE), 2) or not np.isfinite(points).all():
        raise ValueError(f"Landmarks must be five finite points (5, 2). Received: shape {points.shape}")
    if np.ptp(points, axis=0).max() == 0:
        raise ValueError("Landmarks must not all be the same point.")
    source_z, target_z = points @ (1, 1j), np.array(template) @ (1, 1j)
    source_mean, target_mean = source_z.mean(), target_z.mean()
    centred = source_z - source_mean
    turn = np.vdot(centred, target_z - target_mean) / np.vdot(centred, centred).real
    return complex(turn), complex(target_mean - turn * source_mean)
