"""The model card: it says what the JSON says, and the committed one is the one that is made."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from flaskapp.errors import DataError
from research.__main__ import main
from research.measure import card
from research.measure.worse_photos import WAYS
from research.plots.card import draw_card

QUALITY = ("brier", "ece", "cllr", "min_cllr", "calibration_loss", "reliability")
ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "docs" / "model-card.md"
RUNS = sorted((ROOT / "docs" / "figures").glob("*.json"))


@pytest.fixture(scope="module")
def note():
    return json.loads((ROOT / "siamese_model_final.json").read_text(encoding="utf-8"))


@pytest.fixture
def runs(note):
    return copy.deepcopy(card.read_runs(RUNS, card.weights_id(note)))


def shares(pairs, **counts):
    """Return a group's verdicts, as `relatives` and `ages` write them."""
    told = {name: {"count": n, "share": n / pairs, "low": n / pairs / 2, "high": 0.99} for name, n in counts.items()}
    return {"pairs": pairs, **told}


@pytest.fixture
def all_runs(note, runs):
    """Return the runs with those that may be absent, made up."""
    own, anothers = shares(200, match=18), shares(4000, match=20)
    apart, later, far = (shares(400, non_match=count) for count in (100, 8, 84))
    quality = {name: runs["reporting"][name] for name in QUALITY}
    return runs | {
        "relatives": {"verdicts": {"parent and own child": own, "parent and another's child": anothers}},
        "years": {
            "verdicts": {
                "one person, young and later": apart,
                "one person, both later": later,
                "training=far: one person, young and later": far,
            }
        },
        "mixture": quality | {"ece": 0.0123, "genuine": 47000, "impostor": 1432000,
                              "by_worse_grade": {"good": quality, "poor": quality}},
    }  # fmt: skip


def rows_of(text, heading):
    """Return the cells of the table that follows a line of text."""
    table = re.search(r"(^\|.*\n)+", text[text.index(heading) :], flags=re.MULTILINE).group(0)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


