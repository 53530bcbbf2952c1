from __future__ import annotations

import ast
import inspect
import pickle
import re
import sys
from pathlib import Path

import pytest

from flaskapp import errors
from flaskapp.errors import FacialRecognitionError, NoFaceError, SeveralFacesError

EVERY_ERROR = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, Exception)]

EXPECTED = {
    "FacialRecognitionError": ("error", 500),
    "PhotoError": ("unusable_photo", 422),
    "UnsupportedFormatError": ("unsupported_format", 415),
    "AnimatedPhotoError": ("animated_photo", 415),
    "UnreadablePhotoError": ("unreadable_photo", 422),
    "EmptyPhotoError": ("empty_photo", 422),
    "TruncatedPhotoError": ("truncated_photo", 422),
    "PhotoTooLargeError": ("too_large", 413),
    "NoFaceError": ("no_face", 422),
    "CutOffFaceError": ("face_cut_off", 422),
    "SeveralFacesError": ("several_faces", 422),
    "BadFaceNumberError": ("bad_face_number", 422),
    "NotEnoughMemoryError": ("not_enough_memory", 503),
    "WeightsError": ("weights_unusable", 500),
    "DataError": ("unusable_data", 422),
    "LeakError": ("leaked_data", 422),
    "UnreachableRateError": ("unreachable_rate", 422),
    "MissingExtraError": ("missing_extra", 501),
    "RequestError": ("request_error", 400),
    "BadRequestError": ("bad_request", 400),
    "MissingPhotoError": ("missing_photo", 400),
    "SeveralPhotosError": ("several_photos", 400),
    "NotAFileError": ("not_a_file", 400),
    "UnknownHostError": ("unknown_host", 400),
    "ForbiddenError": ("forbidden", 403),
    "ConsentRequiredError": ("consent_required", 403),
    "AgeRequiredError": ("age_required", 403),
    "KeepModelError": ("keep_model_required", 403),
    "CrossSiteError": ("cross_site", 403),
    "FormExpiredError": ("form_expired", 403),
    "OwnFaceClosedError": ("own_face_closed", 403),
    "TooFewPhotosError": ("too_few_photos", 422),
    "TrainingError": ("training_under_way", 409),
    "NoModelError": ("no_model", 404),
    "NotRemovedError": ("not_removed", 409),
    "SlowRequestError": ("too_slow", 408),
    "BusyError": ("busy", 503),
    "WarmingUpError": ("warming_up", 503),
    "NotFoundError": ("not_found", 404),
    "MethodNotAllowedError": ("method_not_allowed", 405),
    "RateLimitedError": ("rate_limited", 429),
    "InternalError": ("internal_error", 500),
}


def classes_defined() -> dict[str, type]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: kind for name, kind in members if kind.__module__ == errors.__name__}


def test_codes_and_statuses_are_a_promise_to_callers():
    assert {kind.__name__: (kind.code, kind.http_status) for kind in EVERY_ERROR} == EXPECTED


def test_no_two_kinds_share_a_code_or_a_title():
    codes, titles = (
        [kind.code for kind in EVERY_ERROR],
        [vars(kind)["title"] for kind in EVERY_ERROR if "title" in vars(kind)],
    )
    assert len(codes) == len(set(codes))
    assert len(titles) == len(set(titles))


def test_every_class_is_under_the_root():
    assert set(classes_defined()) == {kind.__name__ for kind in EVERY_ERROR}
    assert all(issubclass(kind, FacialRecognitionError) for kind in EVERY_ERROR)


def test_the_drawn_tree_is_the_real_tree():
    drawn = re.findall(r"^ *([│├└─ ]*)(\w+Error)\b", errors.__doc__, flags=re.MULTILINE)
    parents, path = {}, {}
    for branches, name in drawn:
        depth = len(branches) // 4
        path[depth] = name
        parents[name] = path.get(depth - 1)
    real = {name: kind.__bases__[0].__name__ for name, kind in classes_defined().items()}
    assert parents == {**real, "FacialRecognitionError": None}


def test_unusable_input_exits_with_two():
    assert {kind.exit_code for kind in EVERY_ERROR} == {2}


def test_text_names_photo_fault_and_remedy_on_one_line():
    error = NoFaceError("No face was found.", "Use another\nphoto.", photo="probe")
    assert str(error) == "probe: No face was found. Use another photo."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NoFaceError("No face was found."), "No face was found."),
        (NoFaceError("No face was found.", photo="a.jpg"), "a.jpg: No face was found."),
        (NoFaceError("No face was found.", "Try again."), "No face was found. Try again."),
    ],
)
def test_text_leaves_out_what_is_not_known(error, text):
    assert str(error) == text


def test_naming_the_photo_keeps_the_error_itself():
    error = SeveralFacesError("Two faces.", "Choose one.", faces=["left", "right"])
    assert error.for_photo("reference") is error
    assert error.photo == "reference"
    assert error.faces == ("left", "right")


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_errors_survive_the_way_back_from_a_worker_process(kind):
    error = kind("Something is wrong.", "Do something.").for_photo("probe")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object
    assert type(copy) is kind
    assert (str(copy), copy.photo, copy.hint) == (str(error), "probe", "Do something.")


def test_the_module_imports_nothing_but_the_standard_library_at_run_time():
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert {module.partition(".")[0] for module in imported} <= sys.stdlib_module_names
