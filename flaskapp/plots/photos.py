"""Figures that show photos: the faces found in one, and two of them compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from flaskapp.evaluation.decisions import INCONCLUSIVE, MATCH, NON_MATCH, Band, Decision, check_band, decide
from flaskapp.plots import style

if TYPE_CHECKING:
    from flaskapp.detection import Face

VERDICTS: dict[Decision, tuple[str, str, str]] = {
    MATCH: ("Match", "The two faces look like one person.", style.MATCH_COLOUR),
    INCONCLUSIVE: ("Inconclusive", "Too close to call; other photos may tell.", style.INCONCLUSIVE_COLOUR),
    NON_MATCH: ("Non-match", "The two faces look like two people.", style.NON_MATCH_COLOUR),
}
CAVEAT = "The score is a measure of likeness, not proof of identity. No liveness check: a photo of a photo would pass."


# Inches. Both photos are as high as each other and fill the page's width, as long as they are
# not too tall for a screen.
PAGE_WIDTH, MARGIN, GAP = 11.0, 0.5, 0.25
TALLEST_PHOTO = 5.0
ALIGNED_SIDE = 1.45
# Points that a face's number takes above or beside its box.
NUMBER_SIDE = 20


@dataclass(frozen=True, eq=False)
class PhotoView:
    """One photo of a comparison, as it is to be shown.

    Attributes:
        label: what stands above it, for example "Reference".
        pixels: uint8 (height, width, 3) RGB, upright; may be reduced.
        faces: all faces of the photo, left to right.
        chosen: number of the face that was compared; 1 is the leftmost.
        aligned: uint8 (100, 100, 3) RGB, that face as the network saw it.
        size_wh: width and height in which the faces are given; None = those of ``pixels``.
    """

    label: str
    pixels: npt.NDArray[np.uint8]
    faces: Sequence[Face]
    chosen: int
    aligned: npt.NDArray[np.uint8]
    size_wh: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)
        _check_pixels(self.aligned)
        if not 1 <= self.chosen <= len(self.faces):
            raise ValueError(f"Expected chosen from 1 to {len(self.faces)}. Received: {self.chosen}")


def plot_comparison(
    reference: PhotoView, probe: PhotoView, similarity_score: float, band: Band, threshold: float
) -> Figure:
    """Draw one comparison: both photos, both aligned faces, and the score on its scale.

    Args:
        reference: the photo compared against.
        probe: the new photo.
        similarity_score: in [0, 1].
        band: (low, high), the inconclusive band, within [0, 1].
        threshold: within the band.
    """
    shapes = _shape(reference), _shape(probe)
    row = min(TALLEST_PHOTO, (PAGE_WIDTH - 2 * MARGIN - GAP) / sum(shapes))
    page = _Page(PAGE_WIDTH, row + 4.1)
    verdict, in_words, colour = VERDICTS[decide(similarity_score, band)]
    page.write(MARGIN, row + 3.6, verdict, size=24, weight="bold", color=colour)
    page.write(PAGE_WIDTH - MARGIN, row + 3.6, in_words, size=style.TITLE_SIZE, color=style.INK, ha="right")
    left = (PAGE_WIDTH - row * sum(shapes) - GAP) / 2
    for view, shape in zip((reference, probe), shapes, strict=True):
        axes = page.axes(left, 2.85, row * shape, row)
        _show(axes, view.pixels, view.size_wh)
        _title(axes, _caption(view))
        draw_faces(axes, view.faces, view.chosen)
        left += row * shape + GAP
    for view, left in ((reference, MARGIN), (probe, MARGIN + ALIGNED_SIDE + 0.15)):
        axes = page.axes(left, 0.75, ALIGNED_SIDE, ALIGNED_SIDE)
        _show(axes, view.aligned)
        _title(axes, f"Aligned {view.label.lower()}", style.SMALL_SIZE)
    scale = page.axes(4.0, 1.25, PAGE_WIDTH - MARGIN - 4.0, 0.8)
    draw_score_scale(scale, similarity_score, band, threshold)
    page.write(MARGIN, 0.28, CAVEAT, size=style.SMALL_SIZE, color=style.QUIET_INK)
    return page.figure


def plot_detection(
    pixels: npt.NDArray[np.uint8], faces: Sequence[Face], size_wh: tuple[int, int] | None = None
) -> Figure:
    """Draw every face of a photo with its number, box and landmarks.

    Args:
        pixels: uint8 (height, width, 3) RGB, upright; may be reduced.
        faces: left to right; numbered from 1.
        size_wh: width and height in which the faces are given; None = those of ``pixels``.
    """
    _check_pixels(pixels)
    height, width = pixels.shape[:2]
    # About 64 square inches whatever the shape.
    photo_width = 8 * (width / height) ** 0.5
    photo_height = photo_width * height / width
    page = _Page(photo_width + 0.2, photo_height + 0.5)
    axes = page.axes(0.1, 0.1, photo_width, photo_height)
    _show(axes, pixels, size_wh)
    several = f"{len(faces)} faces, numbered from left to right"
    _title(axes, {0: "No face found", 1: "1 face"}.get(len(faces), several))
    draw_faces(axes, faces)
    return page.figure


def draw_faces(axes: Axes, faces: Sequence[Face], chosen: int | None = None) -> None:
    """Draw boxes, numbers and landmarks over a photo.

    Args:
        axes: where the photo is shown, in the faces' own pixels.
        faces: numbered from 1.
        chosen: number of the one to stand out; None = all of them alike.
    """
    for number, face in enumerate(faces, start=1):
        stands_out = chosen is None or number == chosen
        _draw_box(axes, face, stands_out)
        _draw_number(axes, face, number, stands_out)
        if stands_out:
            _draw_landmarks(axes, face)


def draw_score_scale(axes: Axes, similarity_score: float, band: Band, threshold: float) -> None:
    """Draw the scale from 0 to 1 with its three zones, the threshold and one score."""
    low, high = check_band(band)
    if not 0 <= low <= threshold <= high <= 1 or not 0 <= similarity_score <= 1:
        raise ValueError(
            f"Expected 0 ≤ low ≤ threshold ≤ high ≤ 1 and a score in [0, 1]. "
            f"Received: band={band}, threshold={threshold}, similarity_score={similarity_score}"
        )
    zones = (
        (0.0, low, style.NON_MATCH_COLOUR, 0.3, f"non-match < {low:.3f}"),
        (low, high, style.INCONCLUSIVE_COLOUR, 0.5, "inconclusive"),
        (high, 1.0, style.MATCH_COLOUR, 0.3, f"match ≥ {high:.3f}"),
    )
    for start, end, colour, opacity, label in zones:
        axes.add_patch(Rectangle((start, 0), end - start, 1, color=colour, alpha=opacity, linewidth=0, label=label))
    axes.plot(
        [threshold] * 2,
        [0, 1],
        color=style.INK,
        linewidth=1.3,
        linestyle=(0, (3, 2)),
        label=f"threshold {threshold:.3f}",
    )
    _draw_needle(axes, similarity_score)
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[], xticks=np.linspace(0, 1, 6))
    style.quiet(axes)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(
        loc="upper left", bbox_to_anchor=(0, -0.36), ncols=4, frameon=False, fontsize=style.SMALL_SIZE,
        labelcolor=style.INK, handlelength=1.4, columnspacing=1.8, handletextpad=0.5, borderaxespad=0, borderpad=0,
    )  # fmt: skip


def _draw_needle(axes: Axes, similarity_score: float) -> None:
    axes.plot(
        [similarity_score] * 2, [-0.08, 1.12], color=style.INK, linewidth=3.2, clip_on=False, solid_capstyle="round"
    )
    # Near an end the words would leave the figure if they stayed centred.
    side = "left" if similarity_score < 0.2 else "right" if similarity_score > 0.8 else "center"
    axes.annotate(
        f"similarity score {similarity_score:.3f}", (similarity_score, 1.12), xytext=(0, 5), textcoords="offset points",
        size=style.TITLE_SIZE, weight="bold", color=style.INK, ha=side, va="bottom", annotation_clip=False,
    )  # fmt: skip


def _draw_box(axes: Axes, face: Face, stands_out: bool) -> None:
    left, top, right, bottom = face.box_xyxy
    width = np.clip(_points_wide(axes, face) / 30, 1.0, 2.2)
    colour, line = (style.CHOSEN_COLOUR, "-") if stands_out else (style.OTHER_COLOUR, (0, (4, 2)))
    box = Rectangle(
        (left, top), right - left, bottom - top, fill=False, joinstyle="round", edgecolor=colour, linestyle=line,
        linewidth=width if stands_out else 0.6 * width, path_effects=style.halo(width + 1.2),
    )  # fmt: skip
    axes.add_patch(box)


def _draw_number(axes: Axes, face: Face, number: int, stands_out: bool) -> None:
    """Write a face's number above its box; beside or in it where the photo ends too soon."""
    left, top, *_ = face.box_xyxy
    left_edge, top_edge = axes.get_xlim()[0], axes.get_ylim()[1]
    if top - top_edge > 0 and _points(axes, (left, top_edge), (left, top)) >= NUMBER_SIDE:
        offset, side, height = (2.5, 4.5), "left", "bottom"
    elif left - left_edge > 0 and _points(axes, (left_edge, top), (left, top)) >= NUMBER_SIDE:
        offset, side, height = (-4.5, -3.5), "right", "top"
    else:
        offset, side, height = (2.5, -3.5), "left", "top"
    axes.annotate(
        str(number), (max(left, left_edge), max(top, top_edge)), xytext=offset, textcoords="offset points",
        size=style.SMALL_SIZE, weight="bold", ha=side, va=height, color="black", bbox={
            "boxstyle": "round,pad=0.18", "linewidth": 0,
            "facecolor": style.CHOSEN_COLOUR if stands_out else style.OTHER_COLOUR, "alpha": 0.9,
        },
    )  # fmt: skip


