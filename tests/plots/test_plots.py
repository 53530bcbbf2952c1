"""Figures: that they show what they say. What they look like is for eyes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("scipy")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import pts_to_poststep
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Rectangle
from scipy.stats import norm

from flaskapp import plots
from flaskapp.errors import DataError
from flaskapp.evaluation import eer, error_curve, evaluate, sigmoid
from flaskapp.evaluation.quality import score_quality
from flaskapp.plots.photos import draw_score_scale
from flaskapp.plots.rates import corners, probit
from flaskapp.plots.style import CHOSEN_COLOUR, OTHER_COLOUR, percent


@dataclass(frozen=True)
class SomeFace:
    box_xyxy: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]


def face_at(left: float, top: float = 50, side: float = 30) -> SomeFace:
    shares = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    points = tuple((left + x * side, top + y * side) for x, y in shares)
    return SomeFace((left, top, left + side, top + side), points)


def gradient(height: int = 120, width: int = 160) -> np.ndarray:
    return np.tile(np.linspace(0, 255, width, dtype=np.uint8)[None, :, None], (height, 1, 3))


def view(label: str, faces: int = 1, chosen: int = 1, **more) -> plots.PhotoView:
    found = [face_at(10 + 45 * index) for index in range(faces)]
    return plots.PhotoView(label, gradient(), found, chosen, gradient(100, 100), **more)


def some_pairs(pairs: int = 2000, seed: int = 0):
    generator = np.random.default_rng(seed)
    same = generator.random(pairs) < 0.5
    scores = sigmoid(2 * (generator.normal(size=pairs) + np.where(same, 1.7, -1.7)))
    scores[:5] = np.nan
    return scores, same


def texts_of(figure: Figure) -> list[str]:
    shown = [*figure.texts, *(text for axes in figure.axes for text in [*axes.texts, axes.title, axes._left_title])]
    return [text.get_text() for text in shown if text.get_text()]


def legend_of(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def boxes_of(axes) -> list[Rectangle]:
    return [patch for patch in axes.patches if isinstance(patch, Rectangle) and not patch.get_fill()]


class TestDetection:
    def test_every_face_has_box_number_and_landmarks(self):
        faces = [face_at(10), face_at(60), face_at(110)]
        [axes] = plots.plot_detection(gradient(), faces).axes
        assert [(box.get_x(), box.get_y(), box.get_width(), box.get_height()) for box in boxes_of(axes)] == [
            (10, 50, 30, 30), (60, 50, 30, 30), (110, 50, 30, 30),
        ]  # fmt: skip
        assert [text.get_text() for text in axes.texts] == ["1", "2", "3"]
        for line, face in zip(axes.lines, faces, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), face.landmarks)

    @pytest.mark.parametrize(("faces", "said"), [(0, "No face found"), (1, "1 face"), (2, "2 faces, numbered")])
    def test_the_title_counts_them(self, faces, said):
        figure = plots.plot_detection(gradient(), [face_at(10 + 40 * index) for index in range(faces)])
        assert figure.axes[0].get_title("left").startswith(said)

    def test_faces_are_in_full_scale_pixels_when_the_photo_is_reduced(self):
        [axes] = plots.plot_detection(gradient(), [face_at(1000, 700, 400)], size_wh=(1600, 1200)).axes
        assert axes.get_xlim() == (-0.5, 1599.5)
        assert axes.get_ylim() == (1199.5, -0.5)

    @pytest.mark.parametrize("shape", [(40, 400), (400, 40), (1, 1)])
    def test_any_shape_of_photo_fits(self, shape, tmp_path):
        plots.save(plots.plot_detection(gradient(*shape), []), tmp_path / "a.png")
        drawn = imread(tmp_path / "a.png")
        assert max(drawn.shape[:2]) < 5000

    def test_a_number_stays_off_the_face_where_the_photo_has_room(self):
        faces = [face_at(0, top=0), face_at(60), face_at(110, top=0)]
        [axes] = plots.plot_detection(gradient(), faces).axes
        places = [(text.get_horizontalalignment(), text.get_verticalalignment()) for text in axes.texts]
        inside, above, beside = ("left", "top"), ("left", "bottom"), ("right", "top")
        assert places == [inside, above, beside]

    def test_quality_stands_below_each_face_or_in_it_where_the_photo_ends(self):
        faces = [face_at(10, side=40), face_at(60, top=78, side=40)]
        [axes] = plots.plot_detection(gradient(), faces, qualities=["poor: turned up or down, noisy", "good"]).axes
        poor, good = axes.texts[2:]
        assert (poor.get_text().replace("\n", " "), good.get_text()) == ("poor: turned up or down, noisy", "good")
        assert [text.xy for text in (poor, good)] == [(30, 90), (80, 118)]
        assert [text.get_verticalalignment() for text in (poor, good)] == ["top", "bottom"]


class TestFaces:
    @pytest.mark.parametrize("count", [0, 1, 7])
    def test_each_has_its_words_and_lies_within_the_sheet(self, count):
        faces = [(gradient(100, 100), (f"{number}.jpg", "", "match 0.9000")) for number in range(count)]
        figure = plots.plot_faces(faces, "Faces of somebody", ["One note.", "Another."])
        assert len(figure.axes) == count
        shown = texts_of(figure)
        assert {"Faces of somebody", "One note.", "Another."} <= set(shown)
        assert [text for text in shown if ".jpg" in text] == [f"{number}.jpg\nmatch 0.9000" for number in range(count)]
        places = [axes.get_position() for axes in figure.axes]
        assert all(place.min.min() > 0 and place.max.max() < 1 for place in places)
        assert len({(place.x0, place.y0) for place in places}) == count

    def test_long_names_are_cut_and_wrapped(self):
        figure = plots.plot_faces([(gradient(100, 100), ["word " * 40])], "", [])
        lines = max(texts_of(figure), key=len).splitlines()
        assert max(map(len, lines)) <= 24
        assert lines[-1].endswith("…")


class TestComparison:
    def test_shows_two_photos_two_aligned_faces_and_the_scale(self):
        figure = plots.plot_comparison(view("Reference"), view("Probe"), 0.8, (0.4, 0.6), 0.5)
        assert len(figure.axes) == 5
        assert [axes.get_title("left") for axes in figure.axes] == [
            "Reference", "Probe", "Aligned reference", "Aligned probe", "",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("score", "verdict"), [(0.3, "Non-match"), (0.4, "Inconclusive"), (0.599, "Inconclusive"), (0.6, "Match")]
    )
    def test_says_the_verdict_in_words(self, score, verdict):
        said = texts_of(plots.plot_comparison(view("Reference"), view("Probe"), score, (0.4, 0.6), 0.5))
        assert verdict in said
        assert f"similarity score {score:.3f}" in said
        assert any("a photo of a photo would pass" in text for text in said)

    def test_the_chosen_face_stands_out(self):
        figure = plots.plot_comparison(view("Reference", faces=3, chosen=2), view("Probe"), 0.8, (0.4, 0.6), 0.5)
        photo = figure.axes[0]
        assert photo.get_title("left") == "Reference: face 2 of 3, from the left"
        chosen = [same_color(box.get_edgecolor(), CHOSEN_COLOUR) for box in boxes_of(photo)]
        assert chosen == [False, True, False]
        assert same_color(boxes_of(photo)[0].get_edgecolor(), OTHER_COLOUR)
        assert boxes_of(photo)[1].get_linewidth() > boxes_of(photo)[0].get_linewidth()
        [landmarks] = photo.lines
        np.testing.assert_array_equal(landmarks.get_xydata(), face_at(55).landmarks)

    def test_says_how_good_each_photo_is(self):
        views = view("Reference", quality="poor: unevenly lit, turned aside"), view("Probe", quality="good")
        said = [text.replace("\n", " ") for text in texts_of(plots.plot_comparison(*views, 0.5, (0.4, 0.6), 0.5))]
        assert {"poor: unevenly lit, turned aside", "good"} <= set(said)

    def test_photos_are_equally_high_and_within_the_page(self):
        tall = plots.PhotoView("Probe", gradient(300, 100), [face_at(10)], 1, gradient(100, 100))
        figure = plots.plot_comparison(view("Reference"), tall, 0.8, (0.4, 0.6), 0.5)
        first, second = (axes.get_position() for axes in figure.axes[:2])
        assert first.height == second.height
        assert 0 < first.x0 < first.x1 < second.x0 < second.x1 < 1

    def test_draws_into_a_file(self, tmp_path):
        path = tmp_path / "comparison.png"
        plots.save(plots.plot_comparison(view("Reference"), view("Probe", faces=3), 1.0, (0.5, 0.5), 0.5), path)
        assert imread(path).shape[1] == 1584


class TestScoreScale:
    def scale(self, *values):
        axes = Figure().add_subplot()
        draw_score_scale(axes, *values)
        return axes

    def test_zones_meet_at_the_ends_of_the_band(self):
        axes = self.scale(0.7, (0.4, 0.6), 0.45)
        ends = [end for zone in axes.patches for end in (zone.get_x(), zone.get_x() + zone.get_width())]
        assert ends == pytest.approx([0, 0.471, 0.471, 0.529, 0.529, 1], abs=1e-3)
        assert legend_of(axes) == ["non-match < 0.400", "inconclusive", "match ≥ 0.600", "threshold 0.450"]
        threshold, needle = axes.lines
        assert (threshold.get_xdata()[0], needle.get_xdata()[0]) == pytest.approx((0.4857, 0.5605), abs=1e-4)

    @pytest.mark.parametrize(("score", "side"), [(0.0, "left"), (0.5, "center"), (1.0, "right")])
    def test_the_words_stay_over_the_scale(self, score, side):
        assert self.scale(score, (0.4, 0.6), 0.5).texts[0].get_horizontalalignment() == side


def drawn(curve) -> list[tuple[float, float]]:
    """Return where a curve goes through, FMR and FNMR, as steps are drawn."""
    return list(dict.fromkeys(map(tuple, pts_to_poststep(*corners(curve)).T.tolist())))


class TestRates:
    scores, same = some_pairs()
    curve = error_curve(scores, same)

    def test_the_roc_is_the_curve(self):
        figure = plots.plot_roc(self.curve, 0.5)
        line, mark = figure.axes[0].lines
        fmr, tmr = line.get_xydata().T
        assert line.get_drawstyle() == "steps-post"
        for limit in (0.01, 0.05, 0.2):
            best = 1 - self.curve.fnmr[self.curve.fmr <= limit].min()
            assert tmr[fmr <= limit].max() == pytest.approx(best)
        index = np.searchsorted(self.curve.thresholds, 0.5)
        assert mark.get_xydata()[0] == pytest.approx((self.curve.fmr[index], 1 - self.curve.fnmr[index]))
        assert figure.axes[0].get_xscale() == "log"
        assert f"{self.curve.genuine:,} genuine" in figure.axes[0].get_title("left")

    def test_the_det_has_normal_deviates_on_both_axes(self):
        figure = plots.plot_det(self.curve, 0.5)
        diagonal, line, equal, mark = figure.axes[0].lines
        assert line.get_drawstyle() == "steps-post"
        fmr, fnmr = corners(self.curve)
        np.testing.assert_allclose(norm.cdf(line.get_xdata()), np.clip(fmr, 0.5 / self.curve.impostor, 1), atol=1e-7)
        np.testing.assert_allclose(norm.cdf(line.get_ydata()), np.clip(fnmr, 0.5 / self.curve.genuine, 1), atol=1e-7)
        assert norm.cdf(equal.get_xydata()[0]) == pytest.approx([eer(self.curve)] * 2)
        index = np.searchsorted(self.curve.thresholds, 0.5)
        assert norm.cdf(mark.get_xydata()[0]) == pytest.approx((self.curve.fmr[index], self.curve.fnmr[index]))
        np.testing.assert_array_equal(*diagonal.get_data())

    def test_tick_labels_are_rates(self):
        figure = plots.plot_det(self.curve)
        figure.canvas.draw()
        labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
        assert labels == ["0.1 %", "0.5 %", "1 %", "2 %", "5 %", "10 %", "20 %", "40 %"]

    @pytest.mark.parametrize("draw", [plots.plot_roc, plots.plot_det])
    def test_rates_of_fewer_than_ten_errors_are_shaded(self, draw):
        axes = draw(self.curve).axes[0]
        ends = axes.patches[0].get_extents().transformed(axes.transData.inverted()).x1
        end = ends if draw is plots.plot_roc else norm.cdf(ends)
        assert end == pytest.approx(10 / self.curve.impostor, rel=1e-6)
        assert "fewer than 10 errors: no claim" in legend_of(axes)

    @pytest.mark.parametrize(
        "curve",
        [
            error_curve([0.1, 0.9], [False, True]),
            error_curve([0.9, 0.1], [False, True]),
            error_curve([0.5] * 40, [False, True] * 20),
            error_curve([np.nan] * 4, [False, True] * 2),
        ],
        ids=["perfect", "reversed", "tied", "failed"],
    )
    def test_odd_curves_draw_without_a_warning(self, curve, tmp_path):
        for name, draw in (("roc", plots.plot_roc), ("det", plots.plot_det)):
            plots.save(draw(curve, 0.5), tmp_path / f"{name}.png")

    def test_histograms_count_every_acquired_pair(self):
        figure = plots.plot_scores(self.scores, self.same, (0.4, 0.6), 0.5)
        for axes, chosen, kind in zip(figure.axes, (self.same, ~self.same), ("genuine", "impostor"), strict=True):
            band, *bars = axes.patches
            assert sum(bar.get_height() for bar in bars) == np.sum(chosen & ~np.isnan(self.scores))
            assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.4, 0.6))
            failed = np.sum(chosen & np.isnan(self.scores))
            assert axes.get_title("left") == f"{chosen.sum():,} {kind} pairs, of which {failed} failed to acquire"
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels == ["inconclusive 0.400 to 0.600", "threshold 0.500"]

    def test_scores_of_another_scale_widen_the_axis(self):
        axes = plots.plot_scores([-2.0, 3.0], [False, True], (0.4, 0.6), 0.5).axes[0]
        assert axes.get_xlim() == (-2, 3)

    def test_an_evaluation_has_three_figures(self, tmp_path):
        evaluation = evaluate(self.scores, self.same, threshold=0.5, band=(0.4, 0.6))
        figures = plots.plot_evaluation(self.scores, self.same, evaluation)
        assert figures.keys() == {"scores", "roc", "det", "reliability"}
        for name, figure in figures.items():
            plots.save(figure, tmp_path / f"{name}.png")

    def test_pairs_of_one_kind_have_no_curves(self, tmp_path):
        evaluation = evaluate([0.2, np.nan], [True, True], threshold=0.5, band=(0.4, 0.6))
        figures = plots.plot_evaluation([0.2, np.nan], [True, True], evaluation)
        assert figures.keys() == {"scores"}
        plots.save(figures["scores"], tmp_path / "scores.png")

    def test_the_reliability_curve_is_that_of_the_bins(self):
        quality = score_quality(self.scores, self.same)
        upper, lower = plots.plot_reliability(quality).axes
        diagonal, curve, *marks = upper.lines
        np.testing.assert_array_equal(*diagonal.get_data())
        expected = [(part.mean_score, part.observed) for part in quality.bins if part.mean_score is not None]
        np.testing.assert_array_equal(curve.get_xydata(), expected)
        assert sum(len(mark.get_xydata()) for mark in marks) == len(expected)
        bars = [bar.get_height() for bar in lower.patches]
        assert bars == [part.genuine for part in quality.bins] + [part.impostor for part in quality.bins]
        assert f"ECE {quality.ece:.3f}" in upper.get_title("left")

    def test_parts_of_the_pairs_have_curves_of_their_own(self):
        part = score_quality(self.scores[:900], self.same[:900])
        upper, _ = plots.plot_reliability(score_quality(self.scores, self.same), {"worse photo poor": part}).axes
        expected = [(one.mean_score, one.observed) for one in part.bins if one.genuine + one.impostor >= 10]
        label = f"worse photo poor: ECE {part.ece:.3f}"
        [line] = [line for line in upper.lines if line.get_label() == label]
        np.testing.assert_array_equal(line.get_xydata(), expected)
        assert label in legend_of(upper)
        evaluation = evaluate(self.scores, self.same, threshold=0.5, band=(0.4, 0.6))
        drawn = plots.plot_evaluation(self.scores, self.same, evaluation, {"worse photo poor": part})
        assert label in legend_of(drawn["reliability"].axes[0])

    def test_millions_of_pairs_leave_room_for_the_name_of_their_axis(self):
        quality = score_quality(self.scores, self.same)
        bins = tuple(replace(one, impostor=700_000) for one in quality.bins)
        figure = plots.plot_reliability(replace(quality, bins=bins))
        FigureCanvasAgg(figure).draw()
        assert min(axes.yaxis.label.get_window_extent().x0 for axes in figure.axes) > 0

    def test_a_bin_of_few_pairs_is_hollow(self):
        scores, same = np.append(self.scores, [0.5, 0.5]), np.append(self.same, [True, False])
        few = score_quality(np.where((scores > 0.4) & (scores < 0.6) & (np.arange(2002) < 2000), 0.01, scores), same)
        upper, _ = plots.plot_reliability(few).axes
        assert legend_of(upper) == ["right at every score", "bin of scores", "fewer than 10 pairs"]
        assert upper.lines[-1].get_markerfacecolor() == "white"

    def test_corners_are_the_staircase_and_no_more(self):
        # From "nothing matches": one genuine gained, one impostor let in, the other genuine, the rest.
        curve = error_curve([0.1, 0.2, 0.3, 0.4, 0.5], [False, False, True, False, True])
        assert drawn(curve) == [(0, 1), (0, 0.5), (1 / 3, 0.5), (1 / 3, 0), (1, 0)]
        fmr, _ = corners(self.curve)
        assert 4 < fmr.size < self.curve.thresholds.size

    def test_ties_are_drawn_as_what_a_threshold_can_reach(self):
        # Either nothing matches or everything; a lower FNMR than 1 costs an FMR of 1.
        assert drawn(error_curve([0.5] * 4, [False, True] * 2)) == [(0, 1), (1, 1), (1, 0)]

    def test_probit_inverts_the_normal_distribution(self):
        rates = np.array([1e-6, 0.01, 0.3, 0.5, 0.99])
        np.testing.assert_allclose(probit(rates), norm.ppf(rates), atol=1e-9)
        np.testing.assert_allclose(probit(1 - rates), -probit(rates), atol=1e-9)


class TestStyle:
    @pytest.mark.parametrize(
        ("share", "shown"),
        [(0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.0456, "4.6 %"), (0.00123, "0.12 %"), (1e-6, "0.0001 %")],
    )
    def test_percent(self, share, shown):
        assert percent(share) == shown

    @pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.svg", "a.pdf"])
    def test_a_figure_is_saved_the_same_every_time(self, tmp_path, name):
        for folder in ("first", "second"):
            (tmp_path / folder).mkdir()
            plots.save(plots.plot_detection(gradient(), [face_at(10)]), tmp_path / folder / name)
        assert (tmp_path / "first" / name).read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")

    @pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
    def test_whatever_somebody_is_called_can_be_drawn(self, tmp_path, ending):
        name = "$x^{2$ 100 $ $"
        faces = plots.plot_faces([(gradient(100, 100), [name])], name, [name])
        comparison = plots.plot_comparison(view(name, quality=name), view(name), 0.8, (0.4, 0.6), 0.5)
        for number, figure in enumerate((faces, comparison)):
            plots.save(figure, tmp_path / f"{number}.{ending}")
        assert texts_of(faces).count(name) == 3

    def test_signs_that_the_font_lacks_are_drawn_without_a_warning(self, tmp_path):
        for ending in ("png", "svg", "pdf"):
            plots.save(plots.plot_faces([], "安娜", []), tmp_path / f"a.{ending}")

    def test_a_png_is_the_same_to_the_byte(self, tmp_path):
        for name in ("a.png", "b.png"):
            plots.save(plots.plot_detection(gradient(), [face_at(10)]), tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    def test_where_it_cannot_be_saved_is_said(self, tmp_path):
        figure = plots.plot_detection(gradient(), [])
        with pytest.raises(DataError, match=r"ending in .png or .svg or .pdf. Received: a.gif"):
            plots.save(figure, tmp_path / "a.gif")
        with pytest.raises(DataError, match="cannot be written"):
            plots.save(figure, tmp_path / "absent" / "a.png")

    @pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf"])
    def test_where_the_disk_is_full_the_earlier_file_stays(self, tmp_path, monkeypatch, name):
        def full(_, file, **__):
            file.write(b"a part")
            raise OSError(28, "No space left on device")

        (tmp_path / name).write_text("of an earlier run")
        monkeypatch.setattr(Figure, "savefig", full)
        with pytest.raises(DataError, match=name):
            plots.save(plots.plot_detection(gradient(), []), tmp_path / name)
        assert [path.read_text() for path in tmp_path.iterdir()] == ["of an earlier run"]

    def test_pyplot_with_its_global_state_is_never_imported(self):
        code = "import sys, flaskapp.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True)
