"""Whose checkpoint a folder holds: only the very same training goes on from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flaskapp.errors import DataError


class TestSameRun:
    """A checkpoint has learned from its photos, whoever has been left out of the sets since."""

    @pytest.fixture
    def table(self):
        from research.sets.table import FaceTable

        nothing = np.zeros(3, int)
        return FaceTable(
            set_names=("own",),
            paths=tuple(Path(f"/somewhere/own/{name}.jpg") for name in "abc"),
            set_index=nothing,
            person=nothing,
            role=nothing,
            landmarks=np.zeros((3, 5, 2), np.float32),
            teacher=np.eye(128, dtype=np.float32)[:3],
        )

    @pytest.fixture
    def described(self, table):
        from research.distil.same_run import describe_run

        return lambda rows=(0, 1, 2), targets=None, **settings: describe_run(
            table, np.array(rows), table.teacher if targets is None else targets, {"rate": 0.02} | settings
        )

    def test_the_same_goes_on(self, tmp_path, table, described):
        from research.distil.same_run import check_same_run

        check_same_run(tmp_path / "run", described(), begun=False)
        nearly = table.teacher + np.float32(1e-6)  # as another processor rounds
        check_same_run(tmp_path / "run", described(targets=nearly), begun=True)

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"rows": (0, 2)}, "photos, targets differ"),
            ({"targets": np.eye(128, dtype=np.float32)[3:6]}, "targets differ"),
            ({"rate": 0.01}, "rate differ"),
            ({"start": "0123"}, "start differ"),
        ],
    )
    def test_another_is_refused(self, tmp_path, described, change, named):
        from research.distil.same_run import check_same_run

        check_same_run(tmp_path / "run", described(), begun=False)
        with pytest.raises(DataError, match=f"run holds the checkpoint of another training: {named}"):
            check_same_run(tmp_path / "run", described(**change), begun=True)

    @pytest.mark.parametrize("note", [None, "{", "[]"])
    def test_one_of_which_nobody_knows_is_refused(self, tmp_path, described, note):
        from research.distil.same_run import check_same_run

        if note is not None:
            (tmp_path / "run.json").write_text(note)
        with pytest.raises(DataError, match="another training: photos, rate, targets differ"):
            check_same_run(tmp_path, described(), begun=True)
