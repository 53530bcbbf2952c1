"""The page and its plain forms, for browsers with or without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from flaskapp import preprocess
from flaskapp.errors import FacialRecognitionError, SeveralFacesError
from flaskapp.personal.split import FEWEST_PHOTOS
from flaskapp.web import access, limits, openapi
from flaskapp.web.comparing import faces_json
from flaskapp.web.guards import check_form_token, form_token
from flaskapp.web.personal_model import MOST_PHOTOS, missing_extra
from flaskapp.web.settings import services
from flaskapp.web.uploads import SMALL_BODY_BYTES, chosen_face, uploaded_photo
from flaskapp.weights.info import WeightsInfo, default_weights_path

pages = Blueprint("pages", __name__)

Step = Literal["consent", "photos", "faces", "result"]
PHOTOS = ("reference", "probe")

SAMPLES = {
    "one person": ("whitson_portrait.jpg", "whitson_at_work.jpg"),
    "two people": ("whitson_portrait.jpg", "coleman_portrait.jpg"),
}
"""The pairs of photos to try the page with; each reads clearly."""

ONLY_RESEARCH = "for non-commercial research and study only (LICENSE-WEIGHTS.md)"


@pages.get("/")
def start() -> Response:
    """Show the page."""
    return _page(_first_step())


@pages.get("/privacy")
def privacy() -> Response:
    """Show the privacy notice on a page of its own."""
    return make_response(render_template("privacy.html", notice=services().consents.notice))


@pages.get("/api/docs")
def docs() -> Response:
    """Show the description of the API to people."""
    return make_response(render_template("docs.html", api=openapi.describe(), problems=openapi.every_problem()))


@pages.get("/own-face")
def own_face() -> Response:
    """Show the page that trains on one's own face; it asks for consent first."""
    access.check_owner()
    return make_response(
        render_template(
            "own_face.html",
            **_shared_context(),
            own_model=services().personal_model.place.name,
            most_photos=MOST_PHOTOS,
            obstacle=missing_extra(),
        )
    )


@pages.get("/own-face/report.html")
def own_report() -> Response:
    """Hand out the report of the personal model, as a file: its inline pictures are not for this page."""
    access.require_owner()
    own = services().personal_model
    response = make_response(own.report())
    response.headers.set("Content-Disposition", "attachment", filename=f"{own.place.name}-report.html")
    return response


@pages.post("/consent")
def give_consent() -> Response:
    """Take the consent form, and show the page again."""
    limits.count_consent()
    request.max_content_length = SMALL_BODY_BYTES
    check_form_token()
    consent, age_confirmed = (request.form.get(box) == "yes" for box in ("consent", "age_confirmed"))
    token, _ = access.agree(request.form.get("notice_version"), consent, age_confirmed)
    return access.set_cookie(_back_to_start(), access.COOKIE, token, services().consents.lifetime)


@pages.post("/consent/withdraw")
def withdraw_consent() -> Response:
    """End the consent, and show the page as it was at first."""
    request.max_content_length = SMALL_BODY_BYTES
    check_form_token()
    return access.withdraw(_back_to_start())


@pages.post("/compare")
def compare() -> Response:
    """Compare the two photos of the form, and show the answer as a page."""
    access.require_consent()
    limits.count_comparison()
    check_form_token()
    reference, probe = (uploaded_photo(name) for name in PHOTOS)
    reference_face, probe_face = (chosen_face(name) for name in PHOTOS)
    try:
        verification = services().comparer.compare(reference, probe, reference_face, probe_face)
    except SeveralFacesError as error:
        # They must be sent again, as none was kept.
        found = {name: error.faces if name == error.photo else error.other_faces for name in PHOTOS}
        several = {name: faces for name, faces in found.items() if len(preprocess.prominent_faces(faces)) > 1}
        response = _page("faces", faces={name: faces_json(faces) for name, faces in several.items()}, error=error)
        response.status_code = error.http_status
        return response
    return _page("result", result=verification.to_json())


def error_page(error: FacialRecognitionError) -> Response:
    """Return the page with an error on it."""
    return _page(_first_step(), error=error)


def _first_step() -> Step:
    return "photos" if access.current_consent() else "consent"


def _page(step: Step, **more: Any) -> Response:
    shared = services()
    weights = shared.comparer.weights
    context = _shared_context() | {
        "step": step,
        "notice": shared.consents.notice,
        "own_face_open": access.is_owner(),
        "obstacle": missing_extra(),
        "samples": {
            words: [url_for("static", filename=f"samples/{file}") for file in pair] for words, pair in SAMPLES.items()
        },
        "weights": {
            "id": weights.weights_id,
            "personal": weights.name if weights.is_personal else "",
            "terms": terms_of(weights),
            "threshold": weights.threshold,
            "band": list(weights.inconclusive_band),
        },
        "crop_template": [list(point) for point in preprocess.TEMPLATE],
        "crop_size": preprocess.CROP_SIZE,
        "error": None,
        "faces": dict.fromkeys(PHOTOS),
        "chosen": {name: request.form.get(f"{name}_face", type=int) for name in PHOTOS} if step == "faces" else {},
        "result": None,
    }
    return make_response(render_template("index.html", **context | more))


def terms_of(weights: WeightsInfo) -> str:
    """Return in words for what weights may be used."""
    if weights.is_personal:
        return f"It has the terms of its photos and of what it started from: the shipped weights are {ONLY_RESEARCH}."
    if weights.name == default_weights_path().stem:
        return f"They are {ONLY_RESEARCH}."
    return str(weights.details.get("terms", ""))


def _shared_context() -> dict[str, Any]:
    settings = services().settings
    return {
        "csrf_token": form_token(),
        "consented": access.current_consent() is not None,
        "limits": {"photo_mb": settings.max_photo_bytes // 1024**2, "body_mb": settings.max_body_bytes // 1024**2},
        "fewest_photos": FEWEST_PHOTOS,
    }


@pages.app_template_filter("score")
def score_words(score: float, edges: Sequence[float]) -> str:
    """Return a score with as many digits as it takes to stand on the same side of the band as it was.

    ``static/js/scale.js`` does the same.
    """
    for digits in range(3, 8):
        words = f"{score:.{digits}f}"
        if all((float(words) >= edge) == (score >= edge) for edge in edges):
            return words
    return str(score)


def _back_to_start() -> Response:
    response: Response = make_response(redirect(url_for("pages.start"), 303))
    return response
