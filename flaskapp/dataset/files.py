"""Photo files on disk, read with care."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flaskapp.errors import DataError, PhotoTooLargeError, UnreadablePhotoError
from flaskapp.preprocess import MAX_BYTES


def read_photo(path: Path) -> bytes:
    """Return the bytes of a photo file; a file too large to be a photo is left unread.

    Pipes, as a shell's ``<(…)`` makes them, have no size, so reading ends at the limit too.

    Raises:
        PhotoTooLargeError: it holds more than ``MAX_BYTES``.
        UnreadablePhotoError: it is absent, a folder, or not to be read by this user.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = b"" if size > MAX_BYTES else file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadablePhotoError(
            f"The file cannot be read: {error.strerror}.", "Check its path and rights."
        ) from None
    if max(size, len(data)) > MAX_BYTES:
        raise PhotoTooLargeError(
            f"The file has more than {MAX_BYTES // 1024**2} MB, the most that is accepted.",
            "Save it as JPEG, or make it smaller.",
        )
    return data


def check_presence(photos: Sequence[str], root: Path) -> None:
    """Refuse a list of photos that are not all there, before any work has begun.

    Raises:
        DataError: a photo does not exist below ``root``.
    """
    missing = [photo for photo in photos if not (root / photo).is_file()]
    if missing:
        raise DataError(
            f"{len(missing):,} of {len(photos):,} photos of the list do not exist, the first is {missing[0]}.",
            "Give the folder that the list's paths start from.",
        )
