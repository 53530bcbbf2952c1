"""Relatives, and people as the years go by: who is compared with whom, and what is counted."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from weights_files import write_note, write_weights_files

from flaskapp.errors import DataError
from flaskapp.pairs.labels import Labels
from research.__main__ import main
from research.measure import groups
from research.measure.groups import ANOTHERS, CHILDREN, OWN, ages, count_verdicts, relatives

FAMILIES = 30


def lay(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Return two sets of two relations; one child has no parent there."""
    sets, relations = ("I", "II"), ("father-son", "mother-dau")
    everybody = itertools.product(sets, relations, range(FAMILIES), (1, 2))
    names = [f"{one}/{relation}/f_{family:03d}_{member}.png" for one, relation, family, member in everybody]
    return lay(tmp_path_factory.mktemp("kin"), [*names, "I/father-son/f_999_2.png"])


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Return three people, two photos of whom are young and three later, and one who was never young."""
    names = [f"{who}/y/{photo}.png" for who in "abc" for photo in (1, 2)]
    names += [f"{who}/{photo}.png" for who in "abcd" for photo in (1, 2, 3)]
    return lay(tmp_path_factory.mktemp("lag"), names)


def pairs_of(found, chosen):
    photos, trials = found.trials.photos, found.trials
    rows = np.flatnonzero(found.of[chosen])
    return [(photos[trials.first[row]], photos[trials.second[row]]) for row in rows]


class TestRelatives:
    def test_each_parent_meets_their_own_child_once_and_other_peoples_of_the_same_relation(self, families):
        found = relatives(families)
        own = pairs_of(found, OWN)
        assert len(own) == len(set(own)) == 4 * FAMILIES
        assert all(child == parent.replace("_1.png", "_2.png") for parent, child in own)
        others = pairs_of(found, ANOTHERS)
        assert len(others) == len(set(others)) == 4 * FAMILIES * CHILDREN
        for parent, child in others:
            assert (parent[-6:], child[-6:]) == ("_1.png", "_2.png")
            assert parent.rpartition("/")[0] == child.rpartition("/")[0]
            assert parent[:-6] != child[:-6]

    def test_all_are_strangers_and_families_are_drawn(self, families):
        found = relatives(families)
        assert not found.trials.same.any()
        assert (found.unit, found.trials.sources.count) == ("family", 4 * FAMILIES)
        assert ((found.trials.sources.reference == found.trials.sources.probe) == found.of[OWN]).all()

    def test_sets_and_relations_are_told_apart(self, families):
        found = relatives(families)
        for part, side in (("I", 0), ("father-son", 1)):
            told = pairs_of(found, f"{part}: {OWN}")
            assert len(told) == 2 * FAMILIES
            assert {parent.split("/")[side] for parent, _ in told} == {part}

    def test_the_seed_decides_whose_children_the_others_are(self, families):
        assert pairs_of(relatives(families), ANOTHERS) == pairs_of(relatives(families), ANOTHERS)
        assert pairs_of(relatives(families), ANOTHERS) != pairs_of(relatives(families, 1), ANOTHERS)

    def test_a_folder_of_anything_else_is_refused(self, people, families):
        for folder in (people, families / "I"):
            with pytest.raises(DataError, match="SET/RELATION/FAMILY_1"):
                relatives(folder)


class TestAges:
    def test_all_pairs_of_one_person_are_there_by_age(self, people):
        found = ages(people)
        counts = {name: int(chosen.sum()) for name, chosen in found.of.items() if name.startswith("one person")}
        assert list(counts.values()) == [4 * 3, 3 * 6, 3 * 1]  # later, both, young
        for first, second in pairs_of(found, "one person, young and later"):
            assert first[0] == second[0]
            assert ("/y/" in first) != ("/y/" in second)

    def test_strangers_are_drawn_by_age(self, people, monkeypatch):
        monkeypatch.setattr(groups, "STRANGERS", 7)
        found = ages(people)
        assert [int(chosen.sum()) for name, chosen in found.of.items() if name.startswith("strangers")] == [7, 7, 7]
        for first, second in pairs_of(found, "strangers, both young"):
            assert first[0] != second[0]
            assert "/y/" in first and "/y/" in second

    def test_people_are_drawn(self, people):
        found = ages(people)
        assert (found.unit, found.trials.sources.count) == ("person", 4)
        sources = found.trials.sources
        assert ((sources.reference == sources.probe) == found.trials.same).all()

    def test_where_nobody_is_young_it_is_told(self, families):
        with pytest.raises(DataError, match="young"):
            ages(families)


def test_a_label_of_both_photos_splits_each_group(people):
    found = ages(people)
    label = {photo: ("far" if photo[0] == "a" else "near",) for photo in found.trials.photos if photo[0] != "d"}
    split = found.split(Labels(("training",), label))
    assert list(split.of)[:6] == list(found.of)
    far = pairs_of(split, "training=far: one person, young and later")
    assert len(far) == 6
    assert {photo[0] for pair in far for photo in pair} == {"a"}
    near = pairs_of(split, "training=near: strangers, both later")
    assert {photo[0] for pair in near for photo in pair} == {"b", "c"}
    with pytest.raises(DataError, match="name none"):
        found.split(Labels(("training",), {"elsewhere/a/1.png": ("far",)}))


def test_verdicts_are_counted_by_group_and_failures_apart(people, monkeypatch):
    """An embedding is the person's letter, or of another value where the person is young; one photo shows nobody."""
    found = ages(people)

    def embedded(photos, *_):
        value = {photo: np.full(1, ord(photo[0]) + 0.5 * ("/y/" in photo)) for photo in photos}
        del value["d/3.png"]
        return value, {"d/3.png": "No face."}

    def scores(references, probes):
        apart = np.abs(references - probes)[:, 0]
        return np.where(np.isnan(apart), np.nan, np.select([apart == 0, apart < 0.6], [0.9, 0.5], 0.1))

    monkeypatch.setattr(groups, "embed_photos", embedded)
    monkeypatch.setattr(groups, "EMBEDDING_SIZE", 1)
    info = SimpleNamespace(inconclusive_band=(0.4, 0.6), weights_id="made up@1")
    counted = count_verdicts(found, people, SimpleNamespace(info=info, scores=scores))
    told = counted.to_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    verdicts = {name: [group[v]["count"] for v in ("match", "inconclusive", "non_match", "failed")]
                for name, group in told["verdicts"].items()}  # fmt: skip
    assert verdicts["one person, both later"] == [10, 0, 0, 2]
    assert verdicts["one person, young and later"] == [0, 18, 0, 0]
    assert verdicts["strangers, both young"] == [0, 0, 12, 0]
    assert (told["photos"], told["photos_failed"]) == (18, 1)
    assert told["interval_method"] == {"drawn": "person", "count": 4, "replicates": 500, "seed": 0}
    low, high = (told["verdicts"]["one person, both later"]["failed"][end] for end in ("low", "high"))
    assert 0 <= low < 2 / 12 < high < 1


@pytest.mark.parametrize(
    ("command", "names", "group"),
    [
        ("relatives", ("I/father-son/f_1_1.jpg", "I/father-son/f_1_2.jpg", "I/father-son/f_2_1.jpg"), OWN),
        ("ages", ("hopper/1.jpg", "hopper/y/2.jpg", "collins/3.jpg"), "one person, young and later"),
    ],
)
def test_the_commands_measure_and_write(command, names, group, tmp_path, hopper, collins):
    weights = write_note(write_weights_files(tmp_path), (0.4, 0.6))
    for name, photo in zip(names, (hopper, hopper, collins), strict=True):
        lay(tmp_path / "photos", [name])
        (tmp_path / "photos" / name).write_bytes(photo)
    arguments = [command, tmp_path / "photos", "--weights", weights, "--json", tmp_path / "a.json"]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["command"] == f"python -m research {command} photos --weights {weights.name}"
    assert told["verdicts"][group]["pairs"] == told["verdicts"][group]["match"]["count"] == 1  # twice the same photo
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.json").hardlink_to(tmp_path / "photos" / names[0])
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert "is an input and would be overwritten" in done.stderr
