"""Photos made worse: the same for the same seed, by as much as the step says, and told with counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from weights_files import write_note, write_weights_files

from flaskapp.detection import Face
from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair
from flaskapp.verifier import Verifier
from flaskapp.weights.runtime import Runtime
from research.__main__ import main
from research.measure.degrading import KINDS, expose, eye_distance
from research.measure.similarities import similarities
from research.measure.worse_photos import measure_robustness
from research.plots.worse_photos import plot_robustness

KIND = {kind.name: kind for kind in KINDS}
FACE = Face((40, 30, 100, 110), ((55, 60), (85, 60), (70, 75), (58, 90), (82, 90)), 0.99)


def photo(height=140, width=160):
    generator = np.random.default_rng(1)
    ramp = np.linspace(0, 255, width)[None, :, None] + generator.normal(0, 20, (height, width, 3))
    return np.clip(ramp, 0, 255).astype(np.uint8)


def change(name, value, pixels=None, seed=0):
    pixels = photo() if pixels is None else pixels
    return KIND[name].change(pixels, value, FACE, np.random.default_rng(seed))


class TestKinds:
    def test_there_are_seven_of_six_steps(self):
        assert list(KIND) == ["brightness", "contrast", "blur", "jpeg", "size", "noise", "occlusion"]
        assert {len(kind.values) for kind in KINDS} == {6}

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
        parts = (changed[3::-1], changed[4:]) if kind.name == "brightness" else (changed,)
        assert all(part == sorted(part) for part in parts)

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

    def test_the_face_becomes_as_small_as_it_says_and_never_larger(self):
        assert change("size", 40).shape == (70, 80, 3)
        assert change("size", 200).shape == (140, 160, 3)

    def test_noise_has_its_spread(self):
        grey = np.full((200, 200, 3), 127, np.uint8)
        assert (change("noise", 20, grey).astype(float) - 127).std() == pytest.approx(20, rel=0.02)
        assert (change("noise", 20, grey, seed=1) != change("noise", 20, grey)).any()

    @pytest.mark.parametrize("share", [10, 55])
    def test_so_much_of_the_face_is_covered_and_nothing_else(self, share):
        white = np.full((140, 160, 3), 255, np.uint8)
        covered = (change("occlusion", share, white, seed=4) == 127).all(axis=2)
        assert covered.sum() / (60 * 80) == pytest.approx(share / 100, rel=0.05)
        inside = np.zeros_like(covered)
        inside[30:110, 40:100] = True
        assert not (covered & ~inside).any()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_note(write_weights_files(tmp_path_factory.mktemp("weights")), (0.4, 0.6))


@pytest.fixture(scope="module")
def people(tmp_path_factory, hopper, collins):
    folder = tmp_path_factory.mktemp("people")
    for person, file in (("hopper", hopper), ("collins", collins)):
        (folder / person).mkdir()
        for number in (1, 2):
            (folder / person / f"{number}.jpg").write_bytes(file)
    (folder / "collins" / "3.jpg").write_bytes(collins[:2000])
    return folder


PAIRS = [
    PhotoPair("hopper/1.jpg", "hopper/2.jpg", True),
    PhotoPair("collins/1.jpg", "collins/2.jpg", True),
    PhotoPair("collins/1.jpg", "collins/3.jpg", True),
    PhotoPair("collins/1.jpg", "hopper/2.jpg", False),
]


@pytest.fixture(scope="module")
def measured(people, weights):
    return measure_robustness(PAIRS, people, Runtime(weights), 10)


@pytest.mark.slow
class TestMeasured:
    def test_every_step_has_all_pairs_with_failures_as_non_matches(self, measured):
        assert len([step for step in measured.steps if step.kind != "yaw"]) == 42
        for step in measured.steps:
            result = step.result
            if step.kind != "yaw":
                assert (result.confusion.genuine, result.confusion.impostor) == (3, 3)
                assert result.failures["genuine"] >= 1
            assert result.decisions["genuine"].non_match >= result.failures["genuine"]
        assert measured.unchanged.failures == {"genuine": 1, "impostor": 1}
        assert measured.without_yaw == 1

    def test_what_is_too_small_or_covered_fails(self, measured):
        failed = [step.result.failures["genuine"] for step in measured.of("contrast")]
        assert failed[-1] == 3 > failed[0]

    def test_unchanged_photos_score_as_they_do_elsewhere(self, measured, hopper, collins, weights):
        runtime = Runtime(weights)
        verdicts = vars(measured.unchanged.decisions["impostor"])
        expected = dict.fromkeys(verdicts, 0) | {"non_match": 1}  # the probe that cannot be read
        expected[Verifier(runtime).verify(collins, hopper).decision] += 2  # a reference of two pairs counts once
        assert verdicts == expected

    def test_it_can_be_written_as_json(self, measured):
        told = measured.to_json()
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        step = told["degraded"]["blur"]["steps"][0]
        assert step["step"] == "3 %"
        assert step.keys() >= {"genuine", "failures", "fnmr", "fmr", "decisions", "intervals"}

    def test_each_kind_is_drawn_with_the_photos_as_they_are_in_their_place(self, measured):
        figure = plot_robustness(measured.to_json())
        drawn = {axes.get_title("left"): axes for axes in figure.axes}
        assert list(drawn) == [*KIND, "yaw"]
        labels = {kind: [label.get_text() for label in axes.get_xticklabels()] for kind, axes in drawn.items()}
        assert labels["brightness"] == ["-8", "-6", "-4", "-2", "as it is", "1.5", "3"]
        assert labels["blur"][0] == "as it is"
        rates = {line.get_label(): line.get_ydata() for line in drawn["contrast"].lines}
        steps = [measured.unchanged, *(step.result for step in measured.of("contrast"))]
        assert list(rates["FNMR"]) == [result.figures()["fnmr"] for result in steps]
        assert list(rates["FMR"]) == [result.figures()["fmr"] for result in steps]
        bars = [bar.get_height() for bar in drawn["contrast"].patches]
        assert bars == [result.failures["genuine"] / 3 for result in steps]

    def test_it_repeats(self, measured, people, weights):
        assert measure_robustness(PAIRS, people, Runtime(weights), 10).to_json() == measured.to_json()

    def test_the_command_writes_table_page_and_plot(self, people, weights, tmp_path):
        (tmp_path / "pairs.csv").write_text(
            "reference,probe,same\nhopper/1.jpg,hopper/2.jpg,1\ncollins/1.jpg,collins/2.jpg,1\n"
        )
        arguments = (
            *("worse-photos", "--pairs", tmp_path / "pairs.csv", "--root", people, "--weights", weights),
            *("--pairs-a-step", 1, "--plots", tmp_path, "--report", tmp_path / "a.html"),
            *("--json", tmp_path / "a.json"),
        )
        told = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert told.exit_code == 0, told.output
        assert "pairs a step  1 genuine, 0 impostor" in told.stdout
        assert "occlusion: part of the face's box that is covered" in told.stdout
        assert (tmp_path / "robustness.png").exists()
        assert "<script" not in (tmp_path / "a.html").read_text()
        assert json.loads((tmp_path / "a.json").read_text())["unchanged"]["genuine"] == 1


@pytest.mark.slow
def test_where_nobody_is_named_photos_are_drawn(people, weights):
    told = measure_robustness(PAIRS[:2], people, Runtime(weights), 10).to_json()
    assert told["interval_method"]["drawn"] == "photo"
    assert told["interval_method"]["count"] == 4
    assert told["unchanged"]["impostor"] == 0


def test_without_genuine_pairs_there_is_nothing_to_degrade(people, weights):
    with pytest.raises(DataError, match="expects genuine pairs"):
        measure_robustness(PAIRS[3:], people, Runtime(weights), 10)
    with pytest.raises(DataError, match="do not exist"):
        measure_robustness([PhotoPair("a.jpg", "b.jpg", True)], people, Runtime(weights), 10)


def test_many_similarities_are_those_of_one_at_a_time(weights):
    runtime = Runtime(weights)
    embeddings = np.random.default_rng(0).normal(size=(70, 4096)).astype(np.float32) / 64
    embeddings[5] = np.nan
    found = similarities(embeddings, embeddings[0], runtime)
    expected = [
        runtime.similarity(row, embeddings[0]) if index != 5 else np.nan for index, row in enumerate(embeddings)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
