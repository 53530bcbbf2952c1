from __future__ import annotations

import pytest

from flaskapp.detection import Detection, Face
from flaskapp.errors import BadFaceNumberError, CutOffFaceError, NoFaceError, SeveralFacesError
from flaskapp.preprocess import prominent_faces, select_face


def face_at(x: float, y: float, height: float) -> Face:
    width = 0.8 * height
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Face(box, tuple((x, y + offset) for offset in range(5)), 0.99)


def seen(*faces: Face) -> Detection:
    return Detection(faces, (640, 480), 40)


LEFT, MIDDLE, RIGHT = face_at(100, 200, 90), face_at(320, 150, 60), face_at(560, 210, 120)
BACKGROUND = face_at(310, 240, 39)


def test_the_only_face_is_taken():
    assert select_face(seen(LEFT)) is LEFT


def test_no_face_is_an_error_that_says_what_to_try():
    with pytest.raises(NoFaceError) as caught:
        select_face(seen())
    assert "one face" in caught.value.hint
    assert "at least 40 pixels" in caught.value.hint


def test_no_face_in_a_large_photo_says_how_large_one_must_be_there():
    with pytest.raises(NoFaceError, match="at least 117 pixels"):
        select_face(Detection((), (6000, 4500), 117.2))


def test_several_faces_of_a_crowd_say_that_there_may_be_more():
    with pytest.raises(SeveralFacesError, match=r"more faces.*under 80 pixels") as caught:
        select_face(Detection((LEFT, RIGHT), (4096, 3072), 80, more_faces=True))
    assert caught.value.faces == (LEFT, RIGHT)


def test_several_faces_are_refused_and_listed():
    with pytest.raises(SeveralFacesError, match=r"2 faces were found.*1 to 2") as caught:
        select_face(seen(LEFT, RIGHT))
    assert caught.value.faces == (LEFT, RIGHT)


def test_a_face_under_a_third_of_the_largest_forces_no_choice():
    assert select_face(seen(BACKGROUND, RIGHT)) is RIGHT


def test_a_face_of_just_a_third_does():
    with pytest.raises(SeveralFacesError):
        select_face(seen(face_at(100, 100, 40), RIGHT))


def test_background_faces_are_listed_with_the_others():
    with pytest.raises(SeveralFacesError) as caught:
        select_face(seen(LEFT, BACKGROUND, RIGHT))
    assert caught.value.faces == (LEFT, BACKGROUND, RIGHT)


@pytest.mark.parametrize(("number", "face"), [(1, LEFT), (2, BACKGROUND), (3, RIGHT)])
def test_the_callers_choice_counts_all_faces(number, face):
    assert select_face(seen(LEFT, BACKGROUND, RIGHT), number) is face


@pytest.mark.parametrize("number", [-1, 0, 4])
def test_a_face_that_is_not_there_is_refused(number):
    with pytest.raises(BadFaceNumberError, match=f"no face {number}: faces 1 to 3 "):
        select_face(seen(LEFT, MIDDLE, RIGHT), number)


def test_a_wrong_number_for_a_single_face_says_which_is_right():
    with pytest.raises(BadFaceNumberError, match="no face 2: only face 1 "):
        select_face(seen(LEFT), 2)


def test_no_face_is_told_before_a_wrong_number():
    with pytest.raises(NoFaceError):
        select_face(seen(), 3)


def test_the_largest_face_on_request():
    assert select_face(seen(LEFT, MIDDLE, RIGHT), choice="largest") is RIGHT


def test_the_most_central_face_on_request():
    assert select_face(seen(LEFT, MIDDLE, RIGHT), choice="centre") is MIDDLE


def test_a_background_face_is_never_the_most_central():
    assert select_face(seen(BACKGROUND, RIGHT, LEFT), choice="centre") is not BACKGROUND


def test_the_callers_choice_comes_before_the_rule():
    assert select_face(seen(LEFT, RIGHT), 1, choice="largest") is LEFT


EYES_AND_MOUTH = ((30, 40), (70, 40), (50, 60), (35, 80), (65, 80))


def moved(x: float, y: float) -> Face:
    landmarks = tuple((left + x, top + y) for left, top in EYES_AND_MOUTH)
    return Face((max(10 + x, 0), max(10 + y, 0), 90 + x, 100 + y), landmarks, 0.99)


@pytest.mark.parametrize(
    ("x", "y"),
    [(0, -40), (0, -38), (0, -33), (0, -60), (-28, 0), (128, 0), (0, 118)],
    ids=["on the edge", "eyes just inside", "a guess inside", "eyes outside", "left", "right", "below"],
)
def test_a_face_that_is_cut_off_is_refused(x, y):
    with pytest.raises(CutOffFaceError) as caught:
        select_face(Detection((moved(x, y),), (200, 200), 40))
    assert caught.value.hint


@pytest.mark.parametrize(("x", "y"), [(0, 0), (-21, 0), (121, 0), (0, -31), (0, 111)])
def test_a_face_near_the_edge_is_not_cut_off(x, y):
    face = moved(x, y)
    assert select_face(Detection((face,), (200, 200), 40)) is face


def test_a_cut_off_face_may_be_in_a_photo_of_another():
    whole = moved(0, 0)
    assert select_face(Detection((whole, moved(128, 0)), (200, 200), 40), 1) is whole
    with pytest.raises(CutOffFaceError):
        select_face(Detection((whole, moved(128, 0)), (200, 200), 40), 2)


def test_a_thumbnails_landmarks_are_a_pixel_inside():
    tiny = Face((0, 0, 9, 9), ((2, 0.5), (6, 0.5), (4, 3), (3, 5), (5, 5)), 0.99)
    with pytest.raises(CutOffFaceError):
        select_face(Detection((tiny,), (9, 9), 40))


def test_prominent_faces_keep_their_order():
    assert prominent_faces([LEFT, BACKGROUND, RIGHT]) == (LEFT, RIGHT)
    assert prominent_faces([]) == ()
