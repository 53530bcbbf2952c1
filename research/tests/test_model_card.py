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
from research.plots.card import draw_card

ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "docs" / "model-card.md"
RUNS = sorted((ROOT / "docs" / "figures").glob("*.json"))


@pytest.fixture(scope="module")
def note():
    return json.loads((ROOT / "siamese_model_final.json").read_text(encoding="utf-8"))


@pytest.fixture
def runs(note):
    return copy.deepcopy(card.read_runs(RUNS, card.weights_id(note)))


def rows_of(text, heading):
    """Return the cells of the table that follows a line of text."""
    table = re.search(r"(^\|.*\n)+", text[text.index(heading) :], flags=re.MULTILINE).group(0)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


class TestCard:
    def test_it_tells_the_weights_and_their_data_with_terms(self, note, runs):
        data = {"faces": {"photos": {"training": 1200, "left out": 3}, "terms": "CC BY | 4.0"}}
        told = card.model_card(note | {"parameters": 4242625, "data": data}, runs)
        assert told.startswith(f"# Model card: {note['name']}\n")
        assert f"`{card.weights_id(note)}`" in told
        assert "4,242,625" in told
        assert rows_of(told, "## What it learned from") == [["faces", "1,200", "CC BY \\| 4.0"]]
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

    def test_it_has_six_figures_each_with_its_json(self, note, runs):
        told = card.model_card(note, runs)
        drawn = re.findall(r"!\[.+\]\(figures/(.+)\.png\)\n\*[^*]+\]\(figures/(.+)\.json\)\)\.\*", told)
        assert [name for name, _ in drawn] == list(draw_card(runs))
        assert {name for _, name in drawn} < set(card.RUNS.values())
        assert len(drawn) == 6


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
    assert len(text.splitlines()) <= 110
    for name in re.findall(r"\((figures/[^)]+)\)", text):
        assert (CARD.parent / name).exists()


def test_the_committed_figures_name_no_photo_and_no_machine():
    for run in RUNS:
        text = run.read_text(encoding="utf-8")
        assert not json.loads(text).get("failed_photos")
        assert not re.search(r'"/|\.jpg|\.png|/root|/home|/work', text)
        assert len(text) < 500_000
