"""Connections that hold back: they cost others nothing, and nothing of them is kept without consent."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
from web_helpers import Browser, FakeVerifier
from web_sockets import Listening, answer_of, form_head, head, is_ended, served, until
from werkzeug.test import encode_multipart

from flaskapp.app import create_app
from flaskapp.web import listening
from flaskapp.web.guards import HEADERS

MEGABYTE = 1024 * 1024
UNLIMITED = {"FR_RATE_LIMIT": 0, "FR_LIVE_RATE_LIMIT": 0}
NOTICE = head("/api/v1/notice", method="GET")


@pytest.fixture(autouse=True)
def often(monkeypatch) -> None:
    """Look at what is overdue more often than once a second."""
    monkeypatch.setattr(listening, "ROUND_SECONDS", 0.02)


@pytest.fixture
def here() -> Iterator[Listening]:
    with served(create_app(UNLIMITED, FakeVerifier())) as listening_here:
        yield listening_here


@pytest.fixture
def narrow(monkeypatch) -> Iterator[Listening]:
    """Return a server with room for sixteen connections, eight of one address, and for one large body of that."""
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 16)
    with served(create_app(UNLIMITED | {"FR_THREADS": 5}, FakeVerifier())) as listening_here:
        yield listening_here


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class TestBodiesWithoutConsent:
    """Break: ``lets_in`` that lets everybody send as much as people who have agreed."""

    def test_are_refused_before_they_arrive_and_the_connection_stays(self, here):
        with here.connect() as connection:
            connection.sendall(form_head(2 * MEGABYTE) + bytes(10))
            assert answer_of(connection).problem == (403, "consent_required")
            connection.sendall(bytes(2 * MEGABYTE - 10) + NOTICE)
            assert answer_of(connection).status == 200

    def test_are_refused_in_chunks_too(self, here):
        whole = head("/api/v1/verify", Content_Type="multipart/form-data; boundary=x", Transfer_Encoding="chunked")
        with here.connect() as connection:
            connection.sendall(whole + chunk(bytes(10_000)))
            assert answer_of(connection).problem == (403, "consent_required")
            connection.sendall(chunk(bytes(MEGABYTE)) + b"0\r\n\r\n" + NOTICE)
            assert answer_of(connection).status == 200

    def test_leave_nothing_in_memory(self, here):
        with here.connect() as connection:
            connection.sendall(form_head(2 * MEGABYTE) + bytes(MEGABYTE))
            assert answer_of(connection).status == 403
            (held,) = here.connections()
            until(lambda: not held.is_at_work)
            assert held.request is None
            assert len(held.rest.getbuf()) == 0

    def test_are_not_asked_for(self, here):
        with here.connect() as connection:
            connection.sendall(form_head(2 * MEGABYTE, Expect="100-continue"))
            assert answer_of(connection).problem == (403, "consent_required")
            assert is_ended(connection), "the client never sends what was announced"

    def test_are_taken_where_they_are_the_consent_itself(self, here):
        version = Browser(here.app).services.consents.notice.version
        stated = b'{"notice_version": "%s", "consent": true, "age_confirmed": true}' % version.encode()
        whole = head("/api/v1/consent", Content_Type="application/json", Transfer_Encoding="chunked")
        with here.connect() as connection:
            connection.sendall(whole + chunk(stated) + b"0\r\n\r\n")
            assert answer_of(connection).status == 201

    def test_are_refused_of_whom_a_proxy_tells_nonsense(self, caplog):
        """Break: waitress's own log, which repeats what the proxy says and whose it is."""
        app = create_app(UNLIMITED | {"FR_TRUSTED_PROXY": "127.0.0.1"}, FakeVerifier())
        with served(app) as here, here.connect() as connection:
            connection.sendall(form_head(2 * MEGABYTE, here.agree(), X_Forwarded_For='198.51.100.7"'))
            assert answer_of(connection).status == 400
        assert "Malformed proxy header" in caplog.text
        assert not any(address in caplog.text for address in ("198.51.100.7", "127.0.0.1"))


def test_bodies_are_taken_of_people_who_have_agreed(here):
    boundary, body = encode_multipart({"reference": "x" * 9000})
    with here.connect() as connection:
        whole = head(
            "/api/v1/verify",
            here.agree(),
            Content_Type=f"multipart/form-data; boundary={boundary}",
            Content_Length=str(len(body)),
            Expect="100-continue",
        )
        connection.sendall(whole)
        assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer_of(connection).problem == (400, "not_a_file")


