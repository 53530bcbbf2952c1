"""A training that runs in a process of its own, followed by its answers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.errors import FacialRecognitionError, MissingExtraError

__all__ = ["COMMAND", "Training", "check_extra", "missing_extra", "problem_of"]

COMMAND = (sys.executable, "-P", "-m", "flaskapp.training.piped")
PACKAGES = Path(__file__).resolve().parent.parent.parent
NEEDED = ("tensorflow", "keras", "matplotlib")
ENDED = {
    "code": "training_failed",
    "detail": "The training ended before it was done.",
    "hint": "Try again: it goes on where it was. Perhaps the machine ran out of memory or of room on its disk.",
}


def check_extra() -> None:
    """Refuse where the libraries that train are not installed; none of them is loaded here.

    Raises:
        MissingExtraError: one of them is absent.
    """
    error = missing_extra()
    if error:
        raise error


def missing_extra() -> MissingExtraError | None:
    """Say what keeps this server from training, or None."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return MissingExtraError(
        f"Training needs {missing[0]}, which is not installed.",
        f"Stop the server, {_how_to_install()}, and start it again.",
    )


def _how_to_install() -> str:
    if (PACKAGES / "pyproject.toml").exists():
        environment = Path(sys.prefix)
        python = Path(environment.name, "Scripts" if os.name == "nt" else "bin", "python")
        pip = f"{python} -m pip" if environment.parent == PACKAGES else "pip"
        return f'run {pip} install -e ".[train]" in the folder of this program (2 GB)'
    return 'run pip install "facial-recognition[train]" in its environment (2 GB)'


def problem_of(error: FacialRecognitionError) -> dict[str, str]:
    """Return an error as part of an answer."""
    return {"code": error.code, "detail": error.message, "hint": error.hint}


class Training:
    """One training under way, or how it ended.

    Args:
        faces: uint8 (N, 100, 100, 3).
        out: the model's folder.
        minutes: at most.
        consent: key of the consent that it was started with.
        installed: is called when the model has taken its place, before the training counts as done.
        command: what trains.

    Attributes:
        state: running, done, failed or cancelled.
        share: how much of the training is gone at most, 0 to 1.
        words: what it is doing.
        doubted: numbers of the faces, from 1, that look like somebody else than most of them do.
        problem: why it failed: code, detail, hint.
        result: the figures, when it is done.
    """

    def __init__(
        self,
        faces: np.ndarray,
        out: Path,
        minutes: float,
        consent: str,
        installed: Callable[[], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.consent, self._installed = consent, installed
        self.state, self.share, self.words = "running", 0.0, "Starting."
        self.doubted: list[int] = []
        self.problem: dict[str, str] | None = None
        self.result: dict[str, Any] | None = None
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - a command of our own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, _paths()))},
        )
        order = {"out": str(out), "minutes": minutes, "photos": len(faces)}
        content = json.dumps(order).encode() + b"\n" + faces.tobytes()
        self._thread = threading.Thread(target=self._follow, args=(content,), name="training", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it still is."""
        return self.state == "running"

    def cancel(self) -> None:
        """End it, and wait until it has ended; what is done already stays done."""
        with self._lock:
            if self.state == "running":
                self.state = "cancelled"
        self._process.kill()
        self._thread.join()

    def to_json(self) -> dict[str, Any]:
        """Return how it goes, in JSON's types."""
        return {
            "state": self.state,
            "share": self.share,
            "words": self.words,
            "doubted": self.doubted,
            "problem": self.problem,
            "result": self.result,
        }

    def _follow(self, content: bytes) -> None:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None  # noqa: S101 - both were asked for
        assert stdout is not None  # noqa: S101
        # Closing tells once more of a reader that ended before it had read everything.
        with contextlib.suppress(OSError, ValueError), stdout, stdin:
            stdin.write(content)
            stdin.flush()
            del content
            for line in stdout:
                self._take(json.loads(line))
        self._process.kill()
        self._process.wait()
        self._end("failed", problem=ENDED)

    def _take(self, answer: dict[str, Any]) -> None:
        self.share = answer.get("share", self.share)
        self.words = answer.get("words", self.words)
        self.doubted = answer.get("doubted", self.doubted)
        if "problem" in answer:
            self._end("failed", problem=answer["problem"])
        if "result" in answer and self.is_running:
            self._finish(answer["result"])

    def _finish(self, result: dict[str, Any]) -> None:
        try:
            self._installed()
        except FacialRecognitionError as error:
            self._end("failed", problem=problem_of(error))
        else:
            self._end("done", result=result)

    def _end(self, state: str, problem: dict[str, str] | None = None, result: dict[str, Any] | None = None) -> None:
        with self._lock:
            if self.state == "running":
                self.problem, self.result, self.state = problem, result, state


def _paths() -> tuple[str, str]:
    return str(PACKAGES), os.environ.get("PYTHONPATH", "")
