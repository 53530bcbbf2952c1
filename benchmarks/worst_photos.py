"""What attacks cost: the costliest photos in processor time and memory, then clients that hold back.

Run it with ``python -m benchmarks.worst_photos`` on Linux, from the folder of the checkout. Each
case has a fresh process, which first compares two portraits, as the server does
when it starts, and then looks at one photo, once. Plain photos of 12 megapixels are compared in
the same run: what the others cost is to be seen beside them.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

from benchmarks import slow_clients

PORTRAITS = sorted((Path(__file__).resolve().parent.parent / "tests" / "portraits").glob("*.jpg"))
GREY = (127, 127, 127)
CONNECTIONS = 100
MOST_BYTES = 12 * 1024**2
PHONE_WH = (8160, 6120)  # 49.9 megapixels
SQUARE = 7071  # a side; 50 megapixels

GREYS, COLOURS, PALETTE, WITH_ALPHA = 0, 2, 3, 6  # PNG's colour types
SEVEN_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)  # of an interlaced PNG: the first column and row, and the steps
PAETH = 4  # of PNG's filters the one that takes longest
CHANNELS = {GREYS: 1, COLOURS: 3, PALETTE: 1, WITH_ALPHA: 4}


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def portrait(size_wh: tuple[int, int], number: int = 0) -> Image.Image:
    """Return a packaged portrait on grey, as high as the picture."""
    canvas = Image.new("RGB", size_wh, GREY)
    with Image.open(PORTRAITS[number]) as image:
        width = image.width * size_wh[1] // image.height
        canvas.paste(image.convert("RGB").resize((width, size_wh[1])), ((size_wh[0] - width) // 2, 0))
    return canvas


def grain(size_wh: tuple[int, int]) -> Image.Image:
    """Return coarse grain, which compresses to about as many bytes as a photo."""
    small = np.random.default_rng(0).integers(0, 256, (size_wh[1] // 8, size_wh[0] // 8, 3), np.uint8)
    return Image.fromarray(small).resize(size_wh, Image.Resampling.BICUBIC)


def small_face(size_wh: tuple[int, int]) -> Image.Image:
    """Return a portrait so small in a large photo that it is cut from all its pixels."""
    canvas = Image.new("RGB", size_wh, GREY)
    canvas.paste(portrait((800, 900)), (size_wh[0] // 2, size_wh[1] // 2))
    return canvas


def transparent(size_wh: tuple[int, int]) -> Image.Image:
    """Return the same with a part that can be seen through."""
    picture = small_face(size_wh).convert("RGBA")
    picture.paste((200, 100, 50, 100), (0, 0, 500, 500))
    return picture


def turned(orientation: int) -> bytes:
    """Return EXIF that says how a picture is turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def png(
    width: int,
    height: int,
    colours: int = COLOURS,
    depth: int = 8,
    chunks: int = 0,
    exif: bytes = b"",
    passes: tuple[tuple[int, int, int, int], ...] = ((0, 0, 1, 1),),
) -> bytes:
    """Return an empty PNG, written row by row so that making it takes no memory."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    packer, packed = zlib.compressobj(9), b""
    for left, top, across, down in passes:
        row = bytes([PAETH]) + bytes(-(-(width - left) // across) * CHANNELS[colours] * depth // 8)
        packed += b"".join(packer.compress(row) for _ in range(top, height, down))
    packed += packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, len(passes) > 1))
    palette = chunk(b"PLTE", bytes(range(6))) if colours == PALETTE else b""
    more = chunk(b"eXIf", exif) if exif else chunk(b"teXt", b"a\0") * chunks
    return b"\x89PNG\r\n\x1a\n" + header + palette + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def many_scans(*, progressive: bool) -> bytes:
    """Return a JPEG whose last scan stands there as often as the limit of bytes allows."""
    data = encoded(Image.new("RGB", (4000, 3000)), progressive=progressive)
    start = data.rindex(b"\xff\xda")
    header, scan = data[:start], data[start:-2]
    if not progressive:
        scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"  # one colour; the decoder fills up what is not there
    return header + scan * ((MOST_BYTES - len(header) - 2) // len(scan)) + b"\xff\xd9"


def many_segments() -> bytes:
    """Return a JPEG with as many empty comments as the limit of bytes allows."""
    data = encoded(Image.new("L", (64, 64)))
    return data[:2] + b"\xff\xfe\x00\x02" * ((MOST_BYTES - len(data)) // 4) + data[2:]


def empty_webp(*, transparent: bool = False) -> bytes:
    """Return 34 bytes that say they are 50 megapixels."""
    bits = 0x2F | (SQUARE - 1) << 8 | (SQUARE - 1) << 22 | transparent << 36
    body = bits.to_bytes(5, "little") + bytes([0b10001000, 0b10001000, 8, 0, 0, 0, 0, 0, 0])
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body


def heic(picture: Image.Image) -> bytes:
    """Return a photo as newer phones make it."""
    pillow_heif.register_heif_opener()
    return encoded(picture, "HEIF", quality=60)


def collage(face: int, side: int = 2048) -> Image.Image:
    """Return a square full of faces: a portrait cut to its head, again and again, ``face`` pixels wide."""
    with Image.open(PORTRAITS[1]) as image:
        head = image.convert("RGB").crop((170, 110, 360, 300)).resize((face, face), Image.Resampling.LANCZOS)
    return Image.fromarray(np.tile(np.asarray(head), (side // face, side // face, 1)))


def noise(side: int = 2048) -> Image.Image:
    """Return coarse coloured noise, in which the first network guesses at faces everywhere."""
    small = np.random.default_rng(0).integers(0, 256, (side // 16, side // 16, 3), np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def panorama() -> Image.Image:
    """Return a strip of 25,000×2,000 pixels with a portrait every 600 pixels."""
    canvas = Image.new("RGB", (25_000, 2_000), GREY)
    small = portrait((400, 469))
    for left in range(0, canvas.width - small.width, 600):
        canvas.paste(small, (left, 700))
    return canvas


def nobody() -> Image.Image:
    """Return a photo of 12 megapixels without a face, which is looked at longest."""
    return Image.radial_gradient("L").convert("RGB").resize((4000, 3000))


CASES: dict[str, tuple[Callable[[], bytes], ...]] = {
    "12 megapixels, two compared": (
        lambda: encoded(portrait((4000, 3000))),
        lambda: encoded(portrait((4000, 3000), 1)),
    ),
    "12 megapixels, one": (lambda: encoded(portrait((4000, 3000))),),
    "12 megapixels, nobody": (lambda: encoded(nobody()),),
    "4,096 faces of 32 pixels": (lambda: encoded(collage(32)),),
    "1,024 faces of 64 pixels": (lambda: encoded(collage(64)),),
    "144 faces of 160 pixels": (lambda: encoded(collage(160)),),
    "1,024 faces on their side": (lambda: encoded(collage(64).transpose(Image.Transpose.ROTATE_90)),),
    "noise of 4 megapixels": (lambda: encoded(noise()),),
    "panorama of 50 megapixels": (lambda: encoded(panorama()),),
    "JPEG 50 megapixels, phone": (lambda: encoded(grain(PHONE_WH), quality=80),),
    "JPEG 50 megapixels, small face": (lambda: encoded(small_face(PHONE_WH)),),
    "JPEG 50, small face, turned": (lambda: encoded(small_face(PHONE_WH).rotate(90, expand=True), exif=turned(6)),),
    "JPEG 50, progressive": (lambda: encoded(grain(PHONE_WH), progressive=True, quality=70),),
    "JPEG 50, progressive 4:4:4": (lambda: encoded(small_face(PHONE_WH), progressive=True, subsampling=0),),
    "JPEG 50, CMYK": (lambda: encoded(small_face(PHONE_WH).convert("CMYK")),),
    "JPEG, progressive, many scans": (lambda: many_scans(progressive=True),),
    "JPEG, sequential, many scans": (lambda: many_scans(progressive=False),),
    "JPEG, many comments": (many_segments,),
    "PNG 50 megapixels, colour": (lambda: png(SQUARE, SQUARE),),
    "PNG 50, colour, turned": (lambda: png(SQUARE, SQUARE, exif=turned(6)[6:]),),
    "PNG 33, 16-bit colour": (lambda: png(SQUARE, SQUARE * 2 // 3, depth=16),),
    "PNG 50, 16-bit grey": (lambda: png(SQUARE, SQUARE, GREYS, 16),),
    "PNG 50, palette": (lambda: png(SQUARE, SQUARE, PALETTE),),
    "PNG 50, transparent": (lambda: png(SQUARE, SQUARE, WITH_ALPHA),),
    "PNG 25, transparent 16-bit": (lambda: png(SQUARE, SQUARE // 2, WITH_ALPHA, 16),),
    "PNG 50, transparent 16-bit": (lambda: png(SQUARE, SQUARE, WITH_ALPHA, 16),),
    "PNG 33, transparent, interlaced": (lambda: png(SQUARE, SQUARE * 2 // 3, WITH_ALPHA, passes=SEVEN_PASSES),),
    "PNG 44, interlaced, turned": (lambda: png(SQUARE, SQUARE * 8 // 9, exif=turned(6)[6:], passes=SEVEN_PASSES),),
    "PNG 1×50,000,000": (lambda: png(1, 50_000_000, GREYS),),
    "PNG 50,000,000×1": (lambda: png(50_000_000, 1, GREYS),),
    "PNG, many chunks": (lambda: png(64, 64, chunks=MOST_BYTES // 14 - 20),),
    "WebP 50 megapixels": (lambda: encoded(small_face((SQUARE, SQUARE)), "WEBP", method=0),),
    "WebP 50, lossless": (lambda: encoded(small_face((SQUARE, SQUARE)), "WEBP", method=0, lossless=True),),
    "WebP 50, transparent": (lambda: encoded(transparent((SQUARE, SQUARE)), "WEBP", method=0),),
    "WebP of 34 bytes": (empty_webp,),
    "WebP of 34 bytes, transparent": (lambda: empty_webp(transparent=True),),
    "WebP 16 megapixels, lossless": (lambda: encoded(portrait((4000, 4000)), "WEBP", method=0, lossless=True),),
    "HEIC 12 megapixels": (lambda: heic(portrait((4032, 3024))),),
    "HEIC 48 megapixels": (lambda: heic(portrait((8064, 6048))),),
    "HEIC 50 megapixels, transparent": (lambda: heic(transparent((SQUARE, SQUARE))),),
}
"""What is measured: of one file its face is sought and cut, two are compared."""


def memory_mb(field: str) -> float:
    """Return a figure of this process's memory in MB: "VmRSS" now, "VmHWM" at most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("This script reads Linux's figures of a process.")