class TestDeadlines:
    """Break: connections that are left to waitress, for which a byte now and then is enough."""

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nX-Slow: "])
    def test_end_what_asks_nothing(self, here, monkeypatch, sent):
        monkeypatch.setattr(listening, "IDLE_SECONDS", 0)
        monkeypatch.setattr(listening, "HEAD_SECONDS", 0)
        with here.connect() as connection:
            connection.sendall(sent)
            assert is_ended(connection)

    def test_tell_whoever_sends_photos_too_slowly(self, here, monkeypatch):
        with here.connect() as connection:
            connection.sendall(form_head(2 * MEGABYTE, here.agree()) + bytes(10_000))
            until(lambda: any(one.sends_photos for one in here.connections()))
            monkeypatch.setattr(listening, "REQUEST_SECONDS", 0)
            answer = answer_of(connection)
            assert answer.problem == (408, "too_slow")
            assert answer.headers["Connection"] == "close"
            assert all(answer.headers[name] == value for name, value in HEADERS.items())
            assert is_ended(connection)

    def test_are_not_put_off_by_a_byte_now_and_then(self, here):
        with here.connect() as connection:
            connection.sendall(form_head(MEGABYTE, here.agree()))
            until(lambda: any(one.sends_photos for one in here.connections()))
            (held,) = here.connections()
            begun, activity = held.turn, held.last_activity
            for count in range(1, 4):
                connection.sendall(b"-")
                until(lambda: held.request.body_bytes_received == count)  # noqa: B023 - asked at once
            assert held.last_activity > activity, "waitress would wait on"
            assert held.turn == begun

    def test_end_what_does_not_read_its_answer(self, here, monkeypatch):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", here.port))
            connection.sendall(NOTICE)
            assert answer_of(connection).status == 200
            (held,) = here.connections()
            asked = head("/static/samples/whitson_portrait.jpg", method="GET")
            unread = 0
            # Until answers fill whatever the system keeps for a reader, which it sends on for a while.
            while not unread or unread != held.total_outbufs_len:
                before = held.turn
                if not held.total_outbufs_len:
                    connection.sendall(asked)
                    until(lambda: held.turn != before and not held.is_at_work)  # noqa: B023 - asked at once
                unread = held.total_outbufs_len
                time.sleep(0.3 if unread else 0)
            monkeypatch.setattr(listening, "REQUEST_SECONDS", 0)
            until(lambda: not here.connections())

    def test_leave_alone_what_we_work_on(self, here, monkeypatch):
        entered, leave = threading.Event(), threading.Event()

        def slow(*arguments: object) -> object:
            entered.set()
            assert leave.wait(60)
            return FakeVerifier().verify(b"", b"")

        monkeypatch.setattr(here.app.extensions["facial_recognition"].comparer.verifier, "verify", slow, raising=False)
        parts = b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\nphoto\r\n' % name
            for name in (b"reference", b"probe")
        )
        body = parts + b"--x--\r\n"
        with here.connect() as connection:
            connection.sendall(form_head(len(body), here.agree()) + body)
            assert entered.wait(60)
            for name in ("IDLE_SECONDS", "HEAD_SECONDS", "REQUEST_SECONDS"):
                monkeypatch.setattr(listening, name, 0)
            rounds = here.listener.next_round
            until(lambda: here.listener.next_round > rounds + 10 * listening.ROUND_SECONDS)
            monkeypatch.undo()
            leave.set()
            assert answer_of(connection).status == 200


def test_requests_without_end_before_the_first_is_answered_end_the_connection(here):
    """Break: no limit, so that each holds a file open until somebody reads."""
    with here.connect() as connection:
        connection.sendall(head("/static/samples/whitson_portrait.jpg", method="GET") * 80)
        until(lambda: not here.connections())
    with here.connect() as connection:
        connection.sendall(NOTICE * 8)
        connection.recv(1)
        until(lambda: not any(one.is_at_work for one in here.connections()))
        assert here.connections()


