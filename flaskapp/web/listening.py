"""The server process that listens: waitress, which keeps bodies and answers in memory here."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from typing import Any

from flask import Flask
from waitress.adjustments import Adjustments
from waitress.server import MultiSocketServer
from waitress.task import ThreadedTaskDispatcher

from flaskapp.web.admission import with_admission
from flaskapp.web.connections import REQUEST_SECONDS, Listener, Rules
from flaskapp.web.settings import Settings, SettingsError

if sys.platform != "win32":
    import resource

__all__ = ["check_address", "is_taken", "listen"]

SPARE_BODY_BYTES = 4 * 1024 * 1024
"""By how much a body may be too large and is still waited for, so that browsers see the refusal."""

MOST_HEAD_BYTES = 32 * 1024

MOST_CONNECTIONS = 400
FEWEST_CONNECTIONS = 8
FILES_A_CONNECTION = 2
"""The connection itself, and a static file on its way."""

OTHER_FILES = 40
"""That the rest of the server may have open: weights, listeners, logs, a training."""

MOST_OPEN_FILES = 2048
"""Where the system names no limit."""


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


def is_taken(address: str, port: int) -> bool:
    """Say whether another program listens on an IPv6 address, without a word to it."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            if sys.platform == "linux":
                # Elsewhere this would let two listen; here it only overlooks connections that have just ended.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False


def listen(app: Flask, host: str, port: int, settings: Settings) -> MultiSocketServer:
    """Return a server that listens and answers by an app as soon as it is run.

    Raises:
        SettingsError: nobody can listen there.
    """
    rules = rules_of(settings)
    # By itself waitress takes "::" for all addresses of IPv6 alone; its star means those of both.
    adjustments = Adjustments(host="*" if host == "::" else host, port=port, **waitress_settings(settings))
    application, threads, dispatchers = with_admission(app), ThreadedTaskDispatcher(), dict[int, Any]()
    try:
        listeners = [
            Listener(application, dispatchers, dispatcher=threads, adj=adjustments, sockinfo=where, rules=rules)
            for where in adjustments.listen
        ]
    except OSError as error:
        for begun in list(dispatchers.values()):
            begun.close()
        raise SettingsError(
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            "Set PORT to another, or HOST to an address of this computer.",
        ) from None
    threads.set_thread_count(settings.threads)
    addresses = [(listener.effective_host, listener.effective_port) for listener in listeners]
    return MultiSocketServer(dispatchers, adjustments, addresses, threads, listeners[0].log_info)


def rules_of(settings: Settings) -> Rules:
    """Return how many connections and bodies there may be at a time.

    Raises:
        SettingsError: the system allows too few open files.
    """
    connections = min(MOST_CONNECTIONS, (most_open_files() - OTHER_FILES) // FILES_A_CONNECTION)
    if connections < FEWEST_CONNECTIONS:
        needed = OTHER_FILES + FILES_A_CONNECTION * FEWEST_CONNECTIONS
        raise SettingsError(
            f"The server needs {needed} open files at least. The system allows {most_open_files()}.",
            "Raise the limit, by ulimit -n 1024 before it is started.",
        )
    return Rules(
        connections=connections,
        connections_of_one=max(connections // 4, FEWEST_CONNECTIONS),
        bytes=settings.threads * settings.max_body_bytes,
        bytes_of_one=settings.threads * settings.max_body_bytes // 4,
        body_bytes=settings.max_body_bytes,
        trusted_proxy=settings.trusted_proxy,
    )


def most_open_files() -> int:
    """Return how many files and connections the system lets this process have open."""
    if sys.platform == "win32":
        return MOST_OPEN_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_OPEN_FILES if soft == resource.RLIM_INFINITY else soft


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
        # Ours come first: waitress would stop listening, or close without a word.
        "connection_limit": 2 * MOST_CONNECTIONS,
        "channel_timeout": REQUEST_SECONDS,
        "max_request_header_size": MOST_HEAD_BYTES,
        "max_request_body_size": largest,
        "inbuf_overflow": 2 * largest,
        "outbuf_overflow": 2 * largest,
        # select() takes no file beyond the 1024th; where there is no poll(), MOST_CONNECTIONS is below its limit.
        "asyncore_use_poll": True,
        "log_socket_errors": False,
        "ident": None,
        # Nobody believes what they say, but that they are there tells that a request was forwarded.
        "clear_untrusted_proxy_headers": False,
        **(proxy if settings.trusted_proxy else {}),
    }
