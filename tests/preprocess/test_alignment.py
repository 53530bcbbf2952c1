from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from flaskapp.preprocess import CROP_GEOMETRY, CROP_SIZE, TEMPLATE, align_face, to_model_input
from flaskapp.preprocess.alignment import crop_scale

TARGET = np.array(TEMPLATE)


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return scale · rotation and shift (2, 3) as in the paper, by singular values."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    u, sizes, vt = np.linalg.svd(b.T @ a / len(a))
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = (sizes * signs).sum() / a.var(axis=0).sum()
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


def turned(points: np.ndarray, scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ rotation.T + shift


def dotted(landmarks: np.ndarray, side: int, radius: float) -> np.ndarray:
    """Return a black photo with a soft white dot at each landmark."""
    ys, xs = np.mgrid[:side, :side]
    photo = np.zeros((side, side))
    for x, y in landmarks:
        photo += 255 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * radius**2))
    return np.repeat(np.clip(photo, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def dot_near(crop: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return the centre of brightness within 6 pixels of a point."""
    ys, xs = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    weight = crop[:, :, 0] * (np.hypot(xs - point[0], ys - point[1]) < 6)
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


def test_a_face_in_place_stays_as_it_is():
    photo = np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), np.uint8)
    assert np.array_equal(align_face(photo, TEMPLATE), photo)


@pytest.mark.parametrize("degrees", [0, 30, 90, -135])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6, 2.5, 6.3])
def test_landmarks_land_on_the_template_at_any_size_and_angle(scale, degrees):
    landmarks = turned(TARGET - 50, scale, degrees, (350, 350))
    crop = align_face(dotted(landmarks, 700, radius=2 * scale), landmarks)
    for point in TARGET:
        assert np.abs(dot_near(crop, point) - point).max() < 0.2


def test_transform_equals_the_papers_on_noisy_landmarks():
    dice = np.random.default_rng(1)
    ramps = np.zeros((400, 400, 3), np.uint8)
    ramps[:, :, 0] = np.arange(400) / 2
    ramps[:, :, 1] = np.arange(400)[:, None] / 2
    for _ in range(10):
        landmarks = turned(TARGET - 50, 1.2, dice.uniform(-40, 40), (200, 200)) + dice.normal(0, 4, (5, 2))
        to_photo = np.linalg.inv(np.vstack([umeyama(landmarks, TARGET), (0, 0, 1)]))
        expected = to_photo[:2] @ (50, 50, 1)
        seen = align_face(ramps, landmarks)[50, 50, :2] * 2.0
        assert np.abs(seen - expected).max() < 2


def test_a_face_is_never_mirrored():
    mirrored = TARGET * (-1, 1) + (100, 0)
    photo = np.zeros((100, 100, 3), np.uint8)
    photo[:, 60:] = 255
    assert umeyama(mirrored, TARGET)[0, 0] > 0
    crop = align_face(photo, mirrored)
    assert crop[:, 80:].mean() > crop[:, :20].mean()


def test_shrinking_averages_instead_of_picking_pixels():
    photo = np.zeros((1200, 1200, 3), np.uint8)
    photo[::2, ::2] = photo[1::2, 1::2] = 255
    crop = align_face(photo, turned(TARGET, 11.3, 7, (60, -20)))
    assert np.abs(crop[5:-5, 5:-5].astype(int) - 127).max() <= 4


def test_large_and_small_copy_of_a_photo_give_the_same_crop(hopper_pixels):
    landmarks = np.array([(220.6, 191.4), (308.2, 186.8), (267.5, 239.7), (232.0, 278.4), (305.5, 274.6)])
    large = cv2.resize(hopper_pixels, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    crops = [align_face(hopper_pixels, landmarks), align_face(large, (landmarks + 0.5) * 5 - 0.5)]
    assert np.abs(crops[0].astype(int) - crops[1]).mean() < 2


def test_the_border_is_repeated_beyond_the_photo():
    photo = np.full((60, 60, 3), 200, np.uint8)
    assert (align_face(photo, TARGET - 30) == 200).all()


def test_the_photo_may_be_read_only_and_stays_unchanged(hopper_pixels):
    assert not hopper_pixels.flags.writeable
    before = hopper_pixels.copy()
    align_face(hopper_pixels, turned(TARGET, 2, 0, (150, 100)))
    assert np.array_equal(hopper_pixels, before)


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_crop_scale_tells_enlarging_from_shrinking(scale):
    assert crop_scale(turned(TARGET, scale, 20, (5, 5))) == pytest.approx(1 / scale)


@pytest.mark.parametrize(
    "landmarks",
    [TARGET[:4], TARGET.ravel(), np.full((5, 2), np.nan), np.full((5, 2), 7.0)],
    ids=["four points", "flat", "not a number", "all the same"],
)
def test_landmarks_that_define_nothing_are_refused(landmarks):
    with pytest.raises(ValueError, match="Landmarks must"):
        align_face(np.zeros((50, 50, 3), np.uint8), landmarks)


def test_model_input_runs_from_0_to_1():
    crops = np.zeros((2, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    crops[1] = 255
    crops[0, 0, 0] = (51, 102, 204)
    numbers = to_model_input(crops)
    assert numbers.dtype == np.float32
    assert numbers.shape == crops.shape
    assert (numbers.min(), numbers.max()) == (0.0, 1.0)
    assert numbers[0, 0, 0].tolist() == pytest.approx([0.2, 0.4, 0.8])


def test_no_crops_give_no_input():
    assert to_model_input(np.zeros((0, CROP_SIZE, CROP_SIZE, 3), np.uint8)).shape == (0, CROP_SIZE, CROP_SIZE, 3)


@pytest.mark.parametrize(
    "crops", [np.zeros((1, 100, 100, 3)), np.zeros((100, 100, 3), np.uint8), np.zeros((1, 112, 112, 3), np.uint8)]
)
def test_what_is_no_batch_of_crops_is_refused(crops):
    with pytest.raises(ValueError, match=r"uint8 \(N, 100, 100, 3\)\. Received: "):
        to_model_input(crops)


def test_the_geometry_survives_json_and_says_what_is_done():
    assert json.loads(json.dumps(CROP_GEOMETRY)) == CROP_GEOMETRY
    assert CROP_GEOMETRY["crop_size"] == CROP_SIZE
    assert np.array_equal(CROP_GEOMETRY["template"], TARGET)
