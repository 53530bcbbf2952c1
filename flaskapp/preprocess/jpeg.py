"""What is special about JPEG: what decoding will cost stands in the file, and so do scans without number."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import simplejpeg
from PIL import Image

from flaskapp.errors import PhotoTooLargeError, UnsupportedFormatError

RARE = "This is a rare kind of JPEG, which cannot be used here."
ORDINARY = "Open it in another program and save it as an ordinary JPEG."

MOST_SCANNED_PIXELS = 1_000_000_000
"""Pixels times scans, at most. A scan may have next to no bytes, yet the decoder goes through the
whole picture for it: 0.7 ms a megapixel, so this is 0.7 s. Programs write about ten scans; of
the largest photo twenty are taken."""

MOST_SEGMENTS = 20_000  # parts that a file may consist of, each read by itself; photos have fewer than a thousand

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
DECODED = (0xC0, 0xC1, 0xC2)
"""Markers of the frames that are decoded: sequential and progressive ones, with Huffman's code."""

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame, one for each way to code; C4, C8 and CC mean other things."""

WITH_CONTENT = frozenset([*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE])
"""Markers followed by a length and so many bytes. Others stand alone or are damage, which the decoder walks over."""

MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Ends a scan's data. FF 00 is data, restarts are part of it, and any number of FF may stand before a marker."""


def check_jpeg(data: bytes) -> int:
    """Refuse a JPEG that is built to cost time, unseen, and return how many bytes decoding takes besides the pixels.

    That is 0 where the picture comes in a single scan, as cameras write it: it is decoded line by
    line. Between several scans all of it is kept.

    Ends where the picture does: further pictures, or a film, may follow in phones' files.

    Raises:
        PhotoTooLargeError: it would take far longer than a photo does.
        UnsupportedFormatError: it is lossless, arithmetic-coded or hierarchical, which browsers do not show either.
    """
    frame, pixels, scans = b"", 0, 0
    for count, (marker, content) in enumerate(_segments(data)):
        if count == MOST_SEGMENTS:
            raise _too_costly(f"more than {MOST_SEGMENTS:,} parts")
        if marker in FRAMES and not frame:
            if marker not in DECODED:
                raise UnsupportedFormatError(RARE, ORDINARY)
            frame = content
            pixels = int.from_bytes(frame[3:5], "big") * int.from_bytes(frame[5:7], "big")
        scans += marker == START_OF_SCAN
        if scans > 1 and scans * pixels > MOST_SCANNED_PIXELS:
            raise _too_costly(f"more than {scans - 1} scans")
    sampling = [(byte >> 4, byte & 15) for byte in frame[9::3][: frame[7]]] if frame else []
    if scans < 2 or not sampling or (0, 0) in sampling:
        return 0
    largest = max(x for x, _ in sampling) * max(y for _, y in sampling)
    return 2 * pixels * sum(x * y for x, y in sampling) // largest


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give each marker up to the picture's end with the first bytes of what follows it."""
    position = 2
    while found := MARKER.search(data, position):
        marker, position = data[found.start() + 1], found.end()
        if marker == END_OF_IMAGE:
            return
        yield marker, data[position : position + 32]
        if marker in WITH_CONTENT:
            position += max(int.from_bytes(data[position : position + 2], "big"), 2)


def decode_jpeg(data: bytes, mode: str, size_wh: tuple[int, int]) -> np.ndarray:
    """Decode a JPEG; whatever libjpeg only warns of is an error.

    It warns where data is missing, left over or means nothing, and goes on with a picture whose
    lower part may be of any colour. Pillow, which decodes with the same library to the same
    pixels, does not pass its warnings on.

    Args:
        data: the whole file.
        mode: Pillow's name for the colours in it.
        size_wh: full size, or the eighth, quarter or half of it, rounded up.

    Returns:
        uint8 (height, width, 3) RGB, not turned upright yet.

    Raises:
        ValueError: the data is damaged, or its end is missing.
        UnsupportedFormatError: the colours are sampled as hardly any program does.
    """
    width, height = size_wh
    try:
        decoded = simplejpeg.decode_jpeg(data, "CMYK" if mode == "CMYK" else "RGB", min_width=width, min_height=height)
    except ValueError as error:
        if "subsampling" in str(error):  # TurboJPEG has a name for those that programs use
            raise UnsupportedFormatError(RARE, ORDINARY) from error
        raise
    return _mix_inks(decoded) if mode == "CMYK" else decoded


def _mix_inks(inks: np.ndarray) -> np.ndarray:
    """Return uint8 (height, width, 3) RGB of uint8 (height, width, 4) CMYK, a row at a time."""
    np.subtract(255, inks, out=inks)  # they are stored so by Photoshop, and by every other program since
    pixels = np.empty((*inks.shape[:2], 3), np.uint8)
    for row, part in zip(pixels, inks, strict=True):
        row[:] = np.asarray(Image.fromarray(part[None], "CMYK").convert("RGB"))[0]
    return pixels


def _too_costly(found: str) -> PhotoTooLargeError:
    return PhotoTooLargeError(f"This JPEG photo is made of {found}, which would take far too long to decode.", ORDINARY)
