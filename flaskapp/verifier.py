"""Two photos in, one honest verdict out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import photos_at_once
from flaskapp.detection import Detector, Face
from flaskapp.errors import NotEnoughMemoryError, PhotoError, SeveralFacesError
from flaskapp.evaluation.decisions import Band, Decision, decide
from flaskapp.parallel import once
from flaskapp.quality import Quality, assess
from flaskapp.weights.info import VerdictCounts, WeightsInfo
from flaskapp.weights.runtime import Runtime, certainties, default_runtime

OUT_OF_SCOPE: Literal["out_of_scope"] = "out_of_scope"
"""Of a personal model: neither photo is the person it knows, so its score means nothing."""

STAGES = ("decode", "detect", "align", "embed", "compare", "total")


def face_to_json(face: Face) -> dict[str, Any]:
    """Return box, landmarks and detection score in JSON's types, to a tenth of a pixel."""
    return {
        "box_xyxy": [round(value, 1) for value in face.box_xyxy],
        "landmarks": [[round(x, 1), round(y, 1)] for x, y in face.landmarks],
        "detection_score": round(face.detection_score, 4),
    }


def faces_to_json(faces: Sequence[Face]) -> list[dict[str, Any]]:
    """Return a photo's faces, given left to right, in JSON's types; numbered from 1."""
    return [{"number": number, **face_to_json(face)} for number, face in enumerate(faces, start=1)]


@dataclass(frozen=True)
class FaceInPhoto:
    """The face that was compared, and what stood around it.

    Attributes:
        faces: left to right, in the upright photo's own pixels: all of them where the face was chosen
            by its number, else those at least a third as high as the largest one.
        number: which of them was compared; 1 is the leftmost.
        photo_size_wh: width and height of the upright photo in pixels.
        aligned: uint8 (100, 100, 3) RGB, what the network saw.
        turned: degrees by which the photo had to be turned to the right; see ``Detection``.
        quality: how good a photo of this face it is.
    """

    faces: tuple[Face, ...]
    number: int
    photo_size_wh: tuple[int, int]
    aligned: np.ndarray = field(repr=False, compare=False)
    turned: int
    quality: Quality

    def __post_init__(self) -> None:
        if not 1 <= self.number <= len(self.faces):
            raise ValueError(f"number expects 1 to {len(self.faces)}. Received: {self.number}")
        expected = (preprocess.CROP_SIZE, preprocess.CROP_SIZE, 3)
        if self.aligned.shape != expected or self.aligned.dtype != np.uint8:
            raise ValueError(f"aligned expects uint8 {expected}. Received: {self.aligned.dtype} {self.aligned.shape}")

    @property
    def face(self) -> Face:
        """The face that was compared: box, landmarks and detection score."""
        return self.faces[self.number - 1]

    @property
    def other_faces(self) -> int:
        """How many more faces there are in ``faces``."""
        return len(self.faces) - 1

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pixels, in JSON's types."""
        return {
            "number": self.number,
            **face_to_json(self.face),
            "other_faces": self.other_faces,
            "photo_size_wh": list(self.photo_size_wh),
            "turned": self.turned,
            "quality": self.quality.to_json(),
        }


