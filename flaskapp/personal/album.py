"""Photos for training on one's own face: read, cut, and what could not be used with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores, photos_at_once
from flaskapp.errors import DataError, MissingExtraError, PhotoError
from flaskapp.parallel import map_in_order
from flaskapp.preprocess.files import FolderContent, check_photos, look_through, read_photo
from flaskapp.preprocess.selection import Choice

ME = "me"
# scikit-learn leaves the photos as they are in this folder and hands out small grey copies.
LFW_FOLDER = Path("lfw_home") / "lfw_funneled"

Progress = Callable[[Iterable[Path]], Iterable[Path]]


@dataclass(frozen=True, eq=False)
class Album:
    """Faces of known people, one row a photo."""

    names: tuple[str, ...]  # N paths, relative to the folder, with ``/``
    people: tuple[str, ...]  # N names of people
    faces: np.ndarray = field(repr=False)  # uint8 (N, 100, 100, 3) RGB, aligned
    digests: tuple[str, ...] = field(repr=False)  # N SHA-256 hashes of the files
    left_out: Mapping[str, str] = field(default_factory=dict)  # photo, or whatever else lies there → why

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.people) == len(self.faces) == len(self.digests):
            raise ValueError("Expected as many names, people, faces and digests")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: np.ndarray) -> Album:
        """Return some of the photos; rows is int or bool (N,)."""
        chosen = np.arange(len(self))[rows].tolist()
        words = ([values[row] for row in chosen] for values in (self.names, self.people, self.digests))
        names, people, digests = map(tuple, words)
        return Album(names, people, self.faces[chosen], digests)

    def features(self, trunk: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return what a network's trunk says of the faces, float32 (N, d)."""
        return trunk(self.faces)


def read_album(folder: Path, progress: Progress = iter) -> Album:
    """Read my photos, also those in folders below; ``progress`` wraps the iteration over them.

    A photo with several prominent faces is left out: nothing says which is the person's.

    Raises:
        DataError: the folder holds no photo at all.
    """
    content = look_through(folder)
    check_photos(content)
    return _read(content, dict.fromkeys(content.photos, ME), progress, "refuse")


def read_people(
    folder: Path,
    progress: Progress = iter,
    choice: Choice = "refuse",
    most: int | None = None,
    people: int | None = None,
) -> Album:
    """Read other people's photos: a folder for each person; photos beside these are left out.

    ``choice`` says which of several prominent faces is meant. At most so many ``people``, those with most photos, are
    read, and at most so many photos of each, the first by name; None = all.

    Raises:
        DataError: there is no photo, or none lies in a person's folder.
    """
    content = look_through(folder)
    check_photos(content)
    of_people: dict[str, list[Path]] = {}
    stray = {}
    for photo in content.photos:
        if photo.parent == folder:
            stray[photo.name] = "It lies in nobody's folder."
        else:
            of_people.setdefault(photo.relative_to(folder).parts[0], []).append(photo)
    chosen = sorted(sorted(of_people, key=lambda person: -len(of_people[person]))[:people])
    owned = {photo: person for person in chosen for photo in of_people[person][:most]}
    if not owned:
        raise DataError(
            f"{folder.name} contains no folders with people's photos.",
            "Put each person's photos in a folder of their own inside it.",
        )
    album = _read(content, owned, progress, choice)
    return replace(album, left_out={**album.left_out, **stray})


def fetch_lfw(home: Path | None = None) -> Path:
    """Return the folder of LFW's photos, a folder a person, as scikit-learn's loader fetches it to its data folder.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        DataError: it cannot be fetched.
    """
    try:
        from sklearn.datasets import fetch_lfw_people, get_data_home
    except ModuleNotFoundError:
        raise MissingExtraError(
            "Fetching LFW needs scikit-learn, which is not installed.", "Try: pip install scikit-learn"
        ) from None
    try:
        # Few and small, because they are thrown away: what counts is that the photos lie on the disk.
        fetch_lfw_people(data_home=home, min_faces_per_person=200, resize=0.1)
    except OSError as error:
        raise DataError(
            f"LFW could not be fetched ({type(error).__name__}).",
            "Give --others a folder with other people's photos, or leave it out.",
        ) from None
    return Path(get_data_home(home)) / LFW_FOLDER


def join(*albums: Album) -> Album:
    """Return several albums as one."""
    return Album(
        sum((album.names for album in albums), ()),
        sum((album.people for album in albums), ()),
        np.concatenate([album.faces for album in albums]),
        sum((album.digests for album in albums), ()),
        {photo: reason for album in albums for photo, reason in album.left_out.items()},
    )


def _read(content: FolderContent, person_of: Mapping[Path, str], progress: Progress, choice: Choice) -> Album:
    def cut(photo: Path) -> tuple[np.ndarray, str] | str:
        """Return the face and its file's hash, or why there is none."""
        try:
            data = read_photo(photo)
            return preprocess.crop_photo(data, choice=choice), hashlib.sha256(data).hexdigest()
        except PhotoError as error:
            return error.message

    answers = map_in_order(cut, list(person_of), min(allowed_cores(), photos_at_once()), progress)
    rows, left_out = list[tuple[str, str, np.ndarray, str]](), dict(content.passed_over)
    for (photo, person), answer in zip(person_of.items(), answers, strict=True):
        name = photo.relative_to(content.folder).as_posix()
        if isinstance(answer, str):
            left_out[name] = answer
        else:
            rows.append((name, person, *answer))
    names, people, faces, digests = zip(*rows, strict=True) if rows else ((),) * 4
    size = preprocess.CROP_SIZE
    return Album(names, people, np.array(faces, np.uint8).reshape(-1, size, size, 3), digests, left_out)
