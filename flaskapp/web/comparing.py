"""The only place of the web door that looks at photos, and never at too many at once."""

from __future__ import annotations

import base64
import io
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
from PIL import Image

from flaskapp import preprocess
from flaskapp.allowance import photos_at_once
from flaskapp.detection import Detection, Face
from flaskapp.errors import BusyError, NoFaceError, NotEnoughMemoryError, PhotoError
from flaskapp.preprocess import Photo
from flaskapp.verifier import OUT_OF_SCOPE, Verification, face_to_json, faces_to_json
from flaskapp.web.process_memory import trim_memory
from flaskapp.weights.info import WeightsInfo

SAMPLES = Path(__file__).parent.parent / "static" / "samples"
WARM_UP_PHOTOS = ("whitson_portrait.jpg", "whitson_at_work.jpg")

PICTURE_MARGIN = 0.5
"""Of a face's longer side, on each side: room for the aligned face, which the page draws out of it."""

PICTURE_SIDE = 320
PICTURE_PIXELS = 2_000_000
"""Of all pictures of a photo together: of a crowd each is smaller."""

PICTURE_QUALITY = 88

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Comparison(Protocol):
    """What the server needs of a verifier; ``flaskapp.verifier.Verifier`` is one, tests bring another."""

    @property
    def weights(self) -> WeightsInfo:
        """What is known of the weights in use."""

    def verify(
        self,
        reference: bytes,
        probe: bytes,
        reference_face: int | None = None,
        probe_face: int | None = None,
        probe_choice: preprocess.Choice = "refuse",
    ) -> Verification:
        """Say whether two photos show the same person."""


def faces_json(faces: tuple[Face, ...]) -> list[dict[str, Any]]:
    """Return a photo's faces, left to right, each with a note whether it is large enough to be meant."""
    prominent = preprocess.prominent_faces(faces)
    return [told | {"prominent": face in prominent} for face, told in zip(faces, faces_to_json(faces), strict=True)]


@dataclass(frozen=True)
class FacePicture:
    """A face with what stands around it.

    Attributes:
        jpeg: the picture as a file.
        box_xyxy: which part of the photo it shows, in the upright photo's own pixels.
    """

    jpeg: bytes = field(repr=False)
    box_xyxy: tuple[float, float, float, float]

    def to_json(self) -> dict[str, Any]:
        """Return the picture in JSON's types."""
        box = [round(value, 1) for value in self.box_xyxy]
        return {"jpeg": base64.b64encode(self.jpeg).decode("ascii"), "box_xyxy": box}


@dataclass(frozen=True)
class FoundFaces:
    """All faces of one photo.

    Attributes:
        faces: left to right, in the upright photo's own pixels, and what is known of the search.
        photo_size_wh: its width and height.
        total_ms: milliseconds that finding them took.
        pictures: one of each face, where they were asked for.
    """

    faces: Detection
    photo_size_wh: tuple[int, int]
    total_ms: float
    pictures: list[FacePicture] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the faces in JSON's types."""
        return {
            "faces": faces_json(self.faces.faces),
            "more_faces": self.faces.more_faces,
            "turned": self.faces.turned,
            "notes": list(self.faces.notes),
            "photo_size_wh": list(self.photo_size_wh),
            "timing_ms": {"total": round(self.total_ms, 1)},
            **({} if self.pictures is None else {"pictures": [picture.to_json() for picture in self.pictures]}),
        }


def picture_faces(photo: Photo, faces: Sequence[Face]) -> list[FacePicture]:
    """Cut a picture of each face out of the photo as it was decoded.

    Args:
        photo: as decoded.
        faces: in its full-scale upright pixels.
    """
    longest = min(PICTURE_SIDE, math.isqrt(PICTURE_PIXELS // max(len(faces), 1)))
    return [_picture(photo, face, longest) for face in faces]


def _picture(photo: Photo, face: Face, longest: int) -> FacePicture:
    left, top, right, bottom = face.box_xyxy
    room = PICTURE_MARGIN * max(right - left, bottom - top)
    (across, down), (height, width) = photo.scale_xy, photo.pixels.shape[:2]
    x0, x1 = _within((left - room) / across, (right + room) / across, width)
    y0, y1 = _within((top - room) / down, (bottom + room) / down, height)
    pixels = photo.pixels[y0:y1, x0:x1]
    scale = min(longest / max(pixels.shape[:2]), 1.0)
    size_wh = max(round(scale * (x1 - x0)), 1), max(round(scale * (y1 - y0)), 1)
    buffer = io.BytesIO()
    Image.fromarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA)).save(
        buffer, "JPEG", quality=PICTURE_QUALITY
    )
    return FacePicture(buffer.getvalue(), (x0 * across, y0 * down, x1 * across, y1 * down))


def _within(start: float, end: float, length: int) -> tuple[int, int]:
    """Return where a part of a row begins and ends, in whole pixels; at least one lies in the photo."""
    first = min(max(math.floor(start), 0), length - 1)
    return first, max(min(math.ceil(end), length), first + 1)


