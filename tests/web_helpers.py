"""A verifier that computes nothing, and a browser of sorts: for the tests of the web door."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import TestResponse, encode_multipart

from flaskapp.detection import Face
from flaskapp.evaluation.calibration import Trust
from flaskapp.evaluation.decisions import decide
from flaskapp.preprocess import Photo
from flaskapp.quality import Quality
from flaskapp.verifier import OUT_OF_SCOPE, STAGES, FaceInPhoto, Verification
from flaskapp.web.settings import Services, services
from flaskapp.weights.info import WeightsInfo

HOSTED = {"base_url": "http://localhost:5000", "buffered": True}

WEIGHTS = WeightsInfo(
    name="fake",
    sha256="0" * 64,
    threshold=0.5,
    inconclusive_band=(0.4, 0.7),
    error_counts={
        "impostor": {"match": 1, "inconclusive": 9, "non_match": 990, "out_of_scope": 0},
        "genuine": {"match": 90, "inconclusive": 8, "non_match": 2, "out_of_scope": 0},
    },
    trust=Trust((0.0, 1.0), 8.0),
    grade_bounds=(0.3, 0.8),
    details={"terms": "For tests."},
)
GOOD, FAIR, POOR = Quality("good", 0.9), Quality("fair", 0.5, ("blurred",)), Quality("poor", 0.1, ("too_dark", "noisy"))


def face_at(left: float, height: float = 60.0) -> Face:
    landmarks = tuple((left + x, 20.0 + y) for x, y in ((10, 20), (40, 20), (25, 35), (15, 50), (35, 50)))
    return Face((left, 20.0, left + 50.0, 20.0 + height), landmarks, 0.99)


class FakeVerifier:
    """Answers at once and remembers what it was asked.

    ``raises`` makes it refuse, ``knows`` False know nobody, ``known_photos`` know an owner, ``odd`` doubt references;
    ``qualities`` are what it says of photos, by their bytes: they are good unless told otherwise.
    """

    def __init__(self, score: float = 0.8) -> None:
        self.score = score
        self.calls: list[tuple[Any, ...]] = []
        self.raises: Exception | None = None
        self.knows = True
        self.odd: tuple[int, ...] = ()
        self.qualities: dict[bytes, Quality] = {}
        self.graded: list[Face] = []
        self.known_photos = 0

    @property
    def weights(self) -> WeightsInfo:
        return WEIGHTS

    def verify(
        self,
        reference: bytes | Sequence[bytes],
        probe: bytes,
        reference_face: int | Sequence[int | None] | None = None,
        probe_face: int | None = None,
        probe_choice: str = "refuse",  # noqa: ARG002 - there is one face
    ) -> Verification:
        references = (reference,) if isinstance(reference, bytes) else tuple(reference)
        chosen = tuple(reference_face) if isinstance(reference_face, Sequence) else (reference_face,)
        one = len(references) == 1
        self.calls.append((references[0] if one else references, probe, chosen[0] if one else chosen, probe_face))
        if self.raises:
            raise self.raises
        first, second = tuple(map(self.read, references)), self.read(probe)
        decision = decide(self.score, WEIGHTS.inconclusive_band) if self.knows else OUT_OF_SCOPE
        grades = (first[0].quality.grade, second.quality.grade) if first else None
        return Verification(
            decision=decision,
            similarity_score=self.score,
            inconclusive_band=WEIGHTS.inconclusive_band,
            threshold=WEIGHTS.threshold,
            references=first,
            probe=second,
            weights_id=WEIGHTS.weights_id,
            verdict_counts=self.weights.verdict_counts(decision, grades),
            timings_ms=dict.fromkeys(STAGES, 1.0),
            odd_references=self.odd,
            known_photos=0 if first else self.known_photos,
        )

    def read(self, photo: bytes, number: int | None = None) -> FaceInPhoto:  # noqa: ARG002
        crop = np.zeros((100, 100, 3), np.uint8)
        return FaceInPhoto((face_at(10.0),), 1, (200, 100), crop, 0, self.qualities.get(photo, GOOD))

    def grade(self, photo: Photo, faces: Sequence[Face]) -> list[Quality]:  # noqa: ARG002
        self.graded += faces
        return [FAIR] * len(faces)


class Browser:
    """A client of an app: it holds cookies, can agree, and sends photos."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()

    @property
    def services(self) -> Services:
        return services(self.app)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, **(HOSTED | more))

    def post(self, path: str, **more: Any) -> TestResponse:
        return self.client.post(path, **(HOSTED | more))

    def delete(self, path: str, **more: Any) -> TestResponse:
        return self.client.delete(path, **(HOSTED | more))

    def state(self, **changes: Any) -> TestResponse:
        """Send the consent's statements, some of them changed; None leaves one out."""
        version = self.services.consents.notice.version
        stated = {"notice_version": version, "consent": True, "age_confirmed": True} | changes
        return self.post("/api/v1/consent", json={name: value for name, value in stated.items() if value is not None})

    def agree(self) -> str:
        """Give consent; the client holds the cookie then, and the token is returned."""
        response = self.state()
        assert response.status_code == 201, response.get_data(as_text=True)
        return response.json["token"]

    def form_token(self) -> str:
        """Return the token of the forms on the page."""
        text = self.get("/").get_data(as_text=True)
        return text.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]

    def send(
        self,
        path: str,
        photos: Mapping[str, bytes | Sequence[bytes]],
        headers: Mapping[str, str] | None = None,
        file_name: str = "",
        **fields: Any,
    ) -> TestResponse:
        """Post photos and text fields as multipart; each photo is named by its field unless told otherwise."""
        # The test client's own encoder would put large photos into a temporary file.
        listed = {name: [data] if isinstance(data, bytes) else data for name, data in photos.items()}
        files: dict[str, Any] = {
            name: [FileStorage(io.BytesIO(data), file_name or f"{name}.jpg") for data in several]
            for name, several in listed.items()
        }
        boundary, body = encode_multipart(MultiDict(files | fields))
        return self.post(path, data=body, content_type=f"multipart/form-data; boundary={boundary}", headers=headers)

    def verify(self, reference: bytes | Sequence[bytes] = b"one", probe: bytes = b"two", **fields: Any) -> TestResponse:
        return self.send("/api/v1/verify", {"reference": reference, "probe": probe}, **fields)


def picture(size_wh: tuple[int, int] = (64, 48), kind: str = "PNG", **options: Any) -> bytes:
    """Return an encoded picture that shows nobody."""
    buffer = io.BytesIO()
    Image.new("RGB", size_wh, (90, 120, 150)).save(buffer, kind, **options)
    return buffer.getvalue()


def side_by_side(*photos: bytes) -> bytes:
    """Return one photo of several portraits, faces about equally high."""
    canvas, buffer = Image.new("RGB", (450 * len(photos), 500)), io.BytesIO()
    for place, photo in enumerate(photos):
        with Image.open(io.BytesIO(photo)) as image:
            canvas.paste(image.resize((440, 500)), (450 * place, 0))
    canvas.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()
