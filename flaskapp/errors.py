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
    │   └── BadFaceNumberError          the chosen face is not there
    ├── NotEnoughMemoryError            a photo that there is no room for just now
    ├── WeightsError                    weights that are missing, changed or do not fit
    ├── DataError                       lists of pairs and folders of photos
    │   ├── LeakError                   a person or photo on both sides of a split
    │   └── UnreachableRateError        an error rate that so few pairs cannot show
    ├── RequestError                    something about the request
    │   ├── BadRequestError             it cannot be understood
    │   │   ├── MissingPhotoError       a photo is not there
    │   │   ├── SeveralPhotosError      more in a field than are expected
    │   │   ├── NotAFileError           text stands where a photo is expected
    │   │   └── UnknownHostError        it is addressed to another name
    │   ├── ForbiddenError              it may not be answered
    │   │   ├── ConsentRequiredError    nobody has agreed to the privacy notice
    │   │   ├── AgeRequiredError        nobody has said that they are 18 or older
    │   │   ├── KeepModelError          nobody has agreed that a model of their face is kept
    │   │   ├── CrossSiteError          another site's page sent it
    │   │   ├── FormExpiredError        the form is not one that this server gave out
    │   │   └── OwnFaceClosedError      a personal model is for whoever sits at the computer
    │   ├── TooFewPhotosError           too few to train on
    │   ├── TrainingError               a training is under way already
    │   ├── NoModelError                there is no personal model
    │   ├── NotRemovedError             what stands in its place cannot be removed
    │   ├── SlowRequestError            it took too long to arrive
    │   ├── BusyError                   too many comparisons are under way
    │   ├── WarmingUpError              the server has just started
    │   ├── NotFoundError               nothing is there
    │   ├── MethodNotAllowedError       nothing there answers so
    │   ├── RateLimitedError            too many requests
    │   └── InternalError               nobody foresaw this
    └── MissingExtraError               an optional part that is not installed

Each class carries what a door needs to answer with, each error what a person needs: what was wrong, which
photo, and what to try. No message ever holds image data.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing import Self

    from flaskapp.detection import Face

PACKAGES = Path(__file__).resolve().parent.parent
"""Where this package lies: in a checkout, or among an environment's packages."""


