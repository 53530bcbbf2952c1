"""Who may have photos looked at: whoever carries the token of a consent. And who may have a model of their own face."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Response, g, request

from flaskapp.errors import AgeRequiredError, BadRequestError, ConsentRequiredError, OwnFaceClosedError
from flaskapp.web import limits
from flaskapp.web.consent import Consent
from flaskapp.web.settings import address_of, services

COOKIE = "consent"

FORWARDED = re.compile(
    r"forward|proxy|(client|real|remote|connecting|originating|source|user)-?(ip|addr)|original-(host|url)"
    r"|^via$|^cdn-|^cf-|^x-(envoy|azure|amzn|arr|appengine)-",
    re.IGNORECASE,
)
"""Names of headers by which proxies tell of themselves, or of whom they speak for."""


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
    costs a click and closes a whole class of attacks. Without a lifetime it stands until the browser is
    closed; one of 0 removes it.
    """
    response.set_cookie(
        cookie_name(kind), value, max_age=lifetime, path="/", httponly=True, samesite="Strict", secure=request.is_secure
    )
    return response


def _carried_token() -> str | None:
    authorization = request.authorization
    if authorization is not None and authorization.type == "bearer" and authorization.token:
        return authorization.token
    return request.cookies.get(cookie_name(COOKIE))


def current_consent() -> Consent | None:
    """Return the consent that stands behind the request, by ``Authorization: Bearer`` or the cookie; if one does."""
    token = _carried_token()
    return services().consents.find(token) if token else None


def require_consent() -> Consent:
    """Return the consent behind the request; a view asks first, before anything of the body is read.

    Raises:
        ConsentRequiredError: there is none, or it ended.
    """
    consent = current_consent()
    if consent is None:
        raise ConsentRequiredError(
            "No photo is looked at without your consent.",
            "Agree to the privacy notice and confirm that you are 18 or older, on the page or by POST /api/v1/consent.",
        )
    g.consent = consent
    return consent


def check_turn() -> None:
    """Look again, when a request's turn has come, at what may have changed while it waited.

    Raises:
        ConsentRequiredError: its consent has ended.
    """
    require_consent()
    services().personal_model.keep_up()


def agree(notice_version: object, consent: bool, age_confirmed: bool) -> tuple[str, Consent]:
    """Record a consent if a person states what must be stated, and return its token with it.

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
    return services().consents.give(limits.caller_network(limits.IPV6_SITE))


def withdraw(response: Response) -> Response:
    """End the consent behind the request at once, and all that it was given for; the answer clears its cookie."""
    token = _carried_token()
    if token:
        key = services().consents.withdraw(token)
        services().personal_model.cancel(key)
        services().counter.forget(key)
    return set_cookie(response, COOKIE, "", timedelta(0))


def require_owner() -> Consent:
    """Return the consent of whoever may have a personal model here, or raise as the two checks in it do."""
    consent = require_consent()
    check_owner()
    return consent


def check_owner() -> None:
    """Refuse others than whoever may have a personal model here.

    Raises:
        OwnFaceClosedError: they may not.
    """
    if not is_owner():
        raise OwnFaceClosedError(
            "A personal model is only for whoever sits at the computer that runs this server.",
            "Open the page there as http://localhost, without a proxy. "
            "To open it to others, whoever runs the server sets FR_OWN_FACE=everyone.",
        )


def is_owner() -> bool:
    """Say whether whoever asks may have a personal model here: by default who sits here, and asks through no proxy.

    Behind a proxy every address is this machine's own, or whatever the first of several proxies
    was told. So it counts as forwarded if any header of a proxy says so, however it is called and
    even if it is empty; if it is addressed to a name that others use too; if it comes as HTTP/1.0,
    which proxies speak and browsers do not; or if it comes from where the known proxy is. One
    that rewrites the name and says nothing of itself cannot be told from a browser.
    """
    settings = services().settings
    if settings.own_face != "local":
        return settings.own_face == "everyone"
    name = urlsplit(f"//{request.host}").hostname or ""
    sender, asked = address_of(request.remote_addr or ""), address_of("127.0.0.1" if name == "localhost" else name)
    proxied = (
        any(FORWARDED.search(header) for header, _ in request.headers)
        or request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        or (settings.trusted_proxy and sender == address_of(settings.trusted_proxy))
    )
    return not proxied and all(address is not None and address.is_loopback for address in (sender, asked))
