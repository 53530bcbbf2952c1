from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from flaskapp.detection import Detector, Face, default_detector, networks
from flaskapp.detection.candidates import Candidates
from flaskapp.errors import WeightsError
from flaskapp.preprocess import decode_photo

# Read off the photos by eye, to about three pixels: eyes, nose, corners of the mouth.
HOPPER_LANDMARKS = np.array([(222, 191), (307, 188), (268, 240), (233, 278), (304, 275)])
COLLINS_LANDMARKS = np.array([(204, 102), (247, 104), (224, 129), (202, 140), (245, 142)])


def detect_faces(photo: np.ndarray) -> tuple[Face, ...]:
    return default_detector().search(photo).faces


def landmarks_of(face: Face) -> np.ndarray:
    return np.array(face.landmarks)


def eye_distance(face: Face) -> float:
    return float(np.linalg.norm(np.subtract(face.landmarks[0], face.landmarks[1])))


def scatter(face: Face, expected: np.ndarray) -> float:
    """Return the largest distance between landmarks, in parts of the distance of the eyes."""
    return float(np.linalg.norm(landmarks_of(face) - expected, axis=1).max() / eye_distance(face))


def only(faces: tuple[Face, ...]) -> Face:
    assert len(faces) == 1
    return faces[0]


def resized(photo: np.ndarray, scale: float) -> np.ndarray:
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=method)


def cut_about_the_face(photo: np.ndarray, margin: float) -> tuple[np.ndarray, tuple[int, int]]:
    """Cut a portrait down to its face and a margin, in parts of the face's height.

    Returns:
        What is left, and where its corner was.
    """
    left, top, right, bottom = (int(value) for value in only(detect_faces(photo)).box_xyxy)
    edge = int(margin * (bottom - top))
    cut = photo[top - edge : bottom + edge, left - edge : right + edge]
    return np.ascontiguousarray(cut), (left - edge, top - edge)


@pytest.fixture(scope="module")
def group(hopper_pixels, collins_pixels) -> np.ndarray:
    """The two women side by side, Collins on the left."""
    return np.hstack([collins_pixels, hopper_pixels[:512]])


@pytest.fixture(scope="module")
def small_in_large(hopper_pixels) -> np.ndarray:
    """A face of about 70 pixels in a blank photo of 1600×1200."""
    photo = np.full((1200, 1600, 3), 128, np.uint8)
    small = resized(hopper_pixels, 0.35)
    photo[500 : 500 + small.shape[0], 700 : 700 + small.shape[1]] = small
    return photo


