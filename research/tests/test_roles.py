"""The people of a role, as pairs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from flaskapp.errors import DataError
from research.measure.roles import pairs_of_role
from research.sets.table import REPORTING, VALIDATION, load_faces, read_sets


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
