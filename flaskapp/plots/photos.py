"""Figures that show photos: the faces found in one, two of them compared, and contact sheets."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from flaskapp.evaluation.decisions import Band, Decision, decide, place_on_scale
from flaskapp.plots import style
from flaskapp.words import verdict_words

if TYPE_CHECKING:
    from flaskapp.detection import Face

COLOURS: dict[Decision, str] = {
    "match": style.MATCH_COLOUR,
    "inconclusive": style.INCONCLUSIVE_COLOUR,
    "non_match": style.NON_MATCH_COLOUR,
}
CAVEAT = "The score is a measure of likeness, not proof of identity. No liveness check: a photo of a photo would pass."

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
Box = tuple[float, float, float, float]  # left, bottom, width and height
# Inches. Both photos are as high as each other and fill the page's width, as long as they are
# not too tall for a screen.
PAGE_WIDTH, MARGIN, GAP, TALLEST_PHOTO, ALIGNED_SIDE = 11.0, 0.5, 0.25, 5.0, 1.45
# Of a contact sheet with words below each face; and of one with names above its columns.
FACES_A_ROW, FACE_CELL, FACE_SIDE = 6, (1.8, 2.6), 1.6
CELL, BETWEEN, NAMES = 1.25, 0.06, 0.42
# Points that a face's number takes above or beside its box.
NUMBER_SIDE = 20


@dataclass(frozen=True, eq=False)
class PhotoView:
    """One photo of a comparison, as it is to be shown."""

    label: str  # what stands above it, for example "Reference"
    pixels: Pixels  # uint8 (height, width, 3) RGB, upright; may be reduced
    faces: Sequence[Face]  # all faces of the photo, left to right
    chosen: int  # number of the face that was compared; 1 is the leftmost
    aligned: Pixels  # uint8 (100, 100, 3) RGB, that face as the network saw it
    size_wh: Size | None = None  # width and height in which the faces are given; None = those of ``pixels``
    quality: str = ""  # how good a photo of that face it is, in words

    @property
    def caption(self) -> str:
        """The label, and which of several faces was compared."""
        several = f": face {self.chosen} of {len(self.faces)}, from the left"
        return self.label + (several if len(self.faces) > 1 else "")

    @property
    def shape(self) -> float:
        """Width / height, within what a row can hold; beyond it margins appear."""
        height, width = self.pixels.shape[:2]
        return float(np.clip(width / height, 0.4, 2.5))


def plot_comparison(
    reference: PhotoView | None,
    probe: PhotoView,
    similarity_score: float,
    band: Band,
    threshold: float,
    known_photos: int = 0,
) -> Figure:
    """Draw one comparison: both photos, both aligned faces, and the score on its scale from 0 to 1.

    Without a reference it is the one with so many photos that a personal model knows.
    """
    views = [view for view in (reference, probe) if view]
    wide = sum(view.shape for view in views)
    row = min(TALLEST_PHOTO, (PAGE_WIDTH - 2 * MARGIN - GAP) / wide)
    page = _Page(PAGE_WIDTH, row + 4.1)
    decision = decide(similarity_score, band)
    verdict, sentences = verdict_words(decision, known_photos)
    in_words = sentences.partition(". ")[0]
    page.write(MARGIN, row + 3.6, verdict, size=24, weight="bold", color=COLOURS[decision])
    page.write(PAGE_WIDTH - MARGIN, row + 3.6, in_words, size=style.TITLE_SIZE, color=style.INK, ha="right")
    left = (PAGE_WIDTH - row * wide - GAP) / 2
    for view in views:
        axes = page.photo((left, 2.85, row * view.shape, row), view.pixels, view.caption, size_wh=view.size_wh)
        draw_faces(axes, view.faces, view.chosen)
        left += row * view.shape + GAP
    for view, left in zip(views, (MARGIN, MARGIN + ALIGNED_SIDE + 0.15), strict=False):
        box = left, 0.85, ALIGNED_SIDE, ALIGNED_SIDE
        page.photo(box, view.aligned, f"Aligned {view.label.lower()}", size=style.SMALL_SIZE)
        page.write(left, 0.8, textwrap.fill(view.quality, 24), size=style.SMALL_SIZE - 1, color=style.INK, va="top")
    scale = page.axes((4.0, 1.25, PAGE_WIDTH - MARGIN - 4.0, 0.8))
    draw_score_scale(scale, similarity_score, band, threshold)
    page.write(MARGIN, 0.22, CAVEAT, size=style.SMALL_SIZE, color=style.QUIET_INK)
    return page.figure


def plot_detection(
    pixels: Pixels, faces: Sequence[Face], size_wh: Size | None = None, qualities: Sequence[str] = ()
) -> Figure:
    """Draw every face of a photo with its number, box and landmarks, and its quality in words where that is given.

    The photo, uint8 (height, width, 3) RGB, is upright; where it is reduced, ``size_wh`` are the width and height in
    which the faces are given, left to right.
    """
    height, width = pixels.shape[:2]
    # About 64 square inches whatever the shape.
    photo_width = 8 * (width / height) ** 0.5
    photo_height = photo_width * height / width
    page = _Page(photo_width + 0.2, photo_height + 0.5)
    several = f"{len(faces)} faces, numbered from left to right"
    title = {0: "No face found", 1: "1 face"}.get(len(faces), several)
    axes = page.photo((0.1, 0.1, photo_width, photo_height), pixels, title, size_wh=size_wh)
    draw_faces(axes, faces)
    for face, quality in zip(faces, qualities, strict=False):
        _draw_quality(axes, face, quality)
    return page.figure


def plot_faces(faces: Sequence[tuple[Pixels, Sequence[str]]], title: str, notes: Sequence[str]) -> Figure:
    """Draw a contact sheet: faces, uint8 (100, 100, 3) RGB, with a few words below each, row by row."""
    rows = max(math.ceil(len(faces) / FACES_A_ROW), 1)
    page = _Page(FACES_A_ROW * FACE_CELL[0] + MARGIN, rows * FACE_CELL[1] + 1 + 0.25 * len(notes))
    words: dict[str, Any] = {"size": style.SMALL_SIZE, "color": style.INK, "va": "top"}
    page.write(MARGIN / 2, page.height - 0.4, title, size=style.TITLE_SIZE, weight="bold", color=style.INK)
    for place, (pixels, lines) in enumerate(faces):
        row, column = divmod(place, FACES_A_ROW)
        left, top = MARGIN / 2 + column * FACE_CELL[0], page.height - 0.75 - row * FACE_CELL[1]
        page.photo((left, top - FACE_SIDE, FACE_SIDE, FACE_SIDE), pixels, "")
        wrapped = [textwrap.shorten(line, 52, placeholder="…") for line in lines if line]
        page.write(left, top - FACE_SIDE - 0.06, "\n".join(textwrap.fill(line, 24) for line in wrapped), **words)
    for place, note in enumerate(notes):
        short = textwrap.shorten(note, 150, placeholder="…")
        page.write(MARGIN / 2, 0.25 * (len(notes) - place), short, **words | {"color": style.QUIET_INK})
    return page.figure


def plot_sheet(rows: Sequence[Sequence[Pixels]], columns: Sequence[str]) -> Figure:
    """Draw pictures, uint8 (height, width, 3) RGB, in a grid, each whole and in its own shape.

    The columns have their names above; a space starts a new line.
    """
    page, side = _Page(len(columns) * CELL, len(rows) * CELL + NAMES), CELL - BETWEEN
    for row, pictures in enumerate(rows, start=1):
        for column, pixels in enumerate(pictures):
            left, bottom = column * CELL + BETWEEN / 2, (len(rows) - row) * CELL + BETWEEN / 2
            page.photo((left, bottom, side, side), pixels, "")
    words: dict[str, Any] = {"size": style.SMALL_SIZE * 0.8, "color": style.INK, "ha": "center"}
    for column, name in enumerate(columns):
        page.write((column + 0.5) * CELL, page.height - NAMES / 2, name.replace(" ", "\n", 1), **words)
    return page.figure


def _draw_quality(axes: Axes, face: Face, quality: str) -> None:
    """Write how good a photo of a face it is below its box; in it where the photo ends too soon."""
    left, _, right, bottom = face.box_xyxy
    text = textwrap.fill(quality, 16)
    size = float(np.clip(_points(axes, right - left, 0) / 9, 4, style.SMALL_SIZE))
    room = _points(axes, 0, axes.get_ylim()[0] - bottom) > 1.3 * size * (text.count("\n") + 1) + 5
    axes.annotate(
        text, ((left + right) / 2, bottom), xytext=(0, -4 if room else 4), textcoords="offset points", size=size,
        ha="center", va="top" if room else "bottom", color="black",
        bbox={"boxstyle": "round,pad=0.18", "linewidth": 0, "facecolor": style.CHOSEN_COLOUR, "alpha": 0.9},
    )  # fmt: skip


def draw_faces(axes: Axes, faces: Sequence[Face], chosen: int | None = None) -> None:
    """Draw boxes, numbers from 1 and landmarks over a photo shown in the faces' own pixels; one stands out, or all."""
    for number, face in enumerate(faces, start=1):
        stands_out = chosen is None or number == chosen
        colour, line = (style.CHOSEN_COLOUR, "-") if stands_out else (style.OTHER_COLOUR, (0, (4, 2)))
        left, top, right, bottom = face.box_xyxy
        size = _points(axes, right - left, 0)
        width = np.clip(size / 30, 1.0, 2.2)
        # Keeps light lines readable on any photo.
        outline = withStroke(linewidth=width + 1.2, foreground="black", alpha=0.75)
        box = Rectangle(
            (left, top), right - left, bottom - top, fill=False, joinstyle="round", edgecolor=colour, linestyle=line,
            linewidth=width if stands_out else 0.6 * width, path_effects=[outline],
        )  # fmt: skip
        axes.add_patch(box)
        _draw_number(axes, left, top, number, colour)
        if stands_out:
            x, y = np.asarray(face.landmarks, dtype=np.float64).T
            dot = np.clip(size / 16, 2.0, 4.5)
            axes.plot(x, y, "o", markersize=dot, color=colour, markeredgecolor="black", markeredgewidth=dot / 6)


