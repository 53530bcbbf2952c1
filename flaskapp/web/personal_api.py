"""The API's answers around one's own face."""

from __future__ import annotations

import base64
import io
import ipaddress
import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec
from urllib.parse import urlsplit

import numpy as np
from flask import Response, g, jsonify, request
from PIL import Image

from flaskapp import preprocess
from flaskapp.errors import BadRequestError, KeepModelError, OwnFaceClosedError, PhotoError
from flaskapp.personal.capture import Look
from flaskapp.web import access, limits
from flaskapp.web.api import api as api  # the views below are handed on with it
from flaskapp.web.personal_model import MOST_PHOTOS, look_at_photo
from flaskapp.web.settings import services
from flaskapp.web.uploads import check_form, stated_json, uploaded_photo, uploaded_photos

P = ParamSpec("P")

MOST_FACE_BYTES = 64 * 1024
"""Of one face as PNG: 100 × 100 pixels of three bytes take half of it."""

FORWARDED = re.compile(
    r"forward|proxy|(client|real|remote|connecting|originating|source|user)-?(ip|addr)|original-(host|url)"
    r"|^via$|^cdn-|^cf-|^x-(envoy|azure|amzn|arr|appengine)-",
    re.IGNORECASE,
)
"""Names of headers by which proxies tell of themselves, or of whom they speak for."""
AGREED = "yes"


def for_the_owner(view: Callable[P, Response]) -> Callable[P, Response]:
    """Refuse to enter a view without consent, and to others than whoever may have a model here."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
        check_owner()
        return view(*args, **kwargs)

    return access.with_consent(guarded)


def is_open() -> bool:
    """Say whether whoever asks may have a personal model here."""
    settings = services().settings
    if settings.own_face != "local":
        return settings.own_face == "everyone"
    return _is_straight_from_here(settings.trusted_proxy)


def _is_straight_from_here(trusted_proxy: str) -> bool:
    """Say whether a request comes from this machine, and through no proxy.

    Behind a proxy every address is this machine's own, or whatever the first of several proxies
    was told. So it counts as forwarded if any header of a proxy says so, however it is called and
    even if it is empty; if it is addressed to a name that others use too; if it comes as HTTP/1.0,
    which proxies speak and browsers do not; or if it comes from where the known proxy is. One
    that rewrites the name and says nothing of itself cannot be told from a browser.
    """
    sender = _address(request.remote_addr or "")
    proxied = (
        any(FORWARDED.search(name) for name in request.headers.keys())  # noqa: SIM118 - no dict
        or request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        or (trusted_proxy and sender == _address(trusted_proxy))
    )
    return sender is not None and sender.is_loopback and _is_named_local(request.host) and not proxied


def _is_named_local(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def check_owner() -> None:
    """Refuse others than whoever may have a personal model here.

    Raises:
        OwnFaceClosedError: they may not.
    """
    if not is_open():
        raise OwnFaceClosedError(
            "A personal model is only for whoever sits at the computer that runs this server.",
            "Open the page there as http://localhost, without a proxy. "
            "To open it to others, whoever runs the server sets FR_OWN_FACE=everyone.",
        )


@api.get("/api/v1/own-face")
@for_the_owner
def own_face() -> Response:
    """Say whether there is a personal model, whether it is in use, and how a training goes."""
    return jsonify(services().personal_model.to_json(g.consent_key))


@api.post("/api/v1/own-face/photo")
@for_the_owner
@limits.frames
def look_at_own_photo() -> Response:
    """Cut the face out of a photo of oneself, judge it, and hand it out."""
    photo, looks = uploaded_photo("photo"), _looks()

    def look() -> Response:
        try:
            looked = look_at_photo(photo, looks)
        except PhotoError as error:
            raise error.for_photo("photo") from None
        return jsonify(looked.to_json() | {"face_png": base64.b64encode(_png(looked.face)).decode("ascii")})

    return services().comparer.run(look)


def _looks() -> list[Look]:
    """Return how the face stands in the photos that there are already, as earlier answers said it."""
    try:
        return [Look(**{name: float(value) for name, value in one.items()}) for one in _listed()]
    except (AttributeError, OverflowError, TypeError, ValueError, RecursionError):
        raise BadRequestError(
            'The field "looks" expects a JSON list of the "look" of earlier answers.', "Leave it out to begin."
        ) from None


def _listed() -> list[Any]:
    listed = json.loads(request.form.get("looks") or "[]")
    if not isinstance(listed, list) or len(listed) > MOST_PHOTOS:
        raise ValueError
    return listed


def _png(face: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(face).save(buffer, "PNG")
    return buffer.getvalue()


@api.post("/api/v1/own-face/training")
@for_the_owner
@limits.comparisons
def train_own_face() -> Response:
    """Start a training on faces that were handed out."""
    request.max_form_parts = MOST_PHOTOS + 2
    request.max_content_length = MOST_PHOTOS * MOST_FACE_BYTES
    check_form()
    if request.form.get("keep_model") != AGREED:
        raise KeepModelError(
            "Training keeps a model of your face on the computer that runs this server, until it is forgotten.",
            'Agree to that with the box on the page, or with keep_model = "yes".',
        )
    faces = services().comparer.run(lambda: [_face(data) for data in uploaded_photos("face")])
    training = services().personal_model.train(faces, g.consent_key)
    response = jsonify(training.to_json())
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
@for_the_owner
def cancel_own_training() -> Response:
    """End the training that the caller started; what it had written goes too."""
    services().personal_model.cancel(g.consent_key)
    return Response(status=204)


@api.put("/api/v1/own-face/use")
@for_the_owner
def use_own_model() -> Response:
    """Compare with the personal model, or without it."""
    own = stated_json('{"own": true}').get("own")
    if not isinstance(own, bool):
        raise BadRequestError('The field "own" expects true or false.', 'Send {"own": true}.')
    services().personal_model.use(own)
    return jsonify(services().personal_model.to_json(g.consent_key))


@api.delete("/api/v1/own-face")
@for_the_owner
def forget_own_face() -> Response:
    """Remove every trace of the personal model and its owner, and list what was removed."""
    return jsonify(removed=services().personal_model.forget())