class TestPortraits:
    def test_the_landmarks_are_where_the_eye_sees_them(self, hopper_pixels, collins_pixels):
        assert scatter(only(detect_faces(hopper_pixels)), HOPPER_LANDMARKS) < 0.05
        assert scatter(only(detect_faces(collins_pixels)), COLLINS_LANDMARKS) < 0.08

    def test_the_box_holds_the_landmarks_and_lies_in_the_photo(self, hopper_pixels):
        face = only(detect_faces(hopper_pixels))
        left, top, right, bottom = face.box_xyxy
        assert 0 <= left < landmarks_of(face)[:, 0].min() < landmarks_of(face)[:, 0].max() < right <= 512
        assert 0 <= top < landmarks_of(face)[:, 1].min() < landmarks_of(face)[:, 1].max() < bottom <= 600
        assert face.height == bottom - top

    def test_several_faces_come_left_to_right(self, group, collins_pixels, hopper_pixels):
        left, right = detect_faces(group)
        assert scatter(left, landmarks_of(only(detect_faces(collins_pixels)))) < 0.05
        assert scatter(right, np.add(only(detect_faces(hopper_pixels)).landmarks, (512, 0))) < 0.05
        right, left = detect_faces(np.ascontiguousarray(group[:, ::-1]))
        assert right.box_xyxy < left.box_xyxy

    @pytest.mark.parametrize("scale", [0.25, 0.4, 0.7, 1.5, 3.0])
    def test_size_changes_nothing(self, hopper_pixels, scale):
        expected = landmarks_of(only(detect_faces(hopper_pixels)))
        assert scatter(only(detect_faces(resized(hopper_pixels, scale))), expected * scale) < 0.06

    @pytest.mark.slow
    def test_a_phone_photo_of_twelve_megapixels(self, hopper_pixels):
        large = cv2.resize(hopper_pixels, (3000, 3516), interpolation=cv2.INTER_CUBIC)
        expected = landmarks_of(only(detect_faces(hopper_pixels))) * (3000 / 512)
        assert scatter(only(detect_faces(large)), expected) < 0.06

    def test_a_mirrored_photo_has_the_mirrored_landmarks(self, hopper_pixels):
        face, mirrored = (only(detect_faces(p)) for p in (hopper_pixels, np.ascontiguousarray(hopper_pixels[:, ::-1])))
        expected = landmarks_of(face)[[1, 0, 2, 4, 3]] * (-1, 1) + (512, 0)
        assert scatter(mirrored, expected) < 0.03

    @pytest.mark.parametrize("shift", [(0, 7), (9, 0), (13, 11)])
    def test_moving_the_frame_moves_the_landmarks_along(self, hopper_pixels, shift):
        expected = landmarks_of(only(detect_faces(hopper_pixels))) - shift
        moved = np.ascontiguousarray(hopper_pixels[shift[1] :, shift[0] :])
        assert scatter(only(detect_faces(moved)), expected) < 0.04

    @pytest.mark.parametrize("margin", [-0.1, -0.05, 0.0, 0.1])
    @pytest.mark.parametrize("side", [64, 250, 1500])
    def test_a_face_that_fills_its_photo_is_found(self, hopper_pixels, margin, side):
        tight, corner = cut_about_the_face(hopper_pixels, margin)
        scale = side / tight.shape[0]
        face = only(detect_faces(resized(tight, scale)))
        assert scatter(face, (HOPPER_LANDMARKS - corner) * scale) < 0.12

    def test_the_box_of_a_face_cut_off_ends_with_the_photo(self, hopper_pixels):
        tight, _ = cut_about_the_face(hopper_pixels, -0.1)
        assert only(detect_faces(tight)).box_xyxy == (0, 0, tight.shape[1], tight.shape[0])

    def test_a_thumbnail_is_too_small_even_for_a_close_up(self, hopper_pixels):
        tight, _ = cut_about_the_face(hopper_pixels, 0.05)
        assert detect_faces(resized(tight, 36 / tight.shape[0])) == ()


LOAD_FROM_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from flaskapp.detection import default_detector
with ThreadPoolExecutor(8) as pool:
    print(len(set(pool.map(lambda _: default_detector(), range(8)))))
