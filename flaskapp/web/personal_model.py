"""The personal model of this server: trained in a process of its own, taken into use, forgotten; one at a time."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from flaskapp import personal
from flaskapp.errors import (
    PACKAGES,
    ConsentRequiredError,
    FacialRecognitionError,
    MissingExtraError,
    NoModelError,
    NotRemovedError,
    TooFewPhotosError,
    TrainingError,
    WeightsError,
    how_to_install,
)
from flaskapp.personal.folder import MAKE_ROOM, UnwritableError
from flaskapp.personal.split import FEWEST_PHOTOS
from flaskapp.verifier import Verifier, default_verifier
from flaskapp.web.comparing import Comparer
from flaskapp.web.consent import ConsentBook
from flaskapp.web.settings import Settings

DEFAULT_PLACE = "my_model"
MOST_PHOTOS = 40

COMMAND = (sys.executable, "-P", "-m", "flaskapp.personal.worker")
NEEDED = ("tensorflow", "keras", "matplotlib")

ENDED = {
    "code": "training_failed",
    "detail": "The training ended before it was done.",
    "hint": "Nothing of it was kept. Try again; perhaps the machine ran out of memory or of room on its disk.",
}


def verifier_of(model: Path) -> Verifier:
    """Load a personal model, or other weights.

    Raises:
        WeightsError: they are missing or damaged.
    """
    runtime, owner = personal.load_model(model)
    return Verifier(runtime, owner=owner)


def missing_extra() -> MissingExtraError | None:
    """Return what keeps this server from training, the libraries for it, or None; none of them is loaded here."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return MissingExtraError(
        f"Training needs {missing[0]}, which is not installed.",
        f"Stop the server, run {how_to_install('train')} (2 GB), and start it again.",
    )


@dataclass(eq=False)
class Training:
    """One training under way, or how it ended; its state changes under the lock of its ``PersonalModel`` alone."""

    consent: str  # key of the consent that it was started with
    process: subprocess.Popen[bytes]  # what trains
    state: str = "running"  # running, done, failed or cancelled
    share: float = 0.0  # how much of the training is gone at most, 0 to 1
    words: str = "Starting."  # what it is doing
    doubted: list[int] = field(default_factory=list)  # numbers of the faces, from 1, that look like somebody else
    problem: dict[str, str] | None = None  # why it failed: code, detail, hint
    result: dict[str, Any] | None = None  # the figures, when it is done

    def stop(self) -> None:
        """End its process: nothing is written any more."""
        self.process.kill()
        self.process.wait()

    def to_json(self) -> dict[str, Any]:
        """Return how it goes, in JSON's types."""
        return {name: getattr(self, name) for name in ("state", "share", "words", "doubted", "problem", "result")}


