"""Photos for the tests of the page, made of the two portraits; and a film for its camera."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from turned import held

PORTRAITS = Path(__file__).resolve().parent.parent / "portraits"
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


def blurred(radius: float, light: float = 1.0) -> Image.Image:
    """Return the portrait of Grace Hopper, blurred and in less light."""
    sharp = Image.open(HOPPER).convert("RGB")
    return ImageEnhance.Brightness(sharp.filter(ImageFilter.GaussianBlur(radius))).enhance(light)


def cheek_to_cheek() -> Image.Image:
    """Return two people so near to each other that the boxes of their faces overlap by some ten pixels."""
    first, second = (Image.open(portrait).resize((440, 500)) for portrait in (HOPPER, COLLINS))
    photo = Image.new("RGB", (740, 500), (200, 205, 210))
    photo.paste(first.crop((0, 0, 297, 500)), (0, 0))
    photo.paste(second.crop((163, 0, 440, 500)), (297, 0))
    return photo


def landscape() -> Image.Image:
    """Return a picture without a face, 320×240."""
    rows = np.linspace(90, 220, 240, dtype=np.uint8)[:, None, None]
    return Image.fromarray(np.broadcast_to(rows, (240, 320, 3)).copy())


def camera_film(folder: Path) -> Path:
    """Write a film, for the camera, of a portrait that sways a little; return its path.

    It is a little soft: sharp, its grain lies where a photo begins to be grainy, and each encoding decides anew.
    """
    portrait = Image.open(HOPPER).resize((410, 480)).filter(ImageFilter.GaussianBlur(0.7))
    film = folder / "film.mjpeg"
    with film.open("wb") as file:
        for step in np.abs(np.arange(-10, 10)):
            frame = Image.new("RGB", (640, 480), (90, 100, 110))
            frame.paste(portrait, (115 + int(step), 0))
            frame.save(file, "JPEG", quality=92)
    return film


# How somebody moves before a camera, so that no two frames pass for one moment: size, turn, nod,
# light from one side, brightness, warmth.
POSES = (
    (1.2, 0.0, 0.0, 0.0, 1.0, 0.0),
    (1.2, 0.45, 0.1, 0.0, 1.0, 0.2),
    (1.25, -0.45, -0.1, 0.0, 1.0, -0.2),
    (2.0, 0.2, -0.25, 0.7, 0.7, 0.2),
    (0.8, 0.25, 0.25, -0.8, 1.2, -0.2),
    (0.8, -0.35, -0.25, 0.7, 0.7, 0.1),
    (1.3, -0.6, 0.15, -0.6, 1.25, 0.0),
    (1.4, 0.1, 0.35, 0.9, 0.55, 0.0),
    (1.4, 0.35, -0.35, -0.9, 0.9, 0.25),
)
FRAMES_A_POSE = 25


def posed(
    portrait: np.ndarray, size: float, turn: float, nod: float, side: float, gain: float, warm: float
) -> np.ndarray:
    """Return a frame uint8 (480, 640, 3) RGB of the portrait of Grace Hopper, moved and lit otherwise.

    Of the head's middle more is moved than of its edge, so that it seems to turn and to nod.
    """
    height, width = portrait.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    centre_x, centre_y, radius = 265.0, 220.0, 130.0
    middle = np.exp(-(((x - centre_x) / radius) ** 2 + ((y - centre_y) / (1.3 * radius)) ** 2))
    moved = cv2.remap(
        portrait,
        x - turn * radius * middle,
        y - nod * radius * middle,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    light = np.clip(1 + side * (x - centre_x) / radius, 0.15, 2.2)[..., None]
    lit = moved * light * gain * np.array([1 + warm, 1, 1 - warm], np.float32)
    scale = 0.5 * size
    place = np.array([[scale, 0, 320 - centre_x * scale], [0, scale, 240 - centre_y * scale]])
    return np.clip(cv2.warpAffine(lit, place, (640, 480), borderValue=(90, 110, 130)), 0, 255).astype(np.uint8)


def film_of_poses(folder: Path) -> Path:
    """Write a film, for the camera, of somebody who moves as a guided capture asks; return its path."""
    film = folder / "poses.mjpeg"
    with film.open("wb") as file:
        for photo in photos_of_poses():
            file.write(photo["buffer"] * FRAMES_A_POSE)
    return film


@functools.cache
def photos_of_poses() -> list[dict[str, Any]]:
    """Return photos of somebody who moves as a guided capture asks, as Playwright takes files."""
    portrait = np.asarray(Image.open(HOPPER).convert("RGB"))
    frames = (encoded(Image.fromarray(posed(portrait, *pose)), "JPEG", quality=95) for pose in POSES)
    return [upload(frame, f"{number}.jpg", "image/jpeg") for number, frame in enumerate(frames)]


@functools.cache
def sample_files() -> dict[str, Any]:
    """Return what the states of the page are shown with, as Playwright takes files."""
    return {
        "hopper": HOPPER,
        "collins": COLLINS,
        "group": upload(encoded(group_photo(), "JPEG", quality=92), "group.jpg", "image/jpeg"),
        "fair": upload(encoded(blurred(5), "JPEG", quality=92), "fair.jpg", "image/jpeg"),
        "poor": upload(encoded(blurred(7, light=1 / 6), "JPEG", quality=92), "poor.jpg", "image/jpeg"),
        "landscape": upload(encoded(landscape(), "PNG"), "sky.png", "image/png"),
        "turned": upload(held(group_photo(), 6, "WEBP"), "group.webp", "image/webp"),
        "heic": upload(heic(Image.open(HOPPER)), "portrait.heic", "image/heic"),
    }


def upload(data: bytes, name: str, mime: str) -> dict[str, Any]:
    """Return a file that lies in memory only, as Playwright takes it."""
    return {"name": name, "mimeType": mime, "buffer": data}
