"""Photos in, one honest verdict out."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import photos_at_once
from flaskapp.detection import Detector, Face
from flaskapp.errors import NotEnoughMemoryError, PhotoError, SeveralFacesError
from flaskapp.evaluation.decisions import Band, Decision, decide
from flaskapp.finding import Finding, FoundFace
from flaskapp.parallel import in_order, once
from flaskapp.preprocess.files import read_photo
from flaskapp.quality import Quality, assess
from flaskapp.weights.info import MOST_REFERENCES, VerdictCounts, WeightsInfo
from flaskapp.weights.runtime import Runtime, certainties, default_runtime
from flaskapp.words import references_sentence

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
    """Return a photo's faces, given left to right, in JSON's types: numbered from 1, prominent = may be meant."""
    prominent = preprocess.prominent_faces(faces)
    numbered = enumerate(faces, start=1)
    return [{"number": number, **face_to_json(face), "prominent": face in prominent} for number, face in numbered]


def reference_labels(count: int) -> list[str]:
    """Return what errors call each reference: "reference", or of several "reference 1", "reference 2" and so on."""
    return ["reference"] if count == 1 else [f"reference {number}" for number in range(1, count + 1)]


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
    """The answer for a photo and one or several photos of one person.

    Attributes:
        decision: match, non_match or inconclusive; of a personal model also out_of_scope.
        similarity_score: in [0, 1], higher = more alike; out of scope it is no answer.
        inconclusive_band: ``(low, high)``, see ``decide``.
        threshold: what a forced two-way answer would be measured with; two scores below it are out of scope.
        references: the faces in the photos of the one person; none where a personal model's owner was asked for.
        probe: the face in the new photo.
        weights_id: which weights answered.
        verdict_counts: how often these weights gave this decision in their measurement.
        timings_ms: milliseconds by stage (``STAGES``). Photos are read at the same time,
            so of decode, detect, align and embed it is the longest that counts.
        odd_references: numbers, from 1, of references that do not look like the others; they may show two people.
        known_photos: how many photos of a personal model's owner were the references; else 0.
    """

    decision: Decision | Literal["out_of_scope"]
    similarity_score: float
    inconclusive_band: Band
    threshold: float
    references: tuple[FaceInPhoto, ...]
    probe: FaceInPhoto
    weights_id: str
    verdict_counts: VerdictCounts
    timings_ms: dict[str, float] = field(compare=False)
    odd_references: tuple[int, ...] = ()
    known_photos: int = 0

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
        if bool(self.references) == bool(self.known_photos):
            raise ValueError(f"Expected references, or photos that are known. Received: {self.known_photos}")
        if not set(self.odd_references) <= set(range(1, len(self.references) + 1)):
            raise ValueError(f"Expected references, and odd ones among them. Received: {self.odd_references}")

    @property
    def reference(self) -> FaceInPhoto | None:
        """The face in the first reference, if there is one."""
        return self.references[0] if self.references else None

    @property
    def best_reference(self) -> int:
        """The number of the reference of whose face the network is surest, from 1."""
        return 1 + max(range(len(self.references)), key=lambda place: self.references[place].quality.certainty)

    @property
    def qualities(self) -> dict[str, Quality]:
        """How good the probe is and the reference, if there is one; of several references the best."""
        if not self.references:
            return {"probe": self.probe.quality}
        label = "reference" if len(self.references) == 1 else "best reference"
        return {label: self.references[self.best_reference - 1].quality, "probe": self.probe.quality}

    def to_json(self) -> dict[str, Any]:
        """Return the answer in JSON's types, as the command line and the API give it."""
        first = self.reference
        faces: dict[str, Any] = {"reference": first and first.to_json(), "probe": self.probe.to_json()}
        several: dict[str, Any] = {"known_photos": self.known_photos} if self.known_photos else {}
        if (count := len(self.references)) > 1:
            faces["references"] = [found.to_json() for found in self.references]
            sentence = references_sentence(count, self.odd_references)
            several["references"] = {"count": count, "odd": list(self.odd_references), "sentence": sentence}
        return {
            "decision": self.decision,
            "similarity_score": None if self.decision == OUT_OF_SCOPE else self.similarity_score,
            "threshold": self.threshold,
            "inconclusive_band": list(self.inconclusive_band),
            "model": self.weights_id,
            "error_counts": self.verdict_counts.to_json(),
            "faces": faces,
            "liveness": "not_checked",
            "timing_ms": {stage: round(self.timings_ms[stage], 1) for stage in STAGES},
        } | several


_Embedded = tuple[FaceInPhoto, np.ndarray, dict[str, float]]
"""A face with its embedding, float32 (4096,), and the milliseconds that each stage took."""


class Owner(Protocol):
    """Whom the weights of a personal model know."""

    @property
    def templates(self) -> np.ndarray:
        """Embeddings of the owner's photos, float32 (N, 4096), 1 to 20."""

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        """Return how often a verdict was given to photos of the owner, and to strangers'."""


