"""Scores of spoiled pairs as probabilities: the program's own scores, by grade, and each pair as its way says."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from weights_files import write_note, write_weights_files

from flaskapp.evaluation.calibration import Trust
from flaskapp.quality import GRADES
from flaskapp.weights.runtime import Runtime
from research.__main__ import main
from research.distil import mixture as distil
from research.distil.mixture import KERNEL, Mixture
from research.distil.references import Photos
from research.distil.spoiling import KINDS
from research.measure import mixture

EACH = 400


@pytest.fixture(scope="module")
def pairs():
    """Return pairs whose score is right (see ``scores``), but for those spoiled alike."""
    rng = np.random.default_rng(0)
    sure = np.repeat((0.2, 0.6, 1.0), 4 * EACH)
    condition = np.tile(np.repeat((0, 1), 2 * EACH), 3)
    same = np.tile(np.repeat((True, False), EACH), 6)
    people = rng.integers(40, size=(len(same), 2))
    people[same, 1] = people[same, 0]
    people[~same & (people[:, 0] == people[:, 1]), 1] += 40
    conditions = (("as they come", ""), ("alike", "blur 3"))
    nobody = Photos(np.empty((0, 4096)), np.empty(0, int), np.empty(0, int))
    return Mixture(rng.random(len(same)), sure, np.ones(len(same)), same, condition, conditions, people, nobody)


@pytest.fixture(scope="module")
def parts(pairs):
    right = np.where(np.random.default_rng(1).random(len(pairs.same)) < 0.8, pairs.same, ~pairs.same)
    scores = np.where(right, 0.8, 0.2)
    scores[pairs.condition == 1] = np.where(pairs.same, 0.2, 0.8)[pairs.condition == 1]
    return mixture.by_grade(pairs, scores, SimpleNamespace(grade_bounds=(0.5, 0.9)))


def test_pairs_are_parted_by_the_worse_photo(parts):
    assert list(parts) == ["all", *GRADES]
    counts = [(part.quality.genuine, part.quality.impostor) for part in parts.values()]
    assert counts == [(6 * EACH, 6 * EACH), *[(2 * EACH, 2 * EACH)] * 3]


def test_each_pair_weighs_as_its_way_says(parts):
    # Photos as they come weigh twice what those spoiled alike do, and of these every score is wrong.
    for part in parts.values():
        low, high = (one.observed for one in part.quality.bins if one.mean_score is not None)
        assert (low, high) == (pytest.approx((2 * 0.2 + 1) / 3, abs=0.03), pytest.approx(2 * 0.8 / 3, abs=0.03))
        assert part.quality.ece == pytest.approx(0.8 / 3, abs=0.03)
        assert part.intervals["ece"].low < part.quality.ece < part.intervals["ece"].high


def test_too_few_pairs_are_no_part(pairs, monkeypatch):
    monkeypatch.setattr(mixture, "FEWEST", 2 * EACH + 1)
    scores = np.where(pairs.same, 0.8, 0.2)
    assert list(mixture.by_grade(pairs, scores, SimpleNamespace(grade_bounds=(0.5, 0.9)))) == ["all"]


def test_scores_are_those_of_the_program(tmp_path):
    weights = write_weights_files(tmp_path)
    write_note(weights, trust={"match": [0.0, 1.0], "doubt": 8.0, "least": 0.0})
    runtime, rng = Runtime(weights), np.random.default_rng(0)
    one, other = (rng.normal(0, 0.01, (5, 4096)).astype(np.float32) for _ in range(2))
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (one, other)]
    distance = np.abs(unit[0] - unit[1]) @ KERNEL
    sure = [np.minimum(np.linalg.norm(each, axis=1), 1) for each in (one, other)]
    assert runtime.info.trust == Trust((0.0, 1.0), 8.0)
    found = mixture.scores_of(SimpleNamespace(distance=distance, certainty=sure[0], other=sure[1]), runtime)
    np.testing.assert_allclose(found, runtime.scores(one, other), atol=1e-5)


def test_the_command_measures_people_of_a_role(tmp_path, monkeypatch, hopper, collins):
    for person, photo in (("hopper", hopper), ("collins", collins)):
        (tmp_path / "people" / person).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "people" / person / f"{number}.jpg").write_bytes(photo)
    Image.new("RGB", (200, 200)).save(tmp_path / "people" / "hopper" / "3.png")
    sets = tmp_path / "sets.toml"
    sets.write_text('[[set]]\nname="two"\nfolder="people"\nidentities="folder"\nroles="reporting"\n')
    monkeypatch.setattr(distil, "KINDS", KINDS[:2])
    monkeypatch.setattr(mixture, "FEWEST", 2)
    weights = write_weights_files(tmp_path)
    arguments = ["mixture", "--sets", sets, "--role", "reporting", "--weights", weights, "--json", tmp_path / "a.json"]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told["photos"], told["photos_failed"]) == (5, 1)
    conditions = 1 + 2 * sum(len(kind.measured) for kind in KINDS[:2]) + 2
    # One pair of each person, and four of strangers; photos in two conditions may change places.
    assert (told["genuine"], told["impostor"]) == (2 * conditions, 4 * conditions)
    assert list(told["by_worse_grade"]) == ["good"]
    assert told["interval_method"]["count"] == 2
    assert sum(part["genuine"] for part in told["reliability"]) == told["genuine"]
    assert CliRunner().invoke(main, ["mixture"]).exit_code == 2
