"""The server process that listens: waitress, held to deadlines, with bodies and answers kept in memory.

waitress waits as long as something trickles in, takes whole bodies before anything looks at them,
and stops listening when there are many connections. Here a request has a deadline, photos are taken
only of who has agreed, and when somebody comes for whom there is no room, whoever has kept the
server waiting longest goes. Who asks, behind a proxy too, and whether they have agreed, only the app
can tell, so it is asked by the headers alone.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import ipaddress
import logging
import math
import socket
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import MultiSocketServer, TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error, RequestEntityTooLarge

from flaskapp.errors import BusyError, RequestError, SlowRequestError
from flaskapp.web import access
from flaskapp.web.guards import REFUSED
from flaskapp.web.limits import caller_network, network_of
from flaskapp.web.problems import log_unforeseen
from flaskapp.web.settings import Settings, SettingsError
from flaskapp.web.uploads import SMALL_BODY_BYTES

if sys.platform != "win32":
    import resource

# Key of a WSGI environment, by which the app is only asked who sends a request; no header can set it.
ASKED = "flaskapp.asked"

HEAD_SECONDS = 20
IDLE_SECONDS = 30
REQUEST_SECONDS = 120  # to arrive whole, and for its answer to be read: 26 MB at 1.8 Mbit/s
ROUND_SECONDS = 1  # from one look at what is overdue to the next
PAUSE_SECONDS = 1  # in which nobody is let in after the system had no room for one more connection

# Requests that may be sent before the first is answered. Browsers send one; with hundreds, whose
# answers nobody reads, waitress would hold a file open for each and at last a thread.
MOST_IN_A_ROW = 8
MOST_HEAD_BYTES = 32 * 1024
SPARE_BODY_BYTES = 4 * 1024 * 1024  # too many, and still waited for, so that browsers see the refusal

MOST_CONNECTIONS, FEWEST_CONNECTIONS = 400, 8
FILES_A_CONNECTION = 2  # the connection itself, and a static file on its way
OTHER_FILES = 40  # that the rest of the server may have open: weights, listeners, logs, a training

log = logging.getLogger("flaskapp.web")


def _without_values(record: logging.LogRecord) -> bool:
    """Leave of a message what was written for it, and drop what a client sent, its address above all."""
    record.args = record.exc_info = None
    return True


waitress_log = logging.getLogger("flaskapp.web.waitress")
waitress_log.addFilter(_without_values)


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
        SettingsError: nobody can listen there, or the system allows too few open files.
    """
    # By itself waitress takes "::" for all addresses of IPv6 alone; its star means those of both.
    adjustments = Adjustments(host="*" if host == "::" else host, port=port, **waitress_settings(settings))
    application, threads, dispatchers = with_admission(app), ThreadedTaskDispatcher(), dict[int, Any]()
    given = {"settings": settings, "most": most_connections(), "dispatcher": threads, "adj": adjustments}
    try:
        listeners = [Listener(application, dispatchers, sockinfo=where, **given) for where in adjustments.listen]
    except OSError as error:
        for begun in list(dispatchers.values()):
            begun.close()
        raise SettingsError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            "Choose another port (serve --port, or PORT), or set HOST to an address of this computer.",
        ) from None
    threads.set_thread_count(settings.threads)
    addresses = [(listener.effective_host, listener.effective_port) for listener in listeners]
    return MultiSocketServer(dispatchers, adjustments, addresses, threads, listeners[0].log_info)


