"""Photo files on disk, read with care."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flaskapp.errors import DataError, PhotoError, PhotoTooLargeError, UnreadablePhotoError
from flaskapp.preprocess import MAX_BYTES
from flaskapp.preprocess.decoding import HEAD, format_of

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif"})
"""Names that call a file a photo. One that is none, or is damaged, is a photo that cannot be used, and is
counted as that; every other file is a photo if its content is."""

OF_MACOS = "._"  # how macOS names the notes that it puts beside each file on foreign disks, a photo's suffix and all


@dataclass(frozen=True)
class FolderContent:
    """All that lies below a folder."""

    folder: Path  # the folder
    photos: tuple[Path, ...]  # in order of their paths
    passed_over: Mapping[str, str] = field(default_factory=dict)  # relative path of what is no photo → why

    @property
    def names(self) -> list[str]:
        """The photos' paths relative to the folder, with ``/``."""
        return [photo.relative_to(self.folder).as_posix() for photo in self.photos]


def look_through(folder: Path) -> FolderContent:
    """Tell the photos below a folder from all else that lies there: content decides, not the name."""
    photos, passed_over = [], {}
    for path, reason in _walk(folder, [folder.resolve()]):
        if reason := reason or _reason_against(path):
            passed_over[path.relative_to(folder).as_posix()] = reason
        else:
            photos.append(path)
    return FolderContent(folder, tuple(sorted(photos)), dict(sorted(passed_over.items())))


def check_photos(content: FolderContent) -> None:
    """Refuse a folder without photos, and say what it holds instead.

    Raises:
        DataError: there is no photo.
    """
    if content.photos:
        return
    first = next(iter(content.passed_over.items()), None)
    instead = f" It holds other files, {first[0]} for example: {first[1]}" if first else ""
    raise DataError(f"There are no photos in {content.folder.name}.{instead}", "Photos are JPEG, PNG, WebP or HEIC.")


def _walk(folder: Path, roots: list[Path]) -> Iterator[tuple[Path, str]]:
    """Yield whatever is no folder, and folders that cannot be looked into with the reason.

    Args:
        folder: where to look.
        roots: folders that are looked through in any case; a link to somewhere else is followed and added.
    """
    waiting = [folder]  # the next one last: however deep folders lie, no call lies within another
    while waiting:
        path = waiting.pop()
        if path != folder:
            if not os.path.isdir(path):  # noqa: PTH112 - Path raises where the folder may be listed and not entered
                yield path, ""
                continue
            if os.path.islink(path):  # noqa: PTH114
                target = path.resolve()
                if any(target.is_relative_to(root) or root.is_relative_to(target) for root in roots):
                    yield path, "It is a link to a folder that is looked through anyway."
                    continue
                roots.append(target)
        try:
            waiting += sorted(path.iterdir(), reverse=True)
        except OSError as error:
            yield path, f"The folder cannot be read: {error.strerror}."


def _reason_against(path: Path) -> str:
    """Return why a file is no photo, or nothing."""
    if not os.path.isfile(path):  # noqa: PTH113
        return "It is a link to nothing." if os.path.islink(path) else "It is no file."  # noqa: PTH114
    if path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(OF_MACOS):
        return ""
    try:
        with path.open("rb") as file:
            format_of(file.read(HEAD))
    except OSError as error:
        return f"The file cannot be read: {error.strerror}."
    except PhotoError as error:
        return error.message
    return ""


def read_photo(path: Path) -> bytes:
    """Return the bytes of a photo file; of one too large to be a photo, or without end, no more than the limit is read.

    Raises:
        PhotoTooLargeError: it holds more than ``MAX_BYTES``.
        UnreadablePhotoError: it is absent, a folder, or not to be read by this user.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadablePhotoError(
            f"The file cannot be read: {error.strerror}.", "Check its path and permissions."
        ) from None
    if len(data) > MAX_BYTES:
        raise PhotoTooLargeError(
            f"The file has more than {MAX_BYTES // 1024**2} MB, which is the limit.",
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
            f"{len(missing):,} of {len(photos):,} photos in the list do not exist; the first is {missing[0]}.",
            "Give the folder that the list's paths start from.",
        )
