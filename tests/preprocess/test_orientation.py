"""A photo is turned by what its EXIF says, as browsers do, and never by a note in XMP."""

from __future__ import annotations

import io

import numpy as np
import pytest
import turned
from PIL import Image, PngImagePlugin

from flaskapp.preprocess import decode_photo, find_faces

FORMATS = ("JPEG", "WEBP", "PNG")  # HEIC is turned by its own boxes, before anybody reads a note
AS_ELEMENT = "<tiff:Orientation>{}</tiff:Orientation>"


def xmp(orientation: int, form: str = 'tiff:Orientation="{}"') -> bytes:
    words = form.format(orientation)
    attribute, element = ("", words) if words.startswith("<") else (words, "")
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {attribute}>{element}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def noted(pixels: np.ndarray, kind: str, note: bytes, exif: int | None = None) -> bytes:
    """Return a photo with a note in XMP, and an orientation in EXIF if one is given."""
    buffer, image = io.BytesIO(), Image.fromarray(pixels)
    settings: dict[str, object] = {"quality": 95}
    if exif is not None:
        settings["exif"] = turned.note(exif)
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", note.decode())
        image.save(buffer, kind, pnginfo=text, **settings)
    else:
        image.save(buffer, kind, xmp=note, **settings)
    assert b"tiff:Orientation" in buffer.getvalue()
    return buffer.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("form", ['tiff:Orientation="{}"', AS_ELEMENT], ids=["attribute", "element"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_an_upright_photo_with_a_stale_note_stays_upright(hopper_pixels, kind, form, orientation):
    photo = decode_photo(noted(hopper_pixels, kind, xmp(orientation, form)))
    assert photo.size_wh == (512, 600)
    assert np.abs(photo.pixels.astype(int) - hopper_pixels).mean() < 6


@pytest.mark.parametrize("kind", FORMATS)
def test_exif_counts_whatever_xmp_says(hopper_pixels, kind):
    lying = np.rot90(hopper_pixels)  # which EXIF 6 turns by a quarter to the right
    photo = decode_photo(noted(lying, kind, xmp(1), exif=6))
    assert photo.size_wh == (512, 600)
    assert np.abs(photo.pixels.astype(int) - hopper_pixels).mean() < 6


def test_a_stale_note_hides_no_face(hopper_pixels):
    assert len(find_faces(decode_photo(noted(hopper_pixels, "JPEG", xmp(6))))) == 1
