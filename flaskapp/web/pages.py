"""The page and its plain forms, for browsers with or without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from flaskapp import personal, preprocess
from flaskapp.errors import NoModelError, SeveralFacesError
from flaskapp.evaluation.decisions import place_on_scale
from flaskapp.personal.split import FEWEST_PHOTOS
from flaskapp.verifier import faces_to_json
from flaskapp.web import access, limits, openapi
from flaskapp.web.guards import check_form_token, form_token
from flaskapp.web.personal_model import MOST_PHOTOS
from flaskapp.web.settings import services
from flaskapp.web.uploads import (
    SMALL_BODY_BYTES,
    chosen_face,
    chosen_reference_faces,
    uploaded_photo,
    uploaded_references,
)
from flaskapp.weights.info import WeightsInfo, default_weights_path
from flaskapp.words import FOR_SCRIPTS, photo_words, sentence_of

pages = Blueprint("pages", __name__)
pages.add_app_template_filter(photo_words)
pages.add_app_template_filter(place_on_scale, "place")

SAMPLES = {
    "one person": ("whitson_portrait.jpg", "whitson_at_work.jpg"),
    "two people": ("whitson_portrait.jpg", "coleman_portrait.jpg"),
}
"""The pairs of photos to try the page with; each reads clearly."""

MOST_REFERENCES = 5  # so many photos of one person the page takes, which shows each; the API takes more

ONLY_RESEARCH = "for non-commercial research and study only (LICENSE-WEIGHTS.md)"


@pages.get("/")
def start() -> str:
    """Show the page."""
    return page()


@pages.get("/privacy")
def privacy() -> str:
    """Show the privacy notice on a page of its own."""
    return render_template("privacy.html", notice=services().consents.notice)


@pages.get("/api/docs")
def docs() -> str:
    """Show the description of the API to people."""
    return render_template("docs.html", api=openapi.describe(), problems=openapi.every_problem())


@pages.get("/own-face")
def own_face() -> str:
    """Show the page that trains on one's own face; it asks for consent first."""
    access.check_owner()
    place = services().personal_model.place
    return render_template("own_face.html", **_shared_context(), own_model=place.name, most_photos=MOST_PHOTOS)


@pages.get("/own-face/report.html")
def own_report() -> Response:
    """Hand out the report of the personal model, as a file: its inline pictures are not for this page."""
    access.require_owner()
    place = services().personal_model.place
    try:
        response = make_response((personal.standing(place) / personal.REPORT).read_bytes())
    except OSError:
        raise NoModelError("There is no report on a personal model on this server.", "Train one.") from None
    response.headers.set("Content-Disposition", "attachment", filename=f"{place.name}-report.html")
    return response


@pages.post("/consent")
def give_consent() -> Response:
    """Take the consent form, and show the page again."""
    limits.count("consent")
    request.max_content_length = SMALL_BODY_BYTES
    check_form_token()
    consent, age_confirmed = (request.form.get(box) == "yes" for box in ("consent", "age_confirmed"))
    token, _ = access.agree(request.form.get("notice_version"), consent, age_confirmed)
    return access.set_cookie(
        make_response(redirect(url_for("pages.start"), 303)), access.COOKIE, token, services().consents.lifetime
    )


@pages.post("/consent/withdraw")
def withdraw_consent() -> Response:
    """End the consent, and show the page as it was at first."""
    request.max_content_length = SMALL_BODY_BYTES
    check_form_token()
    return access.withdraw(make_response(redirect(url_for("pages.start"), 303)))


@pages.get("/compare")
def compare_again() -> Any:
    """Lead whoever asks for an answer's address without photos back to the page."""
    return redirect(url_for(".start"))


@pages.post("/compare")
def compare() -> str | tuple[str, int]:
    """Compare the photos of the form, and show the answer as a page."""
    access.require_consent()
    limits.count("comparison")
    check_form_token()
    references, probe = uploaded_references(), uploaded_photo("probe")
    limits.count_more(len(references))
    choices = chosen_reference_faces(len(references)), chosen_face("probe")
    try:
        verification = services().comparer.compare(references, probe, *choices)
    except SeveralFacesError as error:
        # They must be sent again, as none was kept.
        found = {str(error.photo): error.faces, **error.others}
        several = {name: faces for name, faces in sorted(found.items()) if len(preprocess.prominent_faces(faces)) > 1}
        told = {name.removesuffix(" 1").replace(" ", "_"): faces_to_json(faces) for name, faces in several.items()}
        return page(step="faces", faces=told, error=error), error.http_status
    sentence = sentence_of(verification.decision, verification.qualities, verification.known_photos)
    return page(step="result", result=verification.to_json(), verification=verification, sentence=sentence)


def page(**more: Any) -> str:
    """Return the page, with more to show: an error, or another step than consent or the choice of photos."""
    shared, verifier, context = services(), services().comparer.verifier, _shared_context()
    weights, of_person = verifier.weights, verifier.weights.for_references(verifier.known_photos or 1)
    context |= {
        "step": "photos" if context["consented"] else "consent",
        "notice": shared.consents.notice,
        "own_face_open": access.is_owner(),
        "samples": {
            words: [url_for("static", filename=f"samples/{file}") for file in pair] for words, pair in SAMPLES.items()
        },
        "weights": {
            "id": weights.weights_id,
            "personal": weights.name if weights.is_personal else "",
            "known_photos": verifier.known_photos,
            "terms": terms_of(weights),
            "threshold": of_person.threshold,
            "band": list(of_person.inconclusive_band),
        },
        "words": FOR_SCRIPTS,
        "crop_template": [list(point) for point in preprocess.TEMPLATE],
        "crop_size": preprocess.CROP_SIZE,
        "most_references": MOST_REFERENCES,
        "chosen": {name: request.form.get(f"{name}_face", type=int) for name in more.get("faces", ())},
    }
    return render_template("index.html", **context | more)


def terms_of(weights: WeightsInfo) -> str:
    """Return in words for what weights may be used."""
    if weights.is_personal:
        return f"It has the terms of its photos and of what it started from: the shipped weights are {ONLY_RESEARCH}."
    if weights.name == default_weights_path().stem:
        return f"They are {ONLY_RESEARCH}."
    return str(weights.details.get("terms", ""))


def _shared_context() -> dict[str, Any]:
    return {
        "csrf_token": form_token(),
        "consented": access.current_consent() is not None,
        "limits": {"photo_mb": services().settings.max_photo_bytes // 1024**2},
        "fewest_photos": FEWEST_PHOTOS,
        "obstacle": services().personal_model.obstacle(),
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
