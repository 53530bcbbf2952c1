"""evaluate from a terminal: every source of pairs, every file it writes."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scored_pairs import random_pairs, ten_folds
from weights_files import random_arrays, write_h5, write_note, write_weights_files

from flaskapp import evaluation
from flaskapp.cli.program import main
from flaskapp.evaluation.curves import evaluate_folds
from flaskapp.pairs.lists import read_pairs, read_scores, write_scores_csv
from flaskapp.verifier import Verifier
from flaskapp.weights.runtime import Runtime


def run(*arguments, code=0):
    result = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    assert "Traceback" not in result.output
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_note(write_weights_files(tmp_path_factory.mktemp("weights")), (0.4, 0.6))


@pytest.fixture(scope="module")
def people(tmp_path_factory, hopper, collins):
    folder = tmp_path_factory.mktemp("people")
    for person, photo in (("hopper", hopper), ("collins", collins)):
        (folder / person).mkdir()
        for number in (1, 2):
            (folder / person / f"{number}.jpg").write_bytes(photo)
    Image.new("RGB", (200, 200), "grey").save(folder / "hopper" / "nobody.png")
    return folder


@pytest.fixture(scope="module")
def graded(people, tmp_path_factory):
    """Return weights by which one of both people's photos are good and the other's poor."""
    arrays = random_arrays()
    arrays["embedding/kernel"] *= np.float32(0.02)
    weights = write_note(write_h5(tmp_path_factory.mktemp("graded") / "graded.h5", arrays), (0.4, 0.6))
    photos = [people / person / "1.jpg" for person in ("hopper", "collins")]
    sure = [Verifier(Runtime(weights)).embed(photo)[0].quality.certainty for photo in photos]
    write_note(weights, (0.4, 0.6), grade_bounds=[max(sure)] * 2)
    return weights


@pytest.fixture
def peer(tmp_path):
    """Return a list of a peer's scores: cosines, some of them tied, none of them a chance."""
    scores, same = random_pairs(900, decimals=3, seed=8)
    rows = ["reference,probe,same,similarity_score,reference_person,probe_person"]
    for number, (score, kind) in enumerate(zip(scores, same, strict=True)):
        first, second = f"p{number % 50}", f"p{number % 50 if kind else (number + 1) % 50}"
        rows.append(f"{first}/{number}.jpg,{second}/b{number}.jpg,{int(kind)},{2 * score - 1!r},{first},{second}")
    path = tmp_path / "peer.csv"
    path.write_text("\n".join(rows).replace("np.float64(", "").replace(")", "") + "\n", encoding="utf-8")
    return path


class TestPeersScores:
    def test_figures_are_those_of_its_scores(self, peer, tmp_path):
        metrics = pytest.importorskip("sklearn.metrics")
        told = run("--scores-from", peer, "--threshold", "0.1", "--band", "0", "0.2", "--json", tmp_path / "a.json")
        figures = json.loads((tmp_path / "a.json").read_text())
        pairs, scores = read_scores(peer)
        same = [pair.same for pair in pairs]
        assert figures["auc"] == pytest.approx(metrics.roc_auc_score(same, scores), abs=1e-9)
        assert figures["accuracy"] == np.mean((scores >= 0.1) == same)
        assert (figures["threshold_chosen_here"], figures["inconclusive_band"]) == (False, [0, 0.2])
        assert figures["interval_method"]["drawn"] == "person"
        assert figures["interval_method"]["count"] == 50
        assert figures["ece"] is None
        assert "scores from 0 to 1" in told.stdout

    def test_without_a_threshold_it_takes_the_best_and_says_that_this_flatters(self, peer, tmp_path):
        told = run("--scores-from", peer, "--json", tmp_path / "a.json")
        assert "chosen on these very pairs" in told.stdout
        figures = json.loads((tmp_path / "a.json").read_text())
        pairs, scores = read_scores(peer)
        assert figures["threshold_chosen_here"]
        assert figures["threshold"] == evaluation.choose_threshold(scores, [pair.same for pair in pairs])

    def test_scores_as_large_as_they_may_be_are_evaluated(self, tmp_path):
        rows = ("a,b,1,1e300", "a,c,0,-1e300", "a,d,1,5e299", "a,e,0,0")
        (tmp_path / "a.csv").write_text("\n".join(("reference,probe,same,similarity_score", *rows)))
        run("--scores-from", tmp_path / "a.csv", "--json", tmp_path / "a.json")
        assert json.loads((tmp_path / "a.json").read_text())["auc"] == 1

    def test_our_own_scores_give_our_own_figures(self, people, weights, tmp_path):
        run("--people", people, "--weights", weights, "--scores", tmp_path / "a.csv", "--json", tmp_path / "a.json")
        run(
            *("--scores-from", tmp_path / "a.csv", "--threshold", "0.5", "--band", "0.4", "0.6"),
            *("--json", tmp_path / "b.json"),
        )
        first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
        for told in (first, second):
            for key in ("weights", "measured", "command", "failed_photos", "photos_failed", "by_grades"):
                del told[key]
        assert first == second


