"""Small pictures of found faces: what the server saw, for pages whose browser shows a photo otherwise or not at all."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
from PIL import Image

from flaskapp.detection import Face
from flaskapp.preprocess import Photo

__all__ = ["FacePicture", "picture_faces"]

MARGIN = 0.5
"""Of a face's longer side, on each side: room for the aligned face, which the page draws out of it."""

LONGEST_SIDE = 320
MOST_PIXELS = 2_000_000
"""Of all pictures of a photo together: of a crowd each is smaller."""

QUALITY = 88


@dataclass(frozen=True)
class FacePicture:
    """A face with what stands around it.

    Attributes:
        jpeg: the picture as a file.
        box_xyxy: which part of the photo it shows, in the upright photo's own pixels.
    """

    jpeg: bytes = field(repr=False)
    box_xyxy: tuple[float, float, float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the picture in JSON's types."""
        box = [round(value, 1) for value in self.box_xyxy]
        return {"jpeg": base64.b64encode(self.jpeg).decode("ascii"), "box_xyxy": box}


def picture_faces(photo: Photo, faces: Sequence[Face]) -> list[FacePicture]:
    """Cut a picture of each face out of the photo as it was decoded.

    Args:
        photo: as decoded.
        faces: in its full-scale upright pixels.
    """
    longest = min(LONGEST_SIDE, math.isqrt(MOST_PIXELS // max(len(faces), 1)))
    return [_picture(photo, face, longest) for face in faces]


def _picture(photo: Photo, face: Face, longest: int) -> FacePicture:
    left, top, right, bottom = face.box_xyxy
    room = MARGIN * max(right - left, bottom - top)
    (across, down), (height, width) = photo.scale_xy, photo.pixels.shape[:2]
    x0, x1 = _within((left - room) / across, (right + room) / across, width)
    y0, y1 = _within((top - room) / down, (bottom + room) / down, height)
    pixels = photo.pixels[y0:y1, x0:x1]
    scale = min(longest / max(pixels.shape[:2]), 1.0)
    size_wh = max(round(scale * (x1 - x0)), 1), max(round(scale * (y1 - y0)), 1)
    buffer = io.BytesIO()
    Image.fromarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)).save(buffer, "JPEG", quality=QUALITY)
    return FacePicture(buffer.getvalue(), (x0 * across, y0 * down, x1 * across, y1 * down))


def _within(start: float, end: float, length: int) -> tuple[int, int]:
    """Return where a part of a row begins and ends, in whole pixels; at least one lies in the photo."""
    first = min(max(math.floor(start), 0), length - 1)
    return first, max(min(math.ceil(end), length), first + 1)
