"""Photos made worse: the same for the same seed, by as much as the step says, and told with counts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from weights_files import write_note, write_weights_files

from flaskapp.detection import Face
from flaskapp.errors import DataError
from flaskapp.evaluation.intervals import bootstrap_intervals
from flaskapp.pairs.lists import PhotoPair
from flaskapp.pairs.people import pairs_among
from flaskapp.preprocess.alignment import crop_scale
from flaskapp.verifier import Verifier
from flaskapp.weights.runtime import Runtime
from research.__main__ import main
from research.measure import worse_photos
from research.measure.degrading import EYES_APART, KINDS, expose, eye_distance
from research.measure.worse_photos import ERRORS, VERDICTS, WAYS, draw_trials, measure_worse_photos
from research.plots.worse_photos import plot_worse_photos

KIND = {kind.name: kind for kind in KINDS}
FACE = Face((40, 30, 100, 110), ((55, 60), (85, 60), (70, 75), (58, 90), (82, 90)), 0.99)


def photo(height=140, width=160):
    generator = np.random.default_rng(1)
    ramp = np.linspace(0, 255, width)[None, :, None] + generator.normal(0, 20, (height, width, 3))
    return np.clip(ramp, 0, 255).astype(np.uint8)


def larger(face, times):
    box, landmarks = np.array(face.box_xyxy) * times, np.array(face.landmarks) * times
    return Face(tuple(box.tolist()), tuple(map(tuple, landmarks.tolist())), 0.99)


def turned(face, degrees):
    """Turn the landmarks about the middle of the photo."""
    turn = np.exp(1j * np.radians(degrees))
    points = (np.array(face.landmarks) @ (1, 1j) - (70 + 70j)) * turn + (70 + 70j)
    return Face(face.box_xyxy, tuple((point.real, point.imag) for point in points), 0.99)


def change(name, value, pixels=None, seed=0, face=FACE):
    pixels = photo() if pixels is None else pixels
    return KIND[name].change(pixels, value, face, np.random.default_rng(seed))


class TestKinds:
    def test_there_are_fifteen_of_six_steps(self):
        assert len(KIND) == len(KINDS) == 15
        assert {len(kind.values) for kind in KINDS} == {6}
        assert [kind.name for kind in KINDS if kind.shared] == ["motion", "eyes covered", "mouth covered", "covered"]

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
    def test_the_seed_decides_and_the_photo_stays(self, kind):
        before = photo()
        pixels = before.copy()
        for value in kind.values[1:]:
            first, again = (kind.change(pixels, value, FACE, np.random.default_rng(3)) for _ in range(2))
            assert first.dtype == np.uint8
            assert first.ndim == 3
            np.testing.assert_array_equal(first, again)
            assert first.shape != before.shape or (first != before).any()
        np.testing.assert_array_equal(pixels, before)

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
    def test_each_step_changes_more_than_the_last(self, kind):
        if kind.name == "size":
            heights = [change("size", value).shape[0] for value in kind.values]
            assert heights == sorted(heights, reverse=True)
            return
        before = photo().astype(float)
        changed = [np.abs(change(kind.name, value) - before).mean() for value in kind.values]
        assert changed == sorted(changed)

    def test_a_stop_doubles_the_light(self):
        # 18 % grey is 118 in sRGB; half and double of it are 9 % and 36 %.
        grey = np.full((2, 2, 3), 118, np.uint8)
        assert expose(grey, 1, FACE, None)[0, 0, 0] in range(160, 163)
        assert expose(grey, -1, FACE, None)[0, 0, 0] in range(84, 87)
        np.testing.assert_array_equal(expose(photo(), 0, FACE, None), photo())

    def test_contrast_keeps_the_mean_and_its_share_of_the_spread(self):
        changed = change("contrast", 0.3).astype(float)
        assert changed.mean() == pytest.approx(photo().mean(), abs=0.5)
        assert changed.std() == pytest.approx(0.3 * photo().std(), rel=0.02)

    def test_blur_is_measured_on_the_face(self):
        point = np.zeros((141, 141, 3), np.uint8)
        point[70, 70] = 255
        row = change("blur", 10, point)[70, :, 0].astype(float)
        spread = np.sqrt(np.sum(row * (np.arange(141) - 70) ** 2) / row.sum())
        assert eye_distance(FACE) == 30
        assert spread == pytest.approx(3, rel=0.15)

    def test_motion_is_measured_on_the_face(self):
        point = np.zeros((141, 141, 3), np.uint8)
        point[70, 70] = 255
        rows, columns = np.nonzero(change("motion", 60, point)[:, :, 0])
        assert np.hypot(np.ptp(rows), np.ptp(columns)) == pytest.approx(18, abs=2.5)

    def test_squares_are_measured_on_the_face(self):
        pixels = np.random.default_rng(0).integers(256, size=(140, 160, 3), dtype=np.uint8)
        row = change("mosaic", 20, pixels)[70].astype(int)
        assert np.count_nonzero(np.diff(row, axis=0).any(axis=1)) + 1 == round(160 / 6)

    def test_the_face_becomes_as_small_as_it_says_and_never_larger(self):
        assert change("size", 40).shape == (70, 80, 3)
        assert change("size", 200).shape == (140, 160, 3)

    @pytest.mark.parametrize("times", [1, 5])
    @pytest.mark.parametrize("name", ["colour noise", "grey grain"])
    def test_noise_has_its_spread_where_the_face_is_as_large_as_the_network_sees_it(self, name, times):
        grey = np.full((200 * times, 200 * times, 3), 127, np.uint8)
        noisy = change(name, 20, grey, face=larger(FACE, times))
        seen = noisy
        if times > 1:
            side = round(200 * times * EYES_APART / eye_distance(larger(FACE, times)))
            seen = cv2.resize(noisy, (side, side), interpolation=cv2.INTER_AREA)
        assert (seen.astype(float) - 127).std() == pytest.approx(20, rel=0.25)  # and not a fifth of it
        assert (noisy.std(axis=2).max() == 0) == (name == "grey grain")
        assert (change(name, 20, grey, seed=1, face=larger(FACE, times)) != noisy).any()

    def test_little_light_counts_photons(self):
        grey = np.full((300, 300, 3), 64, np.uint8)
        counted = change("low light", 30, grey).astype(float)
        assert counted.mean() == pytest.approx(64, abs=0.5)
        assert counted.std() == pytest.approx(np.sqrt(64 * 255 / 30), rel=0.03)  # the root of what is counted

    @pytest.mark.parametrize("angle", [0, 25])
    @pytest.mark.parametrize("percent", [10, 40])
    def test_so_much_of_the_face_is_covered_and_nothing_else(self, percent, angle):
        before, face = photo(), turned(FACE, angle)
        covered = (change("covered", percent, before, seed=4, face=face) != before).any(axis=2)
        side = 100 / crop_scale(face.landmarks)  # of the face as the network sees it
        assert covered.sum() / side**2 == pytest.approx(percent / 100, rel=0.07)
        y, x = np.nonzero(covered)
        assert np.abs(np.stack((x - 70, y - 70))).max() < side * 0.75

    @pytest.mark.parametrize("angle", [0, 25])
    def test_eyes_and_mouth_are_covered_where_they_are(self, angle):
        before, face = photo(), turned(FACE, angle)
        points = np.rint(face.landmarks).astype(int)
        for name, there in (("eyes covered", (1, 1, 0, 0, 0)), ("mouth covered", (0, 0, 0, 1, 1))):
            covered = (change(name, KIND[name].values[3], before, face=face) != before).any(axis=2)
            assert covered[points[:, 1], points[:, 0]].tolist() == [bool(each) for each in there]


PEOPLE = {f"{name}/{number}.jpg": name for name in "abcdefgh" for number in range(10)}


class TestTrials:
    def test_photos_are_drawn_person_by_person_and_pairs_formed_among_them(self):
        trials = draw_trials(pairs_among([PEOPLE], 0, 0), 16, 10_000)
        drawn = [PEOPLE[photo] for photo in trials.photos]
        assert sorted(drawn.count(name) for name in set(drawn)) == [4, 4, 4, 4]
        names = np.array(drawn)
        assert (trials.same == (names[trials.first] == names[trials.second])).all()
        assert (trials.same.sum(), (~trials.same).sum()) == (4 * 6, 6 * 16)
        assert (trials.sources.unit, trials.sources.count) == ("person", 4)
        assert ((trials.sources.reference == trials.sources.probe) == trials.same).all()
        assert trials.photos != draw_trials(pairs_among([PEOPLE], 0, 0), 16, 9, seed=1).photos

    def test_once_everybody_has_had_a_turn_further_photos_are_drawn(self):
        assert len(draw_trials(pairs_among([PEOPLE], 0, 0), 60, 5).photos) == 60
        everything = draw_trials(pairs_among([PEOPLE], 0, 0), 1000, 50)
        assert (len(everything.photos), everything.same.sum(), (~everything.same).sum()) == (80, 8 * 45, 50)

    def test_where_nobody_is_named_strangers_are_those_of_the_list(self):
        pairs = [PhotoPair("1", "2", True), PhotoPair("3", "4", True), PhotoPair("1", "4", False)]
        trials = draw_trials([*pairs, PhotoPair("1", "5", False)], 10, 10)
        assert (trials.photos, trials.same.tolist()) == (sorted(trials.photos, key=trials.photos.index), [1, 1, 0])
        assert {trials.photos[trials.first[2]], trials.photos[trials.second[2]]} == {"1", "4"}
        assert (trials.sources.unit, trials.sources.count) == ("photo", 4)

    def test_without_genuine_pairs_there_is_nothing_to_measure(self):
        with pytest.raises(DataError, match="expect genuine pairs"):
            draw_trials([PhotoPair("1", "2", False)], 10, 10)


class MadeUp:
    """Photos whose embedding is one number: −1 as they are, else the kind; the last strength hides photo 0."""

    def __init__(self, paths, *_):
        self.clean, self.poor = np.full((len(paths), 1), -1.0), np.empty((len(KINDS), len(paths), 1))

    def yaw(self):
        return np.linspace(0, 60, len(self.clean))

    def embed_clean(self, row):
        pass

    def embed_poor(self, step, row):
        self.poor[:, row, 0] = np.nan if (step, row) == (5, 0) else np.arange(len(KINDS))


def equal_ones(references, probes):
    one, other = references[:, 0], probes[:, 0]
    return np.where(np.isnan(one + other), np.nan, np.where(one == other, 0.9, 0.1))


@pytest.fixture(scope="module")
def made_up():
    """Two embeddings match if they are one, so that only photos that are poor alike do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worse_photos, "SpoiledPhotos", MadeUp)
        patch.setattr(worse_photos, "check_presence", lambda *_: None)
        trials = draw_trials(pairs_among([PEOPLE], 0, 0), 12, 40)
        info = SimpleNamespace(inconclusive_band=(0.4, 0.6), weights_id="made up@1")
        return measure_worse_photos(trials, Path(), SimpleNamespace(info=info, scores=equal_ones))