def _draw_landmarks(axes: Axes, face: Face) -> None:
    x, y = np.asarray(face.landmarks, dtype=np.float64).T
    size = np.clip(_points_wide(axes, face) / 16, 2.0, 4.5)
    axes.plot(x, y, "o", markersize=size, color=style.CHOSEN_COLOUR, markeredgecolor="black", markeredgewidth=size / 6)


def _points_wide(axes: Axes, face: Face) -> float:
    """Return how wide a face is drawn, in points (1/72 inch)."""
    left, top, right, _ = face.box_xyxy
    return _points(axes, (left, top), (right, top))


def _points(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return how far apart two places of a photo are drawn, in points."""
    drawn = axes.transData.transform([start, end])
    return float(np.linalg.norm(drawn[1] - drawn[0])) * 72 / style.DOTS_PER_INCH


def _show(axes: Axes, pixels: npt.NDArray[np.uint8], size_wh: tuple[int, int] | None = None) -> None:
    height, width = pixels.shape[:2]
    width, height = size_wh or (width, height)
    axes.imshow(pixels, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
    axes.autoscale(False)
    axes.set_axis_off()


def _title(axes: Axes, text: str, size: float = style.TEXT_SIZE) -> None:
    axes.set_title(text, size=size, color=style.INK, loc="left", pad=5)


def _caption(view: PhotoView) -> str:
    if len(view.faces) == 1:
        return view.label
    return f"{view.label}: face {view.chosen} of {len(view.faces)}, from the left"


def _shape(view: PhotoView) -> float:
    """Return width / height of a photo, within what a row can hold; beyond it margins appear."""
    height, width = view.pixels.shape[:2]
    return float(np.clip(width / height, 0.4, 2.5))


class _Page:
    """A figure that is laid out in inches from its lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = style.new_figure(width, height)

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def write(self, left: float, middle: float, text: str, **style: Any) -> None:
        self.figure.text(left / self.width, middle / self.height, text, va="center", **style)


def _check_pixels(pixels: npt.NDArray[np.uint8]) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"Expected uint8 (height, width, 3). Received: {pixels.dtype} {pixels.shape}")
