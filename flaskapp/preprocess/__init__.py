"""From the bytes of a photo to the numbers that the network reads.

A chain of verbs, one a step: ``decode_photo`` → ``find_face`` (``find_faces`` → ``select_face``)
→ ``crop_face`` → ``to_model_input``. Training, evaluation and serving all go through it;
``CROP_GEOMETRY`` says how faces are cut and is stored beside the weights, which mean
nothing with another cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from flaskapp.detection import Detection, Detector, Face, default_detector
from flaskapp.preprocess.alignment import (
    CROP_GEOMETRY,
    CROP_SIZE,
    TEMPLATE,
    Points,
    align_face,
    crop_scale,
    to_model_input,
)
from flaskapp.preprocess.decoding import MAX_BYTES, Photo, decode_photo
from flaskapp.preprocess.selection import PROMINENT_HEIGHT, Choice, prominent_faces, select_face
from flaskapp.shortage import tell_shortage

__all__ = [
    "CROP_GEOMETRY", "CROP_SIZE", "MAX_BYTES", "TEMPLATE", "Choice", "Photo", "align_face", "crop_face",
    "crop_faces", "crop_photo", "decode_photo", "find_face", "find_faces", "prominent_faces", "select_face",
    "to_model_input",
]  # fmt: skip


@tell_shortage()
def find_faces(photo: Photo, detector: Detector | None = None, part: float = 0.0) -> Detection:
    """Find the faces of a photo; they are told left to right, in its full-scale upright pixels.

    ``part`` is the height from which on they are wanted, as ``Detector.search`` takes it.
    """
    return (detector or default_detector()).search(photo.to_search(), part, photo.size_wh)


def find_face(
    photo: Photo, number: int | None = None, choice: Choice = "refuse", detector: Detector | None = None
) -> tuple[Detection, Face]:
    """Find the face that is meant, as ``select_face`` chooses it, and the faces that it was chosen from.

    The small ones in the background force no choice, so they are looked for only where it is the
    caller who chooses: by a number, or because of what an error lists. Elsewhere they are left out.
    """
    if number is None:
        found = find_faces(photo, detector, PROMINENT_HEIGHT)
        found = replace(found, faces=prominent_faces(found))
        if len(found) < 2 or choice != "refuse":
            return found, select_face(found, choice=choice)
    found = find_faces(photo, detector)
    return found, select_face(found, number, choice)


def crop_face(photo: Photo, landmarks: Points) -> np.ndarray:
    """Return one face aligned, uint8 (100, 100, 3) RGB; see ``crop_faces``."""
    return crop_faces(photo, [landmarks])[0]


@tell_shortage()
def crop_faces(photo: Photo, faces: Iterable[Points]) -> list[np.ndarray]:
    """Return faces aligned, each from as many pixels as the photo has.

    A large photo was decoded at reduced scale; only if a face is so small there that
    cutting it would enlarge it, all pixels are decoded, once for all such faces.

    Args:
        photo: as decoded.
        faces: landmarks of each, (5, 2) x, y in the photo's full-scale upright pixels.

    Returns:
        uint8 (100, 100, 3) RGB each.
    """
    full: Photo | None = None
    crops = []
    for landmarks in faces:
        # A landmark at 0 is the middle of the first pixel, whatever the scale.
        middles, source = np.asarray(landmarks, dtype=np.float64) + 0.5, photo
        if photo.encoded is not None and crop_scale(middles / photo.scale_xy - 0.5) > 1:
            source = full = full or photo.at_full_scale()
        crops.append(align_face(source.pixels, middles / source.scale_xy - 0.5))
    return crops


def crop_photo(data: bytes, choice: Choice = "centre") -> np.ndarray:
    """Return the aligned face of an encoded photo, uint8 (100, 100, 3) RGB; ``choice`` is which of several.

    Raises:
        PhotoError: the photo cannot be read or shows no face.
    """
    photo = decode_photo(data)
    return crop_face(photo, find_face(photo, choice=choice)[1].landmarks)
