from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from research.distil import spoiling
from research.distil.spoiling import KINDS

BY_NAME = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@BY_NAME
def test_a_spoiled_face_is_a_face_again_and_the_first_one_stays(kind, faces):
    before = faces[0].copy()
    spoiled = kind.draw(faces[0], np.random.default_rng(0))
    assert (spoiled.shape, spoiled.dtype) == (faces[0].shape, np.uint8)
    assert np.abs(spoiled.astype(int) - faces[0]).mean() > 0.5
    np.testing.assert_array_equal(faces[0], before)


@BY_NAME
def test_the_same_chance_spoils_alike(kind, faces):
    first, second = (kind.draw(faces[0], np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@BY_NAME
def test_each_measured_strength_takes_a_face_further_away(kind, faces):
    def distance(strength: float) -> float:
        changed = [kind.change(face, strength, np.random.default_rng(7)) for face in faces[::4]]
        return float(np.abs(np.stack(changed).astype(int) - faces[::4]).mean())

    distances = [distance(strength) for strength in kind.measured]
    assert distances == sorted(distances)
    assert distances[0] < distances[2]


@BY_NAME
def test_training_draws_at_least_as_far_as_what_is_measured(kind):
    least, most = kind.drawn
    assert least <= min(kind.measured)
    assert max(kind.measured) <= most


def test_what_still_fools_the_network_is_drawn_more_often(monkeypatch, faces):
    drawn = []
    monkeypatch.setattr(spoiling.Kind, "draw", lambda kind, face, _: drawn.append(kind.name) or face)
    rng = np.random.default_rng(3)
    for _ in range(2000):
        spoiling.spoil(faces[0], rng)
    times = {kind.name: drawn.count(kind.name) for kind in KINDS}
    drawn_more = ("motion", "eyes covered", "dim", "jpeg")
    assert min(times[name] for name in drawn_more) > 1.5 * max(times["blur"], times["grey"])


def test_a_face_is_spoiled_in_up_to_three_ways(monkeypatch, faces):
    drawn = []
    monkeypatch.setattr(spoiling.Kind, "draw", lambda kind, face, _: drawn.append(kind.name) or face)
    rng, at_once = np.random.default_rng(3), []
    for _ in range(300):
        drawn.clear()
        spoiling.spoil(faces[0], rng)
        assert len(set(drawn)) == len(drawn)
        at_once.append(len(drawn))
    assert 1 < np.mean(at_once) < 2
    assert set(at_once) == {1, 2, 3}


@pytest.mark.parametrize("name", ["colour noise", "grey grain", "little light", "jpeg"])
def test_training_spoils_pixels_of_other_sizes_too(name, faces):
    kind = {kind.name: kind for kind in KINDS}[name]
    sizes = set()
    seen = replace(kind, change=lambda face, *_: sizes.add(len(face)) or face)
    rng = np.random.default_rng(0)
    assert {seen.draw(faces[0], rng).shape for _ in range(200)} == {faces[0].shape}
    assert min(sizes) < 60
    assert max(sizes) > 130


def test_dim_takes_light_and_nothing_else(faces):
    kind = {kind.name: kind for kind in KINDS}["dim"]
    changed = kind.change(faces[0], 0.25, np.random.default_rng(0))
    np.testing.assert_allclose(changed, faces[0] / 4, atol=0.5)


def test_noise_is_everybodys_own_and_a_mask_is_not():
    assert {kind.name for kind in KINDS if kind.draw_alike} >= {
        "eyes covered",
        "mouth covered",
        "covered",
        "side light",
    }
    assert not {kind.name for kind in KINDS if kind.draw_alike} & {"colour noise", "grey grain", "little light"}


def test_eyes_and_mouth_are_covered_where_alignment_puts_them():
    from flaskapp.preprocess import TEMPLATE

    left_eye, right_eye, _, left_mouth, right_mouth = np.rint(TEMPLATE).astype(int)
    grey = np.full((100, 100, 3), 200, np.uint8)
    kinds = {kind.name: kind for kind in KINDS}
    for name, places, others in (
        ("eyes covered", (left_eye, right_eye), (left_mouth, right_mouth)),
        ("mouth covered", (left_mouth, right_mouth), (left_eye, right_eye)),
    ):
        changed = kinds[name].change(grey, min(kinds[name].measured), np.random.default_rng(1))
        assert all((changed[y, x] != 200).any() for x, y in places), name
        assert all((changed[y, x] == 200).all() for x, y in others), name


def test_another_camera_changes_colours_and_not_places(faces):
    rng = np.random.default_rng(0)
    changed = np.stack([spoiling.another_camera(face, rng) for face in faces])
    assert np.abs(changed.astype(int) - faces).mean() > 5
    before, after = (photos.mean(axis=3).reshape(len(faces), -1) for photos in (faces, changed))
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(before, after, strict=True)]
    assert np.median(alike) > 0.9