def _draw_number(axes: Axes, left: float, top: float, number: int, colour: str) -> None:
    """Write a face's number above its box; beside or in it where the photo ends too soon."""
    left_edge, top_edge = axes.get_xlim()[0], axes.get_ylim()[1]
    if _points(axes, 0, top - top_edge) >= NUMBER_SIDE:
        offset, side, height = (2.5, 4.5), "left", "bottom"
    elif _points(axes, left - left_edge, 0) >= NUMBER_SIDE:
        offset, side, height = (-4.5, -3.5), "right", "top"
    else:
        offset, side, height = (2.5, -3.5), "left", "top"
    axes.annotate(
        str(number), (max(left, left_edge), max(top, top_edge)), xytext=offset, textcoords="offset points",
        size=style.SMALL_SIZE, weight="bold", ha=side, va=height, color="black",
        bbox={"boxstyle": "round,pad=0.18", "linewidth": 0, "facecolor": colour, "alpha": 0.9},
    )  # fmt: skip


def _points(axes: Axes, across: float, down: float) -> float:
    """Return how far apart two places of a photo are drawn, in points (1/72 inch)."""
    start, end = axes.transData.transform([(0, 0), (max(across, 0), max(down, 0))])
    return float(np.linalg.norm(end - start)) * 72 / style.DOTS_PER_INCH


