"""Every error that the program raises on purpose.

::

    FacialRecognitionError
    ├── PhotoError                      something about one photo
    │   ├── UnsupportedFormatError      not JPEG, PNG, WebP or HEIC
    │   │   └── AnimatedPhotoError      several pictures one after another
    │   ├── UnreadablePhotoError        of an accepted format, but it cannot be decoded
    │   │   ├── EmptyPhotoError         no bytes at all
    │   │   └── TruncatedPhotoError     the end is missing
    │   ├── PhotoTooLargeError          too many bytes or pixels
    │   ├── NoFaceError                 nobody in it who could be compared
    │   │   └── CutOffFaceError         the photo ends within the face
    │   ├── SeveralFacesError           a face must be chosen first
    │   └── BadFaceIndexError           the chosen face is not there
    ├── NotEnoughMemoryError            a photo that there is no room for just now
    ├── WeightsError                    weights that are missing, changed or do not fit
    ├── DataError                       lists of pairs and folders of photos
    │   ├── LeakError                   a person or photo on both sides of a split
    │   └── UnreachableRateError        an error rate that so few pairs cannot show
    └── MissingExtraError               an optional part that is not installed

Each class carries what a door needs to answer with: ``code`` for programs,
``http_status`` for the web, ``exit_code`` for the command line. Each error carries what a
person needs: what was wrong, which photo, and what to try. No message ever holds image
data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing import Self

    from flaskapp.detection import Face

__all__ = [
    "AnimatedPhotoError",
    "BadFaceIndexError",
    "CutOffFaceError",
    "DataError",
    "EmptyPhotoError",
    "FacialRecognitionError",
    "LeakError",
    "MissingExtraError",
    "NoFaceError",
    "NotEnoughMemoryError",
    "PhotoError",
    "PhotoTooLargeError",
    "SeveralFacesError",
    "TruncatedPhotoError",
    "UnreachableRateError",
    "UnreadablePhotoError",
    "UnsupportedFormatError",
    "WeightsError",
]


class FacialRecognitionError(Exception):
    """Root of the tree: catch it to catch everything that the program foresees.

    Attributes:
        code: stable name of the kind of error, for programs to test.
        http_status: status of the answer when the error reaches the web.
        exit_code: what a command exits with; 2 is wrong usage or unusable input.
        message: what was wrong, a full sentence.
        hint: what to try, a full sentence; empty when there is nothing to try.
        photo: which photo it is about ("reference", "probe", a file's name), if known.
        retry_after: seconds to wait before trying again, if that helps.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 2
    retry_after: ClassVar[int | None] = None

    def __init__(self, message: str, hint: str = "", *, photo: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.photo = photo

    def __str__(self) -> str:
        label = f"{self.photo}: " if self.photo else ""
        return " ".join(f"{label}{self.message} {self.hint}".split())

    def for_photo(self, photo: str) -> Self:
        """Say which photo this is about, and return this very error to be raised on.

        Example:
            >>> str(NoFaceError("No face was found.", "Try another photo.").for_photo("probe"))
            'probe: No face was found. Try another photo.'
        """
        self.photo = photo
        return self


class PhotoError(FacialRecognitionError):
    """One photo cannot be used."""

    code = "unusable_photo"
    http_status = 422


class UnsupportedFormatError(PhotoError):
    """The bytes are not of a format on the allow-list."""

    code = "unsupported_format"
    http_status = 415


class AnimatedPhotoError(UnsupportedFormatError):
    """The file shows several pictures one after another; which one is meant is unclear."""

    code = "animated_photo"


class UnreadablePhotoError(PhotoError):
    """The format is accepted, but the content is damaged."""

    code = "unreadable_photo"


class EmptyPhotoError(UnreadablePhotoError):
    """The file holds no bytes."""

    code = "empty_photo"


class TruncatedPhotoError(UnreadablePhotoError):
    """The file begins well and its end is missing."""

    code = "truncated_photo"


class PhotoTooLargeError(PhotoError):
    """The photo has more bytes or pixels than are accepted."""

    code = "too_large"
    http_status = 413


class NoFaceError(PhotoError):
    """No face was found."""

    code = "no_face"


class CutOffFaceError(NoFaceError):
    """The photo ends within the face that is meant: an eye or the mouth is not in it."""

    code = "face_cut_off"


class SeveralFacesError(PhotoError):
    """Several faces were found and none was chosen.

    Attributes:
        faces: all of them, left to right; an index into them is what the caller sends back.
        other_faces: those of the photo that it was to be compared with, as far as they were found: whoever
            asks which face is meant asks about both photos, and need not look for faces again.
    """

    code = "several_faces"

    def __init__(self, message: str, hint: str = "", *, faces: Sequence[Face] = (), photo: str | None = None) -> None:
        super().__init__(message, hint, photo=photo)
        self.faces = tuple(faces)
        self.other_faces: tuple[Face, ...] = ()


class BadFaceIndexError(PhotoError):
    """The face that was asked for does not exist."""

    code = "bad_face_index"


class NotEnoughMemoryError(FacialRecognitionError):
    """There is no room to look at a photo just now; it is no fault of the photo, so it is no ``PhotoError``."""

    code = "not_enough_memory"
    http_status = 503
    retry_after = 10


class WeightsError(FacialRecognitionError):
    """Weights are missing, were changed, or do not fit this program."""

    code = "weights_unusable"


class DataError(FacialRecognitionError):
    """A list of pairs or a folder of photos cannot be used."""

    code = "unusable_data"
    http_status = 422


class LeakError(DataError):
    """A person or photo stands on both sides of a split."""

    code = "leaked_data"


class UnreachableRateError(DataError):
    """There are too few pairs to state the error rate that was asked for."""

    code = "unreachable_rate"


class MissingExtraError(FacialRecognitionError):
    """The command needs an optional part of the program that is not installed."""

    code = "missing_extra"
    http_status = 501