"""


class TestRepeatability:
    def test_the_same_photo_gives_the_same_bits(self, group):
        assert detect_faces(group) == detect_faces(group.copy()) == Detector().search(group).faces

    def test_threads_change_nothing(self, group, hopper_pixels):
        alone = [detect_faces(group), detect_faces(hopper_pixels)] * 6
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(detect_faces, [group, hopper_pixels] * 6)) == alone

    def test_the_default_detector_is_loaded_once(self):
        done = subprocess.run([sys.executable, "-c", LOAD_FROM_THREADS], capture_output=True, text=True, check=True)
        assert done.stdout == "1\n"

    def test_the_photo_is_left_as_it_is(self, hopper_pixels):
        before = hopper_pixels.copy()
        detect_faces(hopper_pixels)
        assert np.array_equal(hopper_pixels, before)


class TestNothingToFind:
    @pytest.mark.parametrize(
        "size", [(1, 1), (1, 3000), (2000, 2), (11, 11), (40, 40), (480, 640)], ids=lambda size: f"{size[1]}x{size[0]}"
    )
    def test_blank_photos_of_any_size(self, size):
        assert detect_faces(np.full((*size, 3), 128, np.uint8)) == ()

    def test_noise(self):
        assert detect_faces(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)) == ()

    def test_a_photo_cropped_below_the_chin(self, hopper_pixels):
        assert detect_faces(np.ascontiguousarray(hopper_pixels[360:])) == ()

    @pytest.mark.parametrize(
        "photo",
        [np.zeros((9, 9, 3)), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8)],
        ids=["float", "grey", "four channels", "empty"],
    )
    def test_what_is_no_photo_is_refused(self, photo):
        with pytest.raises(ValueError, match=r"uint8 \(height, width, 3\)\. Received: "):
            detect_faces(photo)


class TestSettings:
    def test_smallest_face_is_a_limit(self, small_in_large):
        assert len(Detector(smallest_face=40).search(small_in_large)) == 1
        assert not Detector(smallest_face=160).search(small_in_large)

    def test_largest_image_raises_the_limit_in_proportion(self, small_in_large):
        assert len(Detector(40, largest_image=1600).search(small_in_large)) == 1
        assert not Detector(40, largest_image=400).search(small_in_large)

    def test_a_small_search_image_costs_no_precision(self, hopper_pixels):
        fine, coarse = (only(Detector(40, side).search(hopper_pixels)) for side in (4096, 150))
        assert scatter(coarse, landmarks_of(fine)) < 0.04

    def test_looking_again_steadies_the_landmarks(self, collins_pixels, monkeypatch):
        def spread() -> float:
            scales = np.linspace(0.6, 1.3, 8)
            found = [landmarks_of(only(detect_faces(resized(collins_pixels, s)))) / s for s in scales]
            return float(np.std(found, axis=0).mean())

        steadied = spread()
        monkeypatch.setattr(Detector, "_settle", lambda _, __, found, ___: found)
        assert steadied < 0.6 * spread()

    @pytest.mark.parametrize(("smallest_face", "largest_image"), [(11, 2048), (40, 39)])
    def test_impossible_settings_are_refused(self, smallest_face, largest_image):
        with pytest.raises(ValueError, match="expects"):
            Detector(smallest_face, largest_image)


@pytest.mark.parametrize(
    ("scores", "certain"), [([0.90, 0.90, 0.96], [0.90, 0.96]), ([0.87, 0.5], []), ([], [])], ids=str
)
def test_the_best_face_needs_less_than_a_further_one_and_a_doubtful_one_is_none(scores, certain):
    count = len(scores)
    candidates = Candidates(np.zeros((count, 4)), np.array(scores), np.zeros((count, 5, 2)))
    assert candidates.certain().scores.tolist() == certain


class TestFace:
    LANDMARKS = ((1.0, 1.0),) * 5

    @pytest.mark.parametrize(
        ("box", "landmarks", "score"),
        [
            ((5, 0, 5, 9), LANDMARKS, 0.9),
            ((0, 9, 5, 0), LANDMARKS, 0.9),
            ((0, 0, 5, 9), LANDMARKS[:4], 0.9),
            ((0, 0, 5, 9), LANDMARKS, 1.1),
            ((0, 0, 5, float("nan")), LANDMARKS, 0.9),
        ],
    )
    def test_impossible_faces_are_refused(self, box, landmarks, score):
        with pytest.raises(ValueError, match="Received"):
            Face(box, landmarks, score)


class TestWeights:
    @pytest.fixture
    def copied_weights(self, tmp_path) -> Path:
        return Path(shutil.copytree(networks.FOLDER, tmp_path / "mtcnn"))

    @pytest.mark.parametrize("name", ["pnet", "rnet", "onet"])
    def test_one_flipped_bit_is_refused_by_name(self, copied_weights, name):
        path = copied_weights / f"{name}.onnx"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name}\.onnx are not the expected ones"):
            networks.Network(name, copied_weights)

    def test_a_missing_file_is_told_by_name(self, copied_weights):
        (copied_weights / "rnet.onnx").unlink()
        with pytest.raises(WeightsError, match=r"rnet\.onnx cannot be read"):
            networks.Network("rnet", copied_weights)


@pytest.mark.needs_shared
class TestRealPhotos:
    @pytest.mark.parametrize(
        ("name", "count"),
        [
            ("obama.jpg", 1),
            ("obama2.jpg", 1),
            ("obama_small.jpg", 1),
            ("biden.jpg", 1),
            ("alex-lacamoire.png", 1),
            ("lin-manuel-miranda.png", 1),
            ("ivan.jpg", 1),
            ("two_people.jpg", 2),
            ("multiface.jpg", 6),
            ("no-faces.jpg", 0),
            ("formats/einstein.jpeg", 1),
            ("formats/einstein.png", 1),
            ("formats/einstein.webp", 1),
        ],
    )
    def test_all_people_and_nothing_else_are_found(self, photos, name, count):
        assert len(detect_faces(decode_photo((photos / name).read_bytes()).pixels)) == count

    def test_everybody_in_a_sample_of_labelled_faces_is_found(self, shared):
        sample = sorted((shared / "lfw-devtest").glob("*/*.jpg"))[::60]
        assert sample
        missed = [path.name for path in sample if not detect_faces(decode_photo(path.read_bytes()).pixels)]
        assert missed == []

    def test_everybody_in_a_sample_of_head_crops_is_found(self, shared):
        sample = sorted((shared / "people").glob("*/*"))[::30]
        assert sample
        missed = [path.name for path in sample if not detect_faces(decode_photo(path.read_bytes()).pixels)]
        assert missed == []
