from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from flaskapp import preprocess
from flaskapp.detection import Detection, Detector
from flaskapp.errors import NoFaceError, SeveralFacesError, UnsupportedFormatError
from flaskapp.preprocess import (
    Photo,
    align_face,
    crop_face,
    crop_faces,
    crop_photo,
    decode_photo,
    find_face,
    find_faces,
)


def as_jpeg(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of two crops' values, in greys of 255."""
    return float(np.abs(first.astype(float) - second).mean())


@pytest.fixture(scope="module")
def crowd(hopper_pixels) -> bytes:
    """A JPEG of 4000×3000 in which Hopper's face is 120 pixels wide."""
    photo = np.full((3000, 4000, 3), 128, np.uint8)
    small = np.asarray(Image.fromarray(hopper_pixels).resize((333, 390), Image.Resampling.LANCZOS))
    photo[1500:1890, 2500:2833] = small
    return as_jpeg(photo)


@pytest.fixture(scope="module")
def close_up(hopper_pixels) -> bytes:
    """A JPEG of 3072×3600, decoded at half scale, in which the face is 1,100 pixels wide."""
    return as_jpeg(np.asarray(Image.fromarray(hopper_pixels).resize((3840, 4500), Image.Resampling.BICUBIC)))


class TestFindFaces:
    def test_faces_are_told_in_full_scale_pixels(self, hopper, close_up):
        (small,), (large,) = find_faces(decode_photo(hopper)), find_faces(decode_photo(close_up))
        assert np.array(large.box_xyxy) == pytest.approx(np.array(small.box_xyxy) * 7.5, abs=25)
        assert np.array(large.landmarks) == pytest.approx(np.array(small.landmarks) * 7.5, abs=25)

    def test_a_detector_of_ones_own_is_used(self, hopper):
        class Blind(Detector):
            def __init__(self) -> None:
                pass

            def search(self, photo: np.ndarray, *more: object) -> Detection:
                assert (photo.shape, *more) == ((600, 512, 3), 0, (512, 600))
                return Detection((), (512, 600), 40)

        assert find_faces(decode_photo(hopper), Blind()) == Detection((), (512, 600), 40)

    def test_a_large_photo_is_searched_alike_whatever_its_format(self, crowd):
        searched = []

        class Noting(Detector):
            def search(self, photo: np.ndarray, *more: Any) -> Detection:
                searched.append(photo.shape)
                return super().search(photo, *more)

        jpeg = decode_photo(crowd)
        of_all_pixels = Photo(jpeg.at_full_scale().pixels, jpeg.size_wh)
        one, other = find_faces(jpeg, Noting()), find_faces(of_all_pixels, Noting())
        assert searched == [(1500, 2000, 3)] * 2
        assert (one.size_wh, one.smallest_face) == (other.size_wh, other.smallest_face)
        (face,), (same,) = one, other
        assert np.array(same.landmarks) == pytest.approx(np.array(face.landmarks), abs=5)

    @pytest.mark.parametrize(("size_wh", "searched_wh"), [((4001, 3001), (2000, 1500)), ((1, 60_000), (1, 60_000))])
    def test_what_is_no_whole_part_is_left_out_and_no_side_vanishes(self, size_wh, searched_wh):
        photo = Photo(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), size_wh)
        assert photo.to_search().shape[1::-1] == searched_wh


class TestCropFace:
    def test_a_small_face_in_a_large_photo_is_cut_from_all_pixels(self, crowd):
        photo = decode_photo(crowd)
        assert photo.pixels.shape == (1500, 2000, 3)
        (face,) = find_faces(photo)
        whole = photo.at_full_scale()
        assert np.array_equal(crop_face(photo, face.landmarks), align_face(whole.pixels, face.landmarks))

    def test_many_small_faces_need_one_decoding(self, crowd, monkeypatch):
        photo = decode_photo(crowd)
        (face,) = find_faces(photo)
        decoded, at_full_scale = [], Photo.at_full_scale
        monkeypatch.setattr(Photo, "at_full_scale", lambda self: decoded.append(self.encoded) or at_full_scale(self))
        one, two, three = crop_faces(photo, [face.landmarks] * 3)
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)
        assert len(decoded) == 1

    def test_a_large_face_needs_no_second_decoding(self, close_up, monkeypatch):
        photo = decode_photo(close_up)
        (face,) = find_faces(photo)
        monkeypatch.setattr(Photo, "at_full_scale", lambda _: pytest.fail("decoded twice"))
        crop_face(photo, face.landmarks)

    def test_reducing_a_large_face_loses_nothing(self, close_up):
        photo = decode_photo(close_up)
        (face,) = find_faces(photo)
        reduced = crop_face(photo, face.landmarks)
        full = align_face(photo.at_full_scale().pixels, face.landmarks)
        assert difference(reduced, full) < 1


