from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from click.testing import CliRunner

from flaskapp.errors import DataError
from flaskapp.preprocess import TEMPLATE, crop_photo
from research.__main__ import main
from research.distil.spoiling import KINDS
from research.measure.quality import LIMITS
from research.measure.reasons import count_reasons, draw_faces, face_at, look_at_limits

BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture(scope="module")
def portraits(hopper, collins):
    return np.stack([crop_photo(hopper), crop_photo(collins)])


@pytest.fixture
def fronts():
    return [face_at(np.full((5, 2), np.nan))] * 2


def rows_of(portraits, faces, *names):
    return list(count_reasons(portraits, faces, [BY_NAME[name] for name in names]))


def test_a_face_has_the_landmarks_it_was_given_or_those_of_a_crop():
    points = np.array(TEMPLATE) * 2 + 7
    face = face_at(points.astype(np.float32))
    np.testing.assert_allclose(face.landmarks, points, rtol=1e-6)
    assert face.box_xyxy[0] < points[:, 0].min()
    assert points[:, 1].max() < face.box_xyxy[3]
    assert face_at(np.full((5, 2), np.nan)).landmarks == TEMPLATE


def test_photos_as_they_come_stand_first_then_each_kind_by_strength(portraits, fronts):
    rows = rows_of(portraits, fronts, "blur", "eyes covered")
    assert [(row.kind, row.strength) for row in rows] == [
        ("as they come", 0),
        *(("blur", strength) for strength in BY_NAME["blur"].measured),
        *(("eyes covered", strength) for strength in BY_NAME["eyes covered"].measured),
    ]
    assert rows[0].first == {"": 1}
    assert rows[0].named == {}
    assert rows[3].first == {"blurred": 1}
    assert rows[6].first == {"covered": 1}


def test_what_was_shrunk_counts_as_a_small_face_and_a_mosaic_does_not(portraits, fronts):
    rows = rows_of(portraits, fronts, "small", "mosaic")
    assert rows[3].first == {"too_small": 1}
    assert "too_small" not in rows[6].named


def test_shares_are_of_all_photos(portraits, fronts):
    mixed = np.stack([portraits[0], BY_NAME["blur"].change(portraits[1], 6, np.random.default_rng(0))])
    row = next(count_reasons(mixed, fronts, []))
    assert row.first == {"": 0.5, "blurred": 0.5}
    assert "none 50%" in str(row)


def test_limits_stand_beside_what_photos_show(portraits, fronts):
    rows = look_at_limits(portraits, fronts)
    assert [row.measure for row in rows] == list(LIMITS)
    assert all(row.named == 0 for row in rows)
    eyes = next(row for row in rows if row.measure == "eye_distance")
    assert set(np.round(eyes.quantiles, 6)) == {36.4}


@pytest.fixture
def unseen(table):
    """Return the table with landmarks that are unknown."""
    return dataclasses.replace(table, landmarks=np.full((len(table), 5, 2), np.nan, np.float32))


def test_only_photos_of_the_role_are_drawn(unseen, faces):
    crops, drawn = draw_faces(unseen, faces, "validation", 10)
    of_role = {crop.tobytes() for crop in faces[unseen.role == 1]}
    assert len(crops) == len(drawn) == 10
    assert {crop.tobytes() for crop in crops} <= of_role
    assert len(draw_faces(unseen, faces, "validation", 1000)[0]) == len(of_role)
    with pytest.raises(DataError, match="reporting"):
        draw_faces(unseen, faces, "reporting", 10)


def test_the_command_prints_limits_and_every_kind(unseen, portraits, monkeypatch, tmp_path):
    crops = np.repeat(portraits, len(unseen) // 2, axis=0)
    monkeypatch.setattr("research.distil.commands._prepare", lambda *_: (unseen, crops, []))
    (tmp_path / "sets.toml").touch()
    told = CliRunner().invoke(main, ["reasons", str(tmp_path / "sets.toml"), "--photos", "2"])
    assert told.exit_code == 0, told.output
    words = [line.split("  first:")[0].strip() for line in told.stdout.splitlines()]
    assert [word.split()[0] for word in words[1 : 1 + len(LIMITS)]] == list(LIMITS)
    assert len(words) == 1 + len(LIMITS) + 1 + sum(len(kind.measured) for kind in KINDS)
