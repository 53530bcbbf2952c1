"""What listens: bodies that are far too large get the app's own answer, and nothing of them is kept."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from web_helpers import FakeVerifier
from web_process import free_port

from flaskapp.app import create_app
from flaskapp.web import listening
from flaskapp.web.guards import HEADERS
from flaskapp.web.listening import SPARE_BODY_BYTES, check_address, is_taken, listen, waitress_settings
from flaskapp.web.settings import Settings, SettingsError, services

MEGABYTE = 1024 * 1024
SETTINGS = {"FR_MAX_PHOTO_BYTES": MEGABYTE, "FR_MAX_BODY_BYTES": MEGABYTE, "FR_ALLOWED_HOSTS": "localhost"}


@pytest.fixture(scope="module")
def app():
    return create_app(SETTINGS, FakeVerifier())


@pytest.fixture(scope="module")
def port(app) -> Iterator[int]:
    """Return the port of a server, which listens on all addresses that localhost has."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        free = probe.getsockname()[1]
    server = listen(app, "localhost", free, services(app).settings)
    threading.Thread(target=server.run, daemon=True).start()
    yield free
    server.close()


@pytest.fixture
def token(app) -> str:
    return services(app).consents.give()[0]


def answer_to(port: int, head: str, body: bytes = b"") -> tuple[int, http.client.HTTPMessage, bytes]:
    """Send a request as it stands, and return status, headers and body of the answer."""
    with socket.create_connection(("localhost", port), timeout=60) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.headers, response.read()


def announced(length: int, token: str = "", path: str = "/api/v1/verify") -> str:
    return (
        f"POST {path} HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}\n"
        f"Content-Type: multipart/form-data; boundary=x\nContent-Length: {length}"
    )


def chunked(size: int) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (size, bytes(size))


FAR_TOO_LARGE = MEGABYTE + SPARE_BODY_BYTES


class TestBodiesThatAreTooLarge:
    def expect_problem(self, answer, status: int, code: str) -> None:
        received, headers, body = answer
        assert (received, headers["Content-Type"]) == (status, "application/problem+json")
        assert json.loads(body)["code"] == code
        assert all(headers[name] == value for name, value in HEADERS.items())

    @pytest.mark.parametrize("length", [FAR_TOO_LARGE, 40 * MEGABYTE, 10**15])
    def test_are_refused_as_a_problem_before_they_arrive(self, port, token, length):
        answer = answer_to(port, announced(length, token))
        self.expect_problem(answer, 413, "too_large")
        assert answer[1]["Connection"] == "close"

    def test_are_refused_as_a_problem_when_they_come_in_chunks(self, port, token):
        head = announced(0, token).replace("Content-Length: 0", "Transfer-Encoding: chunked")
        self.expect_problem(answer_to(port, head, chunked(FAR_TOO_LARGE)), 413, "too_large")

    def test_are_refused_as_those_that_are_a_little_too_large(self, port, token):
        self.expect_problem(answer_to(port, announced(2 * MEGABYTE, token), bytes(2 * MEGABYTE)), 413, "too_large")

    def test_need_consent_all_the_same(self, port):
        self.expect_problem(answer_to(port, announced(40 * MEGABYTE)), 403, "consent_required")

    def test_are_refused_on_the_page_in_words(self, port, token):
        status, headers, body = answer_to(port, announced(40 * MEGABYTE, token, "/compare"))
        assert (status, headers["Content-Type"]) == (413, "text/html; charset=utf-8")
        assert b"Too large" in body

    def test_leave_nothing_in_memory_for_the_app(self, port, token, monkeypatch):
        made = []
        real = listening.WSGITask
        monkeypatch.setattr(listening, "WSGITask", lambda *arguments: made.append(real(*arguments)) or made[-1])
        head = announced(0, token).replace("Content-Length: 0", "Transfer-Encoding: chunked")
        answer_to(port, head, chunked(FAR_TOO_LARGE))
        task = made[-1]  # the one before it only asks who is there
        assert task.request.body_rcv is None
        assert task.environ["wsgi.input"].read() == b""

    def test_do_not_keep_others_from_being_answered(self, port, token):
        answer_to(port, announced(40 * MEGABYTE, token))
        assert answer_to(port, "GET /healthz HTTP/1.1\nHost: localhost")[0] == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9"])
def test_a_proxy_that_nobody_told_of_makes_nobody_a_person_at_this_computer(port, token, header):
    """Its address is this machine's own, so what it says of others must not be thrown away unread."""
    asked = f"GET /api/v1/own-face HTTP/1.1\nHost: localhost\nAuthorization: Bearer {token}"
    assert answer_to(port, asked)[0] == 200
    status, _, body = answer_to(port, f"{asked}\n{header}")
    assert (status, json.loads(body)["code"]) == (403, "own_face_closed")


def test_what_is_no_http_is_refused(port):
    assert answer_to(port, "GET / HTTP/1.1\nHost localhost")[0] == 400


def test_a_proxy_is_known_however_its_address_is_written():
    assert waitress_settings(Settings(trusted_proxy="0:0:0:0:0:0:0:1"))["trusted_proxy"] == "::1"
    assert "trusted_proxy" not in waitress_settings(Settings())


def test_what_waitress_takes_never_goes_to_a_file():
    settings = waitress_settings(Settings())
    assert settings["inbuf_overflow"] > settings["max_request_body_size"] > Settings().max_body_bytes


@pytest.mark.parametrize("host", ["300.1.1.1", "nobody.invalid", "a b", "x" * 300, "127.0.0.1:80", "a..b"])
def test_an_address_that_is_none_is_blamed_by_its_name(host):
    with pytest.raises(SettingsError, match=r"HOST expects .* Try 127\.0\.0\.1") as caught:
        check_address(host, 5000)
    assert host in str(caught.value)


def test_a_port_in_use_is_named(app, port):
    with pytest.raises(SettingsError, match=f"localhost:{port}"):
        listen(app, "localhost", port, Settings())


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 on this machine")


@needs_ipv6
def test_all_addresses_are_those_of_ipv6_and_ipv4(app):
    """Break: "::" handed on to waitress, which listens by IPv6 alone then."""
    port = free_port()
    server = listen(app, "::", port, services(app).settings)
    threading.Thread(target=server.run, daemon=True).start()
    for address in ("::1", "127.0.0.1"):
        connection = http.client.HTTPConnection(address, port, timeout=60)
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        assert connection.getresponse().status == 200
        connection.close()
    server.close()


@needs_ipv6
def test_somebody_else_who_listens_is_noticed():
    with socket.socket(socket.AF_INET6) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("::1", 0))
        other.listen()
        assert is_taken("::1", other.getsockname()[1])
    assert not is_taken("::1", free_port())
    assert not is_taken("2001:db8::1", free_port()), "an address that this machine does not have"
