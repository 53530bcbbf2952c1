from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from flaskapp.errors import (
    AnimatedPhotoError,
    EmptyPhotoError,
    FacialRecognitionError,
    PhotoTooLargeError,
    TruncatedPhotoError,
    UnreadablePhotoError,
    UnsupportedFormatError,
)
from flaskapp.preprocess import Photo, decode_photo, decoding

FORMATS = ["JPEG", "PNG", "WEBP", "HEIF"]

# What a camera held so that EXIF says N does to the scene; decoding must undo it.
TAKEN_AS = {
    1: lambda scene: scene,
    2: lambda scene: scene[:, ::-1],
    3: lambda scene: scene[::-1, ::-1],
    4: lambda scene: scene[::-1],
    5: lambda scene: scene.transpose(1, 0, 2),
    6: lambda scene: np.rot90(scene, 1),
    7: lambda scene: scene[::-1, ::-1].transpose(1, 0, 2),
    8: lambda scene: np.rot90(scene, -1),
}


@pytest.fixture(scope="module", autouse=True)
def heif_opener() -> None:
    pillow_heif.register_heif_opener()  # for saving; decode_photo registers its own


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """Four flat quarters, each another colour: every turn and mirroring shows."""
    pixels = np.zeros((96, 128, 3), np.uint8)
    pixels[:48, :64], pixels[:48, 64:] = (220, 40, 40), (40, 200, 60)
    pixels[48:, :64], pixels[48:, 64:] = (40, 60, 210), (230, 220, 60)
    return pixels


