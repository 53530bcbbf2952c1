"""The program as people run it: a copy of the package with random weights, in a process of its own."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from weights_files import random_arrays, write_h5, write_note
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = "siamese_model_final.h5"
PATIENCE = 180  # seconds; a machine that also trains is slow


def copy_program(folder: Path) -> Path:
    """Copy the package as it lies in the checkout, put random weights beside it, return the folder."""
    shutil.copytree(ROOT / "flaskapp", folder / "flaskapp", ignore=shutil.ignore_patterns("__pycache__"))
    write_note(write_h5(folder / WEIGHTS, random_arrays()))
    return folder


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


def resident_bytes(pid: int | str = "self") -> int:
    """Return how much memory a process occupies."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of somebody who has never run the program: fresh home, no CI."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return kept | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "FR_RATE_LIMIT": "0"} | more


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server; use it in a with statement.

    Attributes:
        program: folder of the copy.
        home: the home folder it shall see.
        command: what starts it; ``python flaskapp/app.py`` if not given.
        wrapper: put before the command, for example strace.
        settings: further variables of the environment.
    """

    program: Path
    home: Path
    command: Sequence[str] = ()
    wrapper: Sequence[str] = ()
    cwd: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    token: str = ""

    def __enter__(self) -> Self:
        self.port = free_port()
        command = self.command or (sys.executable, str(self.program / "flaskapp" / "app.py"))
        self.process = subprocess.Popen(
            [*self.wrapper, *command],
            cwd=self.cwd or self.home,
            env=environment(self.home, PORT=str(self.port), **self.settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended: {self.process.stdout.read().decode()}")
            try:
                if self.ask("GET", "/healthz").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError("the server does not become ready")

    def stop(self) -> int:
        """End the server as Docker does, and return its exit code."""
        if self.process.poll() is None:
            self._end(gently=True)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._end(gently=False)
            self.process.wait()
        if not self.process.stdout.closed:
            self.output = self.process.stdout.read().decode()
            self.process.stdout.close()
        return self.process.returncode

    def _end(self, *, gently: bool) -> None:
        """End the process, and its wrapper with it."""
        if hasattr(os, "killpg"):
            os.killpg(self.process.pid, signal.SIGTERM if gently else signal.SIGKILL)
        else:
            self.process.kill()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send one request; underscores in names of headers stand for hyphens."""
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def agree(self) -> Self:
        """Give consent; further requests carry its token."""
        version = self.ask("GET", "/api/v1/notice").json["version"]
        stated = {"notice_version": version, "consent": True, "age_confirmed": True}
        answer = self.ask("POST", "/api/v1/consent", json.dumps(stated).encode(), Content_Type="application/json")
        self.token = answer.json["token"]
        return self

    def send(self, path: str, photos: Mapping[str, bytes], **fields: str) -> Answer:
        """Post photos and text fields as multipart."""
        files = {name: FileStorage(io.BytesIO(data), f"{name}.jpg") for name, data in photos.items()}
        boundary, body = encode_multipart(files | fields)
        return self.ask("POST", path, body, Content_Type=f"multipart/form-data; boundary={boundary}")

    def verify(self, reference: bytes, probe: bytes) -> Answer:
        return self.send("/api/v1/verify", {"reference": reference, "probe": probe})
