"""The nine transformations: what each does, and that it does nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flaskapp.augment_images import LUMA, TRANSFORMATIONS, augment

SEEDS = range(20)


def spread_of_luma(pixels: np.ndarray) -> float:
    return float((pixels @ LUMA).std())


def colourfulness(pixels: np.ndarray) -> float:
    return float(np.abs(pixels - (pixels @ LUMA)[..., None]).mean())


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A picture uint8 (40, 30, 3) that no transformation drives far into black or white."""
    return np.random.default_rng(0).integers(60, 170, (40, 30, 3)).astype(np.uint8)


def test_there_are_nine_and_two_combine_others():
    assert list(TRANSFORMATIONS) == [
        "brighter",
        "darker",
        "more_contrast",
        "less_contrast",
        "mirrored",
        "more_saturation",
        "less_saturation",
        "brighter_more_contrast",
        "mirrored_darker_less_saturation",
    ]


@pytest.mark.parametrize("name", TRANSFORMATIONS)
class TestEach:
    def test_same_seed_same_photo_and_the_input_stays(self, name, face):
        before = face.copy()
        first, again = (TRANSFORMATIONS[name](face, 7) for _ in range(2))
        assert np.array_equal(first, again)
        assert np.array_equal(face, before)
        assert first.dtype == np.uint8 and first.shape == face.shape

    def test_the_seed_draws_the_strength(self, name, face):
        different = {TRANSFORMATIONS[name](face, seed).tobytes() for seed in SEEDS}
        assert len(different) == (1 if name == "mirrored" else len(SEEDS))

    def test_black_and_white_stay_in_range(self, name):
        extremes = np.zeros((4, 4, 3), np.uint8)
        extremes[:2] = 255
        changed = TRANSFORMATIONS[name](extremes, 3)
        assert changed[:2].min() >= changed[2:].max()

    @pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
    def test_anything_else_is_refused(self, name, wrong):
        with pytest.raises(ValueError, match="Expected uint8"):
            TRANSFORMATIONS[name](wrong, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_one_does_what_its_name_says(face, seed):
    changed = {name: function(face, seed) for name, function in TRANSFORMATIONS.items()}
    assert changed["brighter"].mean() > 1.15 * face.mean()
    assert changed["darker"].mean() < 0.85 * face.mean()
    for name, more in (("more_contrast", True), ("less_contrast", False)):
        assert (spread_of_luma(changed[name]) > spread_of_luma(face)) == more
        assert abs(changed[name].mean() - face.mean()) < 3
    assert np.array_equal(changed["mirrored"][:, ::-1], face)
    for name, more in (("more_saturation", True), ("less_saturation", False)):
        assert (colourfulness(changed[name]) > colourfulness(face)) == more
        assert np.abs((changed[name].astype(float) - face) @ LUMA).max() < 30  # the light stays, but for clipping
    both = changed["brighter_more_contrast"]
    assert both.mean() > 1.08 * face.mean()
    assert spread_of_luma(both) > 1.1 * spread_of_luma(face)
    evening = changed["mirrored_darker_less_saturation"][:, ::-1]
    assert evening.mean() < 0.9 * face.mean()
    assert colourfulness(evening) < 0.8 * colourfulness(face)
    assert np.corrcoef((evening @ LUMA).ravel(), (face @ LUMA).ravel())[0, 1] > 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_are_alike(face, seed):
    pictures = [face, *(function(face, seed) for function in TRANSFORMATIONS.values())]
    for first, second in itertools.combinations(pictures, 2):
        assert np.abs(first.astype(int) - second).mean() > 2


def test_on_the_fly_each_is_drawn_and_the_seed_decides(face):
    faces = np.repeat(face[None], 300, axis=0)
    drawn = augment(faces, np.random.default_rng(5))
    assert np.array_equal(drawn, augment(faces, np.random.default_rng(5)))
    assert 10 < sum(np.array_equal(picture, face) for picture in drawn) < 60  # one in ten stays as it is
    assert sum(np.array_equal(picture[:, ::-1], face) for picture in drawn) > 10
    assert len({picture.tobytes() for picture in drawn}) > 200
    assert np.array_equal(faces, np.repeat(face[None], 300, axis=0))
