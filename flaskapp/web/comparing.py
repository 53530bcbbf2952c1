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
from pathlib import Path
from typing import Any

from PIL import Image

from flaskapp import preprocess
from flaskapp.allowance import photos_at_once
from flaskapp.detection import Face
from flaskapp.detection.detector import resized
from flaskapp.errors import BusyError, MissingPhotoError, NoFaceError, NotEnoughMemoryError, PhotoError
from flaskapp.preprocess import Photo
from flaskapp.verifier import OUT_OF_SCOPE, Verification, Verifier, face_to_json, faces_to_json
from flaskapp.web.process_memory import trim_memory

SAMPLES = Path(__file__).parent.parent / "static" / "samples"
WARM_UP_PHOTOS = ("whitson_portrait.jpg", "whitson_at_work.jpg")

PICTURE_MARGIN = 0.5  # of a face's longer side, on each side: the page draws the aligned face out of it
PICTURE_SIDE = 320
PICTURE_PIXELS = 2_000_000  # of all pictures of a photo together: of a crowd each is smaller
PICTURE_QUALITY = 88

MOST_GRADED = 5  # of a photo's faces; each costs a run of the network

log = logging.getLogger(__name__)


def pictures_json(photo: Photo, faces: Sequence[Face]) -> list[dict[str, Any]]:
    """Return a picture of each face, with what stands around it: a JPEG in base64, and which part it shows.

    Args:
        photo: as decoded.
        faces: in its full-scale upright pixels; the parts are told in these.
    """
    longest = min(PICTURE_SIDE, math.isqrt(PICTURE_PIXELS // max(len(faces), 1)))
    (across, down), (height, width) = photo.scale_xy, photo.pixels.shape[:2]
    pictures = []
    for face in faces:
        left, top, right, bottom = face.box_xyxy
        room = PICTURE_MARGIN * max(right - left, bottom - top)
        x0, x1 = _within((left - room) / across, (right + room) / across, width)
        y0, y1 = _within((top - room) / down, (bottom + room) / down, height)
        small, _ = resized(photo.pixels[y0:y1, x0:x1], min(longest / max(x1 - x0, y1 - y0), 1.0))
        jpeg = io.BytesIO()
        Image.fromarray(small).save(jpeg, "JPEG", quality=PICTURE_QUALITY)
        box = [round(value, 1) for value in (x0 * across, y0 * down, x1 * across, y1 * down)]
        pictures.append({"jpeg": base64.b64encode(jpeg.getvalue()).decode("ascii"), "box_xyxy": box})
    return pictures


def _within(start: float, end: float, length: int) -> tuple[int, int]:
    """Return where a part of a row begins and ends, in whole pixels; at least one lies in the photo."""
    first = min(max(math.floor(start), 0), length - 1)
    return first, max(min(math.ceil(end), length), first + 1)


class Comparer:
    """Looks at photos for many requests at a time.

    Work waits for one of a few places, as many as there are processor cores and memory for: more at
    a time would be no faster. How many may wait is limited too; the next one is told to
    come back.

    Args:
        verifier: compares; another can be put into its place at any time.
        under_way: most requests that are looked at or wait for it.
        check: raises if what waited for its turn may no longer be done, or its answer no longer given.
    """

    def __init__(self, verifier: Verifier, under_way: int, check: Callable[[], object] = lambda: None) -> None:
        self.verifier, self._check = verifier, check
        self.admitted = threading.BoundedSemaphore(under_way)  # places for what is looked at or waits
        self.at_work = threading.BoundedSemaphore((photos_at_once() + 1) // 2)  # a comparison looks at two photos
        self.warm = threading.Event()  # set when the first person who compares will not have to wait

    def warm_up(self) -> None:
        """Compare two sample photos, so that the first person does not wait for what loads late."""
        reference, probe = ((SAMPLES / name).read_bytes() for name in WARM_UP_PHOTOS)
        self.verifier.verify(reference, probe)
        self.warm.set()
        log.info("ready")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a turn to look at photos; the caller has it until the end of the with statement.

        Raises:
            BusyError: too many comparisons are under way.
        """
        if not self.admitted.acquire(blocking=False):
            raise BusyError("Too many comparisons are under way.", "Try again in a few seconds.")
        try:
            with self.at_work:
                self._check()
                try:
                    yield
                finally:
                    self._check()
        finally:
            self.admitted.release()
            trim_memory()

    def compare(
        self,
        references: Sequence[bytes],
        probe: bytes,
        reference_faces: Sequence[int | None] = (),
        probe_face: int | None = None,
    ) -> Verification:
        """Say whether a photo shows the same person as others of one person, or without these the model's owner.

        Raises:
            PhotoError: a photo or its choice of face cannot be used.
            BusyError: too many comparisons are under way.
        """
        with self.place():
            return self._verifier_for(references).verify(references, probe, reference_faces, probe_face)

    def _verifier_for(self, references: Sequence[bytes]) -> Verifier:
        """Return the verifier in use; if it was asked for its owner and knows nobody any more, that is told."""
        verifier = self.verifier
        if not references and not verifier.known_photos:
            words = "There is no reference photo, and no personal model is in use any more."
            raise MissingPhotoError(words, "Choose a reference photo.", photo="reference")
        return verifier

    def detect(self, photo: bytes, *, with_pictures: bool = False) -> dict[str, Any]:
        """Return all faces of a photo in JSON's types, and a picture of each if asked to.

        Of those that may be meant the largest are graded too, ``MOST_GRADED`` at most.

        Raises:
            PhotoError: the photo cannot be used.
            BusyError: too many comparisons are under way.
        """
        with self.place():
            started = time.perf_counter()
            try:
                decoded = preprocess.decode_photo(photo)
            except (PhotoError, NotEnoughMemoryError) as error:
                raise error.for_photo("photo") from None
            found = preprocess.find_faces(decoded)
            told = {
                "faces": self._graded(decoded, found.faces),
                "more_faces": found.more_faces,
                "turned": found.turned,
                "notes": list(found.notes),
                "photo_size_wh": list(decoded.size_wh),
                "timing_ms": {"total": round(_milliseconds_since(started), 1)},
            }
            return told | ({"pictures": pictures_json(decoded, found)} if with_pictures else {})

    def _graded(self, photo: Photo, faces: tuple[Face, ...]) -> list[dict[str, Any]]:
        meant = [face for face in preprocess.prominent_faces(faces) if face.is_whole_in(photo.size_wh)]
        largest = sorted(meant, key=lambda face: face.height)[-MOST_GRADED:]
        graded = iter(self.verifier.grade(photo, [face for face in faces if face in largest]))
        qualities = [next(graded).to_json() if face in largest else None for face in faces]
        return [told | {"quality": one} for told, one in zip(faces_to_json(faces), qualities, strict=True)]

    def compare_frame(
        self, references: Sequence[bytes], frame: bytes, reference_faces: Sequence[int | None] = ()
    ) -> dict[str, Any]:
        """Compare the largest face in a camera's frame, as ``compare`` does; return the answer in JSON's types.

        A frame without a face is no error: the decision is None then.

        Raises:
            PhotoError: one of them cannot be used.
            BusyError: too many comparisons are under way.
        """
        with self.place():
            started = time.perf_counter()
            verifier = self._verifier_for(references)  # another may take its place meanwhile
            weights = verifier.weights.for_references(verifier.known_photos or len(references))
            found: Verification | None = None
            try:
                found = verifier.verify(references, frame, reference_faces, probe_choice="largest")
            except (PhotoError, NotEnoughMemoryError) as error:
                if error.photo == "probe":
                    error.for_photo("frame")
                if error.photo != "frame" or not isinstance(error, NoFaceError):
                    raise
            timings = {**(found.timings_ms if found else {}), "total": _milliseconds_since(started)}
            return {
                "decision": found and found.decision,
                "similarity_score": found.similarity_score if found and found.decision != OUT_OF_SCOPE else None,
                "threshold": weights.threshold,
                "inconclusive_band": list(weights.inconclusive_band),
                "model": weights.weights_id,
                "face": found and face_to_json(found.probe.face),
                "quality": found
                and {
                    "reference": found.reference and found.reference.quality.to_json(),
                    "frame": found.probe.quality.to_json(),
                },
                "other_faces": found.probe.other_faces if found else 0,
                "photo_size_wh": found and list(found.probe.photo_size_wh),
                "liveness": "not_checked",
                "timing_ms": {stage: round(value, 1) for stage, value in timings.items()},
            }


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
