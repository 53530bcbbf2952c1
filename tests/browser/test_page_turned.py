"""Photos that the browser turns otherwise than the server, or cannot show: the page shows what the server saw.

What Chromium 156 was measured to do: it honours EXIF in JPEG, and in PNG before the pixels; in WebP, in PNG
behind the pixels or as an old text chunk, and written as a long number, it does not. HEIC it cannot show.
"""

from __future__ import annotations

import base64
import functools
import io
import struct
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api")

import sample_photos
import turned
from PIL import Image
from playwright.sync_api import expect

from flaskapp.preprocess import decode_photo

GROUP = sample_photos.group_photo()
PLAIN_GROUP = sample_photos.encoded(GROUP, "PNG")
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "HEIC": "image/heic"}


def long_note(orientation: int) -> bytes:
    """Return EXIF that gives the orientation as a long number, which it should not."""
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 4, 1, orientation) + bytes(4)


def late_note(scene: Image.Image, orientation: int) -> bytes:
    """Return a PNG whose EXIF stands behind its pixels."""
    turn = turned.STORED_AS[orientation]
    data = sample_photos.encoded(scene if turn is None else scene.transpose(turn), "PNG")
    note = b"eXIf" + long_note(orientation)[6:].replace(b"\x12\x01\x04\0", b"\x12\x01\x03\0")
    end = data.index(b"IEND") - 4
    return data[:end] + struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note)) + data[end:]


def with_long_note(scene: Image.Image) -> bytes:
    lying = scene.transpose(turned.STORED_AS[6])
    return sample_photos.encoded(lying, "JPEG", quality=92, exif=long_note(6))


OTHERWISE: dict[str, tuple[str, Callable[[Image.Image], bytes]]] = {
    "webp 2": ("WEBP", lambda scene: turned.held(scene, 2, "WEBP")),
    "webp 3": ("WEBP", lambda scene: turned.held(scene, 3, "WEBP")),
    "webp 6": ("WEBP", lambda scene: turned.held(scene, 6, "WEBP")),
    "png late 6": ("PNG", lambda scene: late_note(scene, 6)),
    "jpeg long 6": ("JPEG", with_long_note),
    "heic": ("HEIC", sample_photos.heic),
}
ALIKE: dict[str, tuple[str, Callable[[Image.Image], bytes]]] = {
    "jpeg 6": ("JPEG", lambda scene: turned.held(scene, 6, "JPEG")),
    "jpeg 3": ("JPEG", lambda scene: turned.held(scene, 3, "JPEG")),
    "png 8": ("PNG", lambda scene: turned.held(scene, 8, "PNG")),
    "webp": ("WEBP", lambda scene: sample_photos.encoded(scene, "WEBP", quality=92)),
    "cmyk": ("JPEG", lambda scene: sample_photos.encoded(scene.convert("CMYK"), "JPEG", quality=92)),
    "grey": ("PNG", lambda scene: sample_photos.encoded(scene.convert("L"), "PNG")),
    "palette": ("PNG", lambda scene: sample_photos.encoded(scene.quantize(64), "PNG")),
    "large": ("JPEG", lambda scene: sample_photos.encoded(scene.resize((4500, 2500)), "JPEG", quality=85)),
}


@functools.cache
def file_of(made: Callable[[Image.Image], bytes]) -> bytes:
    """Return what a way of writing makes of the group; some take long."""
    return made(GROUP)


def as_file(photo: tuple[str, Callable[[Image.Image], bytes]]) -> dict[str, object]:
    kind, made = photo
    return {"name": f"group.{kind.lower()}", "mimeType": TYPES[kind], "buffer": file_of(made)}