class TestCard:
    def test_it_tells_the_weights_and_their_data_with_terms(self, note, runs):
        data = {"faces": {"photos": {"training": 1200, "left out": 3}, "terms": "CC BY | 4.0"}}
        learned = {"training": {"photos": {"faces": 1199}}, "data": data}  # one of them was found to be another's since
        told = card.model_card(note | {"parameters": 4242625} | learned, runs)
        assert told.startswith(f"# Model card: {note['name']}\n")
        assert f"`{card.weights_id(note)}`" in told
        assert "4,242,625" in told
        assert rows_of(told, "## What it learned from") == [["faces", "1,199", "CC BY \\| 4.0"]]
        assert note["terms"] in told

    def test_it_says_whether_the_band_keeps_what_was_asked_of_it(self, note, runs):
        assert "do not reach" in card.model_card(note, runs)
        kept = note | {"band_choice": note["band_choice"] | {"relaxed": False}}
        assert "do not reach" not in card.model_card(kept, runs)

    def test_it_tells_what_several_photos_of_one_person_are_worth(self, note, runs):
        interval = {"low": 0.01, "high": 0.03, "level": 0.95, "method": "bootstrap"}
        row = {
            "references": 4,
            "people": 90,
            "genuine": 500,
            "impostor": 8000,
            "fnmr_at_fmr": {"0.01": 0.02, "0.001": None},
            "ece": 0.0123,
            "decisions": {"genuine": {"non_match": 5}, "impostor": {"match": 16}},
            "intervals": dict.fromkeys(("fnmr_at_fmr.0.01", "impostor.match", "genuine.non_match"), interval),
        }
        told = card.model_card(note | {"references": {"best": 3, "figures": [row]}}, runs)
        ((photos, at_1, at_tenth, match, missed, ece, people, counts),) = rows_of(told, "With several photos")
        assert (photos, people, ece) == ("4", "90", "0.012")
        assert (at_1, at_tenth) == ("2.00 % (1.00 to 3.00 %)", "too few people")
        assert (match.split()[0], missed.split()[0]) == ("0.20", "1.00")
        assert counts == "500 genuine, 8,000 impostor"
        assert "With several photos" not in card.model_card({k: v for k, v in note.items() if k != "references"}, runs)

    def test_every_row_has_its_interval_counts_and_json(self, note, runs):
        rows = rows_of(card.model_card(note, runs, "there"), "## How good it is")
        assert [re.search(r"\((.*)\)", row[0]).group(1) for row in rows] == [
            "there/1b-lfw-view-2.json", "there/1c-lfw-people.json", *["there/2-reporting.json"] * 3,
            "there/3-strangers.json",
        ]  # fmt: skip
        reporting = runs["reporting"]
        low, high = (100 * reporting["intervals"]["fmr"][end] for end in ("low", "high"))
        assert rows[3][1:] == [
            "FMR at the threshold",
            f"{100 * reporting['fmr']:.2f} %",
            f"{low:.2f} to {high:.2f} %",
            f"{reporting['genuine']:,} genuine, {reporting['impostor']:,} impostor",
        ]
        read_match = runs["strangers"]["operating_points"][1]["everybody"]
        assert rows[5][4].startswith(f"{read_match['errors']:,} of {read_match['trials']:,}")

    def test_it_names_the_groups_that_fare_worst_and_best(self, note, runs):
        within = runs["strangers"]["operating_points"][1]["within"]["race"]
        within["Martian"] = within["White"] | {"rate": 0.9, "errors": 9, "trials": 10}
        assert "- Martian: 90.00 %" in card.model_card(note, runs)

    def test_it_tells_what_poor_photos_do_at_worst(self, note, runs):
        worst = {"kind": "fog", "step": "9 %", "way": "alike", "share": 0.123, "count": 7, "pairs": 57}
        runs["worse"]["worst"]["impostor_match"] |= worst
        runs["worse"]["worst"]["genuine_non_match"] |= worst | {"way": "differently"}
        told = " ".join(card.model_card(note, runs).split())
        assert "At worst 12.30 % of strangers read `match` (fog 9 % in both photos; 7 of 57)" in told
        assert "(fog 9 % in the probe, something as bad in the reference; 7 of 57)" in told

    def test_it_tells_of_each_kind_of_poor_photos_the_worst_step(self, note, runs):
        def both(impostor, genuine):
            nothing = {"pairs": 200, "match": 0, "inconclusive": 0, "non_match": 0, "failed": 0}
            return {"impostor": nothing | impostor, "genuine": nothing | genuine}

        mild = dict.fromkeys(WAYS, both({"match": 3}, {}))
        strong = mild | {
            "alike": both({"match": 40, "inconclusive": 100}, {"inconclusive": 30, "non_match": 10}),
            "probe": both({"match": 44, "inconclusive": 150}, {"non_match": 4}),
        }
        runs["worse"]["kinds"]["blur"]["steps"] = [{"step": "3 %", "ways": mild}, {"step": "9 %", "ways": strong}]
        rows = rows_of(card.model_card(note, runs), "For each kind the worst")
        assert rows[0] == [
            "blur", "20.00 % (40; at 9 %)", "22.00 % (44; at 9 %, probe)", "5.00 % (10; at 9 %)", "alike",
            "50.00 % (100; at 9 %)", "15.00 % (30; at 9 %)",
        ]  # fmt: skip
        assert [row[0] for row in rows] == [kind for kind in runs["worse"]["kinds"] if kind != "yaw"]

    def test_it_has_the_verdicts_by_the_grades_of_both_photos(self, note, runs):
        counts = {
            "genuine": {"match": 70, "inconclusive": 30, "non_match": 0},
            "impostor": {"match": 1, "inconclusive": 49, "non_match": 1950},
            "intervals": {
                "match": {"genuine": [0.5, 0.9], "impostor": [0.0002, 0.03]},
                "inconclusive": {"genuine": [0.05, 0.4], "impostor": [0.002, 0.05]},
                "non_match": {"genuine": [0.0, 0.0], "impostor": [0.9, 1.0]},
            },
        }
        told = card.model_card(note | {"counts_by_grades": {"good and poor": counts}}, runs)
        assert rows_of(told, "tells how far to trust it") == [
            ["good and poor", "2,000", "0.05 % (0.02 to 3.00 %; 1)", "2.45 % (0.20 to 5.00 %; 49)",
             "100", "0.00 % (0)", "30.00 % (5.00 to 40.00 %; 30)"],
        ]  # fmt: skip

    def test_it_tells_of_relatives_and_of_years_with_counts_and_intervals(self, note, all_runs):
        told = " ".join(card.model_card(note, all_runs).split())
        for words in (
            "a parent and their own child 9.00 % (4.50 to 99.00 %; 18 of 200) read `match`",
            "another's child 0.50 % (0.25 to 99.00 %; 20 of 4,000) ([JSON](figures/5-relatives.json)",
            "later, 25.00 % (12.50 to 99.00 %; 100 of 400) read `non_match`",
            "anybody it learned from 21.00 % (10.50 to 99.00 %; 84 of 400)",
            "with both photos later 2.00 % (1.00 to 99.00 %; 8 of 400) ([JSON](figures/5b-ages.json)",
            "ECE 0.012, Cllr",
            f"ECE {all_runs['reporting']['ece']:.3f} where it is good",
        ):
            assert words in told
        assert "not measured; children only as strangers, and" in told
        del all_runs["years"]["verdicts"]["training=far: one person, young and later"]
        assert "learned from 21" not in card.model_card(note, all_runs)

    def test_what_was_not_measured_is_not_told(self, note, all_runs):
        for run in card.MAY_BE_ABSENT:
            all_runs.pop(run)
        told = card.model_card(note, all_runs)
        assert "relatives and photos many years apart were not measured" in told
        assert not re.search("5-relatives|5b-ages|2b-mixture|reliability-spoiled", told)

    @pytest.mark.parametrize("every", [False, True])
    def test_each_figure_has_its_json(self, note, runs, all_runs, every):
        some = all_runs if every else {run: told for run, told in runs.items() if run not in card.MAY_BE_ABSENT}
        told = card.model_card(note, some)
        drawn = re.findall(r"!\[.+\]\(figures/(.+)\.png\)\n\*[^*]+\]\(figures/(.+)\.json\)\)\.\*", told)
        assert [name for name, _ in drawn] == list(draw_card(some))
        assert {name for _, name in drawn} < set(card.RUNS.values())
        assert len(drawn) == 6 + every


