"""Looking for one person: what a photo shows, and how many strangers would be taken for them."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from weights_files import random_arrays, write_h5, write_note

from flaskapp import preprocess
from flaskapp.allowance import photos_at_once
from flaskapp.detection import Detection, Detector
from flaskapp.errors import NotEnoughMemoryError, SeveralFacesError, WeightsError
from flaskapp.evaluation import no_errors_bound
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.evaluation.intervals import exact_interval
from flaskapp.finding import Bar, Rate, bars_of, least_bar
from flaskapp.verifier import Verifier
from flaskapp.weights.info import VerdictCounts, read_info
from flaskapp.weights.runtime import Runtime
from tests.conftest import PORTRAITS

HOPPER, COLLINS = PORTRAITS / "grace_hopper.jpg", PORTRAITS / "eileen_collins.jpg"
BAND = (0.715, 0.8)  # random weights give 0.88 to Hopper's photo beside itself, 0.73 beside Collins's


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return write_note(write_h5(folder / "random.h5", random_arrays()), BAND, grade_bounds=[0.55, 0.6])


@pytest.fixture(scope="module")
def looking(weights) -> Verifier:
    return Verifier(Runtime(weights))


@pytest.fixture(scope="module")
def both(tmp_path_factory, hopper_pixels, collins_pixels) -> Path:
    """Return a photo of both women, Grace Hopper on the right."""
    path = tmp_path_factory.mktemp("photos") / "both.png"
    Image.fromarray(np.hstack([collins_pixels, hopper_pixels[:512]])).save(path, compress_level=1)
    return path


def as_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class TestFind:
    def test_every_face_is_compared_and_the_most_alike_comes_first(self, looking, both):
        (found,) = looking.find([HOPPER], [both])
        assert [face.number for face in found.compared] == [2, 1]
        assert [face.decision for face in found.compared] == ["match", "inconclusive"]
        assert [face.quality.grade for face in found.compared] == ["fair", "good"]
        assert all(face.face == found.detection[face.number - 1] for face in found.compared)
        assert (found.cut_off, found.error) == (0, None)

    def test_a_face_scores_as_where_two_photos_are_compared(self, looking, both):
        (found,) = looking.find([HOPPER], [both])
        for face in found.compared:
            compared = looking.verify(HOPPER.read_bytes(), both.read_bytes(), probe_face=face.number)
            assert face.similarity_score == compared.similarity_score
            assert (face.decision, face.quality) == (compared.decision, compared.probe.quality)
            np.testing.assert_array_equal(face.aligned, compared.probe.aligned)

    def test_several_references_are_compared_as_one_person(self, looking, both):
        embeddings = np.stack([looking.embed(photo)[1] for photo in (HOPPER, COLLINS)])
        (found,) = looking.find([HOPPER, COLLINS.read_bytes()], [both])
        (same,) = looking.find(embeddings, [both.read_bytes()])
        assert found == same
        crops = np.stack([face.aligned for face in found.compared])
        probes = looking.runtime.embed(preprocess.to_model_input(crops))
        scores = [face.similarity_score for face in found.compared]
        assert scores == pytest.approx(looking.runtime.person_scores(embeddings, probes).tolist(), abs=1e-12)

    def test_findings_come_in_the_order_of_the_photos(self, looking, both):
        photos = [COLLINS, both, HOPPER, both]
        found = list(looking.find([HOPPER], photos))
        assert [len(one.compared) for one in found] == [1, 2, 1, 2]
        assert [one.compared[0].decision for one in found] == ["inconclusive", "match", "match", "match"]

    def test_what_cannot_be_used_is_told_in_its_place(self, looking, tmp_path, hopper):
        (tmp_path / "cut.jpg").write_bytes(hopper[:5000])
        found = list(looking.find([HOPPER], [tmp_path / "cut.jpg", HOPPER, tmp_path / "none.jpg", b"GIF89a"]))
        assert [one.error and one.error.code for one in found] == [
            "truncated_photo", None, "unreadable_photo", "unsupported_format",
        ]  # fmt: skip
        assert [one.detection is None for one in found] == [True, False, True, True]

    def test_nobody_in_a_photo_is_no_error(self, looking):
        (found,) = looking.find([HOPPER], [as_png(np.full((200, 300, 3), 128, np.uint8))])
        assert (found.error, len(found.detection), found.compared) == (None, 0, ())

    def test_a_face_cut_off_by_the_edge_is_counted_and_not_compared(self, weights):
        class SeesOneMore(Detector):
            def search(self, *given: object) -> Detection:
                found = super().search(*given)
                landmarks = tuple((x - found[0].landmarks[0][0], y) for x, y in found[0].landmarks)
                return replace(found, faces=(replace(found[0], landmarks=landmarks), *found))

        (found,) = Verifier(Runtime(weights), SeesOneMore()).find(np.full((1, 4096), 1 / 64, np.float32), [HOPPER])
        assert (len(found.detection), found.cut_off) == (2, 1)
        assert [face.number for face in found.compared] == [2]

    def test_photos_are_taken_as_their_turn_comes(self, looking):
        taken = []
        photos = (taken.append(number) or HOPPER for number in itertools.count())
        findings = looking.find([HOPPER], photos)
        for number in range(1, 4):
            next(findings)
            assert len(taken) < number + photos_at_once()
        findings.close()

    def test_no_photo_stays_in_a_finding(self, looking, monkeypatch):
        def fail(*_):
            raise error

        error = NotEnoughMemoryError("No room.", "Try later.")
        monkeypatch.setattr(preprocess, "find_faces", fail)
        (found,) = looking.find(np.full((1, 4096), 1 / 64, np.float32), [HOPPER])
        assert (type(found.error), str(found.error)) == (NotEnoughMemoryError, "No room. Try later.")
        assert error.__traceback__ is not None
        assert found.error.__traceback__ is None
        assert found.error.__context__ is None

    @pytest.mark.slow
    def test_a_crowd_is_looked_at_as_far_as_the_detection_goes(self, looking, collins_pixels):
        rows = np.vstack([np.hstack([collins_pixels[40:440:4, 60:460:4]] * 20)] * 8)
        (found,) = looking.find([COLLINS], [as_png(rows)])
        assert found.detection.more_faces
        assert 50 < len(found.compared) <= 100

    @pytest.mark.parametrize("references", [[], [Path("none.jpg")] * 21])
    def test_no_references_and_too_many_are_refused_before_anything_is_read(self, looking, references):
        with pytest.raises(ValueError, match="1 to 20 references"):
            looking.find(references, iter([pytest.fail]))

    def test_a_reference_that_cannot_be_used_is_named(self, looking, both):
        with pytest.raises(SeveralFacesError) as caught:
            looking.find([HOPPER, both], [HOPPER])
        assert caught.value.photo == "reference 2"


STRANGERS = {"good": (12, 1200), "fair": (3, 600), "poor": (0, 500)}
"""Of each grade so many strangers' faces matched a good photo in testing, of so many."""


