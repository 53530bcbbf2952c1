"""No file costs more time or memory than a photo does, whatever it says and however it is built."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import turned
from PIL import Image

from flaskapp.errors import PhotoTooLargeError, UnsupportedFormatError
from flaskapp.preprocess import decode_photo, decoding, jpeg

SOS, EOI = b"\xff\xda", b"\xff\xd9"
MOST_MEMORY_MB = 400


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def flat(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), 90)


def grain(width: int = 640, height: int = 480) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def repeated(data: bytes, scan: bytes, count: int) -> bytes:
    """Return a JPEG with further scans before its end."""
    return data.removesuffix(EOI) + scan * count + EOI


def last_scan(data: bytes) -> bytes:
    return data[data.rindex(SOS) : -2]


BARE_SCAN = SOS + b"\x00\x08\x01\x01\x00\x00\x3f\x00"  # of the first colour, without any data


def without_scans(data: bytes) -> bytes:
    return data[: data.index(SOS)] + EOI


@pytest.fixture
def undecoded(monkeypatch) -> None:
    """Fail where a JPEG is decoded after all."""
    monkeypatch.setattr(decoding, "decode_jpeg", lambda *_: pytest.fail("it was decoded"))


class TestScans:
    @pytest.mark.usefixtures("undecoded")
    def test_a_progressive_photo_of_thousands_is_refused_undecoded(self):
        data = encoded(flat(1000, 1000), progressive=True)
        with pytest.raises(PhotoTooLargeError, match="more than 1000 scans"):
            decode_photo(repeated(data, last_scan(data), 5_000))

    @pytest.mark.usefixtures("undecoded")
    def test_a_sequential_photo_of_thousands_is_refused_undecoded(self):
        data = without_scans(encoded(flat(1000, 1000)))
        with pytest.raises(PhotoTooLargeError, match="more than 1000 scans"):
            decode_photo(repeated(data, BARE_SCAN, 5_000))

    @pytest.mark.parametrize(("side", "allowed"), [(7000, 20), (4000, 62), (1000, 1000)])
    def test_how_many_follows_from_the_pixels(self, side, allowed):
        data = without_scans(encoded(flat(side, side, "L")))
        jpeg.check_jpeg(repeated(data, BARE_SCAN, allowed))
        with pytest.raises(PhotoTooLargeError, match=f"more than {allowed} scans"):
            jpeg.check_jpeg(repeated(data, BARE_SCAN, allowed + 1))

    @pytest.mark.parametrize(
        "filler", [b"\xff\xff\xff", b"\x00\xff\x00", b"\xff\xd0", b"\xff\x02\x40\x00", b"\xff\x01"]
    )
    def test_nothing_between_them_hides_them(self, filler):
        data = without_scans(encoded(flat(1000, 1000)))
        with pytest.raises(PhotoTooLargeError):
            jpeg.check_jpeg(repeated(data, BARE_SCAN + filler, 5_000))

    @pytest.mark.parametrize(
        "options",
        [
            {"progressive": True},
            {"progressive": True, "subsampling": 0},
            {"restart_marker_blocks": 1},
            {"optimize": True},
        ],
        ids=str,
    )
    def test_ordinary_photos_pass(self, options):
        assert decode_photo(encoded(grain(), **options)).size_wh == (640, 480)

    @pytest.mark.usefixtures("undecoded")
    def test_what_stands_inside_other_parts_is_no_scan(self):
        thumbnail = encoded(flat(32, 32), progressive=True)
        comment = b"\xff\xfe" + struct.pack(">H", 60_002) + (last_scan(thumbnail) * 5_000)[:60_000]
        data = encoded(flat(7000, 7000, "L"), quality=1)
        assert jpeg.check_jpeg(data[:2] + comment * 3 + data[2:]) == 0

    def test_pictures_and_films_behind_the_first_picture_do_not_count(self):
        picture = grain()
        expected = decode_photo(encoded(picture, quality=90)).pixels
        several = encoded(picture, "MPO", save_all=True, append_images=[grain()] * 3, quality=90)
        film = encoded(picture, quality=90) + b"\x00\x00\x00\x18ftypmp42" + BARE_SCAN * 50_000
        for data in (several, film):
            np.testing.assert_array_equal(decode_photo(data).pixels, expected)


class TestParts:
    def test_a_jpeg_of_countless_comments_is_refused_unopened(self, monkeypatch):
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
        data = encoded(flat())
        with pytest.raises(PhotoTooLargeError, match="20,000 parts"):
            decode_photo(data[:2] + b"\xff\xfe\x00\x02" * 30_000 + data[2:])

    def test_a_png_of_countless_chunks_is_refused_unopened(self, monkeypatch):
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
        data = encoded(flat(), "PNG")
        with pytest.raises(PhotoTooLargeError, match="20,000 parts"):
            decode_photo(data[:33] + png_chunk(b"teXt", b"a\0") * 30_000 + data[33:])

    @pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC9, 0xCA, 0xCB])
    @pytest.mark.usefixtures("undecoded")
    def test_a_jpeg_of_a_rare_kind_is_refused(self, marker):
        data = encoded(flat()).replace(b"\xff\xc0", bytes([0xFF, marker]), 1)
        with pytest.raises(UnsupportedFormatError, match="rare kind"):
            decode_photo(data)

    @pytest.mark.parametrize("sampling", ["31 11 11", "42 11 11", "11 21 11"])
    def test_a_jpeg_whose_damage_could_not_be_told_is_refused(self, sampling):
        data = bytearray(encoded(grain()))
        of_first_colour = data.index(b"\xff\xc0") + 11
        data[of_first_colour : of_first_colour + 9 : 3] = bytes.fromhex(sampling)
        with pytest.raises(UnsupportedFormatError, match="rare kind"):
            decode_photo(bytes(data))

    def test_so_are_inks_of_which_black_is_sampled_less_than_cyan(self):
        with pytest.raises(UnsupportedFormatError, match="rare kind"):
            decode_photo(encoded(grain().convert("CMYK"), subsampling="4:2:0"))


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def empty_png(width: int, height: int, depth: int, colours: int) -> bytes:
    """Return a PNG of nothing but zeros, made row by row."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    packer, row = zlib.compressobj(1), bytes(1 + (width * bits + 7) // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))
    palette = png_chunk(b"PLTE", bytes(6)) if colours == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + header + palette + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def empty_webp(width: int, height: int, *, alpha: bool) -> bytes:
    """Return 34 bytes: a lossless WebP whose every pixel is the one colour of codes that need no bits."""
    bits = 0x2F | (width - 1) << 8 | (height - 1) << 22 | alpha << 36
    body = bits.to_bytes(5, "little") + b"\x88\x88\x08" + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body


