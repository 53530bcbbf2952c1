"""The server process that listens: waitress, which keeps bodies and answers in memory here."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import waitress
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import RequestEntityTooLarge

from flaskapp.web.settings import Settings, SettingsError

__all__ = ["check_address", "listen"]

SPARE_BODY_BYTES = 4 * 1024 * 1024
"""By how much a body may be too large and is still taken in whole before it is refused."""


def check_address(host: str, port: int) -> None:
    """Refuse an address that is none, before anything else takes time.

    Raises:
        SettingsError: the host is neither an address nor a name that leads to one.
    """
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SettingsError(
            f"HOST expects an address of this computer, or a name that leads to one. Received: {host}.",
            "Try 127.0.0.1 for this computer alone, or 0.0.0.0 for all of its addresses.",
        ) from None


def listen(app: Flask, host: str, port: int, settings: Settings) -> Any:
    """Return a server that listens and answers by an app as soon as it is run.

    Raises:
        SettingsError: nobody can listen there.
    """
    dispatchers: dict[int, Any] = {}
    try:
        server = waitress.create_server(app, map=dispatchers, host=host, port=port, **waitress_settings(settings))
    except OSError as error:
        for begun in list(dispatchers.values()):
            begun.close()
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            "Set PORT to another, or HOST to an address of this computer.",
        ) from None
    for listener in dispatchers.values():
        if isinstance(listener, BaseWSGIServer):
            listener.channel_class = _channel
    return server


def waitress_settings(settings: Settings) -> dict[str, Any]:
    """Return how waitress is to behave: above all, to keep bodies and answers in memory.

    What it takes stays below what it would move to a file.
    """
    largest = settings.max_body_bytes + SPARE_BODY_BYTES
    proxy = {
        "trusted_proxy": settings.trusted_proxy and str(ipaddress.ip_address(settings.trusted_proxy)),
        "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
    }
    return {
        "threads": settings.threads,
        "max_request_body_size": largest,
        "inbuf_overflow": 2 * largest,
        "outbuf_overflow": 2 * largest,
        "ident": None,
        # Nobody believes what they say, but that they are there tells that a request was forwarded.
        "clear_untrusted_proxy_headers": False,
        **(proxy if settings.trusted_proxy else {}),
    }


def _channel(*arguments: Any, **more: Any) -> Any:
    """Return a connection whose bodies that are far too large are refused by the app, in its own form."""
    channel = HTTPChannel(*arguments, **more)
    channel.error_task_class = _refusal
    return channel


def _refusal(channel: Any, request: Any) -> Any:
    """Return what answers a request that waitress itself refuses.

    Of a body beyond its limit it reads no more. The app is told how long the body is, gets nothing
    of it, and refuses it as it refuses those that are a little too large; then the connection ends.
    """
    if not isinstance(request.error, RequestEntityTooLarge):
        return ErrorTask(channel, request)
    if request.chunked:
        request.headers["CONTENT_LENGTH"] = str(request.body_bytes_received)
    request.close()
    request.body_rcv = None
    task = WSGITask(channel, request)
    task.set_close_on_finish()
    return task
