from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from weights_files import BAND, write_note, write_weights_files

from flaskapp import preprocess, verifier
from flaskapp.detection import Detector, Face
from flaskapp.errors import (
    BadFaceNumberError,
    EmptyPhotoError,
    NoFaceError,
    SeveralFacesError,
    UnsupportedFormatError,
    WeightsError,
)
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.parallel import once
from flaskapp.quality import Quality
from flaskapp.verifier import STAGES, FaceInPhoto, Verification, Verifier
from flaskapp.weights.info import VerdictCounts
from flaskapp.weights.runtime import Runtime

ROOT = Path(__file__).resolve().parent.parent


def as_png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_weights_files(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def verify(weights):
    return Verifier(Runtime(weights)).verify


@pytest.fixture(scope="module")
def both(hopper_pixels, collins_pixels) -> bytes:
    """Return a photo of the two women, Grace Hopper on the left."""
    return as_png(np.hstack([hopper_pixels[:512], collins_pixels]))


@pytest.fixture(scope="module")
def nobody() -> bytes:
    return as_png(np.full((200, 300, 3), 128, np.uint8))


@pytest.fixture(scope="module")
def answer(verify, hopper, collins) -> Verification:
    return verify(hopper, collins)


def test_the_decision_follows_from_score_and_band(answer):
    assert answer.inconclusive_band == BAND
    assert answer.threshold == pytest.approx(0.5)
    assert answer.decision == verifier.decide(answer.similarity_score, BAND)


def test_one_photo_twice_is_a_match(verify, hopper, answer):
    same = verify(hopper, hopper)
    assert same.decision == "match"
    assert same.similarity_score > answer.similarity_score


def test_the_order_of_the_photos_does_not_matter(verify, hopper, collins, answer):
    back = verify(collins, hopper)
    assert back.similarity_score == answer.similarity_score
    assert (back.reference, back.probe) == (answer.probe, answer.reference)


def test_the_same_bytes_give_the_same_bits_from_any_thread(verify, hopper, collins, answer):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: verify(hopper, collins), range(16)))
    assert {one.similarity_score for one in answers} == {answer.similarity_score}
    for one in answers:
        assert one == answer
        np.testing.assert_array_equal(one.probe.aligned, answer.probe.aligned)


def test_photos_are_read_by_threads_that_stay(verify, hopper, collins):
    """Each new thread would cost nine hundred bytes for ever: OpenCV keeps some of every one."""

    def readers() -> set[threading.Thread]:
        return {thread for thread in threading.enumerate() if thread.name.startswith("photo")}

    verify(hopper, collins)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: verify(hopper, collins), range(16)))
    found = readers()
    for _ in range(3):
        verify(hopper, collins)
    assert readers() <= found