PEAK_OF_DECODING = """
import resource, sys
from flaskapp.preprocess import decode_photo
small, large = (open(path, "rb").read() for path in sys.argv[1:])
decode_photo(small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
photo = decode_photo(large)
photo.at_full_scale()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

COSTLY = {
    "16-bit grey": lambda width, height: empty_png(width, height, 16, 0),
    "palette": lambda width, height: empty_png(width, height, 8, 3),
    "16-bit colour, transparent": lambda width, height: empty_png(width, height // 2, 16, 6),
    "grey, transparent": lambda width, height: empty_png(width, height, 8, 4),
    "WebP": lambda width, height: empty_webp(width, height, alpha=False),
    "WebP, transparent": lambda width, height: empty_webp(width, height, alpha=True),
    "JPEG": lambda width, height: encoded(flat(width, height), quality=20),
    "JPEG, turned": lambda width, height: encoded(flat(width, height), quality=20, exif=turned.note(6)),
    "JPEG, CMYK": lambda width, height: encoded(flat(width, height, "L").convert("CMYK"), quality=20),
    "JPEG, progressive": lambda width, height: encoded(
        flat(width, height), quality=20, subsampling=0, progressive=True
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize("kind", COSTLY)
def test_the_largest_photo_of_each_kind_takes_no_more_memory_than_is_promised(tmp_path, kind):
    paths = tmp_path / "small", tmp_path / "large"
    for path, size_wh in zip(paths, [(64, 64), (7071, 7071)], strict=True):
        path.write_bytes(COSTLY[kind](*size_wh))
    command = [sys.executable, "-c", PEAK_OF_DECODING, *map(str, paths)]
    megabytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert megabytes < MOST_MEMORY_MB


class TestBytesOfPixels:
    @pytest.mark.parametrize(("depth", "colours"), [(16, 6), (16, 2)])
    def test_a_png_of_more_than_so_many_is_refused_unopened(self, monkeypatch, depth, colours):
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
        with pytest.raises(PhotoTooLargeError) as caught:
            decode_photo(empty_png(7071, 7071, depth, colours)[:1000])
        assert caught.value.hint

    @pytest.mark.parametrize(("depth", "colours", "pixels"), [(16, 6, 100), (16, 2, 100), (8, 6, 100), (1, 0, 100)])
    def test_the_most_that_is_accepted_is_decoded(self, monkeypatch, depth, colours, pixels):
        most = pixels * depth * {0: 1, 2: 3, 6: 4}[colours] // 8
        monkeypatch.setattr(decoding, "MOST_PNG_BYTES", most)
        assert decode_photo(empty_png(10, pixels // 10, depth, colours)).size_wh == (10, pixels // 10)
        monkeypatch.setattr(decoding, "MOST_PNG_BYTES", most - 1)
        with pytest.raises(PhotoTooLargeError):
            decode_photo(empty_png(10, pixels // 10, depth, colours))

    def test_one_that_is_interlaced_counts_half_as_much_again(self, monkeypatch):
        plain = empty_png(10, 10, 8, 0)
        interlaced = plain[:28] + b"\x01" + plain[29:]
        monkeypatch.setattr(decoding, "MOST_PNG_BYTES", 149)
        assert decode_photo(plain).size_wh == (10, 10)
        with pytest.raises(PhotoTooLargeError):
            decode_photo(interlaced)

    def test_every_opacity_of_every_shade_shows_as_much_white_as_in_pillow(self):
        shade, opacity = np.mgrid[0:256, 0:256].astype(np.uint8)
        picture = Image.fromarray(np.stack([shade, shade[::-1], shade, opacity], axis=-1))
        on_white = Image.new("RGB", picture.size, "white")
        on_white.paste(picture, mask=picture)
        np.testing.assert_array_equal(decode_photo(encoded(picture, "PNG")).pixels, np.asarray(on_white))


class TestShape:
    @pytest.mark.parametrize(("width", "height"), [(1, 65_501), (65_501, 1), (1, 2_000_000), (700, 70_000)])
    def test_a_side_longer_than_any_photo_is_refused(self, width, height):
        with pytest.raises(PhotoTooLargeError, match="65,500 on each side"):
            decode_photo(empty_png(width, height, 1, 0))

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_pixels_do_not_depend_on_how_many_are_turned_at_a_time(self, monkeypatch, mode):
        picture = grain(101, 77).convert("RGBA")
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        data = encoded(picture.convert(mode), "PNG")
        whole = decode_photo(data).pixels
        monkeypatch.setattr(decoding, "STRIP_PIXELS", 1000)
        np.testing.assert_array_equal(decode_photo(data).pixels, whole)
        assert whole.std() > 10


class TestScantMemory:
    """A progressive JPEG keeps the whole picture between its scans; here there is little room for more."""

    @pytest.fixture
    def progressive(self) -> bytes:
        return encoded(grain(800, 600), progressive=True, subsampling=0)

    @pytest.mark.parametrize(("room", "part"), [(2_000_000, 1), (400_000, 2), (100_000, 4), (30_000, 8)])
    def test_it_is_decoded_to_as_many_pixels_as_fit(self, progressive, monkeypatch, room, part):
        beside = 2 * 3 * 800 * 600
        assert jpeg.check_jpeg(progressive) == beside
        monkeypatch.setattr(decoding, "MOST_MEMORY", beside + room)
        photo = decode_photo(progressive).at_full_scale()
        assert (photo.size_wh, photo.pixels.shape[:2]) == ((800, 600), (600 // part, 800 // part))

    @pytest.mark.usefixtures("undecoded")
    def test_it_is_refused_where_nothing_fits(self, progressive, monkeypatch):
        monkeypatch.setattr(decoding, "MOST_MEMORY", 2_000_000)
        with pytest.raises(PhotoTooLargeError, match="too much memory"):
            decode_photo(progressive)

    def test_a_photo_of_one_scan_keeps_nothing(self):
        assert jpeg.check_jpeg(encoded(grain())) == 0