@dataclass(frozen=True)
class Verification:
    """The answer for one pair of photos.

    Attributes:
        decision: match, non_match or inconclusive; of a personal model also out_of_scope.
        similarity_score: in [0, 1], higher = more alike; out of scope it is no answer.
        inconclusive_band: ``(low, high)``, see ``decide``.
        threshold: what a forced two-way answer would be measured with.
        reference: the face in the photo that is compared against.
        probe: the face in the new photo.
        weights_id: which weights answered.
        verdict_counts: how often these weights gave this decision in their measurement.
        timings_ms: milliseconds by stage (``STAGES``). Both photos are read at the same time,
            so of decode, detect, align and embed it is the longer that counts.
    """

    decision: Decision | Literal["out_of_scope"]
    similarity_score: float
    inconclusive_band: Band
    threshold: float
    reference: FaceInPhoto
    probe: FaceInPhoto
    weights_id: str
    verdict_counts: VerdictCounts
    timings_ms: dict[str, float] = field(compare=False)

    def __post_init__(self) -> None:
        low, high = self.inconclusive_band
        if not 0 <= self.similarity_score <= 1:
            raise ValueError(f"similarity_score expects 0 to 1. Received: {self.similarity_score}")
        if not low <= self.threshold <= high:
            raise ValueError(f"threshold expects {low} to {high}, the band. Received: {self.threshold}")
        if self.decision not in (OUT_OF_SCOPE, decide(self.similarity_score, self.inconclusive_band)):
            raise ValueError(f"decision does not follow from the score. Received: {self.decision}")
        if set(self.timings_ms) != set(STAGES):
            raise ValueError(f"timings_ms expects {STAGES}. Received: {tuple(self.timings_ms)}")

    def to_json(self) -> dict[str, Any]:
        """Return the answer in JSON's types, as the command line and the API give it."""
        return {
            "decision": self.decision,
            "similarity_score": None if self.decision == OUT_OF_SCOPE else self.similarity_score,
            "threshold": self.threshold,
            "inconclusive_band": list(self.inconclusive_band),
            "model": self.weights_id,
            "error_counts": self.verdict_counts.to_json(),
            "faces": {"reference": self.reference.to_json(), "probe": self.probe.to_json()},
            "liveness": "not_checked",
            "timing_ms": {stage: round(self.timings_ms[stage], 1) for stage in STAGES},
        }


class Owner(Protocol):
    """Whom the weights of a personal model know."""

    def is_in(self, runtime: Runtime, embedding: np.ndarray) -> bool:
        """Say whether a photo's embedding, float32 (4096,), is near the owner's."""


class _Stopwatch:
    """Adds up milliseconds by stage."""

    def __init__(self) -> None:
        self.timings_ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.timings_ms[name] = self.timings_ms.get(name, 0.0) + (time.perf_counter() - started) * 1000


