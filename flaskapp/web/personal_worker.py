"""A training that runs in a process of its own, followed by its answers."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flaskapp.errors import FacialRecognitionError, MissingExtraError

if TYPE_CHECKING:
    from flaskapp.web.personal_model import PersonalModel

COMMAND = (sys.executable, "-P", "-m", "flaskapp.personal.worker")
PACKAGES = Path(__file__).resolve().parent.parent.parent
NEEDED = ("tensorflow", "keras", "matplotlib")
ENDED = {
    "code": "training_failed",
    "detail": "The training ended before it was done.",
    "hint": "Nothing of it was kept. Try again; perhaps the machine ran out of memory or of room on its disk.",
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


class Training:
    """One training under way, or how it ended.

    Its state changes under its keeper's lock alone, so that whoever cancels it comes either before the
    model has taken its place, and then nothing of it is left, or after.

    Args:
        faces: uint8 (N, 100, 100, 3).
        consent: key of the consent that it was started with.
        keeper: says where, how long and by what command; takes the model over, or clears away what there is of it.

    Attributes:
        state: running, done, failed or cancelled.
        share: how much of the training is gone at most, 0 to 1.
        words: what it is doing.
        doubted: numbers of the faces, from 1, that look like somebody else than most of them do.
        problem: why it failed: code, detail, hint.
        result: the figures, when it is done.
    """

    def __init__(self, faces: np.ndarray, consent: str, keeper: PersonalModel) -> None:
        self.consent, self._keeper = consent, keeper
        self.state, self.share, self.words = "running", 0.0, "Starting."
        self.doubted: list[int] = []
        self.problem: dict[str, str] | None = None
        self.result: dict[str, Any] | None = None
        self._process = subprocess.Popen(  # noqa: S603 - a command of our own
            keeper.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, _paths()))},
        )
        order = {"out": str(keeper.place), "minutes": keeper.minutes, "photos": len(faces)}
        content = json.dumps(order).encode() + b"\n" + faces.tobytes()
        self._thread = threading.Thread(target=self._follow, args=(content,), name="training", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether it still is."""
        return self.state == "running"

    def cancel(self) -> None:
        """End it, and remove what it has written; what is done already stays done."""
        with self._keeper.lock:
            self.stop()
            self._end("cancelled")

    def stop(self) -> None:
        """End its process: nothing is written any more."""
        self._process.kill()
        self._process.wait()

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
        try:
            # Closing tells once more of a reader that ended before it had read everything.
            with contextlib.suppress(OSError, ValueError), stdout, stdin:
                stdin.write(content)
                stdin.flush()
                del content
                for line in stdout:
                    self._take(json.loads(line))
        finally:
            self.stop()
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
            made = self._keeper.load_new()
            with self._keeper.lock:
                if self.is_running:
                    kept = self._keeper.keep(made, self.consent)
                    self._end("done" if kept else "cancelled", result=result if kept else None)
        except FacialRecognitionError as error:
            self._end("failed", problem=error.to_json())
        except OSError as error:
            self._end("failed", problem=ENDED | {"detail": f"The model cannot take its place: {error.strerror}."})

    def _end(self, state: str, problem: dict[str, str] | None = None, result: dict[str, Any] | None = None) -> None:
        with self._keeper.lock:
            if self.is_running:
                if state != "done":
                    self._keeper.clear_away()
                self.problem, self.result, self.state = problem, result, state


def _paths() -> tuple[str, str]:
    return str(PACKAGES), os.environ.get("PYTHONPATH", "")