def measure(files: list[Path]) -> dict[str, object]:
    """Return what looking at files costs this process, which has only started as a server does."""
    from flaskapp.errors import FacialRecognitionError
    from flaskapp.verifier import default_verifier
    from flaskapp.web.process_memory import give_memory_back, trim_memory

    give_memory_back()
    verifier = default_verifier()
    verifier.verify(PORTRAITS[0].read_bytes(), PORTRAITS[1].read_bytes())
    photos = [path.read_bytes() for path in files]
    trim_memory()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from now on
    at_rest, started, answer = memory_mb("VmRSS"), time.process_time(), "a face"
    try:
        if len(photos) == 2:
            answer = verifier.verify(photos[0], photos[1]).decision
        else:
            verifier.embed(photos[0])
    except FacialRecognitionError as error:
        answer = error.code
    return {
        "seconds": time.process_time() - started,
        "peak_mb": memory_mb("VmHWM") - at_rest,
        "answer": answer,
    }


def measure_apart(name: str, limit: float) -> str:
    """Measure a case in a process of its own, and return its line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(len(CASES[name]))]
        for file, make in zip(files, CASES[name], strict=True):
            file.write_bytes(make())
        size = max(file.stat().st_size for file in files) / 1024**2
        command = [sys.executable, "-m", "benchmarks.worst_photos", "--measure", *map(str, files)]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            return f"  {name:<32}{size:>8.2f} MB   more than {limit:.0f} s"
    figures = json.loads(done.stdout)
    return f"  {name:<32}{size:>8.2f} MB{figures['seconds']:>9.2f} s{figures['peak_mb']:>8.0f} MB  {figures['answer']}"


def main() -> None:
    """Measure every case, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="only cases whose name has this in it")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a case may take at most")
    parser.add_argument("--measure", nargs="+", type=Path, metavar="FILE", help="measure here, and print JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    print(f"  {'':<32}{'file':>11}{'processor':>11}{'memory':>11}  answer")
    for name in CASES:
        if not options.cases or any(part in name for part in options.cases):
            print(measure_apart(name, options.limit), flush=True)
    if not options.cases:
        print("\nClients that hold back:", flush=True)
        slow_clients.report(slow_clients.measure_all(CONNECTIONS))


if __name__ == "__main__":
    main()