class TestPeople:
    def test_all_pairs_with_the_failures_counted(self, people, weights, tmp_path):
        told = run(
            "--people", people, "--weights", weights, "--json", tmp_path / "a.json", "--scores", tmp_path / "a.csv"
        )
        figures = json.loads((tmp_path / "a.json").read_text())
        assert (figures["genuine"], figures["impostor"], figures["photos"]) == (4, 6, 5)
        assert figures["failures"] == {"genuine": 2, "impostor": 2}
        assert list(figures["failed_photos"]) == ["hopper/nobody.png"]
        assert "4 pairs, counted as non-match" in told.stdout
        with (tmp_path / "a.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert {(row["reference_person"], row["probe_person"]) for row in rows if row["same"] == "1"} == {
            ("hopper", "hopper"), ("collins", "collins"),
        }  # fmt: skip

    def test_some_impostors(self, people, weights, tmp_path):
        run("--people", people, "--weights", weights, "--impostors", 3, "--json", tmp_path / "a.json")
        figures = json.loads((tmp_path / "a.json").read_text())
        assert (figures["genuine"], figures["impostor"]) == (4, 3)
        assert "3 impostor pairs by chance, seed 0" in figures["measured"]


class TestGrades:
    def test_pairs_are_counted_by_the_grades_of_both_photos(self, people, graded, tmp_path, monkeypatch):
        monkeypatch.setattr("flaskapp.cli.measuring.FEWEST", 1)
        told = run("--people", people, "--weights", graded, "--json", tmp_path / "a.json").stdout
        figures = json.loads((tmp_path / "a.json").read_text())
        assert {name: (part["genuine"], part["impostor"]) for name, part in figures["by_grades"].items()} == {
            "good and good": (1, 0), "good and poor": (0, 4), "poor and poor": (1, 0),
        }  # fmt: skip
        assert "impostor.match" in figures["by_grades"]["good and poor"]["intervals"]
        assert {name: (part["genuine"], part["impostor"]) for name, part in figures["by_worse_grade"].items()} == {
            "poor": (1, 4)
        }
        assert figures["by_worse_grade"]["poor"]["ece"] is not None
        lines = [line.split("  ")[1:] for line in told.splitlines()]
        assert [" ".join(line[:1]) for line in lines if line and " and " in line[0]] == list(figures["by_grades"])
        assert "  worse photo  ECE" in told

    def test_too_few_pairs_have_no_ece_of_their_own(self, people, graded, tmp_path):
        told = run("--people", people, "--weights", graded, "--json", tmp_path / "a.json").stdout
        assert json.loads((tmp_path / "a.json").read_text())["by_worse_grade"] == {}
        assert "good and poor" in told and "worse photo" not in told

    def test_a_list_of_scores_has_no_grades(self, peer, tmp_path):
        told = run("--scores-from", peer, "--json", tmp_path / "a.json").stdout
        assert json.loads((tmp_path / "a.json").read_text())["by_grades"] == {}
        assert "good and" not in told

    def test_the_report_has_the_tables(self, people, graded, tmp_path, monkeypatch):
        pytest.importorskip("matplotlib")
        monkeypatch.setattr("flaskapp.cli.measuring.FEWEST", 1)
        run("--people", people, "--weights", graded, "--report", tmp_path / "a.html")
        page = (tmp_path / "a.html").read_text(encoding="utf-8")
        assert all(told in page for told in ("Verdicts by quality", "Calibration by quality", "good and poor"))


class TestViews:
    def test_view_2_tells_mean_and_standard_error(self, tmp_path):
        pairs = read_pairs(ten_folds(tmp_path / "pairs.txt", each=2))
        scores = np.random.default_rng(0).normal([pair.same for pair in pairs])
        write_scores_csv(tmp_path / "scores.csv", pairs, scores, (0.5, 0.5))
        told = run("--scores-from", tmp_path / "scores.csv", "--threshold", "0.5", "--json", tmp_path / "a.json")
        view_2 = json.loads((tmp_path / "a.json").read_text())["view_2"]
        expected = evaluate_folds(scores, [pair.same for pair in pairs], [pair.fold for pair in pairs])
        assert view_2 == expected.to_json()
        assert "view 2: mean accuracy" in told.stdout
        assert "10 folds, 40 pairs" in told.stdout

    @pytest.mark.parametrize("option", ["--pairs", "--scores-from"])
    def test_folds_that_cannot_judge_each_other_are_refused_before_any_photo_is_read(
        self, people, weights, tmp_path, monkeypatch, option
    ):
        monkeypatch.setattr("flaskapp.cli.measuring.score_pairs", None)
        rows = ("hopper/1.jpg,hopper/2.jpg,1,0,0.5", "hopper/1.jpg,collins/1.jpg,0,1,0.5")
        (tmp_path / "a.csv").write_text("\n".join(("reference,probe,same,fold,similarity_score", *rows)))
        photos = ("--root", people, "--weights", weights) if option == "--pairs" else ()
        told = run(option, tmp_path / "a.csv", *photos, code=2)
        assert "fold 0, which" in told.stderr

    def test_folds_that_failures_leave_one_kind_are_told(self, people, weights, tmp_path):
        rows = ("hopper/1.jpg,hopper/2.jpg,1,0", "hopper/1.jpg,collins/1.jpg,0,0", "hopper/1.jpg,hopper/nobody.png,1,1")
        rows += ("hopper/2.jpg,collins/1.jpg,0,1",)
        (tmp_path / "a.csv").write_text("\n".join(("reference,probe,same,fold", *rows)))
        told = run("--pairs", tmp_path / "a.csv", "--root", people, "--weights", weights)
        line = next(line for line in told.stdout.splitlines() if "view 2" in line)
        assert "not claimed: The threshold of fold 0" in line


