"""The report: everything in one file, and nothing that a browser would have to fetch or run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure
from scored_pairs import NAN, SAME, SCORES, random_pairs, sources_for

from flaskapp import report
from flaskapp.evaluation import Interval, evaluate
from flaskapp.report import rows
from flaskapp.report.rows import interval_text


class Page(HTMLParser):
    """Collects the tags of a page with their attributes, and its words."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


def some_page():
    figure = Figure(figsize=(2, 1))
    sections = [
        report.Section(
            "A <b>title</b>", ["Words & more"], report.Table(("", "value"), [("name", "<script>1</script>")])
        ),
        report.Section("Pictures", (), None, [report.picture(figure, 'A "curve"')]),
    ]
    return report.page("Pairs of <x>.csv", "Measured.", sections)


class TestPage:
    def test_it_holds_everything_it_shows(self):
        page = Page(some_page())
        assert page.open == []
        assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "form", "b"}
        for _, attributes in page.tags:
            for name, value in attributes.items():
                assert not name.startswith("on")
                assert name not in {"src", "href"} or value.startswith("data:image/png;base64,")
        assert not re.search(r"https?:|url\(|@import", some_page())

    def test_its_policy_lets_a_browser_fetch_nothing(self):
        policy = next(dict(a)["content"] for tag, a in Page(some_page()).tags if "http-equiv" in a)
        assert policy.startswith("default-src 'none'; img-src data:;")
        assert "script-src" not in policy

    def test_what_names_say_is_shown_and_not_obeyed(self):
        words = Page(some_page()).words
        assert {"A <b>title</b>", "Words & more", "<script>1</script>", "Pairs of <x>.csv"} <= set(words)

    def test_a_name_that_is_no_text_can_be_written(self):
        written = report.page("\udcff", "", [report.Section("", ("\udcff.jpg",))])
        assert "?.jpg" in written.encode().decode()

    def test_pictures_say_what_they_show(self):
        [image] = [attributes for tag, attributes in Page(some_page()).tags if tag == "img"]
        assert image["alt"] == 'A "curve"'
        assert (image["width"], image["height"]) == ("220", "110")

    def test_faces_stand_beside_each_other_with_lines_below(self):
        pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
        faces = [report.face(pixels, 'Face "1"', ["<i>.jpg", "", "match"])] * 2
        page = Page(report.page("Faces", "", [report.Section("Found", faces=faces)]))
        images = [attributes for tag, attributes in page.tags if tag == "img"]
        assert [(image["alt"], image["width"], image["height"]) for image in images] == [('Face "1"', "100", "100")] * 2
        assert all(image["src"].startswith("data:image/jpeg;base64,") for image in images)
        assert page.words.count("<i>.jpg") == page.words.count("match") == 2
        assert [tag for tag, _ in page.tags].count("br") == 2, "an empty line is none"
        assert page.open == []

    def test_columns_of_figures_are_scrolled_and_sentences_wrapped(self):
        def tables(columns: int) -> list[dict]:
            section = report.Section("S", (), report.Table(["x"] * columns, [["1"] * columns]), ())
            return [attributes for tag, attributes in Page(report.page("T", "M", [section])).tags if tag == "table"]

        assert tables(2) == [{}]
        assert tables(10) == [{"class": "wide"}]

    def test_the_same_figures_give_the_same_bytes(self):
        assert some_page() == some_page()


class TestText:
    def test_tables_are_aligned_and_paragraphs_left_to_the_page(self):
        sections = [
            report.Section("First", ["words"], report.Table(("", ""), [("a", "1"), ("bcd", "")])),
            report.Section("Nothing", ["words"]),
            report.Section("Second", (), report.Table(("x", "longer"), [("yy", "2")])),
        ]
        assert report.as_text(sections) == "  a    1\n  bcd\n\n  x   longer\n  yy  2"
        assert report.as_text(sections[2:], titled=True) == "  Second\n  x   longer\n  yy  2"


