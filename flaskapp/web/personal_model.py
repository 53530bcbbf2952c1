"""The personal model of this server: trained, taken into use, forgotten; one at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp import personal, preprocess
from flaskapp.errors import (
    ConsentRequiredError,
    FacialRecognitionError,
    NoModelError,
    NotRemovedError,
    TooFewPhotosError,
    TrainingError,
    WeightsError,
)
from flaskapp.personal.capture import Guide, Look, look_at
from flaskapp.personal.split import FEWEST_PHOTOS
from flaskapp.verifier import Verifier
from flaskapp.web.comparing import Comparer, Comparison
from flaskapp.web.consent import ConsentBook
from flaskapp.web.personal_worker import COMMAND, Training, check_extra, missing_extra

DEFAULT_PLACE = "my_model"
MOST_PHOTOS = 40

_NAME_ITS_FOLDER = "Whoever runs this server can start it with the folder that train wrote: serve --model."
_REMOVE_IT_THERE = "Whoever runs this server can remove it: facial-recognition forget."

ROOM_FOR_ALL = 1000
"""So many photos that a capture which ends with them refuses none for want of room."""


def verifier_of(model: Path) -> Verifier:
    """Load a personal model, or other weights.

    Raises:
        WeightsError: they are missing or damaged.
    """
    runtime, owner = personal.load_model(model)
    return Verifier(runtime, owner=owner)


@dataclass(frozen=True, eq=False)
class Looked:
    """One photo of oneself, judged beside those that there are.

    Attributes:
        face: uint8 (100, 100, 3), cut out and aligned: all that a training needs of the photo.
        look: how the face stands in the photo.
        kept: whether a guided capture keeps it.
        counts: whether it is one more photo to train on; the capture keeps room for other kinds.
        words: why not, or what to do next.
        missing: what is still missing, in words.
        finished: whether a capture can end.
    """

    face: np.ndarray
    look: Look
    kept: bool
    counts: bool
    words: str
    missing: tuple[str, ...]
    finished: bool

    def to_json(self) -> dict[str, Any]:
        """Return everything but the face."""
        return {
            "kept": self.kept,
            "counts": self.counts,
            "words": self.words,
            "look": asdict(self.look),
            "missing": list(self.missing),
            "finished": self.finished,
        }


def look_at_photo(photo: bytes, looks: Sequence[Look]) -> Looked:
    """Cut the face out of one photo of oneself, and judge it.

    Args:
        photo: bytes of a photo, or of a camera's frame.
        looks: of the photos that there are already; the server remembers none.

    Raises:
        PhotoError: it cannot be used: it shows nobody, or several people.
    """
    decoded = preprocess.decode_photo(photo)
    face = preprocess.select_face(preprocess.find_faces(decoded))
    crop = preprocess.crop_face(decoded, face.landmarks)
    look = look_at(face, crop, decoded.size_wh[1])
    guide = Guide(looks=list(looks))
    glance = guide.judge(look)
    counts = glance.kept or Guide(photos=ROOM_FOR_ALL, looks=list(looks)).judge(look).kept
    return Looked(crop, look, glance.kept, counts, glance.words, tuple(guide.missing()), guide.finished)


class PersonalModel:
    """What there is to do with the one personal model of a server.

    Args:
        place: its folder.
        comparer: what compares; it is given the model to compare with.
        consents: who has agreed.
        in_use: whether it does so already.
        without: makes what compares when the personal model does not.
        minutes: that a training may take.
        command: what trains.
    """

    def __init__(
        self,
        place: Path,
        comparer: Comparer,
        consents: ConsentBook,
        in_use: bool,
        without: Callable[[], Comparison],
        minutes: float,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self.place, self.in_use = place.absolute(), in_use
        self._comparer, self._consents, self._without = comparer, consents, without
        self.command, self.minutes = command, minutes
        self._training: Training | None = None
        self._stamp = personal.stamp(self.place)
        self.lock = threading.RLock()
        self._end = threading.Timer(0, lambda: None)

    @property
    def stands(self) -> bool:
        """Whether there is a personal model."""
        return personal.is_personal(personal.standing(self.place))

    def training_of(self, consent: str) -> Training | None:
        """Return the training that was started with a consent, if there is one."""
        training = self._training
        return training if training and training.consent == consent else None

    def train(self, faces: Sequence[np.ndarray], consent: str) -> Training:
        """Start a training; what compares goes on comparing until the new model has taken its place.

        It ends with the consent that it was started with: nobody could withdraw that afterwards.

        Args:
            faces: uint8 (100, 100, 3) each.
            consent: key of the consent that it is started with.

        Raises:
            ConsentRequiredError: the consent has ended meanwhile.
            MissingExtraError: the libraries that train are not installed.
            TooFewPhotosError: there are fewer than it takes.
            TrainingError: one is under way.
        """
        check_extra()
        if len(faces) < FEWEST_PHOTOS:
            missing = FEWEST_PHOTOS - len(faces)
            raise TooFewPhotosError(
                f"Training needs at least {FEWEST_PHOTOS} photos of you. Received: {len(faces)}.",
                f"Add {missing} more, taken at other times; 15 photos are better.",
            )
        with self.lock, self._consents.held(consent) as standing:
            if standing is None:
                raise ConsentRequiredError(
                    "Your consent has ended, so the training was not started.", "Agree again to train."
                )
            if self._training and self._training.is_running:
                raise TrainingError(
                    "A training is already running on this server.", "Wait for it to end, or cancel it."
                )
            self._training = Training(np.stack(faces), consent, self)
            self._end_after(self._consents.seconds_left(standing), consent)
            return self._training

    def _end_after(self, seconds: float, consent: str) -> None:
        self._end.cancel()
        self._end = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self.cancel, (consent,))
        self._end.daemon = True
        self._end.start()

    def cancel(self, consent: str) -> None:
        """End the training that was started with a consent, and remove what it left; none is no error."""
        with self.lock:
            training = self.training_of(consent)
            if training and training.state != "done":
                training.cancel()
                self.clear_away()

    def use(self, own: bool) -> None:
        """Compare with the personal model, or without it.

        Raises:
            NoModelError: there is no personal model.
            WeightsError: the one asked for cannot be used.
        """
        if own and not self.stands:
            raise NoModelError("There is no personal model on this server.", "Train one.")
        with self.lock:
            stamp = personal.stamp(self.place)  # before it is read: what comes later is noticed
            self._comparer.verifier = verifier_of(self.place) if own else self._without()
            self.in_use, self._stamp = own, stamp

    def keep_up(self) -> None:
        """Notice that another process has forgotten the model in use, or replaced it, and do as that one does.

        One that cannot be used is taken for forgotten.

        Raises:
            WeightsError: the shipped weights cannot be used.
        """
        if not self._is_outdated():
            return
        with self.lock:
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
        with self.lock:
            training, self._training = self._training, None
            if training:
                training.stop()
            try:
                return self._forget()
            finally:
                if training:
                    training.cancel()

    def _forget(self) -> list[str]:
        if self.in_use:
            self.use(own=False)
        if not personal.traces(self.place):
            return []
        try:
            removed = personal.forget(self.place)
        except WeightsError as error:
            raise NotRemovedError(error.message, _NAME_ITS_FOLDER) from None
        except OSError as error:
            raise NotRemovedError(
                f"{self.place.name} could not be removed completely: {error.strerror}.", _REMOVE_IT_THERE
            ) from None
        return [path.relative_to(self.place.parent).as_posix() for path in removed]

    def report(self) -> bytes:
        """Return the report of the personal model.

        Raises:
            NoModelError: there is none.
        """
        try:
            return (personal.standing(self.place) / personal.REPORT).read_bytes()
        except OSError:
            raise NoModelError("There is no report on a personal model on this server.", "Train one.") from None

    def to_json(self, consent: str) -> dict[str, Any]:
        """Return what there is, as it may be told to whoever holds a consent."""
        training, lack = self.training_of(consent), missing_extra()
        return {
            "model": self.place.name,
            "exists": self.stands,
            "in_use": self.in_use,
            "comparing_with": self._comparer.weights.weights_id,
            "fewest_photos": FEWEST_PHOTOS,
            "obstacle": lack and lack.to_json(),
            "training": training and training.to_json(),
        }

    def load_new(self) -> Verifier:
        """Load the model that a training has made, before it takes its place: a damaged one never does.

        Raises:
            WeightsError: it cannot be used.
        """
        return verifier_of(personal.new_folder(self.place))

    def keep(self, made: Comparison, consent: str) -> bool:
        """Put a new model into its place and compare with it, unless its consent has ended; the lock is held.

        A consent that ends at this moment waits: it ends before the model has its place, or after. Where
        another process has forgotten the person meanwhile, the training's own folder is gone.
        """
        with self._consents.held(consent) as standing:
            if standing is None or not personal.work_folder(self.place).is_dir():
                return False
            personal.install(self.place)
            self._comparer.verifier, self.in_use, self._stamp = made, True, personal.stamp(self.place)
            return True

    def clear_away(self) -> None:
        """Remove what a training that came to nothing has written; the lock is held."""
        unfinished = personal.work_folder(self.place), personal.new_folder(self.place)
        for folder in personal.traces(self.place):
            if folder in unfinished:
                with contextlib.suppress(OSError):
                    personal.remove(folder)