@pytest.mark.slow
def test_the_same_bytes_give_the_same_bits_in_any_process(weights, answer):
    code = (
        "import sys\nfrom pathlib import Path\nfrom flaskapp.weights.runtime import Runtime\n"
        "from flaskapp.verifier import Verifier\n"
        "weights, reference, probe = map(Path, sys.argv[1:])\n"
        "answer = Verifier(Runtime(weights)).verify(reference.read_bytes(), probe.read_bytes())\n"
        "print(answer.similarity_score.hex())"
    )
    portraits = ROOT / "tests" / "portraits"
    arguments = [weights, portraits / "grace_hopper.jpg", portraits / "eileen_collins.jpg"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == answer.similarity_score.hex()


def test_both_faces_are_described(answer, hopper_pixels):
    found = answer.reference
    assert found.number == 1
    assert found.other_faces == 0
    assert found.photo_size_wh == (hopper_pixels.shape[1], hopper_pixels.shape[0])
    left, top, right, bottom = found.face.box_xyxy
    eyes = np.array(found.face.landmarks[:2])
    assert ((eyes > (left, top)) & (eyes < (right, bottom))).all()
    assert (found.aligned.shape, found.aligned.dtype) == ((100, 100, 3), np.uint8)


def test_every_stage_is_timed(answer):
    assert tuple(answer.to_json()["timing_ms"]) == STAGES
    parts = [answer.timings_ms[stage] for stage in STAGES if stage != "total"]
    assert min(parts) >= 0
    assert max(parts) <= answer.timings_ms["total"]


def test_the_weights_and_their_errors_are_told(answer):
    assert answer.weights_id.startswith("random@")
    assert answer.verdict_counts.impostor_pairs == 1000


def test_the_answer_is_plain_json(answer):
    told = json.loads(json.dumps(answer.to_json(), allow_nan=False))
    assert set(told) == {
        "decision",
        "similarity_score",
        "threshold",
        "inconclusive_band",
        "model",
        "error_counts",
        "faces",
        "liveness",
        "timing_ms",
    }
    assert told["similarity_score"] == answer.similarity_score
    assert told["liveness"] == "not_checked"
    assert set(told["faces"]) == {"reference", "probe"}
    assert set(told["faces"]["probe"]) == {
        "box_xyxy",
        "landmarks",
        "detection_score",
        "number",
        "other_faces",
        "photo_size_wh",
        "turned",
        "quality",
    }
    assert set(told["faces"]["probe"]["quality"]) == {"grade", "certainty", "reasons"}


def poorer(photo: bytes) -> bytes:
    """Return a photo of which little can be seen any more."""
    with Image.open(BytesIO(photo)) as image:
        small = image.resize((image.width // 8, image.height // 8)).resize(image.size)
    file = BytesIO()
    small.save(file, "JPEG")
    return file.getvalue()


class TestReferences:
    """Several photos of one person."""

    def test_the_score_is_that_of_the_person(self, weights, verify, hopper, collins, both):
        runtime = Runtime(weights)
        answer = verify([hopper, both], collins, [None, 2])
        faces = [found.aligned for found in (*answer.references, answer.probe)]
        *known, new = runtime.embed(preprocess.to_model_input(np.stack(faces)))
        assert answer.similarity_score == runtime.person_scores(np.stack(known), new[None])[0]
        assert [found.number for found in answer.references] == [1, 2]
        assert answer.reference == answer.references[0]

    def test_their_order_changes_nothing_but_their_numbers(self, verify, hopper, collins):
        forth, back = verify([hopper, collins, hopper], collins), verify([collins, hopper, hopper], collins)
        assert forth.similarity_score == back.similarity_score
        assert forth.decision == back.decision
        assert forth.references[:2] == back.references[1::-1]

    def test_one_in_a_list_is_one_alone(self, verify, hopper, collins, answer):
        assert verify([hopper], collins) == answer

    def test_band_threshold_and_counts_are_those_of_their_number(self, weights, tmp_path, hopper, collins):
        counts = {
            "genuine": {"match": 9, "inconclusive": 0, "non_match": 0},
            "impostor": {"match": 0, "inconclusive": 0, "non_match": 70},
        }
        two = {"scale": 1.0, "offset": 0.0, "threshold": 0.3, "inconclusive_band": [0.2, 0.3], "error_counts": counts}
        (tmp_path / weights.name).write_bytes(weights.read_bytes())
        fitted = write_note(tmp_path / weights.name, references={"best": 3, "by_number": {"2": two}})
        answer = Verifier(Runtime(fitted)).verify([hopper, hopper], collins)
        assert (answer.inconclusive_band, answer.threshold) == ((0.2, 0.3), 0.3)
        assert (answer.verdict_counts.impostor_pairs, answer.verdict_counts.references) == (70, 2)

    def test_one_that_does_not_look_like_the_others_is_named(self, weights, monkeypatch, hopper, collins):
        runtime = Runtime(weights)
        monkeypatch.setattr(runtime, "odd_ones", lambda embeddings: (len(embeddings) - 1,))
        answer = Verifier(runtime).verify([hopper, hopper, collins], hopper)
        assert answer.odd_references == (3,)
        told = answer.to_json()
        assert (told["references"]["count"], told["references"]["odd"]) == (3, [3])
        assert "Photo 3" in told["references"]["sentence"]
        assert [face["number"] for face in told["faces"]["references"]] == [1, 1, 1]
        assert told["faces"]["references"][0] == told["faces"]["reference"]

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_the_error_says_which_one(self, verify, hopper, nobody, place):
        photos = [hopper] * 3
        photos[place] = nobody
        with pytest.raises(NoFaceError) as caught:
            verify(photos, hopper)
        assert caught.value.photo == f"reference {place + 1}"

    def test_of_one_that_shows_several_people_the_face_can_be_chosen(self, verify, hopper, both):
        with pytest.raises(SeveralFacesError) as caught:
            verify([hopper, both, both], both)
        assert caught.value.photo == "reference 2"
        assert {name: len(faces) for name, faces in caught.value.others.items()} == {
            "reference 1": 1,
            "reference 3": 2,
            "probe": 2,
        }
        with pytest.raises(BadFaceNumberError) as missing:
            verify([hopper, both, both], hopper, [None, 1, 3])
        assert missing.value.photo == "reference 3"

    @pytest.mark.parametrize(("count", "faces"), [(0, None), (0, []), (21, None), (1, [1, 1])])
    def test_none_and_too_many_are_refused(self, verify, count, faces):
        with pytest.raises(ValueError, match="1 to 20 references"):
            verify([b""] * count, b"", faces)

    def test_the_best_one_answers_for_their_quality(self, answer):
        qualities = [Quality("poor", 0.1, ("noisy",)), Quality("good", 0.9), Quality("fair", 0.5)]
        references = tuple(dataclasses.replace(answer.reference, quality=quality) for quality in qualities)
        several = dataclasses.replace(answer, references=references)
        assert several.best_reference == 2
        assert several.qualities == {"best reference": qualities[1], "probe": answer.probe.quality}
        assert set(answer.qualities) == {"reference", "probe"}

    @pytest.mark.parametrize(
        "changes", [{"references": ()}, {"odd_references": (2,)}, {"odd_references": (0,)}], ids=str
    )
    def test_an_answer_about_references_that_are_not_there_is_refused(self, answer, changes):
        with pytest.raises(ValueError, match="Expected references"):
            dataclasses.replace(answer, **changes)


class Known:
    """An owner of whom a model knows these photos."""

    def __init__(self, templates: np.ndarray) -> None:
        self.templates = templates

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        return VerdictCounts(10_000, 6, 15, 14 if verdict == "match" else 1)


class TestOwner:
    """One photo, and whom a personal model knows."""

    ONLY_THE_VERY_PHOTO = 0.88  # what random weights give to a photo and itself is a little more

    @pytest.fixture(scope="class")
    @classmethod
    def known(cls, weights, answer, tmp_path_factory) -> Verifier:
        verdicts = {"match": 9, "inconclusive": 0, "non_match": 1, "out_of_scope": 2}
        counts = {"genuine": verdicts, "impostor": verdicts}
        three = {"scale": 1.0, "offset": 0.0, "threshold": cls.ONLY_THE_VERY_PHOTO, "error_counts": counts}
        three["inconclusive_band"] = [cls.ONLY_THE_VERY_PHOTO] * 2
        copy = tmp_path_factory.mktemp("known") / weights.name
        copy.write_bytes(weights.read_bytes())
        runtime = Runtime(write_note(copy, error_counts=counts, references={"best": 3, "by_number": {"3": three}}))
        face = preprocess.to_model_input(answer.reference.aligned[None])
        return Verifier(runtime, owner=Known(np.repeat(runtime.embed(face), 3, axis=0)))

    def test_is_asked_for_with_the_photos_that_are_known_as_references(self, known, hopper, collins):
        assert known.known_photos == 3
        for probe, decision in ((hopper, "match"), (collins, "non_match")):
            alone, among = known.verify((), probe), Verifier(known.runtime).verify([hopper] * 3, probe)
            assert alone.decision == among.decision == decision
            assert alone.similarity_score == among.similarity_score
            assert (alone.inconclusive_band, alone.threshold) == (among.inconclusive_band, among.threshold)
        assert alone.verdict_counts.impostor_pairs == 10_000

    def test_is_told_without_a_reference(self, known, hopper):
        answer = known.verify([], hopper)
        told = answer.to_json()
        assert answer.reference is None and set(answer.qualities) == {"probe"}
        assert told["faces"]["reference"] is None and told["faces"]["probe"]["number"] == 1
        assert told["known_photos"] == 3 and "references" not in told

    def test_is_never_out_of_scope_and_two_strangers_are(self, known, hopper, collins):
        assert known.verify([], collins).decision == "non_match"
        assert known.verify(collins, collins).decision == "out_of_scope"
        assert known.verify([collins, collins], collins).decision == "out_of_scope"
        for pair in ((hopper, collins), (collins, hopper)):
            assert known.verify(*pair).decision != "out_of_scope"

    def test_of_several_photos_each_is_held_against_what_is_known(self, known, hopper, collins):
        """Both faces are the owner's, or they are not one person's: the less like decides, in either order."""
        itself, other = (known.verify([], photo).similarity_score for photo in (hopper, collins))
        assert known.verify(hopper, hopper).similarity_score == itself
        assert known.verify(hopper, hopper).decision == "match"
        forth, back = known.verify(hopper, collins), known.verify(collins, hopper)
        assert forth.similarity_score == back.similarity_score == other
        assert forth.decision == back.decision == "non_match"
        assert known.verify([collins, hopper], hopper).similarity_score == itself, "the likest reference counts"
        assert forth.inconclusive_band == known.weights.for_references(3).inconclusive_band

    def test_weights_that_know_nobody_take_a_reference(self, verify, hopper):
        with pytest.raises(ValueError, match="1 to 20 references"):
            verify([], hopper)

    def test_an_answer_has_references_or_photos_that_are_known(self, answer):
        with pytest.raises(ValueError, match="known"):
            dataclasses.replace(answer, known_photos=3)


class TestQuality:
    @pytest.fixture
    def graded(self, tmp_path, hopper):
        """Return a verifier to which the photo of Grace Hopper, and nothing less clear, is a good one."""
        weights = write_weights_files(tmp_path)
        certainty = Verifier(Runtime(weights)).embed(hopper)[0].quality.certainty
        return Verifier(Runtime(write_note(weights, grade_bounds=[certainty * 0.999, certainty * 0.9999])))

    def test_a_photo_is_graded_by_the_length_of_its_embedding(self, graded, hopper):
        good, other = graded.embed(hopper)[0].quality, graded.embed(poorer(hopper))[0].quality
        assert (good.grade, good.reasons) == ("good", ())
        assert other.certainty != good.certainty

    def test_the_answer_tells_both_grades_and_counts_pairs_like_these(self, tmp_path, hopper, collins):
        counts = {
            "genuine": {"match": 1, "inconclusive": 1, "non_match": 1},
            "impostor": {"match": 2, "inconclusive": 2, "non_match": 2},
            "intervals": {verdict: {"genuine": [0, 1], "impostor": [0, 1]} for verdict in DECISIONS},
        }
        bounds = {"grade_bounds": [1.0, 1.0], "counts_by_grades": {"poor and poor": counts}}
        poor = Verifier(Runtime(write_note(write_weights_files(tmp_path), **bounds))).verify(hopper, collins)
        grades = [found.quality.grade for found in (poor.reference, poor.probe)]
        assert set(grades) <= {"good", "poor"}
        expected = 6 if grades == ["poor", "poor"] else 1000
        assert poor.verdict_counts.impostor_pairs == expected

    def test_a_face_can_be_graded_by_itself(self, graded, hopper):
        photo = preprocess.decode_photo(hopper)
        faces = preprocess.find_faces(photo).faces
        assert graded.grade(photo, faces) == [graded.embed(hopper)[0].quality]


def test_a_face_of_several_can_be_chosen(verify, both, hopper, collins):
    left, right = (verify(both, collins, reference_face=number) for number in (1, 2))
    assert (left.reference.number, left.reference.other_faces) == (1, 1)
    assert left.reference.face.box_xyxy[0] < right.reference.face.box_xyxy[0]
    assert right.similarity_score > left.similarity_score
    assert verify(hopper, both, probe_face=1).probe == left.reference


def test_several_faces_are_listed_when_none_was_chosen(verify, both, hopper):
    with pytest.raises(SeveralFacesError) as caught:
        verify(hopper, both)
    assert caught.value.photo == "probe"
    assert len(caught.value.faces) == 2
    assert [len(faces) for faces in caught.value.others.values()] == [1]


def test_of_several_faces_the_largest_of_the_probe_can_be_taken(verify, both, hopper):
    taken = verify(hopper, both, probe_choice="largest").probe
    assert taken.face.height == max(face.height for face in taken.faces)
    assert len(taken.faces) == 2
    with pytest.raises(SeveralFacesError) as caught:
        verify(both, hopper, probe_choice="largest")
    assert caught.value.photo == "reference"


def test_whoever_asks_which_face_is_meant_knows_the_faces_of_both_photos(verify, both):
    with pytest.raises(SeveralFacesError) as caught:
        verify(both, both)
    assert caught.value.photo == "reference"
    assert caught.value.others == {"probe": caught.value.faces}


def test_of_a_photo_that_cannot_be_used_no_faces_are_known(verify, both):
    with pytest.raises(SeveralFacesError) as caught:
        verify(both, b"")
    assert caught.value.others == {"probe": ()}


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda _: b"", EmptyPhotoError),
        (lambda photo: b"GIF89a" + photo, UnsupportedFormatError),
    ],
    ids=["empty", "gif"],
)
@pytest.mark.parametrize("place", ["reference", "probe"])
def test_the_error_says_which_photo(verify, hopper, spoil, error, place):
    photos = {"reference": hopper, "probe": hopper} | {place: spoil(hopper)}
    with pytest.raises(error) as caught:
        verify(**photos)
    assert caught.value.photo == place