class TestCrowds:
    """Break: a ``_make_room`` that always says that there is some."""

    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nX-Slow: ", form_head(9000)[:-4]])
    def test_of_one_address_let_the_next_one_in(self, narrow, sent):
        held = []
        try:
            for _ in range(40):
                held.append(narrow.connect())
                held[-1].sendall(sent)
            with narrow.connect() as connection:
                connection.sendall(NOTICE)
                assert answer_of(connection).status == 200
                assert len(narrow.connections()) <= narrow.listener.most_of_one
        finally:
            for connection in held:
                connection.close()

    def test_go_by_who_has_kept_us_waiting_longest_and_photos_last(self, narrow):
        token = narrow.agree()
        with narrow.connect() as sends:
            sends.sendall(form_head(2 * MEGABYTE, token) + bytes(5000))
            until(lambda: any(one.sends_photos for one in narrow.connections()))
            idle = narrow.connect()
            until(lambda: len(narrow.connections()) == 2)
            others = [narrow.connect() for _ in range(7)]
            assert is_ended(idle)
            assert any(one.sends_photos for one in narrow.connections())
            for one in (idle, *others):
                one.close()

    def test_behind_a_proxy_are_many_people(self, monkeypatch):
        monkeypatch.setattr(listening, "MOST_CONNECTIONS", 16)
        with served(create_app(UNLIMITED | {"FR_TRUSTED_PROXY": "127.0.0.1"}, FakeVerifier())) as here:
            held = [here.connect() for _ in range(12)]
            until(lambda: len(here.connections()) == 12)
            held += [here.connect() for _ in range(12)]
            with here.connect() as connection:
                connection.sendall(NOTICE)
                assert answer_of(connection).status == 200
                assert len(here.connections()) <= 16
            for one in held:
                one.close()

    @pytest.mark.parametrize("kind", [{"Content_Length": str(20 * MEGABYTE)}, {"Transfer_Encoding": "chunked"}])
    def test_of_photos_have_to_wait(self, narrow, kind):
        token = narrow.agree()
        large = head("/api/v1/verify", token, Content_Type="multipart/form-data; boundary=x", **kind)
        large += chunk(bytes(5000))
        with narrow.connect() as first, narrow.connect() as second:
            first.sendall(large)
            until(lambda: any(one.sends_photos for one in narrow.connections()))
            second.sendall(large)
            answer = answer_of(second)
            assert answer.problem == (503, "busy")
            assert int(answer.headers["Retry-After"]) >= 1
            first.close()
            until(lambda: not any(one.sends_photos for one in narrow.connections()))
        with narrow.connect() as connection:
            connection.sendall(form_head(5000, token) + bytes(5000))
            assert answer_of(connection).problem == (400, "bad_request")

    def test_of_small_photos_do_not(self, narrow):
        token, held = narrow.agree(), [narrow.connect() for _ in range(8)]
        for one in held:
            one.sendall(form_head(MEGABYTE, token) + bytes(5000))
        until(lambda: sum(one.sends_photos for one in narrow.connections()) == len(held))
        for one in held:
            one.close()

    def test_of_photos_count_for_each_address_behind_a_proxy_and_for_all(self):
        settings = UNLIMITED | {"FR_TRUSTED_PROXY": "127.0.0.1", "FR_THREADS": 5}
        with served(create_app(settings, FakeVerifier())) as here:
            token, held = here.agree(), []

            def send(address: str) -> socket.socket:
                held.append(here.connect())
                held[-1].sendall(form_head(26 * MEGABYTE, token, X_Forwarded_For=address) + bytes(5000))
                return held[-1]

            send("2001:db8::1")
            until(lambda: sum(one.sends_photos for one in here.connections()) == 1)
            assert answer_of(send("2001:db8::2")).problem == (503, "busy")
            for number in range(1, 5):
                send(f"192.0.2.{number}")
            until(lambda: sum(one.sends_photos for one in here.connections()) == 5)
            assert answer_of(send("192.0.2.5")).problem == (503, "busy")
            for one in held:
                one.close()


def test_a_connection_that_ends_leaves_its_photos_to_nobody(here):
    """Break: a request that holds its connection, and this the request."""
    gc.disable()
    try:
        connection = here.connect()
        connection.sendall(form_head(2 * MEGABYTE, here.agree()) + bytes(MEGABYTE))
        until(lambda: any(one.sends_photos for one in here.connections()))
        ((held,), buffers) = here.connections(), []
        buffers.append(weakref.ref(held.request.body_rcv.getbuf()))
        del held
        connection.close()
        until(lambda: buffers[0]() is None)
    finally:
        gc.enable()
