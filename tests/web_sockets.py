"""A server inside this process, and requests to it as bytes, whole or in pieces."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from web_process import free_port

from flaskapp.web.listening import Connection, Listener, listen
from flaskapp.web.settings import services

PATIENCE = 60


@dataclass(frozen=True)
class Listening:
    """A server that runs, and its app."""

    app: Flask
    server: Any
    port: int

    @property
    def listener(self) -> Listener:
        return next(one for one in self.server.map.values() if isinstance(one, Listener))

    def connections(self) -> list[Connection]:
        return self.listener.connections()

    def agree(self) -> str:
        return services(self.app).consents.give()[0]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


@contextlib.contextmanager
def served(app: Flask) -> Iterator[Listening]:
    """Let an app listen on a free port of this machine."""
    port = free_port()
    server = listen(app, "127.0.0.1", port, services(app).settings)
    server.adj.asyncore_loop_timeout = 0.02  # waitress looks up once a second, which is long for a test
    threading.Thread(target=server.run, daemon=True).start()
    try:
        yield Listening(app, server, port)
    finally:
        server.close()


def head(path: str, token: str = "", method: str = "POST", **headers: str) -> bytes:
    """Return the head of a request; underscores in names of headers stand for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def form_head(length: int, token: str = "", **headers: str) -> bytes:
    """Return the head of a comparison whose body is so long."""
    kind = "multipart/form-data; boundary=x"
    return head("/api/v1/verify", token, Content_Type=kind, Content_Length=str(length), **headers)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def problem(self) -> tuple[int, str]:
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return self.status, json.loads(self.body)["code"]


def answer_of(connection: socket.socket) -> Answer:
    """Read one answer."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def is_ended(connection: socket.socket) -> bool:
    """Wait until the server says no more, and say whether it has ended the connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so; a test fails that waits in vain."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