def test_nobody_to_compare_is_an_error_of_that_photo(verify, hopper, nobody):
    with pytest.raises(NoFaceError) as caught:
        verify(nobody, hopper)
    assert caught.value.photo == "reference"


def test_a_face_that_is_not_there_is_an_error_of_that_photo(verify, hopper):
    with pytest.raises(BadFaceNumberError) as caught:
        verify(hopper, hopper, probe_face=2)
    assert caught.value.photo == "probe"


def test_reading_alone_finds_the_face(weights, hopper, answer):
    assert Verifier(Runtime(weights)).embed(hopper)[0] == answer.reference


def test_another_detector_can_be_given(weights, hopper):
    with pytest.raises(NoFaceError):
        Verifier(Runtime(weights), Detector(smallest_face=500)).verify(hopper, hopper)


def test_weights_may_arrive_later(weights, hopper, collins, answer):
    with ThreadPoolExecutor(1) as pool:
        assert Verifier(pool.submit(Runtime, weights)).verify(hopper, collins) == answer


def test_weights_that_cannot_be_used_are_an_error_whenever_they_arrive(tmp_path, hopper):
    promise: Future = Future()
    promise.set_exception(WeightsError("Damaged."))
    with pytest.raises(WeightsError, match="Damaged"):
        Verifier(promise).verify(hopper, hopper)
    with pytest.raises(WeightsError, match="missing"):
        Verifier(Runtime(tmp_path / "none.h5"))