def counts_of(match: int, pairs: int) -> dict[str, object]:
    counts = {"match": match, "inconclusive": 0, "non_match": pairs - match}
    shares = [0.5 * match / pairs, 2 * match / pairs]
    intervals = {verdict: {"impostor": shares} for verdict in DECISIONS}
    return {"impostor": counts, "genuine": counts, "intervals": intervals}


def note(folder: Path, **changes) -> Path:
    by_grades = {f"good and {grade}": counts_of(*of) for grade, of in STRANGERS.items()}
    (folder / "w.h5").write_bytes(b"weights")
    return write_note(folder / "w.h5", counts_by_grades=by_grades, **changes)


def bars(*scores: float, shares: tuple[float | None, ...] = (None, 0.001)) -> list[dict[str, object]]:
    """Return what a note tells of bars for one number of references; one in a hundred reach the first."""
    return [
        {
            "fmr": share,
            "score": score,
            "strangers": {
                grade: {"match": round(rate * 10_000), "faces": 10_000, "interval": [rate / 2, 2 * rate]}
                for grade in ("good", "fair", "poor")
            },
        }
        for score, share in zip(scores, shares, strict=True)
        for rate in (share or 0.01,)
    ]


class TestExpected:
    def test_it_is_the_sum_over_faces_of_the_rates_of_their_grades(self, tmp_path):
        (bar,) = bars_of(read_info(note(tmp_path)), ["good"])
        expected = bar.expected({"good": 200, "fair": 50})
        assert (bar.score, expected.faces, expected.matches) == (0.6, 250, 200 * 12 / 1200 + 50 * 3 / 600)
        assert expected.interval == pytest.approx((0.5 * expected.matches, 2 * expected.matches))
        assert expected.to_json()["sentence"].startswith("Were all 250 faces strangers', 2.2 (1.1 to 4.5) would")

    def test_one_face_is_told_as_one(self, tmp_path):
        (bar,) = bars_of(read_info(note(tmp_path)), ["good"])
        assert "the one face a stranger's, 0.01" in str(bar.expected({"good": 1}))

    def test_where_no_stranger_matched_there_is_a_bound(self, tmp_path):
        (bar,) = bars_of(read_info(note(tmp_path)), ["good"])
        expected = bar.expected({"poor": 100})
        assert (expected.matches, expected.most) == (0, pytest.approx(100 * no_errors_bound(500)))

    def test_of_no_faces_none_is_expected(self, tmp_path):
        (bar,) = bars_of(read_info(note(tmp_path)), ["good"])
        assert bar.expected({}).interval == (0, 0)

    def test_more_matches_in_testing_never_tell_of_fewer(self, tmp_path):
        info = read_info(note(tmp_path))
        told = [bars_of(info, ["good"], VerdictCounts(10_000, seen, 10, 9))[0] for seen in range(4)]
        most = [bar.expected({"good": 5000}).most for bar in told]
        assert most == sorted(most)
        assert most[1] == pytest.approx(5000 * exact_interval(1, 10_000).high)

    def test_a_small_number_is_written_in_full(self):
        bar = Bar(0.6, {"good": Rate(6, 100_000, (0.000017, 0.00014))})
        assert "0.00006 (0.000017 to 0.00014) would" in str(bar.expected({"good": 1}))

    def test_rates_without_intervals_give_none(self):
        bar = Bar(0.6, {"good": Rate(12, 1200), "fair": Rate(1, 100, (0.0, 0.1)), "poor": Rate(1, 100)})
        assert bar.expected({"good": 100, "fair": 10}).interval is None
        assert bar.expected({"good": 100, "fair": 10}).most == pytest.approx(1.1)

    def test_counts_of_fewer_photos_of_the_person_are_said_to_be(self, tmp_path):
        (bar,) = bars_of(read_info(note(tmp_path)), ["good"] * 3)
        assert bar.references == 1
        assert "with 1 photo of a person" in str(bar.expected({"good": 10}))


