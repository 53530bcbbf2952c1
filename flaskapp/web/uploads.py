"""Photos that arrive with a request: in memory, never on disk, never by name or address."""

from __future__ import annotations

import io
import re
from typing import IO, Any, cast

from flask import Request, request
from werkzeug.datastructures import FileStorage

from flaskapp.errors import (
    BadFaceNumberError,
    BadRequestError,
    MissingPhotoError,
    NotAFileError,
    PhotoTooLargeError,
    SeveralPhotosError,
)
from flaskapp.verifier import reference_labels
from flaskapp.web.settings import services
from flaskapp.weights.info import MOST_REFERENCES

FORM = "multipart/form-data"
SMALL_BODY_BYTES = 4096  # of a request that carries no photo
MOST_PARTS = 48  # of a form; ours have at most 43: twenty references, as many chosen faces, and three more
MOST_FORM_BYTES = 128 * 1024  # of text fields; ours are far shorter, but Werkzeug counts its read buffer of 64 KiB too


class PhotoBuffer(io.BytesIO):
    """Keeps the first ``limit`` bytes that are written to it, and knows whether there were more."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.overflowed = False

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Take what there is room for; the rest is dropped, the upload goes on."""
        room = self.limit - self.tell()
        self.overflowed = self.overflowed or len(data) > room
        super().write(data[:room])
        return len(data)


class InMemoryRequest(Request):
    """A request whose uploads stay in memory; Werkzeug's own go to a file from 500 kB on."""

    max_form_parts = MOST_PARTS

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
        return PhotoBuffer(services().settings.max_photo_bytes)


def stated_json(example: str) -> dict[str, Any]:
    """Return the JSON object that a request without a photo consists of.

    Raises:
        BadRequestError: it is something else, or nested too deeply; the hint shows the example.
    """
    request.max_content_length = SMALL_BODY_BYTES
    try:
        stated = request.get_json(silent=True)
    except RecursionError:
        stated = None
    if not isinstance(stated, dict):
        raise BadRequestError(
            "The request must be a JSON object with Content-Type: application/json.", f"Send {example}."
        )
    return stated


def check_form() -> None:
    """Refuse bodies that are no form with files, or none that can be read.

    Raises:
        BadRequestError: it is another kind of body, or a broken one.
    """
    if request.mimetype != FORM:
        received = request.mimetype or "a request without Content-Type"
        raise BadRequestError(
            f"Photos must be files in a form, {FORM}. Received: {received}.",
            "Send each photo as a file in its own field, as curl -F does.",
        )
    if not request.files and not request.form:
        raise BadRequestError(
            f"The body cannot be read as {FORM}: it has no fields.",
            "Let your program write Content-Type and its boundary by itself, as curl -F does.",
        )


def uploaded_photo(field: str) -> bytes:
    """Return the bytes of the photo that was uploaded as ``field``.

    Raises:
        BadRequestError: the body is no form with files.
        MissingPhotoError: there is none.
        SeveralPhotosError: there are more than one.
        NotAFileError: the field is text.
        PhotoTooLargeError: it has more bytes than are accepted.
    """
    return uploaded_photos(field, 1)[0]


def uploaded_references(most: int = MOST_REFERENCES) -> list[bytes]:
    """Return the bytes of the 1 to 20 photos, or ``most``, that were uploaded as ``reference``.

    There may be none while a personal model is in use: its owner is meant. Errors are those of ``uploaded_photo``.
    """
    return uploaded_photos("reference", most, needed=not services().comparer.verifier.known_photos)


def uploaded_photos(field: str, most: int, *, needed: bool = True) -> list[bytes]:
    """Return the bytes of all photos, ``most`` at most, that were uploaded as ``field``.

    There may be none if none is ``needed``. Errors are those of ``uploaded_photo``.
    """
    given = request.files.getlist(field)
    if not given and field in request.form:
        raise NotAFileError(
            "The field holds text, not a file.",
            "Upload the photo itself, as a file with a name; paths and web addresses are never opened.",
            photo=field,
        )
    check_form()
    # Of a file field in which nothing was chosen, browsers send an empty name and no bytes.
    uploads = [upload for upload in given if upload.filename or upload.stream.read(1)]
    if not uploads and needed:
        raise MissingPhotoError("No photo was chosen here.", "Choose a photo.", photo=field)
    if len(uploads) > most:
        raise SeveralPhotosError(
            f'The field "{field}" takes {"one photo" if most == 1 else f"{most} photos"}. Received: {len(uploads)}.',
            "Send fewer files in that field, and compare the others separately.",
            photo=field,
        )
    labels = reference_labels(len(uploads)) if field == "reference" else [field] * len(uploads)
    return [_content_of(*one) for one in zip(uploads, labels, strict=True)]


def _content_of(upload: FileStorage, field: str) -> bytes:
    buffer = cast("PhotoBuffer", upload.stream)
    if buffer.overflowed:
        most = f"{buffer.limit / 1024**2:.3g} MB"
        raise PhotoTooLargeError(
            f"The file is larger than {most}, the limit.", "Save it as JPEG, or make it smaller.", photo=field
        )
    return buffer.getvalue()


def chosen_face(photo: str) -> int | None:
    """Return the number of the face that the caller means, from the field ``<photo>_face``; 1 is the leftmost.

    The field of "reference 1" is ``reference_face``, that of "reference 2" ``reference_2_face``.

    Raises:
        BadFaceNumberError: the field is no whole number, or it is 0.
    """
    text = request.form.get(f"{photo.removesuffix(' 1').replace(' ', '_')}_face", "").strip()
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) < 1:
        hint = "Faces are numbered from 1, left to right."
        raise BadFaceNumberError("A face is chosen by its number, 1 to 9999.", hint, photo=photo)
    return int(text)


def chosen_reference_faces(count: int) -> list[int | None]:
    """Return ``chosen_face`` of each of so many references."""
    return [chosen_face(label) for label in reference_labels(count)]