def draw_score_scale(axes: Axes, similarity_score: float, band: Band, threshold: float) -> None:
    """Draw the scale from 0 to 1, by log-odds, with its three zones, the threshold and one score."""
    low, high = band
    left, right, middle, place = map(place_on_scale, (low, high, threshold, similarity_score))
    zones = (
        (0.0, left, style.NON_MATCH_COLOUR, 0.3, f"non-match < {low:.3f}"),
        (left, right, style.INCONCLUSIVE_COLOUR, 0.5, "inconclusive"),
        (right, 1.0, style.MATCH_COLOUR, 0.3, f"match ≥ {high:.3f}"),
    )
    for start, end, colour, opacity, label in zones:
        axes.add_patch(Rectangle((start, 0), end - start, 1, color=colour, alpha=opacity, linewidth=0, label=label))
    axes.plot([middle] * 2, [0, 1], **style.DASHED, label=f"threshold {threshold:.3f}")
    axes.plot([place] * 2, [-0.08, 1.12], color=style.INK, linewidth=3.2, clip_on=False, solid_capstyle="round")
    # Near an end the words would leave the figure if they stayed centred.
    side = "left" if place < 0.2 else "right" if place > 0.8 else "center"
    axes.annotate(
        f"similarity score {similarity_score:.3f}", (place, 1.12), xytext=(0, 5), textcoords="offset points",
        size=style.TITLE_SIZE, weight="bold", color=style.INK, ha=side, va="bottom", annotation_clip=False,
    )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
    ticks = 0, 0.01, 0.1, 0.5, 0.9, 0.99, 1
    axes.set_xticks([*map(place_on_scale, ticks)], [*map(str, ticks)])
    style.quiet(axes)
    axes.spines[:].set_visible(False)
    style.legend(
        axes, "upper left", bbox_to_anchor=(0, -0.36), ncols=4, handlelength=1.4, columnspacing=1.8,
        handletextpad=0.5, borderaxespad=0, borderpad=0,
    )  # fmt: skip


class _Page:
    """A figure that is laid out in inches from its lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = style.new_figure(width, height)

    def axes(self, box: Box) -> Axes:
        left, bottom, width, height = box
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))

    def photo(
        self, box: Box, pixels: Pixels, title: str, size: float = style.TEXT_SIZE, size_wh: Size | None = None
    ) -> Axes:
        axes = self.axes(box)
        width, height = size_wh or pixels.shape[1::-1]
        axes.imshow(pixels, extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        axes.autoscale(False)
        axes.set_axis_off()
        axes.set_title(title, size=size, color=style.INK, loc="left", pad=5, parse_math=False)
        return axes

    def write(self, left: float, middle: float, text: str, **style: Any) -> None:
        # Names are drawn as they are: between two $ Matplotlib would read maths.
        place = left / self.width, middle / self.height
        self.figure.text(*place, text, parse_math=False, **{"va": "center"} | style)
