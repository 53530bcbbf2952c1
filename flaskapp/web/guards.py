"""What every request must satisfy, and what every answer tells the browser to forbid."""

from __future__ import annotations

import hmac
import re
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, g, request

from flaskapp.errors import CrossSiteError, FormExpiredError, UnknownHostError
from flaskapp.web.access import cookie_name, set_cookie
from flaskapp.web.limits import signed
from flaskapp.web.settings import services

# Key of a WSGI environment, by which the server process hands on why it took no body; no header can set it.
REFUSED = "flaskapp.refused"

CSRF_COOKIE = "csrf"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
LARGEST_PORT = 65535

# A Host header: a name or address, perhaps with a port (RFC 9110, section 7.2).
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)

UNHEEDED_CONDITIONS = ("RANGE", "IF_RANGE", "IF_MATCH", "IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE")

HEADERS = {
    # Scripts, styles, fonts and requests of this origin only, none of them inline; blob: is
    # how the page shows a photo that never left the browser.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), "
    "serial=(), browsing-topics=()",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With "no-referrer" browsers would send forms with `Origin: null`, and the check of the
    # origin below would refuse our own.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def guard(app: Flask) -> None:
    """Make an app check all requests, and harden all answers."""
    for check in (answer_whole_files, check_host, check_origin, refuse_as_told):
        app.before_request(check)
    app.after_request(harden)


def refuse_as_told() -> None:
    """Refuse what the server process has refused already, by the same error; nothing of its body is there."""
    error = request.environ.get(REFUSED)
    if error:
        raise error


def answer_whole_files() -> None:
    """Overlook all conditions of a request but the tag of what a browser has already.

    Static files are small, and every one has a tag: a part of one, or a date, is never needed. Odd ones
    would be errors: of the program, where a year has twenty digits.
    """
    for condition in UNHEEDED_CONDITIONS:
        request.environ.pop(f"HTTP_{condition}", None)


def check_host() -> None:
    """Refuse names that are not ours: another site's name could be made to point here (DNS rebinding).

    Raises:
        UnknownHostError: the request is addressed to another name.
    """
    match, names = HOST.fullmatch(request.headers.get("Host", "")), services().settings.allowed_hosts
    if not (match and match["name"].lower() in names and 0 < int(match["port"] or 80) <= LARGEST_PORT):
        hint = "Whoever runs it can add the name to FR_ALLOWED_HOSTS."
        raise UnknownHostError("This server does not answer to that name.", hint)


def check_origin() -> None:
    """Refuse whatever a page of another site sends, cookies or not.

    Programs other than browsers send neither header and are none of our concern here: they
    hold no cookies that another site could misuse.

    Raises:
        CrossSiteError: the browser says that another site's page is behind the request.
    """
    if request.method in SAFE_METHODS:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    try:
        origin_host = request.host if origin is None else urlsplit(origin).netloc
    except ValueError:  # no origin that a browser would send
        origin_host = None
    if site not in (None, "same-origin", "none") or origin_host != request.host:
        raise CrossSiteError("The request came from another site's page.", "Use this server's own page.")


def harden(response: Response) -> Response:
    """Add the headers that confine the page; nothing but static files may be kept in a cache."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint != "static" or response.status_code >= 400:
        response.headers["Cache-Control"] = "no-store"
    response.headers.pop("Accept-Ranges", None)
    if "new_csrf_seed" in g:
        set_cookie(response, CSRF_COOKIE, g.new_csrf_seed)
    return response


def form_token() -> str:
    """Return the token that forms of the current answer carry; it fits this browser's cookie alone."""
    seed = request.cookies.get(cookie_name(CSRF_COOKIE))
    return signed((seed or g.setdefault("new_csrf_seed", secrets.token_urlsafe(32))).encode())


def check_form_token() -> None:
    """Refuse forms that this server did not give to this browser.

    Raises:
        FormExpiredError: the form's token does not belong to the cookie, or there is none.
    """
    seed, token = request.cookies.get(cookie_name(CSRF_COOKIE)), request.form.get("csrf_token", "")
    if not seed or not hmac.compare_digest(signed(seed.encode()).encode(), token.encode()):
        raise FormExpiredError(
            "The server was restarted after this form was loaded, or cookies are turned off.",
            "Reload the page and try again.",
        )