@dataclass(frozen=True)
class LiveAnswer:
    """One frame of a camera, compared; or none, if nobody is in it.

    Attributes:
        verification: None if the frame shows no face.
        weights: which weights answer.
        total_ms: milliseconds that the frame took.
    """

    verification: Verification | None
    weights: WeightsInfo
    total_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return the answer in JSON's types."""
        found = self.verification
        return {
            "decision": found and found.decision,
            "similarity_score": found.similarity_score if found and found.decision != OUT_OF_SCOPE else None,
            "threshold": self.weights.threshold,
            "inconclusive_band": list(self.weights.inconclusive_band),
            "model": self.weights.weights_id,
            "face": found and face_to_json(found.probe.face),
            "other_faces": found.probe.other_faces if found else 0,
            "photo_size_wh": found and list(found.probe.photo_size_wh),
            "liveness": "not_checked",
            "timing_ms": self._timings(),
        }

    def _timings(self) -> dict[str, float]:
        stages = self.verification.timings_ms if self.verification else {}
        return {stage: round(value, 1) for stage, value in (stages | {"total": self.total_ms}).items()}


class Comparer:
    """Looks at photos for many requests at a time.

    Work waits for one of a few places, as many as there are processor cores and memory for: more at
    a time would be no faster. How many may wait is limited too; the next one is told to
    come back.

    Args:
        verifier: compares; another can be put into its place at any time.
        under_way: most requests that are looked at or wait for it.
        at_once: most that are looked at; half as many as photos may be if not given.
        check: raises if what waited for its turn may no longer be done, or its answer no longer given.

    Attributes:
        verifier: as given.
        warm: set when the first person who compares will not have to wait.
    """

    def __init__(
        self,
        verifier: Comparison,
        under_way: int,
        at_once: int | None = None,
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.verifier, self._check = verifier, check
        self._admitted = threading.BoundedSemaphore(under_way)
        self._at_work = threading.BoundedSemaphore(at_once or (photos_at_once() + 1) // 2)
        self.warm = threading.Event()

    @property
    def weights(self) -> WeightsInfo:
        """What is known of the weights in use."""
        return self.verifier.weights

    def warm_up(self) -> None:
        """Compare two sample photos, so that the first person does not wait for what loads late."""
        reference, probe = ((SAMPLES / name).read_bytes() for name in WARM_UP_PHOTOS)
        self.verifier.verify(reference, probe)
        self.warm.set()
        log.info("ready")

    def compare(
        self, reference: bytes, probe: bytes, reference_face: int | None = None, probe_face: int | None = None
    ) -> Verification:
        """Say whether two photos show the same person.

        Raises:
            PhotoError: a photo or its choice of face cannot be used.
            BusyError: too many comparisons are under way.
        """
        with self._place():
            return self.verifier.verify(reference, probe, reference_face, probe_face)

    def detect(self, photo: bytes, *, with_pictures: bool = False) -> FoundFaces:
        """Find all faces of a photo, and cut a picture of each out of it if asked to.

        Raises:
            PhotoError: the photo cannot be used.
            BusyError: too many comparisons are under way.
        """
        with self._place():
            started = time.perf_counter()
            try:
                decoded = preprocess.decode_photo(photo)
            except (PhotoError, NotEnoughMemoryError) as error:
                error.for_photo("photo")
                raise
            faces = preprocess.find_faces(decoded)
            pictures = picture_faces(decoded, faces) if with_pictures else None
            return FoundFaces(faces, decoded.size_wh, _milliseconds_since(started), pictures)

    def run(self, work: Callable[[], Result]) -> Result:
        """Do other work that looks at photos, when it is its turn.

        Raises:
            BusyError: too many comparisons are under way.
        """
        with self._place():
            return work()

    def compare_frame(self, reference: bytes, frame: bytes, reference_face: int | None = None) -> LiveAnswer:
        """Compare the largest face in a camera's frame with a reference photo.

        Raises:
            PhotoError: one of them cannot be used; a frame without a face is no error.
            BusyError: too many comparisons are under way.
        """
        with self._place():
            started = time.perf_counter()
            verifier = self.verifier  # another may take its place meanwhile
            verification = _verify_frame(verifier, reference, frame, reference_face)
            return LiveAnswer(verification, verifier.weights, _milliseconds_since(started))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._admitted.acquire(blocking=False):
            raise BusyError("Too many comparisons are under way.", "Try again in a few seconds.")
        try:
            with self._at_work:
                self._check()
                try:
                    yield
                finally:
                    self._check()
        finally:
            trim_memory()
            self._admitted.release()


def _verify_frame(
    verifier: Comparison, reference: bytes, frame: bytes, reference_face: int | None
) -> Verification | None:
    try:
        return verifier.verify(reference, frame, reference_face, probe_choice="largest")
    except (PhotoError, NotEnoughMemoryError) as error:
        if error.photo != "probe":
            raise
        if isinstance(error, NoFaceError):
            return None
        error.for_photo("frame")
        raise


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
