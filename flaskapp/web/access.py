"""Who may have photos looked at: whoever carries the token of a consent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import ParamSpec

from flask import Response, g, request

from flaskapp.errors import AgeRequiredError, BadRequestError, ConsentRequiredError
from flaskapp.web.consent import Consent
from flaskapp.web.settings import services

P = ParamSpec("P")

COOKIE = "consent"


def cookie_name(kind: str) -> str:
    """Return what a cookie of a kind is called for the address that was asked.

    Browsers hand the cookies of one port of a machine to all its other ports, and let those set them. So
    the port is part of the name: what another program calls "consent" is none, and two servers do not end
    each other's. Over TLS the prefix makes browsers refuse it from anybody but this very host.
    """
    if request.is_secure:
        return f"__Host-{kind}"
    port = request.host.rpartition(":")[2]
    return f"{kind}-{port}" if port.isdecimal() else kind


def set_cookie(response: Response, kind: str, value: str, lifetime: timedelta | None = None) -> Response:
    """Hand a cookie to the browser, for this site alone and no script, over TLS if there is any.

    Links from elsewhere do not carry it either: the page is then opened as if for the first time, which
    costs a click and closes a whole class of attacks.

    Args:
        response: the answer that takes it along.
        kind: of the cookie.
        value: what it holds.
        lifetime: None: until the browser is closed; 0 removes it.
    """
    response.set_cookie(
        cookie_name(kind), value, max_age=lifetime, path="/", httponly=True, samesite="Strict", secure=request.is_secure
    )
    return response


def carried_token() -> str | None:
    """Return the token that came with the request, in ``Authorization: Bearer`` or the cookie."""
    authorization = request.authorization
    if authorization is not None and authorization.type == "bearer" and authorization.token:
        return authorization.token
    return request.cookies.get(cookie_name(COOKIE))


def current_consent() -> Consent | None:
    """Return the consent that stands behind the request, if one does."""
    token = carried_token()
    return services().consents.find(token) if token else None


def require_consent() -> Consent:
    """Return the consent behind the request; nothing of its body has been read yet.

    Raises:
        ConsentRequiredError: there is none, or it ended.
    """
    consent = current_consent()
    if consent is None:
        raise ConsentRequiredError(
            "No photo is looked at without your consent.",
            "Agree to the privacy notice and confirm that you are 18 or older, on the page or by POST /api/v1/consent.",
        )
    g.consent_key = consent.key
    return consent


def with_consent(view: Callable[P, Response]) -> Callable[P, Response]:
    """Refuse to enter a view without consent, before anything of the request's body is read."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Response:
        require_consent()
        return view(*args, **kwargs)

    return guarded


def check_turn() -> None:
    """Look again, when a request's turn has come, at what may have changed while it waited.

    Raises:
        ConsentRequiredError: its consent has ended.
    """
    require_consent()
    services().personal_model.keep_up()


def withdraw() -> str | None:
    """End the consent behind the request at once, and the training that it was given for; return its key."""
    token = carried_token()
    if not token:
        return None
    key = services().consents.withdraw(token)
    services().personal_model.cancel(key)
    return key


def check_statements(notice_version: object, consent: bool, age_confirmed: bool) -> None:
    """Hold what a person states against what must be stated.

    Raises:
        ConsentRequiredError: no consent, or to a notice that is not in force.
        AgeRequiredError: not 18 or older.
        BadRequestError: the version is something else than text.
    """
    if not consent:
        raise ConsentRequiredError(
            "You have not agreed to the privacy notice.", "Tick the box, or leave; nothing was kept."
        )
    if not age_confirmed:
        raise AgeRequiredError("Only people who are 18 or older may use this.", "Tick the box if you are.")
    if not isinstance(notice_version, str | None):
        raise BadRequestError(
            'The field "notice_version" expects the version of the privacy notice, as text.',
            "GET /api/v1/notice returns it.",
        )
    if notice_version != services().consents.notice.version:
        raise ConsentRequiredError(
            "That is not the current version of the privacy notice, which may have changed.",
            "Reload the page, or get /api/v1/notice, then read the notice and agree to it.",
        )