def encoded(picture: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(np.ascontiguousarray(picture))
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def orientation_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_of(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")


def webp_header(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_header(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    content = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(content) + 4) + content


PRINT_SIZE = """
import pathlib, sys
from flaskapp.preprocess import decode_photo
print(decode_photo(pathlib.Path(sys.argv[1]).read_bytes()).size_wh)
"""


class TestAcceptedFormats:
    @pytest.mark.parametrize("kind", FORMATS)
    def test_each_is_decoded_to_upright_rgb(self, scene, kind):
        photo = decode_photo(encoded(scene, kind, quality=95))
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.shape == scene.shape
        assert photo.size_wh == (128, 96)
        assert np.abs(photo.pixels.astype(int) - scene).mean() < 6

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_all_eight_orientations_come_out_upright(self, scene, kind, orientation):
        taken = TAKEN_AS[orientation](scene)
        photo = decode_photo(encoded(taken, kind, exif=orientation_exif(orientation), quality=95))
        assert photo.size_wh == (128, 96)
        assert np.abs(photo.pixels.astype(int) - scene).mean() < 6

    def test_content_decides_whatever_the_name_says(self, photos):
        as_png, as_jpeg = (
            decode_photo((photos / "formats" / name).read_bytes()).pixels for name in ("einstein.png", "einstein.jpeg")
        )
        assert as_png.shape == as_jpeg.shape == (256, 256, 3)

    def test_multi_picture_jpeg_gives_its_first_picture(self, scene):
        second = Image.fromarray(255 - scene)
        data = encoded(scene, "MPO", save_all=True, append_images=[second], quality=95)
        assert Image.open(io.BytesIO(data)).format == "MPO"
        assert np.abs(decode_photo(data).pixels.astype(int) - scene).mean() < 6

    def test_ten_bit_heic_comes_out_in_eight_bits(self, scene):
        deep = (scene.astype(np.uint16) << 8).tobytes()
        file = io.BytesIO()
        heif = pillow_heif.from_bytes(mode="RGB;16", size=(128, 96), data=deep)
        heif.save(file, quality=95)
        assert np.abs(decode_photo(file.getvalue()).pixels.astype(int) - scene).mean() < 6

    def test_damaged_exif_neither_refuses_the_photo_nor_warns(self, scene, tmp_path):
        # A process of its own: here pytest turns the warnings that we silence into errors.
        path = tmp_path / "photo.jpg"
        path.write_bytes(encoded(scene, "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff"))
        command = [sys.executable, "-c", PRINT_SIZE, str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("(128, 96)\n", "")

    def test_an_orientation_that_does_not_exist_is_ignored(self, scene):
        assert decode_photo(encoded(scene, "JPEG", exif=orientation_exif(42))).size_wh == (128, 96)


class TestColours:
    def test_sixteen_bit_grey_keeps_its_greys(self):
        ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (8, 1))
        photo = decode_photo(encoded(ramp, "PNG"))
        assert np.array_equal(photo.pixels[0, :, 0], np.arange(256))

    def test_eight_bit_grey_has_three_equal_channels(self, scene):
        grey = Image.fromarray(scene).convert("L")
        photo = decode_photo(encoded(grey, "PNG"))
        assert np.array_equal(photo.pixels, np.dstack([np.asarray(grey)] * 3))

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "RGB"])
    def test_every_png_mode_becomes_rgb(self, scene, mode):
        photo = decode_photo(encoded(Image.fromarray(scene).convert(mode), "PNG"))
        assert photo.pixels.shape == scene.shape

    def test_palette_keeps_its_colours(self, scene):
        palette = Image.fromarray(scene).quantize(4)
        assert np.abs(decode_photo(encoded(palette, "PNG")).pixels.astype(int) - scene).max() < 4

    def test_cmyk_keeps_its_colours(self, scene):
        cmyk = Image.fromarray(scene).convert("CMYK")
        photo = decode_photo(encoded(cmyk, "JPEG", quality=95, subsampling=0))
        assert np.abs(photo.pixels.astype(int) - scene).mean() < 6

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF"])
    def test_transparent_pixels_show_white_not_their_hidden_colour(self, scene, kind):
        hidden = np.dstack([scene, np.zeros(scene.shape[:2], np.uint8)])
        options = {} if kind == "PNG" else {"quality": -1} if kind == "HEIF" else {"lossless": True, "exact": True}
        assert (decode_photo(encoded(hidden, kind, **options)).pixels >= 253).all()

    def test_half_transparent_pixels_mix_with_white(self):
        half = np.full((16, 16, 4), (100, 100, 100, 128), np.uint8)
        assert abs(int(decode_photo(encoded(half, "PNG")).pixels[0, 0, 0]) - 177) <= 1

    def test_transparent_palette_colours_show_white(self):
        picture = Image.new("P", (16, 16), 0)
        picture.putpalette([10, 20, 30, 200, 100, 50])
        assert (decode_photo(encoded(picture, "PNG", transparency=0)).pixels == 255).all()


@pytest.fixture(scope="module")
def twelve_megapixels(scene) -> bytes:
    return encoded(Image.fromarray(scene).resize((4000, 3000)), "JPEG", quality=80)


class TestLargePhotos:
    def test_a_phone_photo_is_decoded_at_half_scale(self, twelve_megapixels):
        photo = decode_photo(twelve_megapixels)
        assert photo.pixels.shape == (1500, 2000, 3)
        assert photo.size_wh == (4000, 3000)
        assert photo.scale_xy == (2.0, 2.0)

    def test_all_pixels_are_there_on_demand(self, twelve_megapixels):
        whole = decode_photo(twelve_megapixels).at_full_scale()
        assert whole.pixels.shape == (3000, 4000, 3)
        assert whole.size_wh == (4000, 3000)
        assert whole.at_full_scale() is whole

    def test_a_photo_lying_on_its_side_is_reduced_and_turned(self, scene):
        large = Image.fromarray(scene).resize((4000, 3000))
        photo = decode_photo(encoded(large, "JPEG", exif=orientation_exif(6), quality=80))
        assert photo.pixels.shape == (2000, 1500, 3)
        assert photo.size_wh == (3000, 4000)

    @pytest.mark.parametrize(("side", "decoded"), [(1919, 1919), (3838, 3838), (3840, 1920), (8000, 2000)])
    def test_reducing_keeps_1920_pixels(self, side, decoded):
        photo = decode_photo(encoded(Image.new("L", (side, side // 2)), "JPEG"))
        assert photo.pixels.shape[1] == decoded
        assert (photo.encoded is None) == (side == decoded)

    def test_a_large_png_keeps_all_its_pixels(self):
        assert decode_photo(encoded(Image.new("L", (4000, 64)), "PNG")).pixels.shape == (64, 4000, 3)


class TestRefusals:
    def test_no_bytes(self):
        with pytest.raises(EmptyPhotoError, match="empty"):
            decode_photo(b"")

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("part", [0.5, 0.95])
    def test_a_missing_end(self, hopper_pixels, kind, part):
        data = encoded(hopper_pixels[:300, :300], kind)
        with pytest.raises(TruncatedPhotoError, match="end of this"):
            decode_photo(data[: int(len(data) * part)])

    @pytest.mark.parametrize("kind", FORMATS)
    def test_noise_in_the_middle_never_escapes_as_another_error(self, scene, kind):
        data, dice = encoded(scene, kind), random.Random(kind)  # noqa: S311 - no secret
        for _ in range(150):
            broken = bytearray(data)
            for _ in range(dice.randint(1, 30)):
                broken[dice.randrange(len(broken))] = dice.randrange(256)
            try:
                photo = decode_photo(bytes(broken))
            except FacialRecognitionError:
                continue
            assert photo.pixels.shape[2] == 3

    def test_a_damaged_photo_says_so(self, scene):
        broken = bytearray(encoded(scene, "PNG"))
        broken[60] ^= 0xFF
        with pytest.raises(UnreadablePhotoError, match="PNG photo is damaged"):
            decode_photo(bytes(broken))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_an_animation(self, scene, kind):
        frames = [Image.fromarray(255 - scene), Image.fromarray(scene // 2)]
        with pytest.raises(AnimatedPhotoError, match="animation"):
            decode_photo(encoded(scene, kind, save_all=True, append_images=frames, duration=100))

    @pytest.mark.parametrize("brands", [(b"hevc", b"msf1"), (b"msf1", b"hevc", b"mif1")])
    def test_a_moving_heic(self, brands):
        with pytest.raises(AnimatedPhotoError):
            decode_photo(ftyp(*brands) + bytes(100))

    @pytest.mark.parametrize(
        ("kind", "name"), [("GIF", "a GIF"), ("BMP", "a BMP"), ("TIFF", "a TIFF"), ("AVIF", "an AVIF")]
    )
    def test_other_formats_are_named(self, scene, kind, name):
        with pytest.raises(UnsupportedFormatError, match=name):
            decode_photo(encoded(scene, kind))

    @pytest.mark.parametrize(
        "data",
        [
            b"SIMPLE  =                    T" + b" " * 50,
            b'<svg xmlns="http://www.w3.org/2000/svg"/>',
            b"%PDF-1.7",
            b"PK\x03\x04",
            b"test\n",
            b"\x00" * 100,
            ftyp(b"mp42", b"isom"),
            ftyp(b"mif1", b"avif"),
            b"P6 1 1 255\n\xff\xff\xff",
        ],
    )
    def test_everything_else_is_refused_by_its_content(self, data):
        with pytest.raises(UnsupportedFormatError, match="JPEG, PNG, WebP or HEIC"):
            decode_photo(data)

    def test_too_many_bytes(self):
        with pytest.raises(PhotoTooLargeError, match=r"12\.0 MB.* 12 MB"):
            decode_photo(b"\xff\xd8\xff" + bytes(decoding.MAX_BYTES))

    @pytest.mark.parametrize(
        "data",
        [
            png_of(50_000, 50_000),
            png_of(7_100, 7_100),
            png_of(10_000, 10_000),
            webp_header(16_383, 16_383),
            jpeg_header(65_500, 65_500),
            jpeg_header(8_000, 7_000),
        ],
        ids=["png 2500 MP", "png 50.4 MP", "png 100 MP", "webp 268 MP", "jpeg 4290 MP", "jpeg 56 MP"],
    )
    def test_too_many_pixels_are_refused_unseen(self, data):
        with pytest.raises(PhotoTooLargeError, match="50 million"):
            decode_photo(data)

    def test_too_many_pixels_in_heic(self, scene, monkeypatch):
        monkeypatch.setattr(decoding, "MAX_PIXELS", 128 * 96 - 1)
        with pytest.raises(PhotoTooLargeError, match="128×96"):
            decode_photo(encoded(scene, "HEIF"))

    def test_a_bomb_of_text_is_refused(self):
        bomb = png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(80_000_000)))
        with pytest.raises(UnreadablePhotoError):
            decode_photo(png_of(8, 8, bomb))

    @pytest.mark.parametrize("name", ["corrupted.png", "empty.png", "einstein.gif", "einstein.bmp", "truncated.jpg"])
    def test_each_bad_file_at_hand_has_its_own_answer(self, photos, name):
        kind, words = {
            "corrupted.png": (UnreadablePhotoError, "PNG photo is damaged"),
            "empty.png": (UnsupportedFormatError, "not a photo in a known format"),
            "einstein.gif": (UnsupportedFormatError, "GIF"),
            "einstein.bmp": (UnsupportedFormatError, "BMP"),
            "truncated.jpg": (TruncatedPhotoError, "end of this JPEG"),
        }[name]
        with pytest.raises(kind, match=words) as caught:
            decode_photo((photos / "formats" / name).read_bytes())
        assert caught.value.hint
        assert type(caught.value) is kind


MEMORY_OF_BOMBS = """
import resource, sys
from flaskapp.errors import PhotoError
from flaskapp.preprocess import decode_photo
decode_photo(open(sys.argv[1], "rb").read())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    try:
        decode_photo(open(path, "rb").read())
    except PhotoError:
        continue
    raise SystemExit(f"{path} was accepted")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
def test_bombs_cost_next_to_no_memory(tmp_path, scene):
    files = {
        "good.png": encoded(scene, "PNG"),
        "wide.png": png_of(50_000, 50_000),
        "pixels.png": png_of(9_000, 9_000, png_chunk(b"IDAT", zlib.compress(bytes(50_000_000)))),
        "text.png": png_of(8, 8, png_chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(200_000_000)))),
        "wide.webp": webp_header(16_383, 16_383),
        "wide.jpg": jpeg_header(65_500, 65_500),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", MEMORY_OF_BOMBS, *(str(tmp_path / name) for name in files)]
    kilobytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert kilobytes < 64_000


def test_a_photo_shows_no_bytes_when_it_is_printed(hopper):
    assert "encoded" not in repr(Photo(decode_photo(hopper).pixels, (512, 600), encoded=b"secret"))


def test_a_photo_of_another_kind_of_numbers_is_refused():
    with pytest.raises(ValueError, match=r"uint8 \(height, width, 3\)\. Received: float64"):
        Photo(np.zeros((4, 4, 3)), (4, 4))
