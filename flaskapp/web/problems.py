"""Every error in one form: problem+json (RFC 9457) for programs, the page for people."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from types import TracebackType

from flask import Flask, Response, make_response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from flaskapp.errors import (
    BadRequestError,
    FacialRecognitionError,
    InternalError,
    MethodNotAllowedError,
    NotFoundError,
    PhotoTooLargeError,
    SeveralFacesError,
)
from flaskapp.verifier import faces_to_json
from flaskapp.web import pages
from flaskapp.web.uploads import MOST_FORM_BYTES, SMALL_BODY_BYTES

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

# What errors of Flask and Werkzeug are called here, by status; all others are bad requests.
OURS: Mapping[int | None, type[FacialRecognitionError]]
OURS = {404: NotFoundError, 405: MethodNotAllowedError, 413: PhotoTooLargeError}
WHERE_TO_LOOK = "The page is at /, and /api/docs tells what else there is."

log = logging.getLogger("flaskapp.web")


def log_unforeseen(exc_info: ExcInfo, place: str | None) -> None:
    """Log where an unforeseen error happened; its message might quote what it was given."""
    kind, _, where = exc_info
    name = kind.__name__ if kind else "error"
    log.error("unforeseen %s in %s\n%s", name, place, "".join(traceback.format_tb(where)))


def _how_to_shrink() -> str:
    most = request.max_content_length
    if most is not None and most <= SMALL_BODY_BYTES:
        return f"This request may have {most:,} bytes at most, and no photo."
    if most is not None and (request.content_length or 0) <= most:
        # As a whole it is small enough, and a file that is too large is named.
        allowed = f"{request.max_form_parts} fields and {MOST_FORM_BYTES // 1024} kB of text"
        how = "Send each photo as a file, as curl -F reference=@photo.jpg does; base64 does not work."
        return f"This form may have {allowed} at most. {how}"
    allowed = "" if most is None else f" {most / 1024**2:.0f} MB may come at once."
    return f"Send less: save the photos as JPEG, or make them smaller.{allowed}"


def answer_errors(app: Flask) -> None:
    """Make an app answer every error in its one form."""
    app.register_error_handler(FacialRecognitionError, _answer)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(500, _answer_unforeseen)


def _answer(error: FacialRecognitionError) -> Response:
    is_for_a_person = not request.path.startswith(("/api/", "/healthz", "/static/")) and error.code != "unknown_host"
    response = make_response(pages.page(error=error)) if is_for_a_person else _problem(error)
    response.status_code = error.http_status
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _problem(error: FacialRecognitionError) -> Response:
    members = {
        "type": f"/api/docs#problem-{error.code}",
        "title": error.title,
        "status": error.http_status,
        "photo": error.photo,
        **error.to_json(),
    }
    faces = {"faces": faces_to_json(error.faces)} if isinstance(error, SeveralFacesError) else {}
    return Response(json.dumps(members | faces), status=error.http_status, content_type="application/problem+json")


def _answer_http(error: HTTPException) -> Response:
    kind = OURS.get(error.code, BadRequestError)
    hints = {404: WHERE_TO_LOOK, 405: WHERE_TO_LOOK, 413: _how_to_shrink()}
    response = _answer(kind(f"{kind.title}.", hints.get(error.code or 0, "")))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(error.valid_methods)
    return response


def _answer_unforeseen(_: HTTPException) -> Response:
    error = InternalError(f"{InternalError.title}.")
    try:
        return _answer(error)
    except Exception:  # noqa: BLE001 - whatever is broken may break the page that tells of it too
        log_unforeseen(sys.exc_info(), "the page of an error")
        return _problem(error)
