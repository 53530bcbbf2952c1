"""The API's answers; ``openapi`` describes them, ``personal_api`` has those around one's own face."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from flaskapp.errors import WarmingUpError
from flaskapp.web import access, limits, openapi
from flaskapp.web.consent import Consent
from flaskapp.web.settings import services
from flaskapp.web.uploads import (
    chosen_face,
    chosen_reference_faces,
    stated_json,
    uploaded_photo,
    uploaded_references,
)

api = Blueprint("api", __name__)


@api.get("/healthz")
def healthz() -> Response:
    """Say that the server is ready."""
    if not services().comparer.warm.is_set():
        raise WarmingUpError("The server has just started and is loading.", "Ask again in a second.")
    return jsonify(status="ready")


@api.get("/api/openapi.json")
def description() -> Response:
    """Return the description of the API."""
    return jsonify(openapi.describe())


@api.get("/api/v1/notice")
def notice() -> Response:
    """Return the privacy notice that is in force."""
    current = services().consents.notice
    sections = [{"heading": heading, "paragraphs": paragraphs} for heading, paragraphs in current.sections]
    return jsonify(version=current.version, title=current.title, text=current.text, sections=sections)


@api.post("/api/v1/consent")
def give_consent() -> Response:
    """Record a consent."""
    limits.count("consent")
    stated = stated_json('{"notice_version": "…", "consent": true, "age_confirmed": true}')
    # Only `true` itself counts: "false", 1 and "yes" are no consent that anybody would defend.
    token, given = access.agree(
        stated.get("notice_version"), stated.get("consent") is True, stated.get("age_confirmed") is True
    )
    response = jsonify(token=token, **_told(given))
    response.status_code = 201
    return access.set_cookie(response, access.COOKIE, token, services().consents.lifetime)


@api.get("/api/v1/consent")
def consent() -> Response:
    """Say until when the caller's consent stands."""
    return jsonify(_told(access.require_consent()))


def _told(consent: Consent) -> dict[str, str]:
    ends = services().consents.expires_at(consent).isoformat(timespec="seconds")
    return {"expires_at": ends.replace("+00:00", "Z"), "notice_version": consent.notice_version}


@api.delete("/api/v1/consent")
def withdraw_consent() -> Response:
    """End the caller's consent at once."""
    return access.withdraw(Response(status=204))


@api.post("/api/v1/verify")
def verify() -> Response:
    """Compare a photo with one or several of one person."""
    access.require_consent()
    limits.count("comparison")
    references, probe = uploaded_references(), uploaded_photo("probe")
    limits.count_more(len(references))
    choices = chosen_reference_faces(len(references)), chosen_face("probe")
    return jsonify(services().comparer.compare(references, probe, *choices).to_json())


@api.post("/api/v1/detect")
def detect() -> Response:
    """List a photo's faces."""
    access.require_consent()
    limits.count("detection")
    with_pictures = request.form.get("pictures") == "yes"
    return jsonify(services().comparer.detect(uploaded_photo("photo"), with_pictures=with_pictures))


@api.post("/api/v1/live")
def live() -> Response:
    """Compare one frame of a camera with a photo, or with whom a personal model knows."""
    access.require_consent()
    limits.count("frame")
    references, frame = uploaded_references(most=1), uploaded_photo("frame")
    limits.count_stills(b"".join(references), frame)
    choices = chosen_reference_faces(len(references))
    return jsonify(services().comparer.compare_frame(references, frame, choices))