class FacialRecognitionError(Exception):
    """Root of the tree: catch it to catch everything that the program foresees.

    Attributes:
        code: stable name of the kind of error, for programs to test.
        title: the kind in words; empty for errors that no request can meet.
        http_status: status of the answer when the error reaches the web.
        exit_code: what a command exits with; 2 is wrong usage or unusable input.
        message: what was wrong, a full sentence.
        hint: what to try, a full sentence; empty when there is nothing to try.
        photo: which photo it is about ("reference", "probe", a file's name), if known.
        retry_after: seconds to wait before trying again, if that helps.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = ""
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 2
    retry_after: int | None = None

    def __init_subclass__(
        cls, *, code: str = "", title: str = "", status: int = 0, retry_after: int | None = None
    ) -> None:
        """Take what is given on a class's first line; the rest is as in the class above it."""
        given = {"code": code, "title": title, "http_status": status, "retry_after": retry_after}
        for name, value in given.items():
            if value:
                setattr(cls, name, value)

    def __init__(self, message: str, hint: str = "", *, photo: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        self.photo = photo

    def __str__(self) -> str:
        label = f"{self.photo}: " if self.photo else ""
        return " ".join(f"{label}{self.message} {self.hint}".split())

    def to_json(self) -> dict[str, str]:
        """Return what programs and people need of it, in JSON's types."""
        return {"code": self.code, "detail": self.message, "hint": self.hint}

    def for_photo(self, photo: str) -> Self:
        """Say which photo this is about, and return this very error to be raised on.

        Example:
            >>> str(NoFaceError("No face was found.", "Try another photo.").for_photo("probe"))
            'probe: No face was found. Try another photo.'
        """
        self.photo = photo
        return self


class PhotoError(FacialRecognitionError, code="unusable_photo", status=422):
    """One photo cannot be used."""


class UnsupportedFormatError(
    PhotoError, code="unsupported_format", title="Not a JPEG, PNG, WebP or HEIC photo", status=415
):
    """The bytes are not of a format on the allow-list."""


class AnimatedPhotoError(UnsupportedFormatError, code="animated_photo", title="An animation, not a photo"):
    """The file shows several pictures one after another; which one is meant is unclear."""


class UnreadablePhotoError(PhotoError, code="unreadable_photo", title="The photo is damaged"):
    """The format is accepted, but the content is damaged."""


class EmptyPhotoError(UnreadablePhotoError, code="empty_photo", title="The file is empty"):
    """The file holds no bytes."""


class TruncatedPhotoError(UnreadablePhotoError, code="truncated_photo", title="The end of the photo is missing"):
    """The file begins well and its end is missing."""


class PhotoTooLargeError(PhotoError, code="too_large", title="Too large", status=413):
    """The photo has more bytes or pixels than are accepted."""


class NoFaceError(PhotoError, code="no_face", title="No face was found"):
    """No face was found."""


class CutOffFaceError(NoFaceError, code="face_cut_off", title="The face is cut off"):
    """The photo ends within the face that is meant: an eye or the mouth is not in it."""


class SeveralFacesError(PhotoError, code="several_faces", title="Several faces were found; choose one"):
    """Several faces were found and none was chosen.

    Attributes:
        faces: all of them, left to right; the first has the number 1, which is what the caller sends back.
        others: those of the other photos, as far as they were found, by photo: whoever asks which face is
            meant asks about all photos, and need not look for faces again.
    """

    def __init__(self, message: str, hint: str = "", *, faces: Sequence[Face] = (), photo: str | None = None) -> None:
        super().__init__(message, hint, photo=photo)
        self.faces = tuple(faces)
        self.others: Mapping[str, tuple[Face, ...]] = {}


class BadFaceNumberError(PhotoError, code="bad_face_number", title="No face with that number"):
    """The face that was asked for does not exist."""


class NotEnoughMemoryError(
    FacialRecognitionError,
    code="not_enough_memory",
    title="Not enough memory for a photo right now",
    status=503,
    retry_after=10,
):
    """There is no room to look at a photo just now; it is no fault of the photo, so it is no ``PhotoError``."""


class WeightsError(FacialRecognitionError, code="weights_unusable", title="The weights cannot be used"):
    """Weights are missing, were changed, or do not fit this program."""


class DataError(FacialRecognitionError, code="unusable_data", status=422):
    """A list of pairs or a folder of photos cannot be used."""


class LeakError(DataError, code="leaked_data"):
    """A person or photo stands on both sides of a split."""


class UnreachableRateError(DataError, code="unreachable_rate"):
    """There are too few pairs to state the error rate that was asked for."""


class MissingExtraError(
    FacialRecognitionError, code="missing_extra", title="A part of the program is not installed", status=501
):
    """The command needs an optional part of the program that is not installed."""


def how_to_install(extra: str) -> str:
    """Return the command that installs an optional part of the program, and where to run it."""
    if not (PACKAGES / "pyproject.toml").exists():
        return f'pip install ".[{extra}]" in the folder that this program was installed from'
    environment = Path(sys.prefix)
    python = Path(environment.name, "Scripts" if os.name == "nt" else "bin", "python")
    pip = f"{python} -m pip" if environment.parent == PACKAGES else "pip"
    return f'{pip} install -e ".[{extra}]" in the folder of this program'


class RequestError(FacialRecognitionError, code="request_error", status=400):
    """A request cannot be answered, whatever its photos show."""


class BadRequestError(RequestError, code="bad_request", title="The request cannot be understood"):
    """The request cannot be understood."""


class MissingPhotoError(BadRequestError, code="missing_photo", title="A photo is missing"):
    """A photo is not there."""


class SeveralPhotosError(BadRequestError, code="several_photos", title="More photos than expected"):
    """More photos stand in a field than are expected there."""


class NotAFileError(BadRequestError, code="not_a_file", title="Text where a photo is expected"):
    """Text stands where a photo is expected; names of files and addresses are never opened."""


class UnknownHostError(BadRequestError, code="unknown_host", title="This server does not answer to that name"):
    """The request is addressed to a name that this server does not serve."""


class ForbiddenError(RequestError, code="forbidden", status=403):
    """The request may not be answered."""


class ConsentRequiredError(ForbiddenError, code="consent_required", title="Consent is required"):
    """Nobody has agreed to the privacy notice, or no longer."""


class AgeRequiredError(ForbiddenError, code="age_required", title="Confirmation of age is required"):
    """Nobody has said that they are 18 or older."""


class KeepModelError(ForbiddenError, code="keep_model_required", title="Agreement to keep a model is required"):
    """Nobody has agreed that a model of their face is kept, which training does."""


class CrossSiteError(ForbiddenError, code="cross_site", title="Sent from another site"):
    """The page of another site sent the request."""


class FormExpiredError(ForbiddenError, code="form_expired", title="The form has expired"):
    """The form is not one that this server gave to this browser."""


class OwnFaceClosedError(
    ForbiddenError, code="own_face_closed", title="Personal models are for whoever runs the server"
):
    """A personal model is for whoever sits at the computer, or for nobody."""


class TooFewPhotosError(RequestError, code="too_few_photos", title="Too few photos to train on", status=422):
    """There are too few photos to train on."""


class TrainingError(RequestError, code="training_under_way", title="A training is running already", status=409):
    """A training is under way already."""


class NoModelError(RequestError, code="no_model", title="There is no personal model", status=404):
    """There is no personal model."""


class NotRemovedError(RequestError, code="not_removed", title="The personal model cannot be removed", status=409):
    """What stands in the place of the personal model is something else, or the disk does not let it go."""


class SlowRequestError(RequestError, code="too_slow", title="The request took too long to arrive", status=408):
    """The request took too long to arrive."""


class BusyError(RequestError, code="busy", title="Too many comparisons at once", status=503, retry_after=2):
    """Too many comparisons are under way."""


class WarmingUpError(RequestError, code="warming_up", title="The server has just started", status=503, retry_after=1):
    """The server has started and is not yet ready."""


class NotFoundError(RequestError, code="not_found", title="Not found", status=404):
    """There is nothing at that address."""


class MethodNotAllowedError(RequestError, code="method_not_allowed", title="Method not allowed", status=405):
    """What stands at that address does not answer to that method."""


class RateLimitedError(RequestError, code="rate_limited", title="Too many requests", status=429):
    """There were too many requests."""


class InternalError(RequestError, code="internal_error", title="Something went wrong on the server", status=500):
    """Nobody foresaw this."""