def test_the_default_verifier_is_made_once_and_has_the_default_weights(monkeypatch, weights):
    runtime = Runtime(weights)
    monkeypatch.setattr(verifier, "default_runtime", lambda: runtime)
    made = once(verifier.default_verifier.__wrapped__)
    assert made() is made()
    assert made().weights == runtime.info


class TestResultsValidateThemselves:
    FACE = Face((10, 10, 60, 70), ((20, 30), (50, 30), (35, 45), (25, 60), (45, 60)), 0.99)
    CROP = np.zeros((100, 100, 3), np.uint8)

    @pytest.fixture
    def found(self) -> FaceInPhoto:
        return FaceInPhoto((self.FACE, self.FACE), 1, (100, 80), self.CROP, 0, Quality("good", 1.0))

    @pytest.fixture
    def good(self, found) -> Verification:
        counts = VerdictCounts(1000, 1, 100, 90)
        return Verification("match", 0.7, (0.4, 0.6), 0.5, (found,), found, "w@1", counts, dict.fromkeys(STAGES, 1.0))

    def test_nothing_can_be_changed(self, good, found):
        with pytest.raises(dataclasses.FrozenInstanceError):
            good.decision = "non_match"
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.number = 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"decision": "non_match"},
            {"decision": "maybe"},
            {"similarity_score": 0.5},
            {"similarity_score": float("nan")},
            {"similarity_score": 1.5},
            {"threshold": 0.7},
            {"inconclusive_band": (0.6, 0.4)},
            {"timings_ms": {}},
        ],
        ids=str,
    )
    def test_a_verification_that_contradicts_itself_is_refused(self, good, changes):
        with pytest.raises(ValueError, match=r"Received|expects"):
            dataclasses.replace(good, **changes)

    @pytest.mark.parametrize(
        "changes",
        [
            {"number": 3},
            {"number": 0},
            {"faces": ()},
            {"aligned": np.zeros((112, 112, 3), np.uint8)},
            {"aligned": np.zeros((100, 100, 3), np.float32)},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_a_face_that_contradicts_itself_is_refused(self, found, changes):
        with pytest.raises(ValueError, match="expects"):
            dataclasses.replace(found, **changes)
