"""The errors of the web door alone: what a request can get wrong besides its photos.

::

    FacialRecognitionError
    └── RequestError                    something about the request
        ├── BadRequestError             it cannot be understood
        │   ├── MissingPhotoError       a photo is not there
        │   ├── SeveralPhotosError      several stand where one is expected
        │   ├── NotAFileError           text stands where a photo is expected
        │   └── UnknownHostError        it is addressed to another name
        ├── ForbiddenError              it may not be answered
        │   ├── ConsentRequiredError    nobody has agreed to the privacy notice
        │   ├── AgeRequiredError        nobody has said that they are 18 or older
        │   ├── KeepModelError          nobody has agreed that a model of their face is kept
        │   ├── CrossSiteError          another site's page sent it
        │   ├── FormExpiredError        the form is not one that this server gave out
        │   └── OwnFaceClosedError      a personal model is for whoever sits at the computer
        ├── TooFewPhotosError           too few to train on
        ├── TrainingError               a training is under way already
        ├── NoModelError                there is no personal model
        ├── NotRemovedError             what stands in its place cannot be removed
        ├── SlowRequestError            it took too long to arrive
        ├── BusyError                   too many comparisons are under way
        └── WarmingUpError              the server has just started
"""

from __future__ import annotations

from collections.abc import Mapping

from flaskapp.errors import FacialRecognitionError

__all__ = [
    "PROBLEMS",
    "AgeRequiredError",
    "BadRequestError",
    "BusyError",
    "ConsentRequiredError",
    "CrossSiteError",
    "ForbiddenError",
    "FormExpiredError",
    "KeepModelError",
    "MissingPhotoError",
    "NoModelError",
    "NotAFileError",
    "NotRemovedError",
    "OwnFaceClosedError",
    "RequestError",
    "SeveralPhotosError",
    "SlowRequestError",
    "TooFewPhotosError",
    "TrainingError",
    "UnknownHostError",
    "WarmingUpError",
]

PROBLEMS: Mapping[str, tuple[int, str]] = {
    "bad_request": (400, "The request cannot be understood"),
    "missing_photo": (400, "A photo is missing"),
    "several_photos": (400, "Several photos stand where one is expected"),
    "not_a_file": (400, "Text stands where a photo is expected"),
    "unknown_host": (400, "Addressed to a name that is not served"),
    "consent_required": (403, "Consent is required"),
    "age_required": (403, "Confirmation of age is required"),
    "keep_model_required": (403, "Agreement to keeping a model is required"),
    "cross_site": (403, "Sent from another site"),
    "form_expired": (403, "The form has expired"),
    "own_face_closed": (403, "Personal models are for whoever runs the server"),
    "not_found": (404, "Not found"),
    "no_model": (404, "There is no personal model"),
    "method_not_allowed": (405, "Method not allowed"),
    "too_slow": (408, "The request took too long to arrive"),
    "training_under_way": (409, "A training is under way"),
    "not_removed": (409, "What stands in the place of the personal model cannot be removed"),
    "too_large": (413, "Too large"),
    "unsupported_format": (415, "Not a JPEG, PNG, WebP or HEIC photo"),
    "animated_photo": (415, "An animation, not a photo"),
    "unreadable_photo": (422, "The photo is damaged"),
    "empty_photo": (422, "The file is empty"),
    "truncated_photo": (422, "The end of the photo is missing"),
    "no_face": (422, "No face was found"),
    "face_cut_off": (422, "The photo ends within the face"),
    "several_faces": (422, "Several faces were found; one must be chosen"),
    "bad_face_index": (422, "No face of that number"),
    "too_few_photos": (422, "Too few photos to train on"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something went wrong on the server"),
    "weights_unusable": (500, "The weights cannot be used"),
    "missing_extra": (501, "A part of the program is not installed"),
    "not_enough_memory": (503, "Not enough memory for a photo just now"),
    "busy": (503, "Too many comparisons are under way"),
    "warming_up": (503, "The server has just started"),
}
"""Status and title of every code that an answer may carry."""


class RequestError(FacialRecognitionError):
    """A request cannot be answered, whatever its photos show."""

    code = "request_error"
    http_status = 400


class BadRequestError(RequestError):
    """The request cannot be understood."""

    code = "bad_request"


class MissingPhotoError(BadRequestError):
    """A photo is not there."""

    code = "missing_photo"


class SeveralPhotosError(BadRequestError):
    """Several photos stand where one is expected, and none of them is chosen."""

    code = "several_photos"


class NotAFileError(BadRequestError):
    """Text stands where a photo is expected; names of files and addresses are never opened."""

    code = "not_a_file"


class UnknownHostError(BadRequestError):
    """The request is addressed to a name that this server does not serve."""

    code = "unknown_host"


class ForbiddenError(RequestError):
    """The request may not be answered."""

    code = "forbidden"
    http_status = 403


class ConsentRequiredError(ForbiddenError):
    """Nobody has agreed to the privacy notice, or no longer."""

    code = "consent_required"


class AgeRequiredError(ForbiddenError):
    """Nobody has said that they are 18 or older."""

    code = "age_required"


class KeepModelError(ForbiddenError):
    """Nobody has agreed that a model of their face is kept, which training does."""

    code = "keep_model_required"


class CrossSiteError(ForbiddenError):
    """The page of another site sent the request."""

    code = "cross_site"


class FormExpiredError(ForbiddenError):
    """The form is not one that this server gave to this browser."""

    code = "form_expired"


class OwnFaceClosedError(ForbiddenError):
    """A personal model is for whoever sits at the computer, or for nobody."""

    code = "own_face_closed"


class TooFewPhotosError(RequestError):
    """There are too few photos to train on."""

    code = "too_few_photos"
    http_status = 422


class TrainingError(RequestError):
    """A training is under way already."""

    code = "training_under_way"
    http_status = 409


class NoModelError(RequestError):
    """There is no personal model."""

    code = "no_model"
    http_status = 404


class NotRemovedError(RequestError):
    """What stands in the place of the personal model is something else, or the disk does not let it go."""

    code = "not_removed"
    http_status = 409


class SlowRequestError(RequestError):
    """The request took too long to arrive."""

    code = "too_slow"
    http_status = 408


class BusyError(RequestError):
    """Too many comparisons are under way."""

    code = "busy"
    http_status = 503
    retry_after = 2


class WarmingUpError(RequestError):
    """The server has started and is not yet ready."""

    code = "warming_up"
    http_status = 503
    retry_after = 1