class TestFindFace:
    @pytest.fixture
    def before_a_small_one(self, hopper_pixels, collins_pixels) -> Photo:
        """Grace Hopper, and Eileen Collins to the left with a face under a third as high."""
        pixels = np.full((900, 1000, 3), 128, np.uint8)
        pixels[:900, 232:1000] = cv2.resize(hopper_pixels, (768, 900))
        pixels[:232, :232] = collins_pixels[:464:2, 24:488:2]
        return Photo(pixels, (1000, 900))

    def test_small_ones_force_no_choice_and_are_left_out(self, before_a_small_one):
        everybody = find_faces(before_a_small_one)
        faces, face = find_face(before_a_small_one)
        assert len(everybody) == 2
        assert faces.faces == (face,) == (everybody[1],)

    def test_who_chooses_by_number_chooses_among_all(self, before_a_small_one):
        everybody = find_faces(before_a_small_one)
        for number in (1, 2):
            assert find_face(before_a_small_one, number) == (everybody, everybody[number - 1])

    def test_who_must_choose_is_told_of_all(self, collins_pixels, before_a_small_one):
        photo = np.hstack([before_a_small_one.pixels, cv2.resize(collins_pixels, (900, 900))])
        with pytest.raises(SeveralFacesError) as caught:
            find_face(Photo(photo, (1900, 900)))
        assert len(caught.value.faces) == 3
        _, face = find_face(Photo(photo, (1900, 900)), choice="largest")
        assert face == max(caught.value.faces, key=lambda one: one.height)


class TestCropPhoto:
    def test_unknown_landmarks_are_detected(self, hopper):
        photo = decode_photo(hopper)
        (face,) = find_faces(photo)
        assert np.array_equal(crop_photo(hopper), align_face(photo.pixels, face.landmarks))

    def test_the_most_central_face_is_cut_by_default(self, hopper_pixels, collins_pixels, hopper):
        wide = np.hstack([collins_pixels, hopper_pixels[:512], collins_pixels])
        assert difference(crop_photo(as_jpeg(wide)), crop_photo(hopper)) < 6

    def test_nobody_is_an_error(self):
        with pytest.raises(NoFaceError):
            crop_photo(as_jpeg(np.full((80, 80, 3), 90, np.uint8)))

    def test_no_photo_is_an_error(self):
        with pytest.raises(UnsupportedFormatError):
            crop_photo(b"GIF89a")


class TestSameFaceSameCrop:
    """Whatever is done to a portrait on its way here, the network sees nearly the same."""

    @pytest.mark.parametrize("orientation", range(2, 9))
    def test_all_orientations(self, hopper, hopper_pixels, orientation):
        undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = preprocess.decoding.TURNS[undo](hopper_pixels)
        assert difference(crop_photo(as_jpeg(turned, exif=exif)), crop_photo(hopper)) < 3

    @pytest.mark.parametrize("kind", ["PNG", "WEBP", "HEIF"])
    def test_all_formats(self, hopper, hopper_pixels, kind):
        pillow_heif.register_heif_opener()
        file = io.BytesIO()
        Image.fromarray(hopper_pixels).save(file, kind)
        assert difference(crop_photo(file.getvalue()), crop_photo(hopper)) < 5

    @pytest.mark.parametrize("degrees", [-20, -8, 8, 20])
    def test_a_tilted_head_is_put_upright(self, hopper, hopper_pixels, degrees):
        tilted = Image.fromarray(hopper_pixels).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        assert difference(crop_photo(as_jpeg(np.asarray(tilted))), crop_photo(hopper)) < 18

    def test_the_other_portrait_looks_different(self, hopper, collins):
        assert difference(crop_photo(collins), crop_photo(hopper)) > 30

    def test_many_threads_see_the_same(self, hopper, collins):
        alone = [crop_photo(hopper), crop_photo(collins)] * 4
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(crop_photo, [hopper, collins] * 4))
        assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
