"""A guided capture: what is kept, what is asked for, and the whole of it from a film."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from flaskapp.cli.program import main
from flaskapp.detection import Face
from flaskapp.errors import DataError
from flaskapp.personal import capture
from flaskapp.personal.capture import LEAST_SHARPNESS, WANTED, Guide, Look, look_at, read_camera
from tests.conftest import ROOT


def frame_of(pixels: np.ndarray, size: float = 1.0, gain: float = 1.0, turn: float = 0.0) -> np.ndarray:
    """Return a frame uint8 (480, 640, 3): a portrait, scaled, lit, its face squeezed as if turned."""
    side = 0.62 * size * 480 / 600
    warp = np.array([[side * (1 - abs(turn)), 0, 320 - 256 * side], [0, side, 240 - 260 * side]])
    warped = cv2.warpAffine(pixels, warp, (640, 480), borderValue=(90, 110, 130))
    return np.clip(warped * gain, 0, 255).astype(np.uint8)


class TestLooking:
    LANDMARKS = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0))

    def face(self, nose: float, tilt: float = 0.0) -> Face:
        points = np.array(self.LANDMARKS)
        points[2, 0] = nose
        turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        moved = (points - 50) @ turn.T + 50
        return Face((10.0, 10.0, 90.0, 95.0), tuple(map(tuple, moved.tolist())), 0.99)

    @pytest.mark.parametrize("tilt", [0.0, 0.4, -0.3])
    @pytest.mark.parametrize(("nose", "turn"), [(50.0, 0.0), (60.0, 0.25), (40.0, -0.25)])
    def test_the_turn_is_read_off_the_nose_however_the_head_is_tilted(self, nose, turn, tilt):
        look = look_at(self.face(nose, tilt), np.zeros((100, 100, 3), np.uint8), 200)
        assert look.turn == pytest.approx(turn)
        assert look.closeness == pytest.approx(0.2)

    def test_sharpness_and_brightness_are_those_of_the_face(self, hopper_pixels):
        crop = cv2.resize(hopper_pixels[100:400, 100:400], (100, 100), interpolation=cv2.INTER_AREA)
        sharp = look_at(self.face(50.0), crop, 200)
        blurred = look_at(self.face(50.0), cv2.GaussianBlur(crop, (0, 0), 4), 200)
        dark = look_at(self.face(50.0), crop // 3, 200)
        assert dark.sharpness == pytest.approx(sharp.sharpness, rel=0.1)
        assert blurred.sharpness < LEAST_SHARPNESS < sharp.sharpness
        assert blurred.brightness == pytest.approx(sharp.brightness, abs=2)


class TestGuide:
    def test_says_what_is_wrong_with_a_frame(self, hopper_pixels):
        good = frame_of(hopper_pixels)
        cases = [
            (np.full((480, 640, 3), 128, np.uint8), "No face"),
            (np.hstack([good[:, 160:480], good[:, 160:480]]), "2 faces"),
            (cv2.GaussianBlur(good, (0, 0), 7), "blurred"),
            ((good * 0.2).astype(np.uint8), "too dark"),
        ]
        for frame, words in cases:
            guide = Guide()
            glance = guide.show(frame)
            assert not glance.kept and words in glance.words, (words, glance)
            assert guide.looks == []

    def test_the_same_frame_twice_is_one_photo(self, hopper_pixels):
        guide = Guide()
        assert guide.show(frame_of(hopper_pixels)).kept
        again = guide.show(frame_of(hopper_pixels))
        assert not again.kept and "Too like" in again.words
        assert guide.show(frame_of(hopper_pixels, size=1.5)).kept

    def test_asks_for_each_kind_until_there_are_enough(self):
        guide = Guide(photos=11)
        assert guide.next_step() == WANTED[0].ask
        guide.looks = [Look(0.01 * n, 0.16, 120, 0.1) for n in range(3)]
        assert guide.next_step() == WANTED[1].ask
        guide.looks += [Look(turn, 0.16, 120, 0.1) for turn in (-0.3, -0.4, 0.3, 0.4)]
        assert guide.next_step() == "Come closer."
        guide.looks += [Look(0.0, closeness, 120, 0.1) for closeness in (0.25, 0.3, 0.1, 0.08)]
        assert guide.next_step() == capture.OTHER_LIGHT
        assert guide.missing() == ["other light (brightness differs by 0 of 25 grey levels)"]
        assert not guide.finished
        guide.looks.append(Look(0.0, 0.16, 150, 0.1))
        assert guide.missing() == [] and guide.finished
        assert guide.next_step() == "Done."

    def test_other_light_that_it_asks_for_is_taken_though_all_photos_are_there(self):
        guide = Guide(photos=15)
        for turn in (0.0, 0.05, -0.05, 0.3, 0.4, -0.3, -0.4, 0.5, 0.6):
            assert guide.judge(Look(turn, 0.16, 120, 0.1)).kept
        for closeness in (0.25, 0.31, 0.37, 0.43, 0.1, 0.05):
            assert guide.judge(Look(0.0, closeness, 121, 0.1)).kept
        assert guide.missing() == ["other light (brightness differs by 1 of 25 grey levels)"]
        assert not guide.judge(Look(-0.5, 0.2, 120.5, 0.1)).kept, "the same light again"
        assert guide.judge(Look(-0.5, 0.2, 150, 0.1)).kept
        assert guide.missing() == [] and guide.finished

    def test_says_how_many_of_all_photos_are_missing(self):
        guide = Guide(photos=15)
        guide.looks = [Look(0.0, 0.16, 120, 0.1)] * 14
        assert guide.missing()[-1] == "1 of 15 photos"

    def test_keeps_room_for_what_is_missing(self):
        guide = Guide(photos=11)  # eight are open, eight places are left
        guide.looks = [Look(0.005 * n, 0.16, 120, 0.1) for n in range(3)]
        straight, turned = (guide.judge(Look(turn, 0.16, 120, 0.1)) for turn in (0.1, -0.3))
        assert not straight.kept and straight.words == WANTED[1].ask
        assert turned.kept


class TestCommand:
    @pytest.fixture
    def film(self, tmp_path, hopper_pixels) -> Path:
        """A film of somebody who comes closer, steps back and switches a lamp, but never turns."""
        path = tmp_path / "film.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
        for size, gain in [(1.0, 1.0), (1.0, 1.0), (1.6, 1.0), (2.3, 1.0), (2.7, 1.0), (0.5, 1.0), (1.0, 0.6)]:
            writer.write(cv2.cvtColor(frame_of(hopper_pixels, size, gain), cv2.COLOR_RGB2BGR))
        writer.release()
        return path

    def test_a_film_gives_photos_and_word_of_what_is_missing(self, film, tmp_path):
        out = tmp_path / "photos"
        done = CliRunner().invoke(main, ["capture", "--out", str(out), "--video", str(film), "--every", "1"])
        assert done.exit_code == 2
        assert len(list(out.glob("*.jpg"))) == 6
        assert "6 photos" in done.output
        assert "still missing: 2 more, turned to one side" in done.output
        assert "near" not in done.output
        assert "other light" not in done.output
        assert "Too like" in done.stderr

    def test_one_of_so_many_frames_is_looked_at(self, film):
        assert len(list(read_camera(str(film)))) == 7
        assert len(list(read_camera(str(film), every=3))) == 3

    @pytest.mark.parametrize("name", ["nothing.avi", "text.jpg"])
    def test_where_there_is_nothing_to_see_that_is_said(self, tmp_path, name):
        (tmp_path / "text.jpg").write_text("no photo")
        with pytest.raises(DataError, match="video"):
            next(read_camera(str(tmp_path / name)))

    @pytest.mark.parametrize("words", [("--camera", "99"), ("--video", "text.jpg")])
    def test_without_a_camera_or_a_film_it_says_so_and_nothing_else(self, tmp_path, words):
        (tmp_path / "text.jpg").write_text("no photo")
        command = [sys.executable, "-m", "flaskapp.cli", "capture", "--out", "photos", *words]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("Error: ")

    def test_a_number_that_no_camera_can_have_is_wrong_usage(self):
        done = CliRunner().invoke(main, ["capture", "--out", "photos", "--camera", str(2**31)])
        assert (done.exit_code, "--camera" in done.stderr) == (2, True)