class Verifier:
    """Compares photos with one set of weights; safe to share between threads.

    Args:
        runtime: the weights, or a promise of them, so that they can be loaded while the first
            photos are read; the shipped ones if not given.
        detector: one with other settings than the default.
        owner: whom a personal model's weights know; None for weights that know faces in general.

    Raises:
        WeightsError: the weights cannot be used.
    """

    def __init__(
        self,
        runtime: Runtime | Future[Runtime] | None = None,
        detector: Detector | None = None,
        owner: Owner | None = None,
    ) -> None:
        self._runtime = runtime or default_runtime()
        self._detector = detector
        self._owner = owner
        # Threads that stay: OpenCV keeps nine hundred bytes of each that ever called it, for ever.
        self._photo_threads = ThreadPoolExecutor(photos_at_once(), thread_name_prefix="photo")

    @property
    def runtime(self) -> Runtime:
        """The weights in use."""
        return self._runtime.result() if isinstance(self._runtime, Future) else self._runtime

    @property
    def weights(self) -> WeightsInfo:
        """What is known of the weights in use."""
        return self.runtime.info

    def verify(
        self,
        reference: bytes,
        probe: bytes,
        reference_face: int | None = None,
        probe_face: int | None = None,
        probe_choice: preprocess.Choice = "refuse",
    ) -> Verification:
        """Say whether two photos show the same person.

        Args:
            reference: bytes of the photo that is compared against (JPEG, PNG, WebP or HEIC).
            probe: bytes of the new photo.
            reference_face: which face of the reference photo; 1 is the leftmost.
            probe_face: likewise in the probe photo.
            probe_choice: what to do where the probe shows several people and none is chosen: "refuse",
                or take the "largest".

        Returns:
            The verification; the same for the same bytes, in whichever order or thread.

        Raises:
            PhotoError: a photo or its choice of face cannot be used; its ``photo`` says which.
        """
        watch = _Stopwatch()
        with watch.stage("total"):
            first, second = self._embed_both((reference, reference_face, "refuse"), (probe, probe_face, probe_choice))
            with watch.stage("compare"):
                score = self.runtime.similarity(first.embedding, second.embedding)
        slower = {stage: max(first.timings_ms[stage], second.timings_ms[stage]) for stage in first.timings_ms}
        decision = self._decide(score, first.embedding, second.embedding)
        return Verification(
            decision=decision,
            similarity_score=score,
            inconclusive_band=self.weights.inconclusive_band,
            threshold=self.weights.threshold,
            reference=first.found,
            probe=second.found,
            weights_id=self.weights.weights_id,
            verdict_counts=self.weights.verdict_counts(
                decision, (first.found.quality.grade, second.found.quality.grade)
            ),
            timings_ms=slower | watch.timings_ms,
        )

    def _decide(self, score: float, *embeddings: np.ndarray) -> Decision | Literal["out_of_scope"]:
        owner = self._owner
        if owner is not None and not any(owner.is_in(self.runtime, embedding) for embedding in embeddings):
            return OUT_OF_SCOPE
        return decide(score, self.weights.inconclusive_band)

    def _embed_both(self, *photos: tuple[bytes, int | None, preprocess.Choice]) -> list[_Embedded]:
        """Read both photos at the same time, each in a thread of its own."""
        jobs = [self._photo_threads.submit(self._embed, *photo) for photo in photos]
        wait(jobs)
        seen = [_faces_seen(job) for job in jobs]
        try:
            return [_result_for(label, jobs.pop(0)) for label in ("reference", "probe")]
        except SeveralFacesError as error:
            error.other_faces = seen[1 if error.photo == "reference" else 0]
            raise
        finally:
            # An error leads to its traceback, that to this frame, and this frame to the jobs. As long as they
            # held the error, the circle would keep both photos until the collector comes by, maybe never.
            jobs.clear()

    def _embed(self, photo: bytes, number: int | None, choice: preprocess.Choice) -> _Embedded:
        watch = _Stopwatch()
        with watch.stage("decode"):
            decoded = preprocess.decode_photo(photo)
        with watch.stage("detect"):
            faces, face = preprocess.find_face(decoded, number, choice, self._detector)
        with watch.stage("align"):
            aligned = preprocess.crop_face(decoded, face.landmarks)
        with watch.stage("embed"):
            embedding, quality = self._see(aligned, face)
        number = faces.index(face) + 1
        found = FaceInPhoto(faces.faces, number, decoded.size_wh, aligned, faces.turned, quality)
        return _Embedded(found, embedding, watch.timings_ms)

    def _see(self, aligned: np.ndarray, face: Face) -> tuple[np.ndarray, Quality]:
        embedding = self.runtime.embed(preprocess.to_model_input(aligned[None]))
        certainty = float(certainties(embedding)[0])
        return embedding[0], assess(aligned, face, certainty, self.weights.grade_bounds)

    def read(self, photo: bytes, number: int | None = None) -> FaceInPhoto:
        """Find the face that is meant in one photo, cut it out and grade it.

        Raises:
            PhotoError: the photo or the choice of face cannot be used.
        """
        return self._embed(photo, number, "refuse").found

    def quality(self, photo: preprocess.Photo, face: Face) -> Quality:
        """Say how good a photo is of a face that was found in it."""
        return self._see(preprocess.crop_face(photo, face.landmarks), face)[1]


@dataclass(frozen=True)
class _Embedded:
    """A face with its embedding (4096,) and the milliseconds that each stage took."""

    found: FaceInPhoto
    embedding: np.ndarray
    timings_ms: dict[str, float]


def _faces_seen(job: Future[_Embedded]) -> tuple[Face, ...]:
    """Return the faces of a photo that was looked at, whatever came of it."""
    error = job.exception()
    if error is None:
        return job.result().found.faces
    return error.faces if isinstance(error, SeveralFacesError) else ()


def _result_for(label: str, job: Future[_Embedded]) -> _Embedded:
    try:
        return job.result()
    except (PhotoError, NotEnoughMemoryError) as error:
        error.for_photo(label)
        raise
    finally:
        del job  # it holds the error, whose traceback holds this frame


@once
def default_verifier() -> Verifier:
    """Return a verifier with the shipped weights, made once."""
    return Verifier()
