"""Every error in one form: problem+json (RFC 9457) for programs, the page for people."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from flaskapp.errors import (
    BadRequestError,
    FacialRecognitionError,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    PhotoTooLargeError,
    RateLimitedError,
    SeveralFacesError,
)
from flaskapp.web import pages
from flaskapp.web.comparing import faces_json
from flaskapp.web.limits import seconds_to_wait
from flaskapp.web.uploads import MOST_FORM_BYTES, SMALL_BODY_BYTES

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

CONTENT_TYPE = "application/problem+json"

OURS: Mapping[int | None, type[FacialRecognitionError]] = {
    404: NotFoundError,
    405: MethodNotAllowedError,
    413: PhotoTooLargeError,
    429: RateLimitedError,
}
"""What errors of Flask, Werkzeug and the rate limits are called here, by status; all others are bad requests."""

log = logging.getLogger("flaskapp.web")


def log_unforeseen(exc_info: ExcInfo, place: str | None) -> None:
    """Log where an unforeseen error happened; its message might quote what it was given."""
    kind, _, where = exc_info
    name = kind.__name__ if kind else "error"
    log.error("unforeseen %s in %s\n%s", name, place, "".join(traceback.format_tb(where)))


def _in_our_words(kind: type[FacialRecognitionError]) -> FacialRecognitionError:
    """Return an error of ours for one that Flask, Werkzeug or the rate limits raised."""
    hints = {PhotoTooLargeError: _how_to_shrink, RateLimitedError: _how_long_to_wait}
    return kind(f"{kind.title}.", hints[kind]() if kind in hints else "")


def _how_long_to_wait() -> str:
    seconds = seconds_to_wait()
    return f"Try again in {seconds} second{'s' * (seconds > 1)}."


def _how_to_shrink() -> str:
    most = request.max_content_length
    if most is not None and most <= SMALL_BODY_BYTES:
        return f"This request may have {most:,} bytes at most, and no photo."
    if most is not None and (request.content_length or 0) <= most:
        # As a whole it is small enough, and a file that is too large is named.
        most_text = f"{request.max_form_parts} fields and {MOST_FORM_BYTES // 1024} kB of text"
        return (
            f"This form may have {most_text} at most. Send each photo as a file, as curl -F reference=@photo.jpg does; "
            "base64 does not work."
        )
    return "Send less: save the photos as JPEG, or make them smaller."


def answer_errors(app: Flask) -> None:
    """Make an app answer every error in its one form."""
    app.register_error_handler(FacialRecognitionError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(500, _answer_unforeseen)


def problem_json(error: FacialRecognitionError) -> dict[str, Any]:
    """Return an error as the members of a problem+json object."""
    problem: dict[str, Any] = {
        "type": f"/api/docs#problem-{error.code}",
        "title": error.title,
        "status": error.http_status,
        "photo": error.photo,
        **error.to_json(),
    }
    if isinstance(error, SeveralFacesError):
        problem["faces"] = faces_json(error.faces)
    return problem


def _answer(error: FacialRecognitionError) -> Response:
    if _is_for_a_person() and error.code != "unknown_host":
        response = pages.error_page(error)
        response.status_code = error.http_status
    else:
        response = _problem(error)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _problem(error: FacialRecognitionError) -> Response:
    return Response(json.dumps(problem_json(error)), status=error.http_status, content_type=CONTENT_TYPE)


def _is_for_a_person() -> bool:
    return not request.path.startswith(("/api/", "/healthz", "/static/"))


def _answer_http(error: HTTPException) -> Response:
    response = _answer(_in_our_words(OURS.get(error.code, BadRequestError)))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(error.valid_methods)
    if error.code == 429:
        response.headers["Retry-After"] = str(seconds_to_wait())
    return response


def _answer_unforeseen(_: HTTPException) -> Response:
    error = _in_our_words(InternalError)
    try:
        return _answer(error)
    except Exception:  # noqa: BLE001 - whatever is broken may break the page that tells of it too
        log_unforeseen(sys.exc_info(), "the page of an error")
        return _problem(error)