class TestRows:
    def test_every_figure_stands_with_interval_and_counts_or_with_the_reason(self):
        scores, same = random_pairs(400)
        result = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources_for(same), replicates=50)
        by_name = {row.name: row for row in rows.figure_rows(result)}
        confusion = result.confusion
        assert by_name["accuracy"].value == f"{100 * confusion.accuracy:.2f} %"
        assert by_name["FMR at the threshold"].counts == f"{confusion.false_matches} of {confusion.impostor}"
        assert by_name["FNMR at FMR 0.01 %"].value == "—"
        assert "at least 100000 impostor pairs" in by_name["FNMR at FMR 0.01 %"].counts
        for row in by_name.values():
            assert (row.value == "—") == row.counts.startswith("not claimed: ")
            assert row.value == "—" or row.interval

    def test_what_was_measured_is_told(self):
        scores, same = random_pairs(40, failures=0.2)
        sources = sources_for(same)
        result = evaluate(
            scores, same, threshold=0.5, band=(0.5, 0.5), sources=sources, replicates=20, threshold_chosen_here=True
        )
        told = dict(row[:2] for row in rows.setting_rows(result))
        assert told["pairs"].startswith("40: ")
        assert told["failures to acquire"].startswith(f"{np.isnan(scores).sum()} pairs")
        assert "these very pairs" in told["threshold"]
        assert told["inconclusive band"] == "none"
        assert told["intervals"] == "95 %, 20 draws of 41 people"

    def test_verdicts_are_counts_of_pairs(self):
        result = evaluate([0.2, 0.6, 0.4], [False, False, True], threshold=0.5, band=(0.3, 0.7))
        assert rows.verdict_rows(result) == [
            ("one person", "1", "0 (0.00 %)", "1 (100.00 %)", "0 (0.00 %)"),
            ("two people", "2", "0 (0.00 %)", "1 (50.00 %)", "1 (50.00 %)"),
        ]
        strangers = evaluate([0.2, 0.6], [False, False], threshold=0.5, band=(0.3, 0.7))
        assert [row[0] for row in rows.verdict_rows(strangers)] == ["two people"]

    def test_shares_of_verdicts_have_their_intervals(self):
        scores, same = random_pairs(400)
        result = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources_for(same), replicates=50)
        count, interval = result.decisions["genuine"].match, result.intervals["genuine.match"]
        share = f"{100 * count / same.sum():.2f}; {100 * interval.low:.2f} to {100 * interval.high:.2f} %"
        assert rows.verdict_rows(result)[0][2] == f"{count} ({share})"
        none = evaluate([0.9] * 9, [True] * 9, threshold=0.5, band=(0.4, 0.6), sources=sources_for(np.ones(9, bool)))
        assert re.fullmatch(r"0 \(0\.00; at most \d+\.\d\d %\)", rows.verdict_rows(none)[0][4])

    def test_grades_have_verdicts_and_an_ece(self):
        scores, same = random_pairs(400)
        result = evaluate(scores, same, threshold=0.5, band=(0.4, 0.6), sources=sources_for(same), replicates=50)
        told = rows.grade_rows({"good and poor": result})
        assert told == [("good and poor", *row) for row in rows.verdict_rows(result)]
        [(name, ece, interval, counts)] = rows.calibration_rows({"poor": result})
        assert (name, ece) == ("poor", f"{result.quality.ece:.4f}")
        assert interval == interval_text(result.intervals["ece"], plain=True)
        assert counts.startswith(f"{same.sum()} genuine and {(~same).sum()} impostor pairs")

    def test_view_2_has_its_row_where_there_are_folds(self):
        assert rows.fold_rows(evaluate(SCORES, SAME, threshold=0.5, band=(0.5, 0.5))) == []
        scores, same = random_pairs(400)
        result = evaluate(scores, same, threshold=0.5, band=(0.5, 0.5), folds=np.arange(400) % 10)
        [row] = rows.fold_rows(result)
        assert row.value == f"{100 * result.folds.mean:.2f} ± {100 * result.folds.standard_error:.2f} %"
        assert row.counts.startswith("10 folds, 400 pairs")

    def test_groups_have_rates_counts_and_failures(self):
        result = evaluate([0.9, NAN, 0.1], [1, 1, 0], threshold=0.5, band=(0.5, 0.5))
        [row] = rows.group_rows({"gender=x": result})
        assert row == ("gender=x", "50.00 %", "", "1 of 2", "0.00 %", "", "0 of 1", "1")

    @pytest.mark.parametrize(
        ("interval", "said"),
        [
            (None, ""),
            (Interval(0.01, 0.02), "1.00 to 2.00 %"),
            (Interval(0.0, 0.004, method="no errors seen"), "no error seen: at most 0.40 %"),
            (Interval(0.996, 1.0, method="no errors seen"), "no error seen: at least 99.60 %"),
            (Interval(0.7, 1.0, method="only errors seen"), "only errors seen: at least 70.00 %"),
        ],
    )
    def test_intervals_in_words(self, interval, said):
        assert interval_text(interval) == said
