"""A folder of people as pairs, and groups of photos."""

from __future__ import annotations

from itertools import combinations

import pytest

from flaskapp.errors import DataError
from flaskapp.pairs import people
from flaskapp.pairs.people import pairs_of_people

SIZES = {"Ann": 3, "Ann B": 2, "Bob": 1, "Cy": 4}


@pytest.fixture
def folder(tmp_path):
    for person, count in SIZES.items():
        for number in range(count):
            file = tmp_path / person / ("later" if number == 2 else "") / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / "Ann" / "notes.txt").touch()
    return tmp_path


def test_all_pairs_are_every_two_photos_once(folder):
    photos = [path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")]
    pairs = pairs_of_people(folder)
    assert {frozenset((pair.reference, pair.probe)) for pair in pairs} == set(map(frozenset, combinations(photos, 2)))
    assert len(pairs) == 45
    for pair in pairs:
        people = pair.reference.split("/")[0], pair.probe.split("/")[0]
        assert (pair.reference_person, pair.probe_person) == people
        assert pair.same == (people[0] == people[1])
    assert [pair.same for pair in pairs] == [True] * 10 + [False] * 35


def test_some_impostors_are_some_of_all_and_the_seed_chooses(folder):
    genuine, impostor = ({pair for pair in pairs_of_people(folder) if pair.same == kind} for kind in (True, False))
    first, again, other = (pairs_of_people(folder, 12, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert set(first[:10]) == genuine
    assert set(first[10:]) < impostor
    assert len(set(first)) == 22
    assert pairs_of_people(folder, 0) == first[:10]
    assert pairs_of_people(folder, 1000) == pairs_of_people(folder)


def test_every_impostor_pair_is_equally_likely(folder):
    counts = {}
    for seed in range(700):
        for pair in pairs_of_people(folder, 5, seed)[10:]:
            counts[pair] = counts.get(pair, 0) + 1
    assert len(counts) == 35
    assert 60 < min(counts.values()) <= max(counts.values()) < 145  # 100 expected, spread 9


def test_photos_that_belong_to_nobody_are_refused(folder, tmp_path_factory):
    (folder / "stray.jpg").touch()
    with pytest.raises(DataError, match="1 photos outside"):
        pairs_of_people(folder)
    with pytest.raises(DataError, match="no photos"):
        pairs_of_people(tmp_path_factory.mktemp("empty"))


@pytest.mark.parametrize(("names", "impostors"), [(["Ann"], None), (["Ann"], 9), (["Ann", "Bob"], 0)])
def test_people_of_whom_no_pair_can_be_made_are_refused(tmp_path, names, impostors):
    for person in names:
        (tmp_path / person).mkdir()
        (tmp_path / person / "1.jpg").touch()
    with pytest.raises(DataError, match=rf"no pairs .*Photos: {len(names)}, people: {len(names)}"):
        pairs_of_people(tmp_path, impostors)


@pytest.mark.parametrize(("most", "impostors", "said"), [(44, None, "45"), (44, 35, "45"), (9, 0, "10")])
def test_more_pairs_than_fit_into_memory_are_refused_before_they_are_made(folder, monkeypatch, most, impostors, said):
    monkeypatch.setattr(people, "pairs_among", None)
    monkeypatch.setattr(people, "MOST_PAIRS", most)
    with pytest.raises(DataError, match=rf"There are {said} pairs, 10 of them genuine.* --impostors 300000"):
        pairs_of_people(folder, impostors)


def test_as_many_pairs_as_fit_are_made(folder, monkeypatch):
    monkeypatch.setattr(people, "MOST_PAIRS", 44)
    assert len(pairs_of_people(folder, 34)) == 44