class TestBars:
    @pytest.fixture
    def info(self, tmp_path):
        return read_info(note(tmp_path, searching={"1": bars(0.6, 0.9), "4": bars(0.6, 0.7)}))

    def test_of_one_photo_the_lowest_knows_its_grade(self, info):
        low, high = bars_of(info, ["good"])
        assert (low.score, low.strangers["fair"].match) == (0.6, 3)
        assert (high.score, high.strangers["fair"]) == (0.9, Rate(10, 10_000, (0.0005, 0.002)))

    def test_between_measured_numbers_a_bar_lies_by_the_logarithm(self, info):
        assert [bar.score for bar in bars_of(info, ["good"] * 2)] == [0.6, pytest.approx(0.8)]
        assert [bar.score for bar in bars_of(info, ["good"] * 9)] == [0.6, pytest.approx(0.7)]
        assert [bar.references for count in (1, 3, 9) for bar in bars_of(info, ["fair"] * count)] == [
            None, None, 1, 1, 4, 4,
        ]  # fmt: skip

    def test_of_more_photos_fewer_bars_may_have_been_measured(self, tmp_path):
        told = {"1": bars(0.6, 0.9), "4": bars(0.6, shares=(None,))}
        info = read_info(note(tmp_path, searching=told))
        assert [len(bars_of(info, ["good"] * count)) for count in (1, 2, 4)] == [2, 1, 1]

    def test_between_measured_numbers_bars_of_the_same_share_go_together(self, tmp_path):
        told = {
            "1": bars(0.6, 0.97, 0.99, shares=(None, 3e-4, 1e-4)),
            "4": bars(0.6, 0.8, 0.9, 0.95, shares=(None, 1e-3, 3e-4, 3e-5)),
        }
        info = read_info(note(tmp_path, searching=told))
        found = bars_of(info, ["good"] * 2)
        assert [bar.score for bar in found] == [0.6, pytest.approx((0.97 + 0.9) / 2)]
        assert found[1].strangers["good"].match == 3
        assert [bar.score for bar in bars_of(info, ["good"] * 4)] == [0.6, 0.8, 0.9, 0.95]

    def test_rates_are_those_of_the_number_with_which_more_strangers_match(self, tmp_path):
        told = {"1": bars(0.6, 0.9, shares=(None, 1e-3)), "4": bars(0.6, 0.7, shares=(None, 1e-3))}
        for rate in told["4"][0]["strangers"].values():
            rate["match"] *= 3
        low, high = bars_of(read_info(note(tmp_path, searching=told)), ["good"] * 2)
        assert (low.references, low.strangers["good"].match) == (4, 300)
        assert (high.references, high.strangers["good"].match) == (1, 10)

    def test_no_more_reach_a_higher_bar_whatever_is_known_of_the_photo_of_the_person(self, tmp_path):
        info = read_info(note(tmp_path, searching={"1": bars(0.6, 0.9, shares=(None, 0.008))}))
        low, high = bars_of(info, ["good"])
        assert [high.strangers[grade][:2] for grade in STRANGERS] == [(80, 10_000), (3, 600), (0, 500)]
        for grade in STRANGERS:
            assert high.strangers[grade].interval[1] <= low.strangers[grade].interval[1]

    def test_the_bar_is_raised_until_less_than_one_is_expected_also_at_the_interval_s_end(self, info):
        low, high = found = bars_of(info, ["good"] * 4)
        assert least_bar(found, {"good": 49}) is low
        assert least_bar(found, {"good": 51}) is high
        assert low.expected({"good": 51}).matches < 1

    def test_beyond_what_was_measured_it_is_the_highest(self, info):
        *_, high = found = bars_of(info, ["good"])
        assert least_bar(found, {"good": 100_000}) is high

    @pytest.mark.parametrize(
        "searching",
        [
            [],
            {"one": bars(0.6, 0.9)},
            {"2": bars(0.6, 0.9)},
            {"1": [{"fmr": None, "score": 0.6}]},
            {"1": [{"fmr": None, "score": "high", "strangers": {}}]},
            {"1": [{"fmr": None, "score": 0.6, "strangers": {grade: {"seen": 1} for grade in STRANGERS}}]},
            {"1": [{key: value for key, value in bars(0.6, 0.9)[0].items() if key != "fmr"}]},
        ],
    )
    def test_a_damaged_note_is_an_error_of_the_weights(self, tmp_path, searching):
        info = read_info(note(tmp_path, searching=searching))
        with pytest.raises(WeightsError, match="searching is damaged"):
            bars_of(info, ["good"])