class PersonalModel:
    """What there is to do with the one personal model of a server: the one that was asked for, or is trained here.

    The comparer is given the model to compare with.
    """

    def __init__(self, settings: Settings, comparer: Comparer, consents: ConsentBook) -> None:
        self.in_use = bool(settings.model) and comparer.verifier.known_photos > 0  # whether the comparer has it
        self.place = Path(settings.model if self.in_use else DEFAULT_PLACE).absolute()
        self._comparer, self._consents, self._minutes = comparer, consents, settings.own_minutes
        self._other = None if self.in_use else comparer.verifier
        self.command: Sequence[str] = COMMAND  # reads the order and the faces, and answers by lines of JSON
        self.training: Training | None = None  # the one under way, or the last one
        self._stamp = personal.stamp(self.place)
        self._lock = threading.RLock()
        self._deadline = threading.Timer(0, lambda: None)

    @property
    def stands(self) -> bool:
        """Whether there is a personal model."""
        return personal.is_personal(personal.standing(self.place))

    def obstacle(self) -> FacialRecognitionError | None:
        """Return what keeps this server from training, or None: better said before photos are chosen than after."""
        if os.access(self.place.parent, os.W_OK):
            return missing_extra()
        return UnwritableError(f"{self.place.name} cannot be written: its folder allows no writing.", MAKE_ROOM)

    def _training_of(self, consent: str) -> Training | None:
        training = self.training
        return training if training and training.consent == consent else None

    def train(self, faces: Sequence[np.ndarray], consent: str) -> Training:
        """Start a training; what compares goes on comparing until the new model has taken its place.

        It ends with the consent that it was started with: nobody could withdraw that afterwards.

        Args:
            faces: uint8 (100, 100, 3) each.
            consent: key of the consent that it is started with.

        Raises:
            ConsentRequiredError: the consent has ended meanwhile.
            FacialRecognitionError: there is an obstacle.
            TooFewPhotosError: there are fewer than it takes.
            TrainingError: one is under way.
        """
        if obstacle := self.obstacle():
            raise obstacle
        if len(faces) < FEWEST_PHOTOS:
            raise TooFewPhotosError(
                f"Training needs at least {FEWEST_PHOTOS} photos of you. Received: {len(faces)}.",
                f"Add {FEWEST_PHOTOS - len(faces)} more, taken at other times; 15 photos are better.",
            )
        with self._lock, self._consents.held(consent) as standing:
            if standing is None:
                words = "Your consent has ended, so the training was not started."
                raise ConsentRequiredError(words, "Agree again to train.")
            if self.training and self.training.state == "running":
                hint = "Wait for it to end, or cancel it."
                raise TrainingError("A training is already running on this server.", hint)
            packages = os.pathsep.join(filter(None, (str(PACKAGES), os.environ.get("PYTHONPATH"))))
            process = subprocess.Popen(  # noqa: S603 - a command of our own
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": packages},
            )
            self.training = training = Training(consent, process)
            order = {"out": str(self.place), "minutes": self._minutes, "photos": len(faces)}
            content = json.dumps(order).encode() + b"\n" + np.stack(faces).tobytes()
            threading.Thread(target=self._follow, args=(training, content), name="training", daemon=True).start()
            self._deadline.cancel()
            seconds = min(self._consents.seconds_left(standing), threading.TIMEOUT_MAX)
            self._deadline = threading.Timer(seconds, self.cancel, (consent,))
            self._deadline.daemon = True
            self._deadline.start()
            return training

    def _follow(self, training: Training, content: bytes) -> None:
        stdin, stdout = cast("IO[bytes]", training.process.stdin), cast("IO[bytes]", training.process.stdout)
        try:
            # Closing tells once more of a reader that ended before it had read everything.
            with contextlib.suppress(OSError, ValueError), stdout, stdin:
                stdin.write(content)
                stdin.flush()
                del content
                for line in stdout:
                    answer = json.loads(line)
                    training.share = answer.get("share", training.share)
                    training.words = answer.get("words", training.words)
                    training.doubted = answer.get("doubted", training.doubted)
                    if "problem" in answer:
                        self._end(training, "failed", answer["problem"])
                    if "result" in answer and training.state == "running":
                        self._take_over(training, answer["result"])
        finally:
            training.stop()
            self._end(training, "failed", ENDED)

    def _take_over(self, training: Training, result: dict[str, Any]) -> None:
        """Put a training's model into its place and compare with it, if it loads and nothing has ended meanwhile.

        A consent that ends at this moment waits: it ends before the model has its place, or after. Where
        another process has forgotten the person meanwhile, the training's own folder is gone.
        """
        try:
            made = verifier_of(personal.new_folder(self.place))
            with self._lock, self._consents.held(training.consent) as standing:
                if training.state != "running":
                    return
                if standing is None or not personal.work_folder(self.place).is_dir():
                    self._end(training, "cancelled")
                    return
                personal.install(self.place)
                self._comparer.verifier, self.in_use, self._stamp = made, True, personal.stamp(self.place)
                training.result, training.state = result, "done"
        except FacialRecognitionError as error:
            self._end(training, "failed", error.to_json())
        except OSError as error:
            detail = f"The model cannot take its place: {error.strerror}."
            self._end(training, "failed", ENDED | {"detail": detail})

    def _end(self, training: Training, state: str, problem: dict[str, str] | None = None) -> None:
        """End a training that comes to nothing, and remove what it has written; one that has ended stays so."""
        with self._lock:
            if training.state == "running":
                unfinished = personal.work_folder(self.place), personal.new_folder(self.place)
                for folder in personal.traces(self.place):
                    if folder in unfinished:
                        with contextlib.suppress(OSError):
                            personal.remove(folder)
                training.problem, training.state = problem, state

    def cancel(self, consent: str) -> None:
        """End the training that was started with a consent, and remove what it left; none is no error."""
        with self._lock:
            training = self._training_of(consent)
            if training:
                training.stop()
                self._end(training, "cancelled")

    def use(self, own: bool) -> None:
        """Compare with the personal model, or without it.

        Raises:
            NoModelError: there is no personal model.
            WeightsError: the one asked for cannot be used.
        """
        if own and not self.stands:
            raise NoModelError("There is no personal model on this server.", "Train one.")
        with self._lock:
            stamp = personal.stamp(self.place)  # before it is read: what comes later is noticed
            self._comparer.verifier = verifier_of(self.place) if own else self._other or default_verifier()
            self.in_use, self._stamp = own, stamp

    def keep_up(self) -> None:
        """Notice that another process has forgotten the model in use, or replaced it, and do as that one does.

        One that cannot be used is taken for forgotten.

        Raises:
            WeightsError: the shipped weights cannot be used.
        """
        if not self._is_outdated():
            return
        with self._lock:
            if self._is_outdated():  # nobody else has seen to it
                try:
                    self.use(own=True)
                except FacialRecognitionError:
                    self.use(own=False)

    def _is_outdated(self) -> bool:
        return self.in_use and self._stamp != personal.stamp(self.place)

    def forget(self) -> list[str]:
        """Remove every trace of the personal model and its owner, and compare without it.

        Returns:
            What was removed, by names from the model's folder on; empty if there was nothing.

        Raises:
            NotRemovedError: the folder is something else, or cannot be removed.
            WeightsError: the shipped weights cannot be used.
        """
        with self._lock:
            training, self.training = self.training, None
            if training:
                training.stop()
            if self.in_use:
                self.use(own=False)
            try:
                removed = personal.forget(self.place) if personal.traces(self.place) else []
                return [path.relative_to(self.place.parent).as_posix() for path in removed]
            except WeightsError as error:
                hint = "Whoever runs this server can start it with the folder that train wrote: serve --model."
                raise NotRemovedError(error.message, hint) from None
            except OSError as error:
                raise NotRemovedError(
                    f"{self.place.name} could not be removed completely: {error.strerror}.",
                    "Whoever runs this server can remove it: facial-recognition forget.",
                ) from None
            finally:
                if training:
                    self._end(training, "cancelled")

    def to_json(self, consent: str) -> dict[str, Any]:
        """Return what there is, as it may be told to whoever holds a consent."""
        training, obstacle = self._training_of(consent), self.obstacle()
        return {
            "model": self.place.name,
            "exists": self.stands,
            "in_use": self.in_use,
            "comparing_with": self._comparer.verifier.weights.weights_id,
            "fewest_photos": FEWEST_PHOTOS,
            "obstacle": obstacle and obstacle.to_json(),
            "training": training and training.to_json(),
        }
