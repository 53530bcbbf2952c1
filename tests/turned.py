"""Photos as cameras write them that were held otherwise."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

ORIENTATION_TAG = 0x0112
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright scene lies in a file of each EXIF orientation."""


def note(orientation: int) -> bytes:
    """Return EXIF that says how a photo is to be turned."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif.tobytes()


def held(scene: Image.Image, orientation: int, kind: str, **settings: Any) -> bytes:
    """Return the file of a camera that was held so and says so."""
    turn, buffer = STORED_AS[orientation], io.BytesIO()
    lying = scene if turn is None else scene.transpose(turn)
    lying.save(buffer, kind, **{"quality": 95, "exif": note(orientation)} | settings)
    return buffer.getvalue()