class TestWays:
    def test_each_photo_is_as_poor_as_the_way_says(self, made_up):
        for kind in KINDS:
            for step in made_up.kinds[kind.name][:5]:
                right = {
                    way: max(cell["impostor"].counts, key=cell["impostor"].counts.get)
                    for way, cell in step.ways.items()
                }
                assert right == dict.fromkeys(WAYS, "non_match") | {"alike": "match"}
                for cell in step.ways.values():
                    assert {max(shares.counts.values()) for shares in cell.values()} == {18, 40}

    def test_a_photo_without_a_face_is_neither_match_nor_non_match(self, made_up):
        trials = made_up.trials
        of_photo = {
            of: rows & (trials.second == 0) for of, rows in (("genuine", trials.same), ("impostor", ~trials.same))
        }
        step = made_up.kinds["blur"][5]
        assert step.failed == 1
        for of, rows in of_photo.items():
            shares = step.ways["probe"][of]
            assert shares.pairs == {"genuine": 18, "impostor": 40}[of]
            assert shares.counts == {
                "match": 0, "inconclusive": 0, "non_match": shares.pairs - rows.sum(), "failed": rows.sum()
            }  # fmt: skip
            both = ((trials.first == 0) | (trials.second == 0)) & (trials.same == (of == "genuine"))
            assert step.ways["alike"][of].counts["failed"] == both.sum() > rows.sum()

    def test_the_worst_is_found(self, made_up):
        assert made_up.worst("impostor").worst("impostor")[0] == "alike"
        told = made_up.to_json()["worst"]
        assert told["impostor_match"] == {
            "kind": "blur", "step": "3 %", "way": "alike", "pairs": 40, "count": 40, "share": 1.0,
            "low": told["impostor_match"]["low"], "high": 1.0,
        }  # fmt: skip
        assert (told["genuine_non_match"]["way"], told["genuine_non_match"]["share"]) == ("probe", 1.0)

    def test_pairs_are_sorted_by_yaw(self, made_up):
        steps = made_up.kinds["yaw"]
        assert [step.label for step in steps][-1] == "50 to 90°"
        assert sum(step.ways["unchanged"]["impostor"].pairs for step in steps) == 40
        assert sum(step.ways["unchanged"]["genuine"].pairs for step in steps) == 18

    def test_intervals_are_those_of_evaluation(self, made_up):
        trials, step = made_up.trials, made_up.kinds["blur"][5]
        for of, rows in (("impostor", ~trials.same), ("genuine", trials.same)):
            failed = ((trials.first == 0) | (trials.second == 0))[rows].astype(float)
            kept = trials.sources.taken(np.flatnonzero(rows))
            expected = bootstrap_intervals(failed, np.zeros(rows.sum(), bool), 0.5, kept, replicates=500)["fmr"]
            found = step.ways["alike"][of].intervals
            assert (found["failed"].low, found["failed"].high) == pytest.approx((expected.low, expected.high))
            none = bootstrap_intervals(0 * failed, np.zeros(rows.sum(), bool), 0.5, kept)["fmr"]
            assert (found["inconclusive"].low, found["inconclusive"].high) == (none.low, none.high)

    def test_it_can_be_written_as_json(self, made_up):
        told = made_up.to_json()
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        assert list(told["kinds"]) == [*KIND, "yaw"]
        step = told["kinds"]["blur"]["steps"][0]
        assert (step["value"], step["step"], step["photos_failed"]) == (3, "3 %", 0)
        assert step["ways"].keys() == set(WAYS)
        for cell in step["ways"].values():
            assert cell.keys() == ERRORS.keys()
            for shares in cell.values():
                assert shares.keys() == {"pairs", *VERDICTS, "low", "high"}
                assert sum(shares[name] for name in VERDICTS) == shares["pairs"]

    def test_each_kind_is_drawn_with_the_photos_as_they_are_first(self, made_up):
        figure = plot_worse_photos(made_up.to_json())
        drawn = {axes.get_title("left"): axes for axes in figure.axes}
        assert list(drawn) == [*KIND, "yaw"]
        labels = [label.get_text() for label in drawn["blur"].get_xticklabels()]
        assert labels == ["as it is", "3 %", "6 %", "9 %", "13 %", "18 %", "25 %"]
        lines = {line.get_label(): line.get_ydata() for line in drawn["blur"].lines}
        steps = made_up.kinds["blur"]
        for line, of, first in (("impostor match", "impostor", 1), ("genuine non_match", "genuine", 0)):
            shares = [step.ways["alike"][of].share(ERRORS[of]) for step in steps]
            assert list(lines[line]) == pytest.approx([first, *shares], abs=1e-5)
        bars = [bar.get_height() for bar in drawn["blur"].patches]
        assert bars == pytest.approx([0, *(step.ways["alike"]["genuine"].share("failed") for step in steps)], abs=1e-5)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_note(write_weights_files(tmp_path_factory.mktemp("weights")), (0.4, 0.6))


