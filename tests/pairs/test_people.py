"""A folder of people as pairs, and groups of photos."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from flaskapp.dataset.sets import REPORTING, VALIDATION, load_faces, read_sets
from flaskapp.errors import DataError
from flaskapp.pairs.labels import group_masks, read_labels
from flaskapp.pairs.lists import PhotoPair
from flaskapp.pairs.people import pairs_of_people, pairs_of_role

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


class TestRoles:
    NAMES = ("ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "cy/1.jpg", "cy/2.jpg")

    @pytest.fixture
    def table(self, tmp_path):
        for name in ("good", "coarse"):
            for photo in self.NAMES:
                file = tmp_path / name / photo
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        (tmp_path / "sets.toml").write_text(
            '[[set]]\nname="good"\nfolder="good"\nidentities="folder"\nroles="reporting"\n'
            '[[set]]\nname="coarse"\nfolder="coarse"\nidentities="folder"\nroles="reporting"\nmeasures=false\n'
        )
        return load_faces(*read_sets(tmp_path / "sets.toml"))

    def test_pairs_are_those_of_the_sets_that_may_measure(self, table, tmp_path):
        pairs = pairs_of_role(table, REPORTING, tmp_path)
        expected = {frozenset((f"good/{a}", f"good/{b}")) for a, b in combinations(self.NAMES, 2)}
        assert {frozenset((pair.reference, pair.probe)) for pair in pairs} == expected
        assert len(pairs) == 10
        assert sum(pair.same for pair in pairs) == 2
        assert len({pair.reference_person for pair in pairs} | {pair.probe_person for pair in pairs}) == 3
        assert len(pairs_of_role(table, REPORTING, tmp_path, impostors=3)) == 5

    def test_impostors_are_so_many_of_all_sets_together(self, table, tmp_path):
        both = replace(table, set_measures=(True, True))
        everyone = {(pair.reference, pair.probe) for pair in pairs_of_role(both, REPORTING, tmp_path) if not pair.same}
        assert len(everyone) == 16
        drawn = [pairs_of_role(both, REPORTING, tmp_path, impostors=5, seed=seed) for seed in range(20)]
        for pairs in drawn:
            impostors = [(pair.reference, pair.probe) for pair in pairs if not pair.same]
            assert len(set(impostors)) == len(impostors) == 5
            assert set(impostors) <= everyone
        assert {pair.reference.partition("/")[0] for pairs in drawn for pair in pairs if not pair.same} == {
            "good",
            "coarse",
        }

    def test_nobody_of_a_role_and_photos_elsewhere_are_refused(self, table, tmp_path):
        with pytest.raises(DataError, match="No known people"):
            pairs_of_role(table, VALIDATION, tmp_path)
        with pytest.raises(DataError, match="lies outside"):
            pairs_of_role(table, REPORTING, tmp_path / "elsewhere")


class TestLabels:
    TEXT = "file,gender,race,age\nA/1.jpg,f,x,3\nA/2.jpg,f,x,4\nB/1.jpg,f,y,3\nC/1.jpg,m,x,\nD/1.jpg,,,\n"

    @pytest.fixture
    def write(self, tmp_path):
        def write_text(text):
            (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
            return tmp_path / "labels.csv"

        return write_text

    def test_every_column_groups_or_those_asked_for(self, write):
        labels = read_labels(write(self.TEXT))
        assert labels.columns == ("gender", "race", "age")
        assert labels.of_photo["C/1.jpg"] == ("m", "x", "")
        assert read_labels(write(self.TEXT), ["race"]).values(["B/1.jpg", "no.jpg"]).tolist() == [["y"], [""]]

    def test_a_spreadsheets_untidiness_does_no_harm(self, write):
        labels = read_labels(write('"path" , gender,\na.jpg,F,\nb.jpg,M,,,\n,,\n"c, d.jpg" , F\n'))
        assert labels.columns == ("gender",)
        assert labels.of_photo == {"a.jpg": ("F",), "b.jpg": ("M",), "c, d.jpg": ("F",)}

    def test_a_quote_that_is_not_closed_is_told(self, write):
        with pytest.raises(DataError, match=r"The labels labels\.csv cannot be read: field larger"):
            read_labels(write('path,gender\na.jpg,"F\n' + "b.jpg,M\n" * 20000))

    def test_a_pair_belongs_to_a_group_if_both_photos_do(self, write):
        pairs = [
            PhotoPair("A/1.jpg", "A/2.jpg", True),
            PhotoPair("A/1.jpg", "B/1.jpg", False),
            PhotoPair("A/1.jpg", "C/1.jpg", False),
            PhotoPair("A/1.jpg", "D/1.jpg", False),
            PhotoPair("D/1.jpg", "D/2.jpg", True),
        ]
        masks = group_masks(pairs, read_labels(write(self.TEXT), ["gender", "race"]))
        assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
            "gender=f": [0, 1], "gender=m": [], "race=x": [0, 2], "race=y": [],
            "alike in gender, race": [0, 4],
        }  # fmt: skip
        alike = group_masks(pairs, read_labels(write(self.TEXT), ["gender"]))["alike in gender"]
        assert np.flatnonzero(alike).tolist() == [0, 1, 4]  # unknown is not alike

    @pytest.mark.parametrize(
        ("text", "by", "said"),
        [
            ("", (), "Received: ."),
            ("file\na.jpg\n", (), "at least one for a grouping"),
            ("name,race\na.jpg,x\n", (), "expects the columns path"),
            ("path,race\na.jpg,x\n", ("age",), "path \\(or file\\) and age"),
            ("path,n\n" + "".join(f"{n}.jpg,{n}\n" for n in range(51)), (), "more than 50 values"),
        ],
    )
    def test_what_labels_nothing_is_refused(self, write, text, by, said):
        with pytest.raises(DataError, match=said):
            read_labels(write(text), by)

    def test_labels_of_other_photos_are_refused(self, write):
        with pytest.raises(DataError, match="none of the 2 photos"):
            group_masks([PhotoPair("x.jpg", "y.jpg", True)], read_labels(write(self.TEXT)))