class TestGroups:
    def test_rates_by_group_with_counts(self, people, weights, tmp_path):
        (tmp_path / "groups.csv").write_text(
            "path,service,name\nhopper/1.jpg,navy,g\nhopper/2.jpg,navy,g\ncollins/1.jpg,nasa,e\ncollins/2.jpg,nasa,e\n"
        )
        told = run(
            *("--people", people, "--weights", weights, "--labels", tmp_path / "groups.csv", "--by", "service"),
            *("--json", tmp_path / "a.json"),
        )
        groups = json.loads((tmp_path / "a.json").read_text())["groups"]
        assert {name: (group["genuine"], group["impostor"]) for name, group in groups.items()} == {
            "service=nasa": (1, 0), "service=navy": (1, 0), "alike in service": (4, 0),
        }  # fmt: skip
        assert "service=navy" in told.stdout


class TestFiles:
    def test_the_report_is_one_page_without_a_face(self, people, weights, tmp_path):
        pytest.importorskip("matplotlib")
        run("--people", people, "--weights", weights, "--report", tmp_path / "a.html")
        page = (tmp_path / "a.html").read_text(encoding="utf-8")
        assert page.count("data:image/png;base64,") == 4
        for told in ("Figures", "Verdicts", "Calibration", "Failures to acquire", "hopper/nobody.png"):
            assert told in page
        assert "<script" not in page
        assert "http" not in page.replace("http-equiv", "")

    @pytest.mark.usefixtures("nobody_reads")
    def test_every_file_is_written_where_nobody_reads_the_figures(self, people, weights, tmp_path):
        pytest.importorskip("matplotlib")
        files = ("--json", tmp_path / "a.json", "--scores", tmp_path / "a.csv", "--plots", tmp_path)
        run("--people", people, "--weights", weights, *files, code=2)
        written = ["a.csv", "a.json", "det.png", "reliability.png", "roc.png", "scores.png"]
        assert sorted(file.name for file in tmp_path.iterdir()) == written

    @pytest.mark.parametrize("option", ["--json", "--scores", "--report"])
    def test_on_a_full_disk_an_earlier_file_stays_and_the_message_names_it(
        self, people, weights, tmp_path, full_disk, option
    ):
        if option == "--report":
            pytest.importorskip("matplotlib")
        path = tmp_path / "earlier.html"
        path.write_text("earlier")
        with full_disk():
            told = run("--people", people, "--weights", weights, option, path, code=2)
        assert str(path) in told.stderr
        assert "EER" in told.stdout
        assert [file.read_text() for file in tmp_path.iterdir()] == ["earlier"]

    def test_the_command_that_measured_can_be_typed_again(self, peer, tmp_path):
        peer = peer.rename(tmp_path / "my scores.csv")
        (tmp_path / "labels.csv").write_text("path,skin tone,age\np0/0.jpg,x,y\n")
        asked = (
            *("--scores-from", peer, "--threshold", "0.5", "--band", "0.25", "0.75"),
            *("--labels", tmp_path / "labels.csv", "--by", "skin tone", "--by", "age"),
        )
        run(*asked, "--without-names", "--json", tmp_path / "a.json", "--scores-from", peer)
        told = json.loads((tmp_path / "a.json").read_text())["command"]
        names = [word.name if isinstance(word, Path) else word for word in asked]
        assert shlex.split(told) == ["facial-recognition", "evaluate", *names]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give one of --pairs, --people, --scores-from"),
        (["--pairs", "a.csv", "--people", "."], "Give one of"),
        (["--pairs", "a.csv"], "--pairs needs --root"),
        (["--people", ".", "--root", "."], "--root goes with --pairs"),
        (["--pairs", "a.csv", "--root", ".", "--impostors", "3"], "--impostors goes with --people"),
        (["--people", ".", "--threshold", "0.5"], "--threshold goes with --scores-from"),
        (["--scores-from", "a.csv", "--band", "0", "1"], "--band goes with --threshold"),
        (["--scores-from", "a.csv", "--threshold", "2", "--band", "0", "1"], "LOW ≤ threshold ≤ HIGH"),
        (["--people", ".", "--by", "race"], "--by goes with --labels"),
        (["--people", ".", "--report", "a.pdf"], "must end in .html"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_do_not_belong_together_are_refused(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("reference,probe,same\n")
    assert said in run(*arguments, code=2).stderr
