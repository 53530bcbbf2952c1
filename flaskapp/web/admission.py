"""What is decided of a request by its headers alone, before its body is taken.

The server process asks the app itself, through whatever stands between the two: only then it is
known who asks, behind a proxy too, and whether they have agreed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, request

from flaskapp.errors import BusyError, RequestError, SlowRequestError
from flaskapp.web import access

__all__ = ["BUSY", "REFUSED", "SLOW", "Caller", "ask", "refuse_as_told", "with_admission"]

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

ASKED = "flaskapp.asked"
REFUSED = "flaskapp.refused"
"""Keys of a WSGI environment, by which server process and app talk; no header can set them."""

BUSY, SLOW = "busy", "too_slow"


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Attributes:
        address: of the caller, behind a trusted proxy too.
        consented: whether a consent of theirs stands.
    """

    address: str
    consented: bool


def with_admission(app: Flask) -> Application:
    """Return an app that also tells who is asking, without answering."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked: list[Caller] | None = environ.get(ASKED)
        if asked is None:
            return app(environ, start_response)
        with app.request_context(environ):
            asked.append(Caller(request.remote_addr or "", access.current_consent() is not None))
        return []

    return answer


def ask(application: Application, environ: dict[str, Any]) -> Caller | None:
    """Return who sends a request; None if it will be refused before that matters."""
    found: list[Caller] = []
    application(environ | {ASKED: found}, lambda *_: None)
    return found[0] if found else None


def refuse_as_told() -> None:
    """Refuse what the server process has refused already; nothing of its body is there.

    Raises:
        BusyError: too many photos are on their way.
        SlowRequestError: it did not arrive in time.
    """
    reason = request.environ.get(REFUSED)
    if reason:
        raise _refusal(reason)


def _refusal(reason: str) -> RequestError:
    if reason == SLOW:
        return SlowRequestError(
            "The request did not arrive in time, so it was not waited for any longer.",
            "Try again over a faster connection, or with smaller photos.",
        )
    return BusyError("Too many photos are on their way to this server.", "Try again in a few seconds.")
