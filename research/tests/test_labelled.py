"""Who is measured on, and how all their pairs are scored."""

from pathlib import Path

import numpy as np
import pytest

from research.sets.labelled import labelled
from research.sets.table import CALIBRATION, REPORTING, VALIDATION, FaceTable


def table(role, person, set_index, measures=(True, True)):
    count = len(person)
    return FaceTable(
        set_names=("fine", "coarse"),
        paths=(Path("photo"),) * count,
        set_index=np.array(set_index),
        person=np.array(person),
        role=np.full(count, role),
        landmarks=np.zeros((count, 5, 2), np.float32),
        teacher=np.zeros((count, 128), np.float32),
        set_measures=measures,
    )


@pytest.mark.parametrize(("role", "rows"), [(CALIBRATION, [0, 1]), (REPORTING, [0, 1]), (VALIDATION, [0, 1, 2, 3])])
def test_only_sets_that_may_measure_calibrate_and_report(role, rows):
    people = labelled(table(role, [7, 7, 7, 7], [0, 0, 1, 1], measures=(True, False)), role)
    assert people.rows.tolist() == rows


def test_nobody_with_a_single_photo_in_a_set_takes_part():
    people = labelled(table(VALIDATION, [1, 1, 2, 2, -1, -1], [0, 0, 0, 1, 0, 0]), VALIDATION)
    assert people.rows.tolist() == [0, 1]


def test_pairs_stay_within_a_set():
    first, second, same = labelled(table(VALIDATION, [1, 1, 1, 1], [0, 0, 1, 1]), VALIDATION).pairs()
    assert list(zip(first, second, same, strict=True)) == [(0, 1, True), (2, 3, True)]