def drawn_on(canvas) -> np.ndarray:
    """Return what is drawn on a canvas, uint8 (H, W, 3)."""
    data = canvas.evaluate("(canvas) => canvas.toDataURL('image/png')").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Return the correlation of two pictures, whatever their sizes."""
    small = [np.asarray(Image.fromarray(picture).convert("L").resize((32, 32)), float) for picture in (one, other)]
    return float(np.corrcoef(*(picture.ravel() for picture in small))[0, 1])


def aligned(verifier, number: int) -> np.ndarray:
    """Return a face of the group as the network sees it, 1 the left one."""
    return verifier.read(PLAIN_GROUP, number).aligned


@pytest.mark.parametrize("photo", OTHERWISE.values(), ids=OTHERWISE)
def test_the_button_with_a_persons_picture_compares_that_person(page, verifier, collins_file, photo):
    held = file_of(photo[1])
    upright = decode_photo(held).pixels
    page.choose("reference", as_file(photo)).choose("probe", collins_file)
    expect(page.find("#reference-slot [data-stage]")).to_be_hidden()
    for person in (1, 2):
        button = page.page.get_by_role("button", name=f"Face {person} of 2")
        shown = drawn_on(button.locator("canvas"))
        left, top, right, bottom = (round(value) for value in verifier.read(held, person).face.box_xyxy)
        room = round(0.5 * max(right - left, bottom - top))
        seen = upright[max(top - room, 0) : bottom + room, max(left - room, 0) : right + room]
        assert likeness(shown, seen) > 0.98
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(page.find("#result")).to_be_hidden()  # that of the other person is gone
        page.compare()
        expect(page.find("#result")).to_be_visible()
        expect(page.find("#verdict-word")).to_have_text("Match")
        assert verifier.calls[person - 1 :] == [(person, None)]
        result = drawn_on(page.find("#reference-aligned"))
        assert likeness(result, aligned(verifier, person)) > 0.95
        assert likeness(result, aligned(verifier, 3 - person)) < 0.9


@pytest.mark.parametrize("photo", ALIKE.values(), ids=ALIKE)
def test_a_photo_that_both_see_alike_is_drawn_as_it_is(page, verifier, collins_file, photo):
    page.choose("reference", as_file(photo)).choose("probe", collins_file)
    expect(page.find("#reference-slot [data-cuts]")).to_be_hidden()
    expect(page.find("#reference-slot .outline")).to_have_count(2)
    page.page.get_by_role("button", name="Face 1 of 2").click()
    page.compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    assert verifier.calls == [(1, None)]
    assert likeness(drawn_on(page.find("#reference-aligned")), aligned(verifier, 1)) > 0.9


def test_one_face_of_a_photo_that_is_shown_otherwise_is_shown_alone(page, verifier, collins_file):
    portrait = turned.held(Image.open(sample_photos.HOPPER), 3, "WEBP")
    page.choose("reference", {"name": "a.webp", "mimeType": "image/webp", "buffer": portrait})
    expect(page.find("#reference-slot [data-unseen]")).to_contain_text("shows this photo differently")
    expect(page.find("#reference-slot [data-cuts] canvas")).to_have_count(1)
    expect(page.find("#reference-slot [data-cuts] button")).to_have_count(0)
    expect(page.find("#reference-note")).to_have_text("One face found.")
    page.choose("probe", collins_file).compare()
    expect(page.find("#verdict-word")).to_have_text("Match")
    assert likeness(drawn_on(page.find("#reference-aligned")), verifier.read(portrait).aligned) > 0.95


def test_who_compares_without_choosing_is_led_to_the_pictures(page, verifier, collins_file):
    page.choose("reference", as_file(OTHERWISE["webp 6"])).choose("probe", collins_file).compare()
    page.expect_error("reference", "several_faces", "2 faces")
    expect(page.page.get_by_role("button", name="Face 1 of 2")).to_be_focused()
    assert verifier.calls == []


def test_nothing_of_the_pictures_stays_behind(page, collins_file):
    page.choose("reference", as_file(OTHERWISE["heic"]))
    expect(page.find("#reference-slot [data-cuts] canvas")).to_have_count(2)
    page.choose("reference", collins_file)
    expect(page.find("#reference-slot [data-cuts]")).to_be_hidden()
    expect(page.find("#reference-slot [data-cuts] canvas")).to_have_count(0)
    expect(page.find("#reference-slot [data-unseen]")).to_be_hidden()
    expect(page.find("#reference-slot .outline-group.chosen")).to_have_count(1)


@pytest.mark.parametrize("name", ["webp 6", "heic"])
@pytest.mark.parametrize("person", [1, 2])
def test_the_webcam_is_compared_with_the_person_of_the_picture(visit, verifier, monkeypatch, name, person):
    window = visit().watch_camera().agree().choose("reference", as_file(OTHERWISE[name]))
    window.page.get_by_role("button", name=f"Face {person} of 2").click()
    window.set_mode("Live webcam")
    sent, verify = [], verifier.verify

    def noting(references: Sequence[bytes], *rest: object, **more: object):
        sent.extend(references)
        return verify(references, *rest, **more)

    monkeypatch.setattr(verifier, "verify", noting)
    window.page.get_by_role("button", name="Start live comparison").click()
    expect(window.find("#live-word")).to_have_text("Match")
    reference = verifier.read(sent[0]).aligned
    assert likeness(reference, aligned(verifier, person)) > 0.95
    assert likeness(reference, aligned(verifier, 3 - person)) < 0.9