class TestPlots:
    def test_verdicts_are_shares_of_either_kind(self, runs):
        runs["reporting"]["decisions"] = {
            "genuine": {"match": 3, "inconclusive": 1, "non_match": 0},
            "impostor": {"match": 0, "inconclusive": 2, "non_match": 6},
        }
        [axes] = draw_card(runs)["verdicts"].axes
        assert [bar.get_width() for bar in axes.patches] == [0.75, 0, 0.25, 0.25, 0, 0.75]

    def test_missed_has_what_the_pairs_can_show_and_the_peer(self, runs):
        run = runs["people"]
        run["fnmr_at_fmr"]["0.0001"] = None
        [axes] = draw_card(runs)["missed"].axes
        *_, ours, theirs = axes.lines
        keys = ("0.1", "0.01", "0.001")
        assert list(ours.get_ydata()) == [run["fnmr_at_fmr"][key] for key in keys]
        assert list(theirs.get_ydata()) == [run["beside"][f"fnmr_at_fmr.{key}"]["theirs"] for key in keys]

    def test_reliability_is_drawn_by_the_worse_photo_too(self, all_runs):
        upper, _ = draw_card(all_runs)["reliability-spoiled"].axes
        labels = [line.get_label().partition(":")[0] for line in upper.lines]
        assert [label for label in labels if "worse" in label] == ["worse photo good", "worse photo poor"]


class TestCommand:
    @pytest.fixture
    def figures(self, tmp_path):
        shutil.copytree(ROOT / "docs" / "figures", tmp_path / "figures", ignore=shutil.ignore_patterns("*.png"))
        return tmp_path / "figures"

    def run(self, figures):
        out = figures.parent / "card.md"
        return CliRunner().invoke(main, ["model-card", *map(str, figures.glob("*")), "--out", str(out)])

    def test_it_writes_the_card_and_its_figures(self, figures):
        assert self.run(figures).exit_code == 0
        text = (figures.parent / "card.md").read_text(encoding="utf-8")
        for name in re.findall(r"\((figures/[^)]+)\)", text):
            assert (figures.parent / name).exists()

    def test_runs_of_other_weights_are_refused(self, figures):
        (figures / "3-strangers.json").write_text(json.dumps({"weights": "others@123"}))
        told = self.run(figures)
        assert told.exit_code == 2
        assert "3-strangers.json was measured with others@123" in told.stderr
        assert not (figures.parent / "card.md").exists()

    def test_a_missing_run_is_named(self, figures):
        (figures / "4-worse-photos.json").unlink()
        told = self.run(figures)
        assert (told.exit_code, len(list(figures.glob("*.png")))) == (2, 0)
        assert "4-worse-photos.json" in told.stderr

    @pytest.mark.parametrize("text", ["", "[]", '{"measured": "x"}', '{"weights": "WEIGHTS", "measured": "x"}'])
    def test_what_is_no_run_is_one_clean_line(self, figures, note, text):
        (figures / "2-reporting.json").write_text(text.replace("WEIGHTS", card.weights_id(note)))
        told = self.run(figures)
        assert (told.exit_code, len(told.stderr.splitlines())) == (2, 1)


def test_runs_must_be_named_as_the_card_knows_them(note):
    with pytest.raises(DataError, match=r"needs 1-lfw-view-1\.json"):
        card.read_runs(RUNS[1:], card.weights_id(note))


def test_the_committed_card_is_what_the_committed_figures_make(note, runs):
    """After a change of weights or figures: `make figures`, or `make model-card` if the figures are there."""
    text = CARD.read_text(encoding="utf-8")
    assert text == card.model_card(note, runs)
    assert len([line for line in text.splitlines() if not line.startswith("|")]) <= 110
    for name in re.findall(r"\((figures/[^)]+)\)", text):
        assert (CARD.parent / name).exists()


def test_the_committed_figures_name_no_photo_and_no_machine():
    for run in RUNS:
        text = run.read_text(encoding="utf-8")
        assert not json.loads(text).get("failed_photos")
        assert not re.search(r'"/|\.jpg|\.png|/root|/home|/work', text)
        assert len(text) < 250_000
