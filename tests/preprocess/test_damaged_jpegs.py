"""Damage inside a JPEG is told; libjpeg itself only warns of it and goes on in other colours."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flaskapp.errors import TruncatedPhotoError, UnreadablePhotoError
from flaskapp.preprocess import decode_photo
from flaskapp.preprocess.jpeg import decode_jpeg

SOS, EOI = b"\xff\xda", b"\xff\xd9"


def encoded(picture: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def opened_by_pillow(data: bytes, least_wh: tuple[int, int] | None = None) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, least_wh or image.size)
        return np.asarray(image.convert("RGB"))


def damaged(data: bytes, count: int, dice: random.Random) -> bytes:
    """Return a copy with so many bytes of its last scan changed."""
    copy = bytearray(data)
    for _ in range(count):
        copy[dice.randrange(data.rindex(SOS) + 14, len(data) - 2)] = dice.randrange(256)
    return bytes(copy)


def is_refused(data: bytes) -> bool:
    try:
        decode_photo(data)
    except UnreadablePhotoError:
        return True
    return False


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_rows": 1}], ids=str
)
def test_nearly_every_photo_with_forty_bytes_changed_is_refused(hopper_pixels, options):
    data, dice = encoded(Image.fromarray(hopper_pixels), quality=85, **options), random.Random(11)  # noqa: S311
    assert sum(is_refused(damaged(data, 40, dice)) for _ in range(50)) >= 42


def test_data_that_is_missing_in_the_middle_is_damage(hopper):
    middle = hopper.rindex(SOS) + 10_000
    with pytest.raises(UnreadablePhotoError, match="damaged") as caught:
        decode_photo(hopper[:middle] + hopper[middle + 500 :])
    assert caught.value.code == "unreadable_photo"


def test_data_that_is_left_over_is_damage(hopper):
    with pytest.raises(UnreadablePhotoError, match="damaged"):
        decode_photo(hopper.removesuffix(EOI) + bytes(40) + EOI)


def test_a_progressive_photo_cut_between_two_scans_lacks_its_end(hopper_pixels):
    data = encoded(Image.fromarray(hopper_pixels), progressive=True)
    with pytest.raises(TruncatedPhotoError):
        decode_photo(data[: data.rindex(SOS)])


@pytest.mark.parametrize("after", [b"\n", bytes(5000), b"a film", EOI, b"\xff\xd8\xff\xda"])
def test_what_follows_the_picture_is_no_damage(hopper, after):
    np.testing.assert_array_equal(decode_photo(hopper + after).pixels, decode_photo(hopper).pixels)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        *((mode, options) for mode in ("RGB", "L", "CMYK") for options in ({}, {"progressive": True})),
        *(("RGB", {"subsampling": name}) for name in ("4:4:4", "4:2:2")),
    ],
    ids=str,
)
@pytest.mark.parametrize("size_wh", [(640, 481), (321, 240), (5001, 41), (9, 7000)])
def test_pixels_are_those_of_pillow_at_any_scale(hopper_pixels, mode, size_wh, options):
    data = encoded(Image.fromarray(hopper_pixels).resize(size_wh).convert(mode), quality=88, **options)
    for part in (1, 2, 4, 8):
        least_wh = -(-size_wh[0] // part), -(-size_wh[1] // part)
        expected = opened_by_pillow(data, (max(size_wh[0] // part, 1), max(size_wh[1] // part, 1)))
        if expected.shape[1::-1] == least_wh:
            np.testing.assert_array_equal(decode_jpeg(data, mode, least_wh), expected)


@pytest.mark.slow
@pytest.mark.needs_shared
@pytest.mark.parametrize("folder", ["photos", "people", "lfw-devtest"])
def test_no_photo_at_hand_is_refused_and_none_looks_otherwise(shared, folder):
    kinds = {".jpg", ".jpeg"}
    files: list[Path] = [file for file in (shared / folder).rglob("*") if file.suffix in kinds]
    if not files:
        pytest.skip("no JPEG there")
    for file in files:
        if file.name != "truncated.jpg":
            data = file.read_bytes()
            np.testing.assert_array_equal(decode_photo(data).at_full_scale().pixels, opened_by_pillow(data), file.name)
