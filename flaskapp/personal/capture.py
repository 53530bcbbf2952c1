"""A guided capture: which frames of a camera are worth training on, and what is still missing.

Judged frame by frame, by the face's landmarks and pixels: one face, sharp, neither dark nor
glaring; and over all frames by variety, because twenty photos of one second teach one photo's
worth. Whether somebody wears glasses no landmark tells: that is asked for and taken on trust.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from flaskapp import preprocess
from flaskapp.detection import Face
from flaskapp.errors import DataError, PhotoError
from flaskapp.preprocess import Photo

# Of the aligned face. On 41 photos of people whom no training saw it is 0.03 to 0.15 for most,
# and at most 0.009 after a Gaussian blur of 2.5 pixels; light does not change it.
LEAST_SHARPNESS = 0.02
DARKEST, BRIGHTEST = 45.0, 215.0
# Of the nose from the middle between the eyes, in distances between the eyes: about the sine of the turn.
STRAIGHT, TURNED = 0.12, 0.2
# Distance between the eyes as a share of the frame's height.
NEAR, FAR = 0.2, 0.13
# Grey levels by which light has to differ, and how different two frames have to be at least.
LIGHT_RANGE = 25.0
LEAST_STEP = 0.03


@dataclass(frozen=True)
class Look:
    """How a face stands in a frame."""

    turn: float  # of the head; negative to the picture's left, 0 straight, about the sine of the angle
    closeness: float  # distance between the eyes as a share of the frame's height
    brightness: float  # mean luma of the aligned face, 0 to 255
    sharpness: float  # variance of the Laplacian of the aligned face over that of its luma

    def unlike(self, other: Look) -> bool:
        """Say whether two frames differ enough to be two photos."""
        moved = max(abs(self.turn - other.turn), abs(self.closeness - other.closeness))
        return moved >= LEAST_STEP or abs(self.brightness - other.brightness) >= LIGHT_RANGE / 2


def look_at(face: Face, aligned: np.ndarray, height: int) -> Look:
    """Measure a face in a frame so many pixels high, and as it is aligned: uint8 (100, 100, 3) RGB."""
    left, right, nose = (np.array(point, np.float64) for point in face.landmarks[:3])
    across = right - left
    distance = float(np.linalg.norm(across))
    turn = float((nose - (left + right) / 2) @ across) / max(distance**2, 1e-9)
    grey = cv2.cvtColor(aligned, cv2.COLOR_RGB2GRAY)
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var() / max(grey.var(), 1.0))
    return Look(turn, distance / height, float(grey.mean()), sharpness)


@dataclass(frozen=True)
class Wanted:
    """One kind of photo: its name, what to do for it, how many, and (lowest, highest) of its looks."""

    name: str
    ask: str
    count: int
    turn: tuple[float, float] = (-1.0, 1.0)
    closeness: tuple[float, float] = (0.0, 1.0)

    def fits(self, look: Look) -> bool:
        """Say whether a frame is of this kind."""
        return self.turn[0] <= look.turn <= self.turn[1] and self.closeness[0] <= look.closeness <= self.closeness[1]


WANTED = (
    Wanted("straight", "Look straight into the camera.", 3, turn=(-STRAIGHT, STRAIGHT)),
    Wanted("turned to one side", "Turn your head slowly to the left.", 2, turn=(-1.0, -TURNED)),
    Wanted("turned to the other side", "Turn your head slowly to the right.", 2, turn=(TURNED, 1.0)),
    Wanted("near", "Come closer.", 2, closeness=(NEAR, 1.0)),
    Wanted("further away", "Lean back, or step back.", 2, closeness=(0.0, FAR)),
)
GLASSES = "If you sometimes wear glasses, put them on or take them off for half of the photos."
OTHER_LIGHT = "Change the light: turn to a window, or switch a lamp."


@dataclass(frozen=True)
class Glance:
    """What became of one frame: whether it is worth a photo, and why not, or what to do next."""

    kept: bool
    words: str


@dataclass
class Guide:
    """Keeps the looks of frames worth keeping, knows what is missing, and ends with so many photos."""

    photos: int = 15
    looks: list[Look] = field(default_factory=list)

    def show(self, frame: np.ndarray) -> Glance:
        """Judge one frame, uint8 (H, W, 3) RGB."""
        try:
            photo = Photo(frame, (frame.shape[1], frame.shape[0]))
            _, face = preprocess.find_face(photo)
        except PhotoError as error:
            return Glance(False, error.message)
        return self.judge(look_at(face, preprocess.crop_face(photo, face.landmarks), frame.shape[0]))

    def judge(self, look: Look) -> Glance:
        """Judge how the face of a frame stands in it."""
        objection = self._objection(look)
        if not objection:
            self.looks.append(look)
        return Glance(not objection, objection or self.next_step())

    def _objection(self, look: Look) -> str:
        if look.sharpness < LEAST_SHARPNESS:
            return "The face is blurred: hold still, or clean the lens."
        if look.brightness < DARKEST:
            return "The face is too dark: turn to the light."
        if look.brightness > BRIGHTEST:
            return "The face is too bright: turn away from the light."
        if not all(look.unlike(other) for other in self.looks):
            return f"Too like a photo that there is already. {self.next_step()}"
        open_kinds = self._open()
        room = self.photos - len(self.looks) - sum(open_kinds.values())
        if room > 0 or any(wanted.fits(look) for wanted in open_kinds):
            return ""
        levels = [other.brightness for other in self.looks]
        # Where other light is all that is missing, a photo that brings it is taken beyond the number.
        light = not open_kinds and self.light_range < LIGHT_RANGE and not min(levels) <= look.brightness <= max(levels)
        return "" if light else self.next_step()

    def _open(self) -> dict[Wanted, int]:
        """Return the kinds of which photos are missing, and how many."""
        counts = {wanted: wanted.count - sum(map(wanted.fits, self.looks)) for wanted in WANTED}
        return {wanted: count for wanted, count in counts.items() if count > 0}

    @property
    def light_range(self) -> float:
        """Grey levels between the darkest and the brightest photo."""
        return float(np.ptp([look.brightness for look in self.looks] or [0.0]))

    def missing(self) -> list[str]:
        """Say what is still missing, in words; empty when the photos suffice."""
        lines = [f"{count} more, {wanted.name}" for wanted, count in self._open().items()]
        if self.light_range < LIGHT_RANGE:
            lines.append(f"other light (brightness differs by {self.light_range:.0f} of {LIGHT_RANGE:.0f} grey levels)")
        if len(self.looks) < self.photos:
            lines.append(f"{self.photos - len(self.looks)} of {self.photos} photos")
        return lines

    def next_step(self) -> str:
        """Say what to do next."""
        for wanted in self._open():
            return wanted.ask
        if self.light_range < LIGHT_RANGE:
            return OTHER_LIGHT
        return GLASSES if len(self.looks) < self.photos else "Done."

    @property
    def finished(self) -> bool:
        """Whether nothing is missing, or no room is left to mend it."""
        return not self.missing() or len(self.looks) >= 2 * self.photos


def read_camera(source: int | str, every: int = 1) -> Iterator[np.ndarray]:
    """Yield one of so many frames, uint8 (H, W, 3) RGB, of a camera by its number, or of a video file.

    Raises:
        DataError: it cannot be opened, or shows no frame.
    """
    # What OpenCV and FFmpeg print of their own says less than the error does.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    what = f"Camera {source}" if isinstance(source, int) else "The video"
    camera = cv2.VideoCapture(source)
    try:
        if not camera.isOpened():
            raise DataError(f"{what} cannot be opened.", "Check that it is there, and that no other program uses it.")
        for number in itertools.count():
            there, frame = camera.read()
            if not there and number == 0:
                raise DataError(f"{what} shows no frame.", "Check that it shows something in another program.")
            if not there:
                return
            if number % every == 0:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        camera.release()
