"""What clients that hold back cost everybody else: how long another waits for its answer, and memory.

Run it with ``python -m benchmarks.slow_clients``; it starts a server of its own on this machine,
talks to nobody else, and takes a few minutes at most. Beside it stands what one comparison of two
photos of 12 megapixels takes in the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

import flaskapp

PORTRAITS = Path(__file__).resolve().parent.parent / "tests" / "portraits"
PHOTO_SIZE_WH = (4000, 3000)
MEGABYTE = 1024 * 1024

MOST_CONNECTIONS = 200
MOST_SECONDS = 150
"""Bounds of a run, whatever it is asked for."""

BODY_BYTES = 26 * MEGABYTE
BODIES = 12
BOUNDARY = "slow"


@dataclass(frozen=True)
class Server:
    """A server that runs: its port, its process, and the token of a consent."""

    port: int
    pid: int
    token: str = ""

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=MOST_SECONDS)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=MOST_SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def seconds_to_answer(self) -> float | None:
        """Return how long somebody else waits for an answer; None if it does not come in time."""
        started = time.perf_counter()
        while time.perf_counter() - started < MOST_SECONDS:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask("GET", "/api/v1/notice")[0] == 200:
                    return time.perf_counter() - started
            time.sleep(0.05)
        return None

    def resident_mb(self, line: str = "VmRSS") -> float:
        """Return how much memory the server occupies, or has ever (VmHWM); 0 where /proc does not tell."""
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
            return int(text.split(f"{line}:")[1].split()[0]) / 1024
        return 0.0


@contextlib.contextmanager
def running_server(folder: str) -> Iterator[Server]:
    """Start the server as people do, on a free port, and stop it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"PORT": str(port), "FR_RATE_LIMIT": "0", "PYTHONPATH": str(Path(flaskapp.__file__).parent.parent)}
    command = [sys.executable, "-m", "flaskapp.app"]
    with subprocess.Popen(command, cwd=folder, env=os.environ | settings, stdout=subprocess.DEVNULL) as process:
        try:
            server = Server(port, process.pid)
            wait_until_ready(server, process)
            yield server
        finally:
            process.terminate()


def wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError):
            if server.ask("GET", "/healthz")[0] == 200:
                return
        time.sleep(0.2)
    raise SystemExit("The server ended.")


def agree(server: Server) -> str:
    """Give consent, and return its token."""
    version = json.loads(server.ask("GET", "/api/v1/notice")[1])["version"]
    stated = json.dumps({"notice_version": version, "consent": True, "age_confirmed": True})
    answer = server.ask("POST", "/api/v1/consent", stated.encode(), Content_Type="application/json")
    return str(json.loads(answer[1])["token"])


