"""The API's answers; ``openapi`` describes them."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, jsonify

from flaskapp.errors import WarmingUpError
from flaskapp.web import access, limits, openapi
from flaskapp.web.consent import Consent
from flaskapp.web.settings import services
from flaskapp.web.uploads import chosen_face, stated_json, uploaded_photo, wants_pictures

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
@limits.consents
def give_consent() -> Response:
    """Record a consent."""
    stated = stated_json('{"notice_version": "…", "consent": true, "age_confirmed": true}')
    # Only `true` itself counts: "false", 1 and "yes" are no consent that anybody would defend.
    access.check_statements(
        stated.get("notice_version"), stated.get("consent") is True, stated.get("age_confirmed") is True
    )
    token, given = services().consents.give(limits.caller_network(limits.IPV6_SITE))
    response = jsonify(token=token, **_told(given))
    response.status_code = 201
    return access.set_cookie(response, access.COOKIE, token, services().consents.lifetime)


@api.get("/api/v1/consent")
def consent() -> Response:
    """Say until when the caller's consent stands."""
    return jsonify(_told(access.require_consent()))


def _told(consent: Consent) -> dict[str, str]:
    moment = services().consents.expires_at(consent)
    return {
        "expires_at": moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "notice_version": consent.notice_version,
    }


@api.delete("/api/v1/consent")
def withdraw_consent() -> Response:
    """End the caller's consent at once."""
    limits.forget(access.withdraw())
    return access.set_cookie(Response(status=204), access.COOKIE, "", timedelta(0))


@api.post("/api/v1/verify")
@access.with_consent
@limits.comparisons
def verify() -> Response:
    """Compare two photos."""
    photos = uploaded_photo("reference"), uploaded_photo("probe")
    choices = chosen_face("reference"), chosen_face("probe")
    return jsonify(services().comparer.compare(*photos, *choices).to_json())


@api.post("/api/v1/detect")
@access.with_consent
@limits.detections
def detect() -> Response:
    """List a photo's faces."""
    photo = uploaded_photo("photo")
    return jsonify(services().comparer.detect(photo, with_pictures=wants_pictures()).to_json())


@api.post("/api/v1/live")
@access.with_consent
@limits.frames
def live() -> Response:
    """Compare one frame of a camera with a photo."""
    photos = uploaded_photo("reference"), uploaded_photo("frame")
    limits.count_stills(*photos)
    return jsonify(services().comparer.compare_frame(*photos, chosen_face("reference")).to_json())
