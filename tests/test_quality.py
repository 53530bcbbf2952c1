"""What is said of a photo's quality: the grade by certainty, the reasons by what the test itself did to a photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flaskapp.detection import Face
from flaskapp.preprocess import TEMPLATE, crop_face, decode_photo, find_faces, select_face
from flaskapp.quality import (
    GRADES,
    LIMITS,
    Quality,
    assess,
    estimated_pitch,
    estimated_yaw,
    grades_of,
    measured,
    reasons_of,
)

BOUNDS = (0.3, 0.8)


@pytest.fixture(scope="module")
def portraits(hopper, collins):
    """Return crop and face of both portraits."""
    found = []
    for file in (hopper, collins):
        photo = decode_photo(file)
        face = select_face(find_faces(photo))
        found.append((crop_face(photo, face.landmarks), face))
    return found


def first_of(crop, face):
    reasons = assess(crop, face, 0.1, BOUNDS).reasons
    return reasons[0] if reasons else None


def gamma(exponent):
    table = np.uint8(255 * (np.arange(256) / 255) ** exponent)
    return lambda crop: table[crop]


def noisy(crop):
    return np.uint8(np.clip(crop + np.random.default_rng(0).normal(0, 30, crop.shape), 0, 255))


def grainy(crop):
    return np.uint8(np.clip(crop + np.random.default_rng(0).normal(0, 30, (100, 100, 1)), 0, 255))


def moved(crop):
    return cv2.filter2D(crop, -1, np.eye(13) / 13)


def mosaic(crop):
    return cv2.resize(
        cv2.resize(crop, (14, 14), interpolation=cv2.INTER_AREA), (100, 100), interpolation=cv2.INTER_NEAREST
    )


def lit_from_the_left(crop):
    return np.uint8(crop * np.where(np.arange(100) < 50, 1, 0.04)[:, None])


def black_bar(crop):
    crop = crop.copy()
    crop[20:40, 10:90] = 0
    return crop


def sunglasses(crop):
    """Two brownish lenses, lighter downwards, each with a reflection and some noise."""
    lenses, shade = np.zeros((100, 100), np.float32), np.zeros((100, 100), np.float32)
    for x in (32, 68):
        cv2.ellipse(lenses, (x, 33), (15, 12), 0, 0, 360, 1, -1)
        cv2.ellipse(shade, (x - 4, 28), (5, 2), 20, 0, 360, 70, -1)
    shade += np.linspace(0, 50, 100)[:, None] + np.random.default_rng(0).normal(0, 4, (100, 100))
    glass = shade[:, :, None] * (1.1, 1, 0.9)
    mask = cv2.GaussianBlur(lenses, (0, 0), 0.7)[:, :, None]
    return np.uint8(np.clip(crop * (1 - mask) + glass * mask, 0, 255))


def medical_mask(crop):
    """Light blue cloth from the nose down, darker to the sides, with three folds."""
    mask = np.zeros((100, 100), np.float32)
    cv2.fillPoly(mask, [np.array([(6, 56), (50, 48), (94, 56), (90, 99), (10, 99)])], 1)
    y, x = np.mgrid[:100, :100]
    light = 1 - 0.4 * ((x - 50) / 50) ** 2 - sum(0.12 * np.exp(-(((y - fold) / 1.5) ** 2)) for fold in (62, 71, 80))
    mask = cv2.GaussianBlur(mask, (0, 0), 1)[:, :, None]
    return np.uint8(np.clip(crop * (1 - mask) + light[:, :, None] * (165, 200, 220) * mask, 0, 255))


SPOILED = {
    "blurred": lambda crop: cv2.GaussianBlur(crop, (0, 0), 4),
    "blurred by moving": moved,
    "noisy": noisy,
    "noisy in grey": grainy,
    "too_dark": lambda crop: np.uint8(crop * 0.1),
    "too_bright": gamma(0.2),
    "little_contrast": lambda crop: np.uint8(120 + 0.12 * (crop.astype(float) - crop.mean())),
    "pixelated": mosaic,
    "unevenly_lit": lit_from_the_left,
    "covered by a bar": black_bar,
    "covered by sunglasses": sunglasses,
    "covered by a mask": medical_mask,
}


class TestReasons:
    def test_good_portraits_have_none(self, portraits):
        assert [reasons_of(measured(*portrait)) for portrait in portraits] == [(), ()]

    @pytest.mark.parametrize("name", SPOILED)
    def test_what_was_done_to_a_photo_is_named_first(self, portraits, name):
        assert {first_of(SPOILED[name](crop), face) for crop, face in portraits} == {name.split()[0]}

    def test_a_small_face_is_small_and_not_blurred(self, portraits, hopper_pixels, collins_pixels):
        for pixels, (_, face) in zip((hopper_pixels, collins_pixels), portraits, strict=True):
            factor = 7 / (face.landmarks[1][0] - face.landmarks[0][0])
            small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
            scale_xy = small.shape[1] / pixels.shape[1], small.shape[0] / pixels.shape[0]
            box, landmarks = np.multiply(face.box_xyxy, scale_xy * 2), np.multiply(face.landmarks, scale_xy)
            smaller = Face(tuple(box.tolist()), tuple(map(tuple, landmarks.tolist())), face.detection_score)
            data = cv2.imencode(".png", small[:, :, ::-1])[1].tobytes()
            reasons = assess(crop_face(decode_photo(data), smaller.landmarks), smaller, 0.1, BOUNDS).reasons
            assert reasons[0] == "too_small"
            assert "blurred" not in reasons

    @pytest.mark.parametrize(
        ("turn", "reason"), [((24, 0), "turned_aside"), ((0, 15), "turned_up_or_down"), ((0, -14), "turned_up_or_down")]
    )
    def test_a_turned_head_is_named(self, portraits, turn, reason):
        for crop, face in portraits:
            points = np.array(TEMPLATE)
            points[2] += turn
            turned = Face(face.box_xyxy, tuple(map(tuple, points.tolist())), 1)
            assert first_of(crop, turned) == reason

    def test_a_face_cut_from_no_colour_and_no_light_still_has_an_answer(self, portraits):
        _, face = portraits[0]
        for level in (0, 128, 255):
            assert np.isfinite(list(measured(np.full((100, 100, 3), level, np.uint8), face).values())).all()

    def test_worst_stands_first_and_each_once(self):
        fine = {name: limit.named_from - 0.1 * (limit.worst - limit.named_from) for name, limit in LIMITS.items()}
        assert reasons_of(fine) == ()

        def by(name, excess):
            return {name: LIMITS[name].named_from + excess * (LIMITS[name].worst - LIMITS[name].named_from)}

        bad = fine | by("dark", 0.4) | by("eyes", 0.5) | by("mouth", 0.45) | by("sharpness", 0.9)
        assert reasons_of(bad) == ("blurred", "covered", "too_dark")
        assert reasons_of(bad | by("dark", 0.2)) == ("blurred", "covered")  # slight beside the worst
        assert reasons_of(fine | by("dark", 0.01)) == ("too_dark",)

    def test_the_crop_stays_as_it_was(self, portraits):
        crop, face = portraits[0]
        before = crop.copy()
        measured(crop, face)
        np.testing.assert_array_equal(crop, before)


class TestGrade:
    @pytest.mark.parametrize(
        ("certainty", "grade"), [(0, "poor"), (0.29, "poor"), (0.3, "fair"), (0.79, "fair"), (0.8, "good"), (1, "good")]
    )
    def test_comes_from_certainty_alone(self, portraits, certainty, grade):
        crop, face = portraits[0]
        assert {assess(one, face, certainty, BOUNDS).grade for one in (crop, gamma(5)(crop))} == {grade}

    def test_many_are_graded_as_one_is(self, portraits):
        sure = np.array([[0, 0.299, 0.3], [0.799, 0.8, 1]])
        assert [GRADES[place] for place in grades_of(sure, BOUNDS).ravel()] == [
            assess(*portraits[0], certainty, BOUNDS).grade for certainty in sure.ravel()
        ]

    def test_a_good_photo_has_no_reasons_whatever_its_pixels_are(self, portraits):
        crop, face = portraits[0]
        assert assess(black_bar(crop), face, 0.9, BOUNDS) == Quality("good", 0.9)

    def test_words_and_json(self):
        quality = Quality("poor", 0.25, ("blurred", "too_dark"))
        assert str(quality) == "poor: blurred, too dark"
        assert str(Quality("fair", 0.5)) == "fair"
        assert quality.to_json() == {"grade": "poor", "certainty": 0.25, "reasons": ["blurred", "too_dark"]}

    @pytest.mark.parametrize(
        "values",
        [("bad", 0.5), ("fair", 1.5), ("fair", float("nan")), ("fair", 0.5, ("ugly",)), ("good", 1, ("noisy",))],
    )
    def test_checks_itself(self, values):
        with pytest.raises(ValueError, match="Received"):
            Quality(*values)

    def test_what_cannot_be_assessed_is_refused(self, portraits):
        crop, face = portraits[0]
        for wrong in (crop[:50], crop.astype(np.float32)):
            with pytest.raises(ValueError, match="uint8"):
                assess(wrong, face, 0.1, BOUNDS)
        with pytest.raises(ValueError, match="in order"):
            assess(crop, face, 0.1, (0.8, 0.3))
        with pytest.raises(ValueError, match="certainty"):
            assess(crop, face, 1.1, BOUNDS)


class TestYaw:
    @pytest.mark.parametrize("degrees", [-60, -20, 0, 35, 50])
    def test_is_that_of_a_head_in_space(self, degrees):
        turn = np.radians(degrees)
        eyes, nose = np.array([[-0.5, 0], [0.5, 0]]), np.array([0, 0.6])  # across, and towards the viewer
        across = [x * np.cos(turn) + z * np.sin(turn) for x, z in (*eyes, nose)]
        landmarks = (*((100 + 40 * x, 50.0) for x in across), (90.0, 90.0), (110.0, 90.0))
        assert estimated_yaw(Face((50, 20, 150, 120), landmarks, 0.9)) == pytest.approx(degrees, abs=1e-9)

    def test_a_head_tilted_sideways_is_not_turned(self):
        landmarks = ((50, 50), (80, 80), (55, 75), (40, 80), (60, 100))
        assert estimated_yaw(Face((40, 30, 100, 110), landmarks, 0.9)) == pytest.approx(0, abs=1e-9)


class TestPitch:
    @pytest.mark.parametrize("degrees", [-40, -10, 0, 25])
    def test_is_that_of_a_head_in_space(self, degrees):
        turn, height = np.radians(degrees), 40.6 / 36.4  # from eyes to mouth, in distances between the eyes
        down = [y * np.cos(turn) + z * np.sin(turn) for y, z in ((0, 0), (0.6 * height, 0.6), (height, 0))]
        eyes, nose, mouth = (50 + 40 * y for y in down)
        landmarks = ((80, eyes), (120, eyes), (100, nose), (85, mouth), (115, mouth))
        assert estimated_pitch(Face((50, 20, 150, 120), landmarks, 0.9)) == pytest.approx(degrees, abs=0.2)
