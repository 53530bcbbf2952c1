"""The model card: it says what the JSON says, and the committed one is the one that is made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scored_pairs import random_pairs, sources_for
from weights_files import note_for, write_weights_files

from flaskapp.evaluation import evaluate
from research.__main__ import main
from research.measure import card
from research.measure.strangers import evaluate_strangers

ROOT = Path(__file__).resolve().parents[2]
CARD = ROOT / "docs" / "model-card.md"
RUNS = sorted((ROOT / "docs" / "figures").glob("*.json"))
RECIPE = ROOT / "docs" / "recipe.md"


@pytest.fixture
def weights(tmp_path):
    return write_weights_files(tmp_path)


@pytest.fixture
def note(weights):
    more = {
        "data": {"faces": {"photos": {"training": 1200, "left out": 3}, "terms": "CC BY | 4.0"}},
        "training": {"recipe": {"rate": 0.035, "minutes": None}, "head_validation": {"after": 0.18612999}},
        "parameters": 4242625,
    }
    return note_for(weights, **more)


def pairs_run(note, **more):
    scores, same = random_pairs(900)
    found = evaluate(
        scores,
        same,
        threshold=0.5,
        band=(0.4, 0.6),
        sources=sources_for(same),
        weights=card.weights_id(note),
        replicates=20,
    )
    told = {
        "measured": "Pairs of x",
        "command": "facial-recognition evaluate --pairs x",
        "photos": 99,
        "photos_failed": 2,
    }
    return json.loads(json.dumps({**found.to_json(), **told, **more}))


def strangers_run(note):
    generator = np.random.default_rng(2)
    first, second = np.triu_indices(80, 1)
    labels = np.stack((np.array(["x", "y"])[np.arange(80) % 2], np.array(["f", "m"])[np.arange(80) // 2 % 2]), axis=1)
    found = evaluate_strangers(
        first, second, generator.random(first.size), ("race", "gender"), labels, np.ones(80, bool), {"here": 0.9},
        replicates=20,
    )  # fmt: skip
    return {
        "measured": "Strangers",
        "command": "c",
        "weights": card.weights_id(note),
        "photos_failed": 1,
        **found.to_json(),
    }


def rows_of(text, heading):
    """Return the cells of the table that follows a line of text."""
    part = text[text.index(heading) :]
    table = re.search(r"(^\|.*\n)+", part, flags=re.MULTILINE).group(0)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


class TestCard:
    def test_it_tells_the_weights_and_their_data_with_terms(self, note):
        told = card.model_card(note, [])
        assert told.startswith(f"# Model card: {note['name']}\n")
        assert f"`{card.weights_id(note)}`" in told
        assert "4,242,625" in told
        assert ["faces", "1,200", "3", "CC BY \\| 4.0"] in rows_of(told, "## Data and terms")
        recipe = rows_of(told, "## Recipe")
        assert [cell.strip(" |") for row in recipe for cell in row] == [
            "`recipe.rate`", "0.035", "`recipe.minutes`", "–", "`head_validation.after`", "0.18613",
        ]  # fmt: skip

    def test_it_tells_verdicts_as_counts(self, note):
        rows = rows_of(card.model_card(note, []), "On people whom nothing")
        assert rows[1][:3] == ["two people", "1,000", "1 (0.10 %)"]

    def test_it_says_what_it_is_for_and_what_not_and_warns_of_the_teacher(self, note):
        told = " ".join(card.model_card(note, []).split())
        for said in ("**Meant for**", "**Refused**", "MS1M", "surely in LFW and CelebA", "No liveness check"):
            assert said in told

    def test_every_figure_of_a_run_stands_with_interval_and_counts(self, note):
        run = pairs_run(note)
        told = card.model_card(note, [run])
        assert f"{run['genuine']:,} genuine and {run['impostor']:,} impostor pairs, 80 people; 2 of 99 photos" in told
        rows = {row[0].strip("| "): row for row in rows_of(told, "impostor pairs, 80 people")}
        assert rows["accuracy"][1] == f"{100 * run['accuracy']:.2f} %"
        low, high = (100 * run["intervals"]["accuracy"][end] for end in ("low", "high"))
        assert rows["accuracy"][2].strip("| ") == f"{low:.2f} to {high:.2f} %"
        assert "not claimed" in rows["FNMR at FMR 0.01 %"][2]
        assert "`facial-recognition evaluate --pairs x`" in told

    def test_calibration_is_held_to_its_promise(self, note):
        run = pairs_run(note)
        assert "does not keep" in card.model_card(note, [run | {"ece": 0.031, "calibration_loss": 0.01}])
        assert "Calibration keeps" in card.model_card(note, [run | {"ece": 0.03, "calibration_loss": 0.02}])
        assert "does not keep" in card.model_card(note, [run | {"ece": 0.03, "calibration_loss": 0.021}])

    def test_groups_have_their_table(self, note):
        told = card.model_card(note, [pairs_run(note, groups={"gender=f": pairs_run(note)})])
        [row] = rows_of(told, "| pairs within")
        assert row[0].strip("| ") == "gender=f"

    def test_strangers_have_rates_within_and_failures(self, note):
        run = strangers_run(note)
        told = card.model_card(note, [run])
        rate = run["operating_points"][0]["within"]["race"]["x"]
        assert f"| within race=x | {100 * rate['rate']:.2f} %" in told
        assert f"{rate['errors']:,} of {rate['trials']:,} |" in told
        assert "| gender=m | 0.00 % (no error seen: at most" in told

    def test_worse_photos_have_every_step(self, note):
        step = pairs_run(note) | {"step": "3 %", "value": 3}
        run = {
            "measured": "Worse photos", "command": "c", "weights": card.weights_id(note),
            "unchanged": step, "degraded": {"blur": {"label": "spread", "steps": [step, step]}},
        }  # fmt: skip
        rows = rows_of(card.model_card(note, [run]), "*blur*: spread")
        assert [row[1] for row in rows] == ["", "3 %", "3 %"]

    def test_the_recipe_is_told_as_it_is(self, note):
        assert "| trial | result |" in card.model_card(note, [], "| trial | result |\n|---|---|\n| a | b |")


class TestCommand:
    def run(self, *arguments):
        return CliRunner().invoke(main, ["model-card", *map(str, arguments)])

    def test_it_writes_the_card(self, weights, tmp_path):
        told = json.loads(weights.with_suffix(".json").read_text())
        (tmp_path / "a.json").write_text(json.dumps(pairs_run(told)))
        assert self.run(tmp_path / "a.json", "--weights", weights, "--out", tmp_path / "card.md").exit_code == 0
        assert "### Pairs of x" in (tmp_path / "card.md").read_text(encoding="utf-8")

    def test_runs_of_other_weights_are_refused(self, weights, tmp_path):
        (tmp_path / "a.json").write_text(json.dumps({"weights": "others@123"}))
        told = self.run(tmp_path / "a.json", "--weights", weights, "--out", tmp_path / "card.md")
        assert told.exit_code == 2
        assert "a.json was measured with others@123" in told.stderr
        assert not (tmp_path / "card.md").exists()

    def test_a_recipe_in_another_encoding_is_named(self, weights, tmp_path):
        (tmp_path / "recipe.md").write_bytes("Größe".encode("latin-1"))
        told = self.run("--weights", weights, "--recipe", tmp_path / "recipe.md", "--out", tmp_path / "card.md")
        assert told.exit_code == 2
        assert "recipe.md is not text in UTF-8" in told.stderr

    @pytest.mark.parametrize("text", ["", "[]", '{"measured": "x"}', '{"weights": "WEIGHTS", "measured": "x"}'])
    def test_what_is_no_run_is_one_clean_line(self, weights, tmp_path, text):
        named = card.weights_id(json.loads(weights.with_suffix(".json").read_text()))
        (tmp_path / "a.json").write_text(text.replace("WEIGHTS", named))
        told = self.run(tmp_path / "a.json", "--weights", weights, "--out", tmp_path / "card.md")
        assert (told.exit_code, len(told.stderr.splitlines())) == (2, 1)


def test_the_committed_card_is_what_the_committed_figures_make():
    """After a change of weights or figures: `make figures`, or `make model-card` if the figures are there."""
    note = json.loads((ROOT / "siamese_model_final.json").read_text(encoding="utf-8"))
    runs = [json.loads(run.read_text(encoding="utf-8")) for run in RUNS]
    assert runs
    assert {run["weights"] for run in runs} == {card.weights_id(note)}
    recipe = RECIPE.read_text(encoding="utf-8") if RECIPE.exists() else ""
    assert CARD.read_text(encoding="utf-8") == card.model_card(note, runs, recipe)


def test_the_committed_figures_name_no_photo_and_no_machine():
    for run in RUNS:
        text = run.read_text(encoding="utf-8")
        assert not json.loads(text).get("failed_photos")
        assert not re.search(r'"/|\.jpg|\.png|/root|/home|/work', text)
        assert len(text) < 150_000