@contextmanager
def _timed(stage: str, timings_ms: dict[str, float]) -> Iterator[None]:
    """Write down how many milliseconds a stage takes."""
    started = time.perf_counter()
    yield
    timings_ms[stage] = (time.perf_counter() - started) * 1000


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

    @property
    def known_photos(self) -> int:
        """How many photos of its owner a personal model knows; 0 = the weights know nobody in particular."""
        return len(self._owner.templates) if self._owner else 0

    def verify(
        self,
        reference: bytes | Sequence[bytes],
        probe: bytes,
        reference_face: int | Sequence[int | None] | None = None,
        probe_face: int | None = None,
        probe_choice: preprocess.Choice = "refuse",
    ) -> Verification:
        """Say whether a photo shows the same person as another, or as 1 to 20 others of one person.

        Args:
            reference: bytes of the photo that is compared against (JPEG, PNG, WebP or HEIC), or of several; of none
                to ask whether it is the owner of a personal model, whose photos are the references then.
            probe: bytes of the new photo.
            reference_face: which face of the reference photo; 1 is the leftmost. Of several, one for each.
            probe_face: likewise in the probe photo.
            probe_choice: what to do where the probe shows several people and none is chosen: "refuse",
                or take the "largest".

        Returns:
            The verification; the same for the same bytes, in whichever order or thread.

        Raises:
            PhotoError: a photo or its choice of face cannot be used; its ``photo`` says which.
            ValueError: there are no references and no owner, more than 20, or more faces than references.
        """
        references = (reference,) if isinstance(reference, bytes) else tuple(reference)
        count = len(references)
        chosen = tuple(reference_face) if isinstance(reference_face, Sequence) else (reference_face,)[:count]
        if not (len(chosen) <= count <= MOST_REFERENCES and (count or self._owner)):
            raise ValueError(f"Expected 1 to {MOST_REFERENCES} references, a face each. Received: {count}")
        chosen += (None,) * (count - len(chosen))
        photos: dict[str, tuple[bytes, int | None, preprocess.Choice]] = {
            label: (photo, number, "refuse")
            for label, photo, number in zip(reference_labels(count), references, chosen, strict=True)
        }
        timings_ms: dict[str, float] = {}
        with _timed("total", timings_ms):
            read = self._embed_all(photos | {"probe": (probe, probe_face, probe_choice)})
            *of_person, new = (found for found, _, _ in read)
            with _timed("compare", timings_ms):
                *templates, embedding = (embedding for _, embedding, _ in read)
                weights, scores = self._scores(np.array(templates), embedding)
                odd = self.runtime.odd_ones(np.array(templates)) if templates else ()
        score, knows_nobody = min(scores), len(scores) > 1 and max(scores) < weights.threshold
        decision = OUT_OF_SCOPE if knows_nobody else decide(score, weights.inconclusive_band)
        if self._owner:
            counts = self.weights.verdict_counts(decision) if of_person else self._owner.verdict_counts(decision)
        else:
            counts = weights.verdict_counts(decision, (of_person[0].quality.grade, new.quality.grade))
        return Verification(
            decision=decision,
            similarity_score=score,
            inconclusive_band=weights.inconclusive_band,
            threshold=weights.threshold,
            references=tuple(of_person),
            probe=new,
            weights_id=weights.weights_id,
            verdict_counts=counts,
            timings_ms={stage: max(taken[stage] for _, _, taken in read) for stage in read[-1][2]} | timings_ms,
            known_photos=0 if of_person else self.known_photos,
            odd_references=tuple(place + 1 for place in odd),
        )

    def _scores(self, references: np.ndarray, probe: np.ndarray) -> tuple[WeightsInfo, tuple[float, ...]]:
        """Return the score of a probe (4096,) with references (N, 4096), and what is known of weights for so many.

        A personal model holds each photo against those of its owner: it gives the probe's score, and before it
        that of the likest reference, if there is any. All must be the owner for the faces to be one person's.
        """
        if self._owner is None:
            score = float(self.runtime.person_scores(references, probe[None])[0])
            return self.weights.for_references(len(references)), (score,)
        *others, score = self.runtime.person_scores(self._owner.templates, np.stack([*references, probe])).tolist()
        return self.weights.for_references(self.known_photos), (*([max(others)] if others else []), score)

    def _embed_all(self, photos: Mapping[str, tuple[bytes, int | None, preprocess.Choice]]) -> list[_Embedded]:
        """Read photos, by what errors call them, at the same time, each in a thread of its own."""
        jobs = {label: self._photo_threads.submit(self._embed, *photo) for label, photo in photos.items()}
        wait(jobs.values())
        seen = {label: _faces_seen(job) for label, job in jobs.items()}
        try:
            return [_result_for(label, jobs.pop(label)) for label in photos]
        except SeveralFacesError as error:
            error.others = {label: faces for label, faces in seen.items() if label != error.photo}
            raise
        finally:
            # An error leads to its traceback, that to this frame, and this frame to the jobs. As long as they
            # held the error, the circle would keep the photos until the collector comes by, maybe never.
            jobs.clear()

    def _embed(self, photo: bytes, number: int | None, choice: preprocess.Choice) -> _Embedded:
        timings_ms: dict[str, float] = {}
        with _timed("decode", timings_ms):
            decoded = preprocess.decode_photo(photo)
        with _timed("detect", timings_ms):
            faces, face = preprocess.find_face(decoded, number, choice, self._detector)
        with _timed("align", timings_ms):
            aligned = preprocess.crop_face(decoded, face.landmarks)
        with _timed("embed", timings_ms):
            embedding, quality = self._see(aligned, face)
        number = faces.index(face) + 1
        found = FaceInPhoto(faces.faces, number, decoded.size_wh, aligned, faces.turned, quality)
        return found, embedding, timings_ms

    def _see(self, aligned: np.ndarray, face: Face) -> tuple[np.ndarray, Quality]:
        embedding = self.runtime.embed(preprocess.to_model_input(aligned[None]))
        certainty = float(certainties(embedding)[0])
        return embedding[0], assess(aligned, face, certainty, self.weights.grade_bounds)

    def embed(self, photo: bytes | Path, number: int | None = None) -> tuple[FaceInPhoto, np.ndarray]:
        """Find the face that is meant in one photo, and return it with its embedding, float32 (4096,).

        Raises:
            PhotoError: the photo or the choice of face cannot be used.
        """
        return self._embed(_bytes_of(photo), number, "refuse")[:2]

    def find(
        self, references: Sequence[bytes | Path] | np.ndarray, photos: Iterable[bytes | Path]
    ) -> Generator[Finding, None, None]:
        """Look for one person in photos that show any number of people.

        Ask the person first: whoever looks for somebody else needs their consent.

        Args:
            references: photos of that person alone, as bytes or paths, or their embeddings, float32 (N, 4096);
                N from 1 to 20.
            photos: where to look; they are taken as their turn comes, a few at a time.

        Returns:
            What each photo shows, in the photos' order; a photo that cannot be used is told with the reason.

        Raises:
            PhotoError: a reference cannot be used; its ``photo`` says which.
            ValueError: there are no references, or more than 20.
        """
        band = self.weights.for_references(len(references)).inconclusive_band
        templates = references if isinstance(references, np.ndarray) else self._templates(references)
        look = partial(self._look, templates=templates, band=band)
        return in_order(self._photo_threads, look, photos, photos_at_once())

    def _templates(self, references: Sequence[bytes | Path]) -> np.ndarray:
        embeddings = []
        for number, photo in enumerate(references, start=1):
            try:
                embeddings.append(self.embed(photo)[1])
            except (PhotoError, NotEnoughMemoryError) as error:
                error.for_photo(f"reference {number}")
                raise
        return np.stack(embeddings)

    def _look(self, photo: bytes | Path, templates: np.ndarray, band: Band) -> Finding:
        """Compare every face of a photo with one person's templates."""
        try:
            decoded = preprocess.decode_photo(_bytes_of(photo))
            seen = preprocess.find_faces(decoded, self._detector)
            whole = [(number, face) for number, face in enumerate(seen, start=1) if face.is_whole_in(seen.size_wh)]
            if not whole:
                return Finding(detection=seen)
            crops = preprocess.crop_faces(decoded, (face.landmarks for _, face in whole))
            embeddings = self.runtime.embed(preprocess.to_model_input(np.stack(crops)))
        except (PhotoError, NotEnoughMemoryError) as error:
            # This very error leads by its traceback to the photo, which would stay as long as the answer.
            return Finding(error=type(error)(error.message, error.hint))
        faces = []
        for (number, face), crop, embedding in zip(whole, crops, embeddings[:, None], strict=True):
            # One by one: how a product of matrices rounds depends on a row's place.
            score = float(self.runtime.person_scores(templates, embedding)[0])
            quality = assess(crop, face, float(certainties(embedding)[0]), self.weights.grade_bounds)
            faces.append(FoundFace(number, face, score, decide(score, band), quality, crop))
        return Finding(tuple(sorted(faces, key=lambda face: -face.similarity_score)), seen)

    def grade(self, photo: preprocess.Photo, faces: Sequence[Face]) -> list[Quality]:
        """Say how good a photo is of each of some faces that were found in it."""
        crops = preprocess.crop_faces(photo, [face.landmarks for face in faces])
        return [self._see(crop, face)[1] for crop, face in zip(crops, faces, strict=True)]


def _faces_seen(job: Future[_Embedded]) -> tuple[Face, ...]:
    """Return the faces of a photo that was looked at, whatever came of it."""
    error = job.exception()
    if error is None:
        return job.result()[0].faces
    return error.faces if isinstance(error, SeveralFacesError) else ()


def _result_for(label: str, job: Future[_Embedded]) -> _Embedded:
    try:
        return job.result()
    except (PhotoError, NotEnoughMemoryError) as error:
        error.for_photo(label)
        raise
    finally:
        del job  # it holds the error, whose traceback holds this frame


def _bytes_of(photo: bytes | Path) -> bytes:
    return read_photo(photo) if isinstance(photo, Path) else photo


@once
def default_verifier() -> Verifier:
    """Return a verifier with the shipped weights, made once."""
    return Verifier()