def head(token: str, length: int) -> bytes:
    return (
        f"POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


Attack = Callable[[Server, socket.socket], None]


def say_nothing(_: Server, __: socket.socket) -> None:
    """Stay idle, as a browser does that may ask again."""


def never_end_the_head(_: Server, connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


def begin_a_body(server: Server, connection: socket.socket) -> None:
    connection.sendall(head(server.token, 1000) + b"-")


def hold_back_one_byte(server: Server, connection: socket.socket) -> None:
    connection.sendall(head(server.token, BODY_BYTES))
    block = bytes(MEGABYTE)
    for _ in range(BODY_BYTES // MEGABYTE - 1):
        connection.sendall(block)
    connection.sendall(block[1:])


@contextlib.contextmanager
def under_attack(server: Server, attack: Attack, count: int, *, trickle: bool) -> Iterator[None]:
    """Open connections that hold back, and close them afterwards; some may go on by a byte a second."""
    held: list[socket.socket] = []
    stopped = threading.Event()

    def drip() -> None:
        while not stopped.wait(1):
            for connection in held:
                with contextlib.suppress(OSError):
                    connection.send(b"-")

    dripping = threading.Thread(target=drip, daemon=True)
    try:
        for _ in range(min(count, MOST_CONNECTIONS)):
            # A server that refuses some of them ends those; that is what is measured.
            with contextlib.suppress(OSError):
                connection = server.connect()
                connection.settimeout(5)
                held.append(connection)
                attack(server, connection)
        if trickle:
            dripping.start()
        time.sleep(1)
        yield
    finally:
        stopped.set()
        for connection in held:
            connection.close()


def measure(server: Server, attack: Attack, count: int, *, trickle: bool = False) -> dict[str, float | None]:
    """Return how long another client waits under an attack, and by how much the server grows."""
    before = server.resident_mb()
    with under_attack(server, attack, count, trickle=trickle):
        grown = server.resident_mb() - before
        return {"connections": count, "another_waits_s": server.seconds_to_answer(), "grown_mb": grown}


def large_photo(name: str) -> bytes:
    """Return a portrait as a JPEG of 12 megapixels, its face large in the middle."""
    canvas, buffer = Image.new("RGB", PHOTO_SIZE_WH, (127, 127, 127)), io.BytesIO()
    with Image.open(PORTRAITS / name) as image:
        width = round(image.width * PHOTO_SIZE_WH[1] / image.height)
        canvas.paste(image.resize((width, PHOTO_SIZE_WH[1])), ((canvas.width - width) // 2, 0))
    canvas.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def compare(server: Server, reference: bytes, probe: bytes) -> float:
    """Compare two photos, and return how many seconds that took."""
    parts = b""
    for field, photo in (("reference", reference), ("probe", probe)):
        parts += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="a.jpg"\r\n\r\n'.encode()
        parts += photo + b"\r\n"
    body, kind = parts + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"
    started = time.perf_counter()
    status, _ = server.ask("POST", "/api/v1/verify", body, Content_Type=kind, Authorization=f"Bearer {server.token}")
    if status != 200:
        raise SystemExit(f"A plain comparison was answered with {status}.")
    return time.perf_counter() - started


def measure_comparison(server: Server, repeats: int = 3) -> dict[str, float]:
    """Return what a plain comparison of two photos of 12 megapixels takes, memory at its most."""
    photos, before = [large_photo(name) for name in ("grace_hopper.jpg", "eileen_collins.jpg")], server.resident_mb()
    taken = [compare(server, *photos) for _ in range(repeats)]
    return {"median_s": statistics.median(taken), "grown_mb": server.resident_mb("VmHWM") - before}


ATTACKS: dict[str, tuple[Attack, bool, bool]] = {
    # name: what each connection does, whether with consent, whether it goes on by a byte a second
    "idle connections": (say_nothing, False, False),
    "heads that do not end": (never_end_the_head, False, False),
    "bodies without consent, a byte a second": (begin_a_body, False, True),
    "bodies with consent, a byte a second": (begin_a_body, True, True),
    "26 MB without consent, one byte held back": (hold_back_one_byte, False, False),
    "26 MB with consent, one byte held back": (hold_back_one_byte, True, False),
}


def measure_all(count: int, only: str = "") -> dict[str, Any]:
    """Run every attack, each on a server of its own, those with large bodies with a few connections."""
    figures: dict[str, Any] = {}
    for name, (attack, agreed, trickle) in ATTACKS.items():
        if only in name:
            connections = BODIES if attack is hold_back_one_byte else count
            with tempfile.TemporaryDirectory() as folder, running_server(folder) as server:
                attacked = Server(server.port, server.pid, agree(server)) if agreed else server
                figures[name] = measure(attacked, attack, connections, trickle=trickle)
    with tempfile.TemporaryDirectory() as folder, running_server(folder) as server:
        person = Server(server.port, server.pid, agree(server))
        figures["no attack"] = {"connections": 0, "another_waits_s": person.seconds_to_answer(), "grown_mb": 0.0}
        figures["two photos of 12 megapixels"] = measure_comparison(person)
    return figures


def report(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    for name, row in figures.items():
        if "median_s" in row:
            print(f"{name:<46}       {row['median_s']:8.2f} s to compare, {row['grown_mb']:6.0f} MB more")
            continue
        waits = row["another_waits_s"]
        words = f"another waits {waits:8.3f} s" if waits is not None else f"nobody is answered in {MOST_SECONDS} s"
        print(f"{name:<46} × {row['connections']:<4} {words}, {row['grown_mb']:6.0f} MB more")


def main() -> None:
    """Measure, print a table, and write JSON if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow_clients", description=__doc__)
    parser.add_argument("--connections", type=int, default=100, help=f"of each kind, {MOST_CONNECTIONS} at most")
    parser.add_argument("--only", default="", help="attacks with these words in their names")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures = measure_all(min(options.connections, MOST_CONNECTIONS), options.only)
    report(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
