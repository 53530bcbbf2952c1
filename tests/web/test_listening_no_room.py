"""What is no HTTP is answered without a word about whose it is, and a system without room is asked in peace."""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections.abc import Iterator

import pytest
from waitress import wasyncore
from web_helpers import FakeVerifier
from web_process import Server, copy_program
from web_sockets import Listening, answer_of, head, is_ended, served, until

from flaskapp.app import create_app
from flaskapp.web import listening
from flaskapp.web.listening import most_connections, waitress_settings
from flaskapp.web.settings import Settings, SettingsError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

NOTICE = head("/api/v1/notice", method="GET")


@pytest.fixture
def here() -> Iterator[Listening]:
    with served(create_app({}, FakeVerifier())) as listening_here:
        yield listening_here


class TestNoHttp:
    """Break: ``parse_header`` left to waitress, which ends the connection and logs whose it was."""

    @pytest.mark.parametrize(
        "sent",
        [
            b"GET http://[::1/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 4301 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        ],
    )
    def test_is_answered_and_nobody_is_named(self, here, caplog, sent):
        with here.connect() as connection:
            connection.sendall(sent)
            assert answer_of(connection).status == 400
        assert "127.0.0.1" not in caplog.text

    def test_and_whatever_else_goes_wrong_is_logged_without_address_and_text(self, here, monkeypatch, caplog):
        def fail(*_: object) -> None:
            raise RuntimeError(f"secret-{4711}")

        monkeypatch.setattr(listening.IncomingRequest, "received", fail)
        with here.connect() as connection:
            connection.sendall(NOTICE)
            assert is_ended(connection)
        until(lambda: "RuntimeError in a connection" in caplog.text)
        assert not any(word in caplog.text for word in ("127.0.0.1", "secret-4711"))
        monkeypatch.undo()
        with here.connect() as connection:
            connection.sendall(NOTICE)
            assert answer_of(connection).status == 200


class TestNoRoom:
    """Break: an ``accept`` that leaves the error to waitress, which asks the system again at once."""

    def test_for_one_more_connection_is_waited_for_in_peace(self, here, monkeypatch, caplog):
        real, asked = wasyncore.dispatcher.accept, []

        def full(self: object) -> object:
            asked.append(1)
            if len(asked) == 1:
                raise OSError(errno.EMFILE, "Too many open files")
            return real(self)

        monkeypatch.setattr(listening, "PAUSE_SECONDS", 0.1)
        monkeypatch.setattr(wasyncore.dispatcher, "accept", full)
        with caplog.at_level(logging.WARNING), here.connect() as connection:
            connection.sendall(NOTICE)
            assert answer_of(connection).status == 200
        assert len(asked) == 2
        assert [record.getMessage() for record in caplog.records] == [
            "no room for one more connection: Too many open files"
        ]

    @pytest.mark.skipif(resource is None, reason="Windows names no limit")
    def test_for_a_server_at_all_is_said(self, monkeypatch):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))
        with pytest.raises(SettingsError, match="allows only 20"):
            most_connections()

    def test_for_as_many_as_threads_is_there_by_default(self, here):
        assert here.listener.most > here.listener.most_of_one > Settings().threads
        assert waitress_settings(Settings())["connection_limit"] > here.listener.most


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processor time is read from /proc")
def test_a_server_with_sixty_four_files_answers_amid_a_hundred_connections(tmp_path):
    """Break: connections counted without a look at what the system allows."""
    wrapper = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    with Server(copy_program(tmp_path), tmp_path, wrapper=wrapper) as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        assert [server.ask("GET", "/").status for _ in range(20)] == [200] * 20
        assert server.agree().token
        for one in held:
            one.close()
        server.stop()
    assert len(server.output) < 10_000
