"""The API's answers around one's own face."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict

import numpy as np
from flask import Response, jsonify, request
from PIL import Image

from flaskapp import preprocess
from flaskapp.errors import BadRequestError, KeepModelError, PhotoError
from flaskapp.personal.capture import Guide, Look, look_at
from flaskapp.web import access, limits
from flaskapp.web.api import api as api  # the views below are handed on with it
from flaskapp.web.personal_model import MOST_PHOTOS
from flaskapp.web.settings import services
from flaskapp.web.uploads import check_form, stated_json, uploaded_photo, uploaded_photos

MOST_FACE_BYTES = 64 * 1024  # of one face as PNG: 100 × 100 pixels of three bytes take half of it
ROOM_FOR_ALL = 1000  # so many photos that a capture which ends with them refuses none for want of room


@api.get("/api/v1/own-face")
def own_face() -> Response:
    """Say whether there is a personal model, whether it is in use, and how a training goes."""
    consent = access.require_owner()
    return jsonify(services().personal_model.to_json(consent.key))


@api.post("/api/v1/own-face/photo")
def look_at_own_photo() -> Response:
    """Cut the face out of a photo of oneself, judge it beside those that there are, and hand it out.

    The face is all that a training needs of the photo. The server remembers none, so the caller says how the face
    stands in the others.
    """
    access.require_owner()
    limits.count("frame")
    photo, looks = uploaded_photo("photo"), _stated_looks()
    with services().comparer.place():
        try:
            decoded = preprocess.decode_photo(photo)
            _, face = preprocess.find_face(decoded)
            crop = preprocess.crop_face(decoded, face.landmarks)
        except PhotoError as error:
            raise error.for_photo("photo") from None
        look, guide = look_at(face, crop, decoded.size_wh[1]), Guide(looks=list(looks))
        glance, png = guide.judge(look), io.BytesIO()
        Image.fromarray(crop).save(png, "PNG")
        return jsonify(
            kept=glance.kept,  # by a guided capture, which keeps room for photos of other kinds
            counts=glance.kept or Guide(photos=ROOM_FOR_ALL, looks=list(looks)).judge(look).kept,
            words=glance.words,
            look=asdict(look),
            missing=list(guide.missing()),
            finished=guide.finished,
            face_png=base64.b64encode(png.getvalue()).decode("ascii"),
        )


def _stated_looks() -> list[Look]:
    """Return how the face stands in the photos that there are already, as earlier answers said it."""
    try:
        stated = json.loads(request.form.get("looks") or "[]")
        if not isinstance(stated, list) or len(stated) > MOST_PHOTOS:
            raise ValueError
        return [Look(**{name: float(value) for name, value in one.items()}) for one in stated]
    except (AttributeError, OverflowError, TypeError, ValueError, RecursionError):
        raise BadRequestError(
            'The field "looks" expects a JSON list of the "look" of earlier answers.', "Leave it out to begin."
        ) from None


@api.post("/api/v1/own-face/training")
def train_own_face() -> Response:
    """Start a training on faces that were handed out."""
    consent = access.require_owner()
    limits.count("comparison")
    request.max_form_parts = MOST_PHOTOS + 2
    request.max_content_length = MOST_PHOTOS * MOST_FACE_BYTES
    check_form()
    if request.form.get("keep_model") != "yes":
        raise KeepModelError(
            "Training keeps a model of your face on the computer that runs this server, until it is forgotten.",
            'Agree to that with the box on the page, or with keep_model = "yes".',
        )
    with services().comparer.place():
        faces = [_face(data) for data in uploaded_photos("face", MOST_PHOTOS, needed=False)]
    response = jsonify(services().personal_model.train(faces, consent.key).to_json())
    response.status_code = 202
    return response


def _face(data: bytes) -> np.ndarray:
    try:
        pixels = preprocess.decode_photo(data).pixels
    except PhotoError as error:
        raise error.for_photo("face") from None
    size = preprocess.CROP_SIZE
    if pixels.shape != (size, size, 3):
        raise BadRequestError(
            f"A face expects {size} × {size} pixels. Received: {pixels.shape[1]} × {pixels.shape[0]}.",
            "Send the faces as POST /api/v1/own-face/photo returned them.",
        )
    return pixels


@api.delete("/api/v1/own-face/training")
def cancel_own_training() -> Response:
    """End the training that the caller started; what it had written goes too."""
    consent = access.require_owner()
    services().personal_model.cancel(consent.key)
    return Response(status=204)


@api.put("/api/v1/own-face/use")
def use_own_model() -> Response:
    """Compare with the personal model, or without it."""
    consent = access.require_owner()
    own = stated_json('{"own": true}').get("own")
    if not isinstance(own, bool):
        raise BadRequestError('The field "own" expects true or false.', 'Send {"own": true}.')
    services().personal_model.use(own)
    return jsonify(services().personal_model.to_json(consent.key))


@api.delete("/api/v1/own-face")
def forget_own_face() -> Response:
    """Remove every trace of the personal model and its owner, and list what was removed."""
    access.require_owner()
    return jsonify(removed=services().personal_model.forget())
