"""Photos for the tests of the page, made of the two portraits; and a film for its camera."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PORTRAITS = Path(__file__).resolve().parent.parent.parent / "flaskapp" / "static" / "portraits"
HOPPER, COLLINS = PORTRAITS / "grace_hopper.jpg", PORTRAITS / "eileen_collins.jpg"


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return an image as a file of a format that Pillow knows."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def heic(image: Image.Image) -> bytes:
    """Return an image as phones write it."""
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=80)
    return buffer.getvalue()


def group_photo() -> Image.Image:
    """Return two people: the two portraits side by side, 900×500."""
    group = Image.new("RGB", (900, 500), (200, 205, 210))
    for place, portrait in enumerate((HOPPER, COLLINS)):
        group.paste(Image.open(portrait).resize((440, 500)), (5 + 450 * place, 0))
    return group


def landscape() -> Image.Image:
    """Return a picture without a face, 320×240."""
    rows = np.linspace(90, 220, 240, dtype=np.uint8)[:, None, None]
    return Image.fromarray(np.broadcast_to(rows, (240, 320, 3)).copy())


def camera_film(folder: Path) -> Path:
    """Write a film, for the camera, of a portrait that sways a little; return its path."""
    portrait = Image.open(HOPPER).resize((410, 480))
    film = folder / "film.mjpeg"
    with film.open("wb") as file:
        for step in np.abs(np.arange(-10, 10)):
            frame = Image.new("RGB", (640, 480), (90, 100, 110))
            frame.paste(portrait, (115 + int(step), 0))
            frame.save(file, "JPEG", quality=92)
    return film


@functools.cache
def sample_files() -> dict[str, Any]:
    """Return what the states of the page are shown with, as Playwright takes files."""
    return {
        "hopper": HOPPER,
        "collins": COLLINS,
        "group": upload(encoded(group_photo(), "JPEG", quality=92), "group.jpg", "image/jpeg"),
        "landscape": upload(encoded(landscape(), "PNG"), "sky.png", "image/png"),
    }


def upload(data: bytes, name: str, mime: str) -> dict[str, Any]:
    """Return a file that lies in memory only, as Playwright takes it."""
    return {"name": name, "mimeType": mime, "buffer": data}