def most_connections() -> int:
    """Return how many connections there may be at a time.

    Raises:
        SettingsError: the system allows too few open files.
    """
    files = 2048 if sys.platform == "win32" else resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = OTHER_FILES + FILES_A_CONNECTION * FEWEST_CONNECTIONS
    if 0 <= files < needed:  # a limit that is none is negative, or very large
        raise SettingsError(
            f"The server needs {needed} open files at least, but the system allows only {files}.",
            "Raise the limit before you start it: ulimit -n 1024.",
        )
    return MOST_CONNECTIONS if files < 0 else min(MOST_CONNECTIONS, (files - OTHER_FILES) // FILES_A_CONNECTION)


def waitress_settings(settings: Settings) -> dict[str, Any]:
    """Return how waitress is to behave: above all, to keep bodies and answers in memory.

    What it takes stays below what it would move to a file.
    """
    largest = settings.max_body_bytes + SPARE_BODY_BYTES
    proxy: dict[str, Any] = {}
    if settings.trusted_proxy:
        proxy["trusted_proxy"] = str(ipaddress.ip_address(settings.trusted_proxy))
        proxy["trusted_proxy_headers"] = {"x-forwarded-for", "x-forwarded-proto"}
    return proxy | {
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
    }


def with_admission(app: Flask) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    """Return an app that can also be asked, by a list in the environment, where a consent comes from.

    It puts the caller's network into the list if a consent of theirs stands, and does not answer.
    """

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if ASKED not in environ:
            return app(environ, start_response)
        with app.request_context(environ):
            if access.current_consent():
                environ[ASKED].append(caller_network())
        return []

    return answer


class IncomingRequest(HTTPRequestParser):
    """A request on its way, refused by its headers if they are reason enough."""

    network: str | None = None  # whose photos are on their way; None before they are let in
    reason: RequestError | None = None  # by which error it is refused; None if the app sees that by itself
    is_refused = ends = False  # whether the app is to refuse it, without its body; whether the connection ends then
    error: Any
    body_rcv: Any

    def __init__(self, connection: Any, adj: Any) -> None:
        super().__init__(adj)
        self.connection = connection

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head; what waitress stumbles over, a broken address or an endless number, is no HTTP either."""
        try:
            super().parse_header(header_plus)
        except ValueError:
            raise ParsingError("The request cannot be understood.") from None

    def received(self, data: bytes) -> int:
        """Take what has arrived, or throw it away from the moment on from which it is refused."""
        consumed: int = super().received(data)
        most = SMALL_BODY_BYTES if self.network is None else self.connection.server.settings.max_body_bytes
        if self.error is not None:
            self.expect_continue = False
        elif max(self.content_length, self.body_bytes_received) > most and not self.connection.lets_in(self):
            # Whoever waits for a word before they send the body sends none of it after an error.
            self.ends = self.expect_continue
            consumed += self.connection.throw_away(self.refuse(), data[consumed:])
        return consumed

    @property
    def most_bytes(self) -> int:
        """How many bytes its body has at most; in chunks it may become as large as any."""
        return self.connection.server.settings.max_body_bytes if self.chunked else self.content_length

    def refuse(self) -> Any:
        """Have the app refuse it, without its body, and return what the rest of that can be thrown into."""
        self.close()
        rest, self.body_rcv = self.body_rcv, None
        rest.buf = deque(maxlen=0)  # takes bytes and keeps none
        if self.chunked:
            self.headers["CONTENT_LENGTH"] = str(self.body_bytes_received)
        self.error, self.is_refused, self.completed, self.expect_continue = Error("refused"), True, True, False
        return rest


class Connection(HTTPChannel):
    """One connection, which is waited for only so long."""

    logger = waitress_log
    request: IncomingRequest | None = None
    rest: Any = None  # what the rest of a refused body is thrown into

    def __init__(self, server: Listener, sock: socket.socket, addr: Any, *given: Any, **more: Any) -> None:
        self.turn = time.monotonic()  # the client's, to ask, to send on or to read, since then; infinite while we work
        self.network = network_of(addr[0])  # what its address is counted by
        # A circle would keep photos in memory until Python looks for circles.
        self.parser_class = functools.partial(IncomingRequest, weakref.proxy(self))
        super().__init__(server, sock, addr, *given, **more)

    @property
    def is_at_work(self) -> bool:
        """Whether the client waits for us, not we for it."""
        return bool(self.requests) or self.turn == math.inf

    @property
    def sends_photos(self) -> bool:
        """Whether photos are on their way of somebody who has agreed."""
        return self.request is not None and self.request.network is not None

    @property
    def patience(self) -> float:
        """For how many seconds it is waited for."""
        if self.request is not None:
            return REQUEST_SECONDS if self.request.headers_finished else HEAD_SECONDS
        return REQUEST_SECONDS if self.total_outbufs_len or self.rest is not None else IDLE_SECONDS

    def received(self, data: bytes) -> bool:
        """Take what has arrived; what belongs to a refused body is thrown away."""
        if self.rest is not None:
            data = data[self.throw_away(self.rest, data) :]
        if data and self.request is None:
            self.turn = time.monotonic()
        took = bool(super().received(data))
        if len(self.requests) > MOST_IN_A_ROW:
            self.end()
        return took

    def throw_away(self, rest: Any, data: bytes) -> int:
        """Throw away what belongs to a refused body, and return how many bytes that were."""
        consumed: int = rest.received(data)
        self.rest = None if rest.completed else rest
        if rest.error:
            self.end()
        return consumed

    def lets_in(self, request: IncomingRequest) -> bool:
        """Say whether a body is taken. If not, the app sees why by itself, but where there is no room."""
        if request.network is not None or request.content_length > self.server.settings.max_body_bytes:
            return False  # too large
        found: list[str] = []
        self.server.application(WSGITask(self, request).get_environment() | {ASKED: found}, lambda *_: None)
        if found and self.server.has_room_for(found[0], request.most_bytes):
            request.network = found[0]
        elif found:
            words = "Too many photos are on their way to this server."
            request.reason = BusyError(words, "Try again in a few seconds.")
        return request.network is not None

    @staticmethod
    def error_task_class(connection: Connection, request: IncomingRequest) -> Any:
        """Return what answers a request that is refused before it has arrived, or could not be read.

        The app is told how long the body is, gets nothing of it, and refuses it as it refuses those
        that arrive. Of a body beyond waitress's own limit no more is read, and the connection ends.
        """
        if isinstance(request.error, RequestEntityTooLarge):
            request.refuse()
            request.ends = True
        elif not request.is_refused:
            return ErrorTask(connection, request)
        task = WSGITask(connection, request)
        task.get_environment()[REFUSED] = request.reason
        if request.ends:
            task.set_close_on_finish()
        return task

    def service(self) -> None:
        """Answer one request; only then it is the client's turn again."""
        self.turn = math.inf
        try:
            super().service()
        finally:
            self.turn = time.monotonic()

    def end_if_overdue(self, now: float) -> None:
        """Wait no longer for a client that has had its time; one whose photos were on their way is told."""
        if self.requests or now - self.turn <= self.patience:
            return
        if self.request is None or not self.request.headers_finished:
            self.end()
            return
        hint = "Try again over a faster connection, or with smaller photos."
        with self.requests_lock:
            self.request.refuse()
            self.request.reason = SlowRequestError("The request took too long to arrive.", hint)
            self.request.ends = True
            self.requests.append(self.request)
            self.request = None
            self.server.add_task(self)

    def end(self) -> None:
        """End it even if nobody reads: what is shut down wakes the loop up, which then closes it."""
        self.will_close = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def handle_error(self) -> None:
        """Log what went wrong, but neither what was sent nor by whom, as waitress does."""
        log_unforeseen(sys.exc_info(), "a connection")
        self.handle_close()


class Listener(TcpWSGIServer):
    """Listens on one address, and makes room for whoever comes; there may be ``most`` connections at a time.

    One address may have a quarter of all connections, and of the bytes that photos on their way may have
    together; behind a trusted proxy, whose connections are those of many people, of the bytes alone.
    """

    logger = waitress_log
    channel_class = Connection

    def __init__(self, *given: Any, settings: Settings, most: int, **more: Any) -> None:
        self.settings, self.most, self.most_of_one = settings, most, max(most // 4, FEWEST_CONNECTIONS)
        self.next_round = self.closed_until = 0.0
        super().__init__(*given, **more)

    def connections(self) -> list[Connection]:
        """Return all connections, those of other addresses that are listened on too."""
        return [one for one in self._map.values() if isinstance(one, Connection) and not one.will_close]

    def has_room_for(self, network: str, size: int) -> bool:
        """Say whether more photos fit beside those on their way, of all and of one network."""
        coming = [one.request for one in self.connections() if one.request and one.request.network]
        of_all = sum(request.most_bytes for request in coming)
        of_one = sum(request.most_bytes for request in coming if request.network == network)
        most = self.settings.threads * self.settings.max_body_bytes
        return of_all + size <= most and of_one + size <= most // 4

    def readable(self) -> bool:
        """Say whether somebody may come in, and once in a while end what is overdue."""
        now = time.monotonic()
        if now >= self.next_round:
            self.next_round = now + ROUND_SECONDS
            for connection in list(self.active_channels.values()):
                connection.end_if_overdue(now)
        return bool(super().readable()) and now >= self.closed_until

    def maintenance(self, now: float) -> None:
        """Leave out waitress's own, which goes by the time of day."""

    def accept(self) -> tuple[socket.socket, Any] | None:
        """Let somebody in, if need be in the place of whoever has kept us waiting longest."""
        try:
            accepted: tuple[socket.socket, Any] | None = super().accept()
        except OSError as error:
            # Asked at once again, the system would say the same, thousands of times a second.
            self.closed_until = time.monotonic() + PAUSE_SECONDS
            log.warning("no room for one more connection: %s", error.strerror)
            _end_longest_waiting(self.connections())
            return None
        if accepted is not None and not self._make_room(network_of(accepted[1][0])):
            accepted[0].close()
            return None
        return accepted

    def _make_room(self, network: str) -> bool:
        everyone = self.connections()
        same = [one for one in everyone if one.network == network]
        if len(same) >= self.most_of_one and network != network_of(self.settings.trusted_proxy):
            return _end_longest_waiting(same)
        return len(everyone) < self.most or _end_longest_waiting(everyone)

    def handle_error(self) -> None:
        """Log what went wrong with somebody who comes, and go on listening for others."""
        log_unforeseen(sys.exc_info(), "a new connection")
        self.closed_until = time.monotonic() + PAUSE_SECONDS


def _end_longest_waiting(connections: Iterable[Connection]) -> bool:
    """End the connection that has kept us waiting longest, and say whether there was any; photos go last."""
    waiting = [one for one in connections if not one.is_at_work]
    if waiting:
        min(waiting, key=lambda one: (one.sends_photos, one.turn)).end()
    return bool(waiting)
