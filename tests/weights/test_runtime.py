from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from weights_files import LAYERS, note_for, random_arrays, write_h5, write_note, write_weights_files

from flaskapp.errors import WeightsError
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.parallel import once
from flaskapp.weights import info, runtime
from flaskapp.weights.graph import check_arrays, embedding_graph, read_arrays
from flaskapp.weights.info import VerdictCounts, WeightsInfo, numbers_beside, read_info
from flaskapp.weights.runtime import Runtime, weighted_l1

ROOT = Path(__file__).resolve().parents[2]


def unit(embeddings: np.ndarray) -> np.ndarray:
    return embeddings / np.linalg.norm(embeddings.astype(np.float64), axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_weights_files(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def loaded(weights) -> Runtime:
    return Runtime(weights)


@pytest.fixture
def copy(weights, tmp_path) -> Path:
    """Return a copy of the weights that a test may spoil."""
    for file in (weights, weights.with_suffix(".json")):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / weights.name


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Return three pictures of large coloured squares: what has learned nothing tells them apart."""
    rng = np.random.default_rng(0)
    squares = [rng.random((count, count, 3), np.float32) for count in (2, 4, 5)]
    return np.stack([np.kron(square, np.ones((100 // len(square),) * 2 + (1,), np.float32)) for square in squares])


def test_there_is_an_embedding_of_each_face(loaded, faces):
    embeddings = loaded.embed(faces)
    assert (embeddings.shape, embeddings.dtype) == ((3, 4096), np.float32)


def test_no_faces_have_no_embeddings(loaded):
    assert loaded.embed(np.empty((0, 100, 100, 3), np.float32)).shape == (0, 4096)


def test_an_embedding_does_not_depend_on_its_neighbours(loaded, faces):
    together = loaded.embed(faces)
    alone = [loaded.embed(face[None])[0] for face in faces]
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(loaded.embed(faces[::-1]), together[::-1])


def test_embeddings_are_the_same_in_every_thread(loaded, faces):
    expected = loaded.embed(faces)
    with ThreadPoolExecutor(8) as pool:
        for embeddings in pool.map(lambda _: loaded.embed(faces), range(16)):
            np.testing.assert_array_equal(embeddings, expected)


@pytest.mark.parametrize(
    "faces",
    [
        np.zeros((100, 100, 3), np.float32),
        np.zeros((1, 3, 100, 100), np.float32),
        np.zeros((1, 100, 100, 3), np.uint8),
        np.zeros((1, 100, 100, 3), np.float64),
    ],
    ids=["no batch", "channels first", "uint8", "float64"],
)
def test_faces_of_another_form_are_refused(loaded, faces):
    with pytest.raises(ValueError, match="float32"):
        loaded.embed(faces)


def test_the_score_is_the_sigmoid_of_the_weighted_l1_distance(loaded):
    arrays = random_arrays()
    reference, probe = np.random.default_rng(1).normal(0, 1 / 64, (2, 4096)).astype(np.float32)
    distance = np.abs(unit(reference) - unit(probe))
    log_odds = distance @ arrays["similarity_score/kernel"][:, 0] + arrays["similarity_score/bias"][0]
    assert loaded.similarity(reference, probe) == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-12)


def test_many_scores_are_those_of_one_at_a_time(loaded):
    references, probes = np.random.default_rng(0).normal(0, 1 / 64, (2, 70, 4096)).astype(np.float32)
    references[5] = np.nan
    for others in (probes, probes[0]):
        expected = [
            loaded.similarity(reference, others[row] if others.ndim > 1 else others) if row != 5 else np.nan
            for row, reference in enumerate(references)
        ]
        np.testing.assert_allclose(loaded.scores(references, others), expected, rtol=1e-12)


def test_the_score_is_symmetric_to_the_last_bit(loaded, faces):
    first, second, third = loaded.embed(faces)
    assert loaded.similarity(first, second) == loaded.similarity(second, first)
    assert loaded.similarity(first, third) == loaded.similarity(third, first)


def test_one_embedding_is_as_like_itself_as_can_be(loaded, faces):
    first, second, _ = loaded.embed(faces)
    at_distance_0 = 1 / (1 + np.exp(-random_arrays()["similarity_score/bias"][0].astype(float)))
    assert loaded.similarity(first, first) == pytest.approx(at_distance_0)
    assert loaded.similarity(first, second) < loaded.similarity(first, first)


@pytest.mark.parametrize("length", [0, 1e-30, 1e6])
def test_no_length_is_too_small_or_too_large_for_a_score(loaded, length):
    reference = np.full(4096, length, np.float32)
    assert 0 <= loaded.similarity(reference, -reference) <= loaded.similarity(reference, reference) <= 1


def test_certainty_is_the_length_up_to_one():
    embeddings = np.zeros((4, 4096), np.float32)
    embeddings[:, 7] = 0, 0.25, 3, np.nan
    np.testing.assert_array_equal(runtime.certainties(embeddings), [0, 0.25, 1, np.nan])


class TestTrust:
    """Pairs whose heads say the same: what is left of it depends on how sure the network is."""

    @pytest.fixture
    def weighing(self, copy) -> Runtime:
        return Runtime(write_note(copy, trust={"match": [0.0, 1.0], "doubt": 2.0, "least": 0.0}))

    @pytest.fixture(params=[1.0, 0.3], ids=["match", "non-match"])
    def pair(self, request) -> np.ndarray:
        """Return two unit vectors that the head finds alike, or not."""
        first, second = np.random.default_rng(5).normal(0, 1 / 64, (2, 4096)).astype(np.float32)
        return np.stack([unit(first), unit(first + (1 - request.param) * second)]).astype(np.float32)

    def log_odds(self, runtime, pair, *lengths) -> float:
        score = runtime.similarity(*(np.float32(length) * one for length, one in zip(lengths, pair, strict=True)))
        return np.log(score / (1 - score))

    def test_log_odds_count_for_less_where_the_network_is_less_sure(self, weighing, pair):
        whole = self.log_odds(weighing, pair, 1, 1)
        half, quarter = (0.5 * whole, 0.25 * whole) if whole > 0 else (whole + 1, whole + 1.5)
        assert abs(whole) > 1.9, "else this test would show nothing"
        assert self.log_odds(weighing, pair, 0.5, 1) == pytest.approx(half, rel=1e-4)
        assert self.log_odds(weighing, pair, 1, 0.5) == pytest.approx(half, rel=1e-4)
        assert self.log_odds(weighing, pair, 0.5, 0.5) == pytest.approx(quarter, rel=1e-4)
        assert self.log_odds(weighing, pair, 7, 7) == pytest.approx(whole, rel=1e-4)

    def test_less_certainty_never_moves_a_score_away_from_the_middle(self, weighing, pair):
        odds = [self.log_odds(weighing, pair, length, 0.8) for length in np.linspace(0.01, 1, 20)]
        steps = np.diff(np.abs(odds))
        assert np.all(steps >= 0)
        assert np.mean(steps > 0) > 0.5
        assert len(set(np.sign(odds)) - {0}) == 1

    def test_it_is_symmetric_to_the_last_bit(self, weighing, pair):
        first, second = np.float32(0.4) * pair[0], pair[1]
        assert weighing.similarity(first, second) == weighing.similarity(second, first)


BY_NUMBER = {
    str(number): {
        "scale": scale,
        "offset": offset,
        "threshold": 0.5,
        "inconclusive_band": [low, 0.7],
        "error_counts": {
            "genuine": {"match": 95, "inconclusive": 5, "non_match": 0},
            "impostor": {"match": number, "inconclusive": 0, "non_match": 1000 - number},
        },
    }
    for number, scale, offset, low in ((2, 0.9, -0.5, 0.3), (8, 0.7, -1.5, 0.2))
}


class TestPerson:
    """One photo, and several of one person."""

    @pytest.fixture
    def fitted(self, copy) -> Runtime:
        return Runtime(
            write_note(
                copy,
                trust={"match": [0.0, 1.0], "doubt": 8.0, "least": 0.0},
                references={"best": 2, "by_number": BY_NUMBER},
            )
        )

    @pytest.fixture
    def embeddings(self) -> np.ndarray:
        """Return some of one person, of whom four photos are like each other, and one is poor."""
        drawn = np.random.default_rng(8).normal(0, 1 / 64, (30, 4096))
        drawn[:4] = drawn[0] + 0.3 * drawn[:4]
        return (drawn * np.where(np.arange(30) % 7 == 3, 0.5, 1)[:, None]).astype(np.float32)

    def test_one_reference_gives_the_scores_of_pairs(self, fitted, embeddings):
        expected = fitted.scores(embeddings, embeddings[0])
        np.testing.assert_array_equal(fitted.person_scores(embeddings[:1], embeddings), expected)

    @pytest.mark.parametrize("count", [2, 8, 20])
    def test_several_are_fused_as_the_note_says_for_their_number(self, fitted, embeddings, count):
        told = BY_NUMBER[str(min(count, 8))]
        references, probes = embeddings[:count], embeddings[-5:]
        kernel, offset = fitted.head
        for probe, score in zip(probes, fitted.person_scores(references, probes), strict=True):
            odds = []
            for reference in references:
                head = np.abs(unit(reference) - unit(probe)) @ kernel + offset
                one, other = runtime.certainties(np.stack([reference, probe]))
                changed = told["scale"] * head + told["offset"]
                odds.append(changed * one * other if changed > 0 else min(changed + 8 * (1 - one * other), 0))
            assert score == pytest.approx(1 / (1 + np.exp(-np.mean(sorted(odds)[-2:]))), abs=1e-6)

    def test_the_order_of_references_changes_no_bit(self, fitted, embeddings):
        for probes in (embeddings[20:21], embeddings[20:]):
            expected = fitted.person_scores(embeddings[:9], probes)
            for order in (np.arange(9)[::-1], np.random.default_rng(0).permutation(9)):
                np.testing.assert_array_equal(fitted.person_scores(embeddings[order], probes), expected)

    def test_without_fitted_numbers_log_odds_are_averaged_as_they_are(self, loaded, embeddings):
        odds = np.sort([loaded.scores(embeddings[20:], one) for one in embeddings[:5]], axis=0)
        odds = np.log(odds / (1 - odds))
        expected = 1 / (1 + np.exp(-odds[-3:].mean(axis=0)))
        np.testing.assert_allclose(loaded.person_scores(embeddings[:5], embeddings[20:]), expected, rtol=1e-9)

    @pytest.mark.parametrize("count", [0, 21])
    def test_no_references_and_too_many_are_refused(self, loaded, embeddings, count):
        with pytest.raises(ValueError, match="1 to 20 references"):
            loaded.person_scores(embeddings[:count], embeddings)

    def test_a_number_between_two_lies_between_them_by_its_logarithm(self, fitted):
        weights = fitted.info.for_references(4)
        assert (weights.fusion.scale, weights.fusion.offset) == pytest.approx((0.8, -1.0))
        assert weights.inconclusive_band == pytest.approx((0.25, 0.7))
        last = [fitted.info.for_references(count) for count in (8, 13, 20)]
        assert {(one.fusion, one.inconclusive_band) for one in last} == {(last[0].fusion, (0.2, 0.7))}
        assert fitted.info.for_references(1) is fitted.info

    @pytest.mark.parametrize(("count", "of", "told"), [(2, 2, 2), (7, 8, 8), (8, 8, 8), (20, 8, 8)])
    def test_counts_are_those_of_the_number_beside_it_with_which_more_strangers_match(self, fitted, count, of, told):
        counts = fitted.info.for_references(count).verdict_counts("match", ("good", "good"))
        assert (counts.references, counts.impostor_with_verdict) == (of, told)
        assert f"with {of} photos of the person" in str(counts)

    @pytest.mark.parametrize(("count", "beside"), [(1, (1, 1)), (3, (2, 8)), (8, (8, 8)), (20, (8, 8))])
    def test_the_numbers_beside_one_are_the_next_below_and_above(self, count, beside):
        assert numbers_beside(count, [8, 1, 2]) == beside

    def test_counts_of_pairs_say_so_where_none_were_fitted(self, loaded):
        counts = loaded.info.for_references(5).verdict_counts("match")
        assert (counts.references, counts.impostor_with_verdict) == (1, 1)
        assert "with 1 photo of the person" in str(counts)
        assert loaded.info.verdict_counts("match").references is None

    @pytest.mark.parametrize(
        ("people", "odd"),
        [
            ("a", ()),
            ("aa", ()),
            ("ab", (0, 1)),
            ("aaaa", ()),
            ("abaa", (1,)),
            ("baa", (0,)),
            ("abaca", (1, 3)),
            ("abc", (0, 1, 2)),
            ("aabaaba", (2, 5)),
        ],
    )
    def test_references_that_do_not_look_like_the_others_are_odd(self, loaded, people, odd):
        rng = np.random.default_rng(4)
        faces = {one: rng.normal(0, 1 / 64, 4096) for one in "abc"}
        photos = np.stack([faces[one] + 0.1 * rng.normal(0, 1 / 64, 4096) for one in people])
        assert loaded.odd_ones(photos.astype(np.float32)) == odd

    @pytest.mark.parametrize("key", ["scale", "offset", "threshold", "inconclusive_band", "error_counts"])
    def test_a_note_without_a_part_of_a_number_is_damaged(self, copy, key):
        half = {name: value for name, value in BY_NUMBER["2"].items() if name != key}
        write_note(copy, references={"best": 3, "by_number": {"2": half}})
        with pytest.raises(WeightsError, match=r"random\.json is damaged"):
            Runtime(copy)


def test_another_process_gives_the_same_bits(weights, loaded, faces, tmp_path):
    np.save(tmp_path / "faces.npy", faces)
    code = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom flaskapp.weights.runtime import Runtime\n"
        "np.save(sys.argv[3], Runtime(Path(sys.argv[1])).embed(np.load(sys.argv[2])))"
    )
    arguments = [str(path) for path in (weights, tmp_path / "faces.npy", tmp_path / "embeddings.npy")]
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), loaded.embed(faces))


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
def test_one_flipped_byte_is_refused_and_the_file_named(copy, place):
    content = bytearray(copy.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    copy.write_bytes(content)
    with pytest.raises(WeightsError, match=r"random\.h5 .*hash"):
        Runtime(copy)


def test_missing_weights_are_named(copy):
    copy.unlink()
    with pytest.raises(WeightsError, match=r"random\.h5 are missing"):
        Runtime(copy)


def test_a_missing_note_is_named(copy):
    copy.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"random\.json.*missing"):
        Runtime(copy)


@pytest.mark.parametrize("shipped", [True, False])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{}"),
        lambda path: path.write_bytes(b"of another program"),
        lambda path: path.unlink(),
        lambda path: write_note(path, (0.4, 0.6), sha256="0" * 64),
    ],
    ids=["no note", "another note", "other bytes", "no weights", "other hash"],
)
def test_only_the_shipped_weights_are_to_be_put_back(copy, monkeypatch, shipped, spoil):
    monkeypatch.setattr(info, "default_weights_path", lambda: copy if shipped else ROOT / copy.name)
    spoil(copy)
    with pytest.raises(WeightsError) as caught:
        Runtime(copy)
    assert ("install the program again" in caught.value.hint) == shipped
    assert ("program's train wrote" in caught.value.hint) != shipped


def test_a_folder_is_no_weights(tmp_path):
    with pytest.raises(WeightsError, match=r"folder\.h5 cannot be read"):
        read_arrays((tmp_path / "folder.h5").mkdir() or tmp_path / "folder.h5", "")
    (tmp_path / "other.json").mkdir()
    with pytest.raises(WeightsError, match=r"other\.json cannot be read"):
        read_info(tmp_path / "other.h5")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", "null", '{"name": "x"}', b"\xff\xfe"], ids=lambda text: repr(text)[:20]
)
def test_a_damaged_note_is_named(copy, text):
    copy.with_suffix(".json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WeightsError, match=r"random\.json is damaged"):
        Runtime(copy)


@pytest.mark.parametrize(
    "key",
    ["name", "sha256", "threshold", "inconclusive_band", "error_counts", "crop_geometry", "trust", "grade_bounds"],
)
def test_a_note_without_one_of_its_parts_is_damaged(copy, key):
    note = note_for(copy)
    del note[key]
    copy.with_suffix(".json").write_text(json.dumps(note))
    with pytest.raises(WeightsError, match=r"random\.json is damaged"):
        Runtime(copy)


@pytest.mark.parametrize(
    "changes",
    [
        {"inconclusive_band": [0.4]},
        {"inconclusive_band": "ab"},
        {"threshold": "high"},
        {"trust": {"match": [0.0, 1.0]}},
        {"trust": {"match": [-1.0, 1.0], "doubt": 0.0, "least": 0.0}},
        {"trust": {"match": [0.5], "doubt": 0.0, "least": 0.0}},
        {"trust": {"match": [0.0, 1.0], "doubt": -1.0, "least": 0.0}},
        {"trust": {"match": [0.0, 1.0], "doubt": 0.0, "least": 1.5}},
        {"grade_bounds": [0.9]},
        {"grade_bounds": [0.9, 0.8]},
        {"grade_bounds": [math.nan, math.nan]},
        {"tensor_ranges": {"relu0": [0.0]}},
        {"tensor_ranges": {"relu0": [0.0, 0.0]}},
        {"tensor_ranges": {"relu0": [0.5, 1.0]}},
        {"counts_by_grades": {"good and good": {"genuine": {}, "impostor": {}}}},
        {"error_counts": {"genuine": {"match": 1}, "impostor": {"match": 1}}},
        {"error_counts": {"genuine": {"match": -1, "inconclusive": 0, "non_match": 0}, "impostor": {}}},
    ],
    ids=[
        "one end",
        "letters",
        "word",
        "half a trust",
        "no line",
        "one end of a line",
        "a doubt below 0",
        "more than all that there is",
        "one bound",
        "bounds the wrong way round",
        "bounds that are no numbers",
        "one end of a range",
        "a range of nothing",
        "a range without 0",
        "no counts",
        "verdicts missing",
        "negative",
    ],
)
def test_a_note_of_other_values_is_damaged(copy, changes):
    write_note(copy, **changes)
    with pytest.raises(WeightsError, match=r"random\.json is damaged"):
        Runtime(copy)


class TestRounded:
    """Where the note says between which numbers tensors lie, whole numbers are computed with."""

    RANGES: ClassVar = {"concat0": [0.0, 1.0], "relu0": [0.0, 12.0], "maxpool0": [0.0, 12.0], "relu1": [0.0, 12.0]}

    @pytest.fixture
    def rounded(self, copy) -> Runtime:
        return Runtime(write_note(copy, tensor_ranges=self.RANGES))

    def test_the_answer_is_nearly_that_of_the_numbers_unrounded(self, loaded, rounded, faces):
        exact, near = loaded.embed(faces), rounded.embed(faces)
        assert not np.array_equal(exact, near)
        np.testing.assert_allclose(np.linalg.norm(near, axis=1), np.linalg.norm(exact, axis=1), rtol=0.03)
        assert np.sum(unit(near) * unit(exact), axis=1).min() > 0.99

    def test_the_kernels_become_whole_numbers_of_seven_bits(self):
        arrays = random_arrays()
        _, plain = embedding_graph(arrays)
        _, constants = embedding_graph(arrays, {name: tuple(ends) for name, ends in self.RANGES.items()})
        kernel, exact = constants["block1_conv_kernel"], plain["conv0_0"]
        assert kernel.dtype == np.int8
        assert np.abs(kernel).max(axis=(1, 2, 3)).tolist() == [63] * 64
        (step,) = (constants[name] for name in constants if constants[name].shape == (64,) and name.endswith("1_0"))
        np.testing.assert_allclose(kernel * step[:, None, None, None], exact, atol=float(step.max()) / 2 + 1e-6)

    def test_a_number_beyond_its_range_counts_as_its_end(self, copy, faces):
        low = Runtime(write_note(copy, tensor_ranges={"relu0": [0.0, 0.01]}))
        high = Runtime(write_note(copy, tensor_ranges={"relu0": [0.0, 12.0]}))
        assert np.linalg.norm(low.features(faces)) < np.linalg.norm(high.features(faces))


def test_features_are_what_embeddings_are_made_of(loaded, faces):
    features, arrays = loaded.features(faces), random_arrays()
    assert (features.shape, features.dtype) == ((3, 129), np.float32)
    expected = features @ arrays["embedding/kernel"] + arrays["embedding/bias"]
    np.testing.assert_allclose(loaded.embed(faces), expected, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"inconclusive_band": [0.6, 0.4]},
        {"threshold": 0.7},
        {"threshold": 0.3},
        {"inconclusive_band": [-0.1, 0.6]},
        {"inconclusive_band": [0.4, 1.1]},
        {"threshold": float("nan")},
    ],
)
def test_band_and_threshold_must_fit_together(copy, changes):
    write_note(copy, **changes)
    with pytest.raises(WeightsError, match="low ≤ threshold ≤ high"):
        Runtime(copy)


def test_weights_for_other_crops_are_refused(copy):
    geometry = note_for(copy)["crop_geometry"]
    write_note(copy, crop_geometry=geometry | {"crop_size": 112})
    with pytest.raises(WeightsError, match="cut out differently"):
        Runtime(copy)


def test_a_file_that_is_no_hdf5_is_refused(copy):
    copy.write_bytes(b"no network")
    write_note(copy)
    with pytest.raises(WeightsError, match=r"random\.h5 is not a Keras weights file"):
        Runtime(copy)


def test_a_pickle_is_never_opened(copy):
    copy.write_bytes(b"cos\nsystem\n(S'echo opened'\ntR.")
    write_note(copy)
    with pytest.raises(WeightsError, match="not a Keras weights file"):
        Runtime(copy)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("block2_conv/kernel", np.zeros((3, 3, 64, 127)), r"block2_conv/kernel expects \(3, 3, 64, 128\)"),
        ("embedding/kernel", np.zeros((4096, 256)), r"embedding/kernel expects \(129, 4096\)"),
        ("similarity_score/kernel", np.zeros((4095, 1)), r"similarity_score/kernel expects \(4096, 1\)"),
        ("block1_unit1_2_conv/kernel", np.zeros(1), r"block1_unit1_2_conv/kernel expects not to be there"),
        ("lambda/code", np.zeros(1), "lambda/code expects not to be there"),
    ],
)
def test_arrays_of_another_network_are_refused(name, array, message):
    with pytest.raises(WeightsError, match=message):
        check_arrays(random_arrays() | {name: array})


@pytest.mark.parametrize(
    "name", ["block1_norm/gamma", "global_depthwise/kernel", "block4_unit2_2_norm/moving_variance"]
)
def test_missing_arrays_are_named(copy, name):
    arrays = random_arrays()
    del arrays[name]
    write_note(write_h5(copy, arrays))
    with pytest.raises(WeightsError, match=rf"{name} expects .*Received: nothing"):
        Runtime(copy)


@pytest.mark.parametrize("units", [(0, 0, 0, 0), (1, 0, 0, 0)])
def test_the_file_says_how_many_residual_units_there_are(tmp_path, faces, units):
    weights = write_note(write_h5(tmp_path / "other.h5", random_arrays(residual_units=units)))
    assert Runtime(weights).embed(faces[:1]).shape == (1, 4096)


def test_the_id_tells_weights_apart(weights, loaded):
    digest = note_for(weights)["sha256"]
    assert loaded.info.weights_id == f"random@{digest[:12]}"


def test_verdict_counts_say_who_got_the_verdict(loaded):
    counts = loaded.info.verdict_counts("match")
    assert counts == VerdictCounts(
        impostor_pairs=1000, impostor_with_verdict=1, genuine_pairs=100, genuine_with_verdict=90
    )
    assert counts.to_json()["impostor_with_verdict"] == 1
    assert counts.to_json()["sentence"] == str(counts)
    assert figures_of(counts) == ["0.10 %", "1 of 1,000", "90.0 %", "90 of 100"]


@pytest.mark.parametrize(
    ("counts", "figures"),
    [
        ((592_437, 26_378, 11_299, 473), ["4.5 %", "26,378 of 592,437", "4.2 %", "473 of 11,299"]),
        ((592_437, 1, 20_000, 19_999), ["0.0002 %", "1 of 592,437", "99.995 %", "19,999 of 20,000"]),
        ((300, 0, 20, 20), ["none of 300", "100.0 %", "20 of 20"]),
        ((0, 0, 0, 0), ["none of 0", "none of 0"]),
    ],
)
def test_shares_of_verdicts_stand_beside_their_counts(counts, figures):
    assert figures_of(VerdictCounts(*counts)) == figures


def figures_of(counts: VerdictCounts) -> list[str]:
    return re.findall(r"none of \d+|[\d.]+ %|[\d,]+ of [\d,]+", str(counts))


def test_counts_are_of_pairs_whose_photos_were_graded_alike(copy):
    counts = {
        "genuine": {"match": 2, "inconclusive": 8, "non_match": 0},
        "impostor": {"match": 3, "inconclusive": 90, "non_match": 7},
        "intervals": {verdict: {"genuine": [0.1, 0.4], "impostor": [0.0, 0.1]} for verdict in DECISIONS},
    }
    write_note(copy, counts_by_grades={"good and poor": counts})
    read = read_info(copy)
    for grades in (("good", "poor"), ("poor", "good")):
        told = read.verdict_counts("match", grades).to_json()
        assert (told["impostor_with_verdict"], told["impostor_pairs"], told["genuine_with_verdict"]) == (3, 100, 2)
        assert told["grades"] == grades
        assert told["intervals"]["genuine"] == [0.1, 0.4]
        assert "a good and a poor photo" in told["sentence"]
    assert read.verdict_counts("match", ("fair", "poor")) == read.verdict_counts("match")


def test_verdicts_cannot_outnumber_pairs():
    with pytest.raises(ValueError, match="outnumber"):
        VerdictCounts(impostor_pairs=1, impostor_with_verdict=2, genuine_pairs=0, genuine_with_verdict=0)


def test_the_info_cannot_be_changed(loaded):
    with pytest.raises(AttributeError):
        loaded.info.threshold = 0.1
    assert isinstance(loaded.info, WeightsInfo)


def test_the_default_weights_are_loaded_once(monkeypatch, weights):
    monkeypatch.setattr(runtime, "default_weights_path", lambda: weights)
    made = once(runtime.default_runtime.__wrapped__)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: made(), range(4)))
    assert all(one is found[0] for one in found)


def test_the_shipped_weights_lie_in_the_package_or_beside_it():
    path = info.default_weights_path()
    assert path.name == "siamese_model_final.h5"
    assert path.parent in (ROOT, ROOT / "flaskapp")


@pytest.mark.parametrize(
    "layers",
    [LAYERS | {"flaskapp>WithEars": {}}, {}, *({k: LAYERS[k] for k in LAYERS if k != left_out} for left_out in LAYERS)],
    ids=["one more", "none", *(f"no {name}" for name in LAYERS)],
)
def test_weights_with_other_layers_are_refused(copy, layers):
    write_note(write_h5(copy, random_arrays(), layers))
    with pytest.raises(WeightsError, match=r"other layers than this version: .*flaskapp>"):
        read_arrays(copy, read_info(copy).sha256)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-4), (np.float64, 1e-12)])
def test_the_weighted_l1_distance_is_its_formula(dtype, tolerance):
    rng = np.random.default_rng(2)
    references, probes = rng.normal(size=(2, 70, 4096)).astype(np.float32)
    references[5] = np.nan
    kernel = rng.normal(size=4096).astype(dtype)
    expected = np.sum(np.abs(unit(references) - unit(probes)) * kernel.astype(np.float64), axis=1)
    found = weighted_l1(references, probes, kernel)
    assert (found.dtype, found.shape) == (dtype, (70,))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * 4096**0.5)
    np.testing.assert_array_equal(found, weighted_l1(probes, references, kernel))
    one_for_all = weighted_l1(references, probes[0], kernel)
    np.testing.assert_array_equal(one_for_all, weighted_l1(references, np.repeat(probes[:1], 70, axis=0), kernel))
    assert weighted_l1(references[:0], probes[0], kernel).shape == (0,)