@pytest.fixture(scope="module")
def people(tmp_path_factory, hopper_pixels, collins_pixels):
    folder = tmp_path_factory.mktemp("people")
    for person, pixels in (("hopper", hopper_pixels), ("collins", collins_pixels)):
        (folder / person).mkdir()
        image = Image.fromarray(pixels)
        for number in (1, 2):
            # Small ones are found sooner.
            image.resize((200, round(200 * image.height / image.width))).save(folder / person / f"{number}.jpg")
    (folder / "collins" / "3.jpg").write_bytes((folder / "collins" / "1.jpg").read_bytes()[:2000])
    return folder


PAIRS = [
    PhotoPair("hopper/1.jpg", "hopper/2.jpg", True),
    PhotoPair("collins/1.jpg", "collins/2.jpg", True),
    PhotoPair("collins/1.jpg", "collins/3.jpg", True),
    PhotoPair("collins/1.jpg", "hopper/2.jpg", False),
]


@pytest.fixture(scope="module")
def measured(people, weights):
    return measure_worse_photos(draw_trials(PAIRS, 10, 100), people, Runtime(weights))


@pytest.mark.slow
class TestMeasured:
    def test_every_step_has_all_pairs(self, measured):
        for kind in KINDS:
            for step in measured.kinds[kind.name]:
                pairs = {(of, shares.pairs) for cell in step.ways.values() for of, shares in cell.items()}
                assert pairs == {("genuine", 3), ("impostor", 6)}
                assert step.failed >= measured.unchanged.failed == 1
        assert measured.without_yaw == 1

    def test_where_no_face_is_found_any_more_all_fail(self, measured):
        failed = [step.failed for step in measured.kinds["contrast"]]
        assert failed[-1] == 5 > failed[0]
        assert measured.kinds["contrast"][-1].ways["probe"]["genuine"].counts["failed"] == 3

    def test_unchanged_photos_score_as_they_do_elsewhere(self, measured, people, weights):
        both = [(people / name / "1.jpg").read_bytes() for name in ("collins", "hopper")]
        expected = dict.fromkeys(VERDICTS, 0) | {"failed": 2}  # the photo that cannot be read
        expected[Verifier(Runtime(weights)).verify(*both).decision] += 4
        assert measured.unchanged.ways["unchanged"]["impostor"].counts == expected

    def test_it_repeats_and_what_is_drawn_is_shared_by_photos_and_noise_is_not(self, people, weights):
        def poor(seed):
            paths = [people / "hopper" / f"{number}.jpg" for number in (1, 2)]
            photos = worse_photos.SpoiledPhotos(paths, Runtime(weights), "centre", seed)
            for row in (0, 1):
                photos.embed_clean(row)
                photos.embed_poor(1, row)
            return photos.poor

        first, again, other = poor(0), poor(0), poor(1)
        np.testing.assert_array_equal(first, again)
        noise = {"colour noise", "grey grain", "low light"}
        drawn = noise | {kind.name for kind in KINDS if kind.shared}
        assert {kind.name for kind, (one, two) in zip(KINDS, first, strict=True) if (one != two).any()} == noise
        assert {
            kind.name for kind, *both in zip(KINDS, first, other, strict=True) if (both[0] != both[1]).any()
        } == drawn

    def test_the_command_writes_table_page_and_plot(self, people, weights, tmp_path, monkeypatch):
        monkeypatch.setattr(worse_photos, "KINDS", KINDS[-2:])
        arguments = (
            *("worse-photos", "--people", people, "--photos", 5, "--weights", weights, "--pairs-a-step", 3),
            *("--plots", tmp_path, "--report", tmp_path / "a.html", "--json", tmp_path / "a.json"),
        )
        told = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert told.exit_code == 0, told.output
        assert "3 of strangers, of 2 people" in told.stdout
        assert "worst match" in told.stdout
        assert "mouth covered 60 %" in told.stdout
        assert (tmp_path / "worse-photos.png").exists()
        page = (tmp_path / "a.html").read_text()
        assert "covered: % of the face" in page
        assert "<script" not in page
        written = json.loads((tmp_path / "a.json").read_text())
        assert written["command"].endswith("--photos 5 --pairs-a-step 3")
        assert written["unchanged"]["ways"]["unchanged"]["impostor"]["pairs"] == 3


def test_a_missing_photo_is_told_before_any_work(people, weights):
    with pytest.raises(DataError, match="do not exist"):
        measure_worse_photos(draw_trials([PhotoPair("a.jpg", "b.jpg", True)], 10, 10), people, Runtime(weights))
