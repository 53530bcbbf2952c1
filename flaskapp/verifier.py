"""Two photos in, one honest verdict out."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flaskapp import preprocess
from flaskapp.detection import Detector, Face
from flaskapp.errors import PhotoError
from flaskapp.evaluation.decisions import Band, Decision, decide
from flaskapp.runtime import Runtime, VerdictCounts, WeightsInfo, default_runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Decision", "FaceInPhoto", "Verification", "Verifier", "decide", "default_verifier"]

STAGES = ("decode", "detect", "align", "embed", "compare", "total")


@dataclass(frozen=True)
class FaceInPhoto:
    """The face that was compared, and what stood around it.

    Attributes:
        face: box, landmarks and detection score, in the upright photo's own pixels.
        face_index: its place among the photo's faces, left to right, from 0.
        other_faces: how many more faces the photo shows.
        photo_size_wh: width and height of the upright photo in pixels.
        aligned: uint8 (100, 100, 3) RGB, what the network saw.
    """

    face: Face
    face_index: int
    other_faces: int
    photo_size_wh: tuple[int, int]
    aligned: np.ndarray = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.face_index <= self.other_faces:
            raise ValueError(f"face_index expects 0 to {self.other_faces}. Received: {self.face_index}")

    def to_json(self) -> dict[str, Any]:
        """Return everything but the pixels, in JSON's types."""
        return {
            "box_xyxy": [round(value, 1) for value in self.face.box_xyxy],
            "landmarks": [[round(x, 1), round(y, 1)] for x, y in self.face.landmarks],
            "detection_score": round(self.face.detection_score, 4),
            "face_index": self.face_index,
            "other_faces": self.other_faces,
            "photo_size_wh": list(self.photo_size_wh),
        }


@dataclass(frozen=True)
class Verification:
    """The answer for one pair of photos.

    Attributes:
        decision: match, non_match or inconclusive.
        similarity_score: in [0, 1], higher = more alike.
        inconclusive_band: ``(low, high)``, see ``decide``.
        threshold: what a forced two-way answer would be measured with.
        reference: the face in the photo that is compared against.
        probe: the face in the new photo.
        weights_id: which weights answered.
        verdict_counts: how often these weights gave this decision in their measurement.
        timings_ms: milliseconds by stage (``STAGES``); decode, detect and align are those of
            the slower photo, since both photos are read at the same time.
    """

    decision: Decision
    similarity_score: float
    inconclusive_band: Band
    threshold: float
    reference: FaceInPhoto
    probe: FaceInPhoto
    weights_id: str
    verdict_counts: VerdictCounts
    timings_ms: dict[str, float] = field(compare=False)

    def __post_init__(self) -> None:
        if self.decision != decide(self.similarity_score, self.inconclusive_band):
            raise ValueError(f"decision does not follow from the score. Received: {self.decision}")

    def to_json(self) -> dict[str, Any]:
        """Return the answer in JSON's types, as the command line and the API give it."""
        return {
            "decision": self.decision,
            "similarity_score": self.similarity_score,
            "threshold": self.threshold,
            "inconclusive_band": list(self.inconclusive_band),
            "model": self.weights_id,
            "error_counts": self.verdict_counts.to_json(),
            "faces": {"reference": self.reference.to_json(), "probe": self.probe.to_json()},
            "liveness": "not_checked",
            "timing_ms": {stage: round(self.timings_ms[stage], 1) for stage in STAGES},
        }


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
        runtime: the weights; the shipped ones if not given.
        detector: one with other settings than the default.

    Raises:
        WeightsError: the weights cannot be used.
    """

    def __init__(self, runtime: Runtime | None = None, detector: Detector | None = None) -> None:
        self._runtime = runtime or default_runtime()
        self._detector = detector

    @property
    def weights(self) -> WeightsInfo:
        """What is known of the weights in use."""
        return self._runtime.info

    def verify(
        self, reference: bytes, probe: bytes, reference_face: int | None = None, probe_face: int | None = None
    ) -> Verification:
        """Say whether two photos show the same person.

        Args:
            reference: bytes of the photo that is compared against (JPEG, PNG, WebP or HEIC).
            probe: bytes of the new photo.
            reference_face: which face of the reference photo, counted from 0, left to right.
            probe_face: likewise in the probe photo.

        Returns:
            The verification; the same for the same bytes, in whichever order or thread.

        Raises:
            PhotoError: a photo or its choice of face cannot be used; its ``photo`` says which.
        """
        watch = _Stopwatch()
        with watch.stage("total"):
            found, timings = self._read_both((reference, reference_face), (probe, probe_face))
            with watch.stage("embed"):
                embeddings = self.embed([face.aligned for face in found])
            with watch.stage("compare"):
                score = self._runtime.similarity(*embeddings)
        decision = decide(score, self.weights.inconclusive_band)
        return Verification(
            decision=decision,
            similarity_score=score,
            inconclusive_band=self.weights.inconclusive_band,
            threshold=self.weights.threshold,
            reference=found[0],
            probe=found[1],
            weights_id=self.weights.weights_id,
            verdict_counts=self.weights.verdict_counts(decision),
            timings_ms=timings | watch.timings_ms,
        )

    def _read_both(self, *photos: tuple[bytes, int | None]) -> tuple[list[FaceInPhoto], dict[str, float]]:
        """Read both photos at the same time, each in a thread of its own."""
        watches = _Stopwatch(), _Stopwatch()
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(self.read, *photo, watch) for photo, watch in zip(photos, watches, strict=True)]
        found = []
        for job, label in zip(jobs, ("reference", "probe"), strict=True):
            try:
                found.append(job.result())
            except PhotoError as error:
                raise error.for_photo(label) from None
        stages = watches[0].timings_ms
        return found, {stage: max(watch.timings_ms[stage] for watch in watches) for stage in stages}

    def read(self, photo: bytes, face_index: int | None = None, watch: _Stopwatch | None = None) -> FaceInPhoto:
        """Find the face that is meant in one photo, and cut it out.

        Raises:
            PhotoError: the photo or the choice of face cannot be used.
        """
        watch = watch or _Stopwatch()
        with watch.stage("decode"):
            decoded = preprocess.decode_photo(photo)
        with watch.stage("detect"):
            faces = preprocess.find_faces(decoded, self._detector)
        with watch.stage("align"):
            face = preprocess.select_face(faces, face_index)
            aligned = preprocess.crop_face(decoded, face.landmarks)
        return FaceInPhoto(face, faces.index(face), len(faces) - 1, decoded.size_wh, aligned)

    def embed(self, aligned: list[np.ndarray]) -> np.ndarray:
        """Return the embeddings float32 (N, 4096) of aligned faces uint8 (100, 100, 3)."""
        return self._runtime.embed(preprocess.to_model_input(np.stack(aligned)))


_default: Verifier | None = None
_lock = threading.Lock()


def default_verifier() -> Verifier:
    """Return a verifier with the shipped weights, made once."""
    global _default
    with _lock:
        if _default is None:
            _default = Verifier()
        return _default
