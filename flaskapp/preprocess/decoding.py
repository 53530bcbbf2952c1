"""From bytes to an upright RGB photo, and nothing else from bytes that are no photo."""

from __future__ import annotations

import io
import math
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from PIL import ExifTags, Image

from flaskapp.detection.detector import side_that_counts
from flaskapp.errors import (
    AnimatedPhotoError,
    EmptyPhotoError,
    PhotoError,
    PhotoTooLargeError,
    TruncatedPhotoError,
    UnreadablePhotoError,
    UnsupportedFormatError,
)
from flaskapp.preprocess.jpeg import MOST_SEGMENTS, check_jpeg, decode_jpeg
from flaskapp.shortage import raise_if_memory_lacks, tell_shortage

MAX_BYTES = 12 * 1024 * 1024  # largest photo file; a 12-megapixel JPEG from a phone has 3 to 8 MB
MAX_PIXELS = 50_000_000  # largest photo; phones' finest mode makes 48 to 50 megapixels. Decoded: 150 MB

MAX_SIDE = 65_500
"""Longest side; what JPEG allows. A picture of one pixel's width costs eight bytes a row besides its pixels."""

MOST_MEMORY = 320_000_000
"""Bytes that decoding a JPEG may take at any moment; what the other formats take for ``MAX_PIXELS`` too."""

MOST_PNG_BYTES = 4 * MAX_PIXELS
"""Bytes of pixels that a PNG may unpack to: 50 megapixels of 8-bit colour with transparency. Each byte costs
4 ns, however few there are in the file; with 16 bits a colour there would be twice as many."""

BYTES_A_PIXEL = 8  # most that decoding takes for a pixel, whatever the format
STRIP_PIXELS = 1_000_000  # pixels that change their colours' order or number at a time

REDUCED_SIDE = 1920
"""A large JPEG is decoded at a half, a quarter or an eighth of its size as long as the side that
counts in the search for faces keeps this many pixels. A phone's 12-megapixel photo is halved."""

HEAD = 256  # bytes at the beginning of a file that tell its format

PNG_CHANNELS = {2: 3, 4: 2, 6: 4}
"""Numbers a pixel, by PNG's colour type (ISO/IEC 15948, table 11.1); of the others one."""

ACCEPTED = "Use a JPEG, PNG, WebP or HEIC photo."
DAMAGED = "Copy the file again from its source, or use another photo."

TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: cv2.flip(pixels, 1),
    3: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_180),
    4: lambda pixels: cv2.flip(pixels, 0),
    5: cv2.transpose,
    6: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_CLOCKWISE),
    7: lambda pixels: np.ascontiguousarray(pixels[::-1, ::-1].transpose(1, 0, 2)),
    8: lambda pixels: cv2.rotate(pixels, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""What turns a picture upright, by its EXIF orientation; 1 is upright already."""

# Pillow warns of much that is an error of ours (too many pixels) or no matter (EXIF that
# stops early). A filter set here is the thread-safe way to silence it: those of
# warnings.catch_warnings are shared by all threads.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo."""

    pixels: np.ndarray  # uint8 (height, width, 3) RGB, upright; reduced if the photo is large
    size_wh: tuple[int, int]  # of the upright photo at full scale: boxes that leave the program are in these pixels
    encoded: bytes | None = field(default=None, repr=False)  # the file while ``pixels`` are reduced, to look closer

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            received = f"{self.pixels.dtype} {self.pixels.shape}"
            raise ValueError(f"A photo's pixels must be uint8 (height, width, 3). Received: {received}")

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Full-scale pixels per pixel of ``pixels``, along x and y; 1 or slightly around 2, 4, 8."""
        height, width = self.pixels.shape[:2]
        return self.size_wh[0] / width, self.size_wh[1] / height

    def to_search(self) -> np.ndarray:
        """Return the pixels in which faces are sought: of a large photo as few as of a JPEG, which is decoded so."""
        height, width = self.pixels.shape[:2]
        part = _reducible((width, height))
        if part == 1:
            return self.pixels
        # Where all parts are whole, OpenCV takes a tenth of the time; less than one of them is left out.
        whole = self.pixels[: height // part * part, : width // part * part]
        return cv2.resize(whole, (width // part, height // part), interpolation=cv2.INTER_AREA)

    def at_full_scale(self) -> Photo:
        """Return this photo with all its pixels."""
        return self if self.encoded is None else decode_photo(self.encoded, reduce=False)


@tell_shortage()
def decode_photo(data: bytes, *, reduce: bool = True) -> Photo:
    """Decode a JPEG, PNG, WebP or HEIC photo.

    The content decides, not a name. Turned upright by its EXIF orientation; transparent
    pixels show white; grey, palette, CMYK and 16-bit photos become 8-bit RGB. Of a
    multi-picture JPEG, as many phones write it, the first picture counts.

    Args:
        data: the whole file.
        reduce: whether a large JPEG is decoded at reduced scale.

    Raises:
        EmptyPhotoError: no bytes.
        PhotoTooLargeError: more than ``MAX_BYTES`` or ``MAX_PIXELS``, or built so that decoding
            would take far more time or memory than other photos do; found before decoding.
        UnsupportedFormatError: another format.
        AnimatedPhotoError: several pictures one after another.
        TruncatedPhotoError: the end of the file is missing.
        UnreadablePhotoError: damaged in another way, be it only a little.
        NotEnoughMemoryError: the photo may be good, but there is no room to decode it.
    """
    if len(data) > MAX_BYTES:
        raise PhotoTooLargeError(
            f"The file has {len(data) / 1024**2:.1f} MB; the limit is {MAX_BYTES // 1024**2} MB.",
            "Save it as JPEG, or make it smaller.",
        )
    pixels, full_wh, orientation = _decode_lying(data, format_of(data), reduce=reduce)
    if orientation in TURNS:
        pixels = TURNS[orientation](pixels)
    if orientation >= 5:  # these exchange width and height
        full_wh = full_wh[::-1]
    pixels.setflags(write=False)  # whoever looks at a photo must not change it for the next
    return Photo(pixels, full_wh, data if pixels.shape[1::-1] != full_wh else None)


def _decode_lying(data: bytes, kind: str, *, reduce: bool) -> tuple[np.ndarray, tuple[int, int], int]:
    """Return the pixels as they are stored, their full size, and the orientation; nothing else is kept."""
    most_pixels = MAX_PIXELS
    try:
        if kind == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        kept_bytes = check_jpeg(data) if kind == "JPEG" else 0
        if kind == "PNG":
            _check_png(data)
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            _check_size(image.size)
            most_pixels = math.prod(image.size)
            if kind in ("PNG", "WEBP") and getattr(image, "is_animated", False):
                raise _animated()
            if kind == "JPEG":
                pixels = decode_jpeg(data, image.mode, _jpeg_size(image, kept_bytes, reduce=reduce))
            else:
                pixels = _decode_webp(data) if kind == "WEBP" else _to_rgb(image)
            return pixels, image.size, _orientation(image)
    except (PhotoError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels("far too many") from error
    except Exception as error:  # decoders meet damage, and too little memory, with whatever error is nearest
        raise_if_memory_lacks(error, most_pixels * BYTES_A_PIXEL)
        raise _damaged(data, kind) from error


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where EXIF is absent or damaged.

    XMP has an orientation too, and Pillow goes by it where EXIF has none. No browser does, so a photo that was
    turned upright and kept its old note looks right to everybody, and would be turned here.
    """
    for name in ("xmp", "XML:com.adobe.xmp"):  # where Pillow keeps it, of JPEG and WebP, and of PNG
        image.info.pop(name, None)
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - a photo is not refused because of the notes beside it
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def _reducible(size_wh: tuple[int, int]) -> int:
    """Return to what part, 1, 2, 4 or 8, a photo may be reduced in each direction; no side vanishes."""
    most = min(max(side_that_counts(size_wh) / REDUCED_SIDE, 1.0), *size_wh)
    return next(part for part in (8, 4, 2, 1) if part <= most)


def _jpeg_size(image: Image.Image, kept_bytes: int, *, reduce: bool) -> tuple[int, int]:
    """Return the size that a JPEG is decoded to: all of it, or half, a quarter, an eighth, rounded up.

    Not to reduce is to take all of it, or as much as fits into ``MOST_MEMORY`` beside the ``kept_bytes``
    that decoding keeps besides the pixels.
    """
    width, height = image.size
    part = _reducible(image.size) if reduce else 1
    # Of CMYK the inks are decoded first, and then mixed, when what was kept has been let go.
    decoded, mixed = (4, 4 + 3) if image.mode == "CMYK" else (3, 3)
    while max(kept_bytes + width * height * decoded // part**2, width * height * mixed // part**2) > MOST_MEMORY:
        if part == 8:
            raise PhotoTooLargeError(
                "A photo of this kind with so many pixels takes too much memory to decode.",
                "Make it smaller, or save it as an ordinary JPEG, not a progressive one.",
            )
        part *= 2
    return -(-width // part), -(-height // part)


def _decode_webp(data: bytes) -> np.ndarray:
    """Return a WebP's pixels, by OpenCV: the same as Pillow's, in less than half of the memory."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("OpenCV cannot decode this.")
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
    return _to_rgb(Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA, dst=pixels)))


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Return a picture's pixels, a strip at a time: there are never two copies of all of it."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    rows = max(STRIP_PIXELS // image.width, 1)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        _write_rgb(strip, pixels[top : top + rows])
    return pixels


def _write_rgb(strip: Image.Image, out: np.ndarray) -> None:
    """Write a strip's pixels straight to their place: new memory for each step would cost more than the step."""
    if strip.mode.startswith("I"):
        # 16-bit grey; convert("RGB") would clip all but the darkest 256 of its greys.
        out[:] = np.clip(np.asarray(strip, dtype=np.int64) >> 8, 0, 255)[..., None]
    elif strip.has_transparency_data:
        _put_on_white(np.asarray(strip if strip.mode == "RGBA" else strip.convert("RGBA")), out)
    else:
        out[:] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _put_on_white(pixels: np.ndarray, out: np.ndarray) -> None:
    """Show white through transparent RGBA pixels, as viewers, browsers and whatever saves it as JPEG do.

    Transparent pixels still have colours, often leftovers of what was cut away. What a colour lacks to white
    counts by its opacity; OpenCV rounds as Pillow does, in a quarter of its time.
    """
    cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB, dst=out)
    opacity = cv2.cvtColor(pixels[..., 3], cv2.COLOR_GRAY2RGB)
    np.invert(out, out=out)
    cv2.multiply(out, opacity, dst=out, scale=1 / 255)
    np.invert(out, out=out)


SIGNATURES = ((0, b"\xff\xd8\xff", "JPEG"), (0, b"\x89PNG\r\n\x1a\n", "PNG"), (8, b"WEBP", "WEBP"))
"""How each format that Pillow reads for us begins: place, bytes, Pillow's name."""

HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis"}
MOVING_HEIC_BRANDS = {b"hevc", b"hevx", b"hevm", b"hevs"}

KNOWN_OTHERS = (
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP"),
    (0, b"II*\x00", "a TIFF or raw photo"),
    (0, b"MM\x00*", "a TIFF or raw photo"),
    (0, b"%PDF", "a PDF"),
    (0, b"<", "a web page or SVG drawing"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (4, b"JXL ", "a JPEG XL"),
    (4, b"jP  ", "a JPEG 2000"),
)
"""How some other files begin, to name them in the refusal."""


def format_of(data: bytes) -> str:
    """Return Pillow's name of a photo's format, judged by content.

    Args:
        data: a file, or its first ``HEAD`` bytes.

    Raises:
        EmptyPhotoError: no bytes.
        UnsupportedFormatError: another format than the accepted ones.
    """
    if not data:
        raise EmptyPhotoError("The file is empty.", DAMAGED)
    for place, magic, kind in SIGNATURES:
        if data.startswith(magic, place):
            return kind
    if data.startswith(b"ftyp", 4):
        return _format_of_boxes(data)
    for place, magic, name in KNOWN_OTHERS:
        if data.startswith(magic, place):
            raise UnsupportedFormatError(f"This is {name}, which cannot be used here.", ACCEPTED)
    raise UnsupportedFormatError("This file is not a photo in a known format.", ACCEPTED)


def _format_of_boxes(data: bytes) -> str:
    """Tell HEIC from its relatives by the brands in its first box (ISO/IEC 23008-12)."""
    length = int.from_bytes(data[:4], "big")
    major, compatible = data[8:12], data[16 : min(length, HEAD)]
    brands = {major, *(compatible[at : at + 4] for at in range(0, len(compatible), 4))}
    if major in MOVING_HEIC_BRANDS or (major == b"msf1" and brands & MOVING_HEIC_BRANDS):
        raise _animated()
    if brands & HEIC_BRANDS:
        return "HEIF"
    name = "an AVIF" if brands & {b"avif", b"avis"} else "a video or another relative of HEIC"
    raise UnsupportedFormatError(f"This is {name}, which cannot be used here.", ACCEPTED)


def _check_size(size_wh: tuple[int, int]) -> None:
    if math.prod(size_wh) > MAX_PIXELS:
        raise _too_many_pixels(f"{size_wh[0]}×{size_wh[1]}")
    if max(size_wh) > MAX_SIDE:
        raise PhotoTooLargeError(
            f"The photo has {size_wh[0]}×{size_wh[1]} pixels; the limit is {MAX_SIDE:,} on each side.", "Crop it."
        )


def _animated() -> AnimatedPhotoError:
    return AnimatedPhotoError("The file is an animation.", f"Save a single picture from it. {ACCEPTED}")


def _check_png(data: bytes) -> None:
    """Refuse a PNG of so many chunks, or so many bytes of pixels, that reading it takes seconds."""
    width, height, depth, colours = struct.unpack_from(">IIBB", data.ljust(26, b"\0"), 16)
    unpacked = width * height * depth * PNG_CHANNELS.get(colours, 1) // 8
    if data[28:29] == b"\x01":  # interlaced: in seven passes, which takes half as long again
        unpacked += unpacked // 2
    if width * height <= MAX_PIXELS and unpacked > MOST_PNG_BYTES:
        raise PhotoTooLargeError(
            f"The pixels of this PNG photo take {unpacked // 10**6} MB to read; "
            f"the limit is {MOST_PNG_BYTES // 10**6} MB.",
            "Save it with 8 bits per colour instead of 16 and without interlacing, or make it smaller.",
        )
    position = 8
    for _ in range(MOST_SEGMENTS):
        if position >= len(data):
            return
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise PhotoTooLargeError(
        f"This PNG photo is made of more than {MOST_SEGMENTS:,} parts.", "Open it in another program and save it again."
    )


def _too_many_pixels(received: str) -> PhotoTooLargeError:
    return PhotoTooLargeError(
        f"The photo has {received} pixels; the limit is {MAX_PIXELS // 10**6} million.", "Make it smaller."
    )


def _damaged(data: bytes, kind: str) -> UnreadablePhotoError:
    name = {"HEIF": "HEIC", "WEBP": "WebP"}.get(kind, kind)
    if _is_cut_short(data, kind):
        return TruncatedPhotoError(f"The end of this {name} photo is missing.", DAMAGED)
    return UnreadablePhotoError(f"This {name} photo is damaged.", DAMAGED)


def _is_cut_short(data: bytes, kind: str) -> bool:
    """Say whether a file that could not be decoded lacks what its format ends with."""
    if kind == "JPEG":
        return b"\xff\xd9" not in data[-1024:]
    if kind == "PNG":
        return b"IEND" not in data[-1024:]
    if kind == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return _end_of_boxes(data) != len(data)


def _end_of_boxes(data: bytes) -> int:
    """Return where the last of HEIC's boxes says that it ends."""
    position = 0
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if length == 1:  # the real length, of eight bytes, follows the box's name
            length = int.from_bytes(data[position + 8 : position + 16], "big")
        if length < 8:  # 0: up to the end of the file; the rest is damage
            return len(data)
        position += length
    return position
