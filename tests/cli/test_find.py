"""``find``: photos on disk in, the photos that show one person out."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from personal_models import COUNTS, write_model
from PIL import Image
from weights_files import random_arrays, write_h5, write_note

from flaskapp.cli import searching
from flaskapp.cli.program import main
from flaskapp.verifier import Verifier
from flaskapp.weights import runtime
from flaskapp.weights.runtime import Runtime
from tests.conftest import PORTRAITS, ROOT

HOPPER, COLLINS = PORTRAITS / "grace_hopper.jpg", PORTRAITS / "eileen_collins.jpg"
BAND = (0.715, 0.8)  # random weights give 0.88 to Hopper's photo beside itself, 0.73 beside Collins's


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    return write_note(write_h5(folder / "random.h5", random_arrays()), BAND)


@pytest.fixture(scope="module")
def loaded(weights) -> Runtime:
    return Runtime(weights)


@pytest.fixture(scope="module")
def album(tmp_path_factory, hopper_pixels, collins_pixels, hopper) -> Path:
    """Return a folder with a photo of Hopper alone to know her by, and a folder of a holiday."""
    folder = tmp_path_factory.mktemp("album")
    day = folder / "holiday" / "day 2"
    day.mkdir(parents=True)
    shutil.copy(HOPPER, folder / "anna.jpg")
    shutil.copy(HOPPER, day / "beach.jpg")
    shutil.copy(COLLINS, folder / "holiday" / "bert.jpg")
    Image.fromarray(np.hstack([collins_pixels, hopper_pixels[:512]])).save(day / "both.png", compress_level=1)
    Image.new("RGB", (200, 150), "grey").save(folder / "holiday" / "sea.png")
    (folder / "holiday" / "cut.jpg").write_bytes(hopper[:9000])
    (folder / "holiday" / "notes.txt").write_text("It rained.")
    if os.name == "posix":
        (day / "back").symlink_to("..", target_is_directory=True)
    return folder


@pytest.fixture
def run(monkeypatch, loaded, album, tmp_path):
    """Stand in a copy of the album, and run the command there."""
    shutil.copytree(album, tmp_path / "album", symlinks=True)
    monkeypatch.chdir(tmp_path / "album")
    monkeypatch.setattr(searching, "default_runtime", lambda: loaded)
    return lambda *words: CliRunner().invoke(main, ["find", *map(str, words)])


def rows(told: Result) -> list[list[str]]:
    """Return the cells of the table, without its head."""
    lines = told.stdout.partition("photos: ")[0].splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines[1:] if line]


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def full(*_) -> None:
    raise OSError(28, "No space left on device")


class TestTable:
    def test_the_photos_that_show_her_come_first(self, run):
        told = run("anna.jpg", "holiday")
        assert told.exit_code == 0, told.output
        found = [(Path(photo).as_posix(), face, decision, grade) for photo, face, decision, _, grade in rows(told)]
        assert found == [
            ("holiday/day 2/beach.jpg", "1 of 1", "match", "good"),
            ("holiday/day 2/both.png", "2 of 2", "match", "good"),
            ("holiday/bert.jpg", "1 of 1", "inconclusive", "good"),
        ]
        # Processors round differently, so the fourth digit is this machine's own.
        assert [float(score) for *_, score, _ in rows(told)] == pytest.approx([0.8808, 0.8662, 0.7746], abs=1e-3)

    def test_all_photos_and_faces_are_accounted_for(self, run):
        told = run("anna.jpg", "holiday")
        photos, faces, expected, *_ = told.stdout.split("\n\n")[1].splitlines()
        assert photos == "photos: 5: match 2, inconclusive 1, without a face 1, cannot be used 1"
        assert faces == "faces: 4, compared with anna.jpg: good 4"
        assert expected.startswith("Were all 4 faces strangers', 0.004 ")

    def test_faces_that_were_not_looked_for_are_no_faces_that_are_not_there(self, run):
        Image.new("RGB", (4100, 3000), "grey").save("large.png", compress_level=1)
        told = run("anna.jpg", "large.png")
        assert "without a face 1, so large that faces of 40 pixels were not looked for 1" in told.stdout

    def test_what_is_left_out_is_told_with_the_reason(self, run):
        told = run("anna.jpg", "holiday")
        left_out = [line.strip() for line in told.stderr.splitlines()]
        assert [line for line in left_out if line.startswith("cannot be used: ")] == [
            f"cannot be used: {Path('holiday/cut.jpg')}: The end of this JPEG photo is missing."
        ]
        passed_over = {line.split(": ")[1] for line in left_out if line.startswith("passed over: ")}
        loop = {str(Path("holiday/day 2/back"))} if os.name == "posix" else set()
        assert passed_over == {str(Path("holiday/notes.txt")), *loop}

    def test_a_photo_counts_once_however_it_is_reached(self, run):
        shutil.copy("anna.jpg", "holiday/day 2/anna.jpg")
        Path("link.jpg").symlink_to(Path("holiday/bert.jpg").resolve())
        told = run("holiday/day 2/anna.jpg", "link.jpg", "holiday", "holiday/day 2", "holiday/bert.jpg")
        assert "photos: 5: " in told.stdout
        assert "day 2/anna.jpg: It is one of the references." in told.stderr

    def test_nobody_found_is_told_and_no_error(self, run):
        told = run("anna.jpg", "holiday/sea.png")
        assert (told.exit_code, rows(told)) == (0, [])
        assert told.stdout.startswith("photos: 1: without a face 1\n")

    def test_of_the_inconclusive_the_best_are_shown(self, run, monkeypatch):
        monkeypatch.setattr(searching, "MOST_INCONCLUSIVE", 0)
        told = run("anna.jpg", "holiday")
        assert [row[2] for row in rows(told)[:-1]] == ["match", "match"]
        assert "and 1 more inconclusive" in told.stdout

    def test_a_second_face_that_matches_is_named(self, run, hopper_pixels):
        Image.fromarray(np.hstack([hopper_pixels, hopper_pixels])).save("twice.png", compress_level=1)
        ((_, place, *_),) = rows(run("anna.jpg", "twice.png"))
        assert re.fullmatch("1 of 2, also 2|2 of 2, also 1", place)

    def test_of_many_faces_that_match_a_few_are_named(self, run, hopper_pixels):
        Image.fromarray(np.hstack([hopper_pixels] * 8)).save("crowd.png", compress_level=1)
        ((_, place, *_),) = rows(run("anna.jpg", "crowd.png"))
        assert re.fullmatch(r"\d of 8, also (\d, ){4}\d and 2 more", place)


class TestReferences:
    def test_a_folder_of_one_person_is_read_and_what_cannot_serve_is_told(self, run):
        Path("anna").mkdir()
        for name in ("1.jpg", "2.jpg"):
            shutil.copy("anna.jpg", f"anna/{name}")
        shutil.copy("holiday/day 2/both.png", "anna/both.png")
        told = run("anna", "holiday", "--json")
        assert [Path(one["photo"]).name for one in json.loads(told.stdout)["references"]] == ["1.jpg", "2.jpg"]
        assert "reference left out: anna" in told.stderr

    def test_of_many_those_serve_of_which_the_network_is_surest(self, run, monkeypatch):
        monkeypatch.setattr(runtime, "MOST_REFERENCES", 1)
        Path("anna").mkdir()
        for photo in (HOPPER, COLLINS):
            shutil.copy(photo, "anna")
        told = json.loads(run("anna", "holiday", "--json").stdout)
        assert [Path(one["photo"]).name for one in told["references"]] == ["eileen_collins.jpg"]

    def test_one_that_was_read_and_not_chosen_is_not_found(self, run, monkeypatch):
        monkeypatch.setattr(runtime, "MOST_REFERENCES", 1)
        Path("anna").mkdir()
        for photo in (HOPPER, COLLINS):
            shutil.copy(photo, "anna")
        told = run("anna", "anna", "holiday/bert.jpg", "--json")
        assert [one["photo"] for one in json.loads(told.stdout)["found"]] == [str(Path("holiday/bert.jpg"))]
        assert len(json.loads(told.stdout)["passed_over"]) == 2

    def test_one_that_shows_somebody_else_is_named(self, run, monkeypatch):
        monkeypatch.setattr(Runtime, "odd_ones", lambda _, references: (1,) if len(references) == 3 else ())
        Path("anna").mkdir()
        for number, photo in enumerate((HOPPER, COLLINS, HOPPER)):
            shutil.copy(photo, f"anna/{number}.jpg")
        told = run("anna", "holiday", "--json")
        assert [one["odd"] for one in json.loads(told.stdout)["references"]] == [False, True, False]
        assert [line for line in told.stderr.splitlines() if "does not look like the others" in line] == [
            f"  reference: {Path('anna/1.jpg')}: It does not look like the others. Is it the same person?"
        ]

    @pytest.mark.parametrize("reference", ["holiday/sea.png", "holiday/day 2/both.png", "empty"])
    def test_without_one_that_serves_nothing_is_looked_at(self, run, monkeypatch, reference):
        monkeypatch.setattr(Verifier, "find", lambda *_: pytest.fail("looked"))
        Path("empty").mkdir()
        told = run(reference, "holiday")
        assert (told.exit_code, told.stdout) == (2, "")
        assert f"no photo in {Path(reference)} by which to know the person" in told.stderr
        assert "Choose one by its number" not in told.stderr

    def test_a_personal_model_knows_whom_to_look_for(self, run, tmp_path):
        model = write_model(tmp_path / "my_model", scope=0.5)
        told = run("--model", model, "holiday", "--json")
        assert told.exit_code == 0, told.output
        answer = json.loads(told.stdout)
        assert answer["model"].startswith("my_model@")
        assert Path(answer["found"][0]["photo"]).as_posix() == "holiday/day 2/beach.jpg"
        assert answer["references"] == []
        assert answer["expected_false_matches"]["matches"] == pytest.approx(4 * COUNTS["impostor"]["match"] / 10_000)

    def test_other_weights_take_references_as_ever(self, run, weights):
        told = run("--model", weights, "anna.jpg", "holiday")
        assert len(rows(told)) == 3
        assert run("--model", weights, "holiday").exit_code == 2


class TestOutputs:
    def test_the_json_holds_all_there_is(self, run):
        told = json.loads(run("anna.jpg", "holiday", "--json").stdout)
        assert (told["photos"]["all"], told["photos"]["looked_at"], told["faces"]["compared"]) == (5, 5, {"good": 4})
        assert told["inconclusive_band"] == list(BAND)
        assert [Path(name).name for name in told["without_face"]] == ["sea.png"]
        assert {Path(name).name: error["code"] for name, error in told["failed"].items()} == {
            "cut.jpg": "truncated_photo"
        }
        assert "notes.txt" in {Path(name).name for name in told["passed_over"]}
        first, *_ = told["found"]
        assert first.keys() >= {"photo", "decision", "similarity_score", "number", "faces", "quality", "box_xyxy"}
        assert told["expected_false_matches"]["matches"] == pytest.approx(4 / 1000)

    def test_the_csv_has_a_line_for_each_photo_found(self, run):
        assert run("anna.jpg", "holiday", "--csv", "out.csv").exit_code == 0
        with Path("out.csv").open(encoding="utf-8", newline="") as file:
            found = list(csv.DictReader(file))
        assert [(Path(row["photo"]).name, row["decision"], row["number"]) for row in found] == [
            ("beach.jpg", "match", "1"),
            ("both.png", "match", "2"),
            ("bert.jpg", "inconclusive", "1"),
        ]
        assert all(len(row["box_xyxy"].split()) == 4 for row in found)

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such names cannot exist")
    def test_names_that_are_no_text_come_out_as_they_are(self, run):
        name = os.fsdecode(b"\xff,\n.jpg")
        shutil.copy("anna.jpg", name)
        told = run("anna.jpg", name, "--csv", "out.csv", "--json")
        assert json.loads(told.stdout)["found"][0]["photo"] == name
        assert run(name, "holiday", "--plot", "out.html").exit_code == 0
        with Path("out.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            assert next(csv.DictReader(file))["photo"] == name

    def test_photos_that_match_are_copied_and_nothing_is_replaced(self, run):
        Path("found").mkdir()
        Path("found/beach.jpg").write_text("dear to me")
        Path("found/both.png").symlink_to("nowhere")
        for count, there in ((2, 0), (0, 2)):
            told = run("anna.jpg", "holiday", "--copy-to", "found")
            assert f"Copied: {count} photos" in told.stderr
            assert told.stderr.count(f"; {there} already there") == (there > 0)
            assert files(Path("found")) == {"beach.jpg", "beach-2.jpg", "both.png", "both-2.png"}
        assert Path("found/beach.jpg").read_text() == "dear to me"
        assert Path("found/beach-2.jpg").read_bytes() == Path("holiday/day 2/beach.jpg").read_bytes()

    def test_one_photo_is_called_one(self, run):
        Path("anna").mkdir()
        shutil.copy("anna.jpg", "anna")
        told = run("anna", "holiday/day 2/beach.jpg", "--copy-to", "found")
        assert "with 1 photo in anna:" in told.stdout
        assert "Copied: 1 photo into" in told.stderr

    def test_no_reference_is_written_over_be_it_of_use_or_not(self, run, hopper):
        Path("anna").mkdir()
        shutil.copy("anna.jpg", "anna/1.jpg")
        Path("anna/cut.png").write_bytes(hopper[:9000])
        before = Path("anna/cut.png").read_bytes()
        told = run("anna", "holiday", "--plot", "anna/cut.png")
        assert (told.exit_code, "would be overwritten" in told.stderr) == (2, True)
        assert Path("anna/cut.png").read_bytes() == before

    def test_copies_are_not_searched_again(self, run):
        run("anna.jpg", ".", "--copy-to", "found")
        told = run("anna.jpg", ".", "--copy-to", "found")
        assert "Copied: 0 photos" in told.stderr
        assert "beach.jpg: It lies where copies go." in told.stderr

    def test_half_a_copy_is_none(self, run, monkeypatch):
        monkeypatch.setattr(shutil, "copystat", full)
        told = run("anna.jpg", "holiday", "--copy-to", "found")
        assert (told.exit_code, str(Path("found/beach.jpg")) in told.stderr) == (2, True)
        assert files(Path("found")) == set()

    @pytest.mark.parametrize(("option", "name"), [("--csv", "out.csv"), ("--plot", "out.html")])
    def test_where_there_is_no_room_the_earlier_file_stays_and_is_named(self, run, full_disk, option, name):
        pytest.importorskip("matplotlib")
        Path(name).write_text("of an earlier run")
        with full_disk():
            told = run("anna.jpg", "holiday", option, name)
        assert (told.exit_code, name in told.stderr) == (2, True)
        assert Path(name).read_text() == "of an earlier run"

    @pytest.mark.usefixtures("nobody_reads")
    def test_what_was_asked_for_is_written_though_nobody_reads_the_answer(self, run):
        pytest.importorskip("matplotlib")
        words = "--csv", "out.csv", "--copy-to", "found", "--plot", "out.png"
        assert run("anna.jpg", "holiday", *words).exit_code == 2
        assert Path("out.csv").exists() and Path("out.png").exists()
        assert files(Path("found")) == {"beach.jpg", "both.png"}

    def test_the_answer_is_told_though_it_cannot_be_written(self, run, monkeypatch):
        monkeypatch.setattr(searching, "_write_csv", full)
        told = run("anna.jpg", "holiday", "--csv", "out.csv")
        assert (told.exit_code, len(rows(told))) == (2, 3)

    def test_nothing_is_written_but_what_was_asked_for(self, run, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path))
        before = files(tmp_path)
        run("anna.jpg", "holiday")
        assert files(tmp_path) == before

    @pytest.mark.parametrize("name", ["sheet.png", "page.html"])
    def test_what_is_read_is_not_written_over(self, run, name):
        pytest.importorskip("matplotlib")
        shutil.copy("holiday/bert.jpg", f"holiday/{name}")
        told = run("anna.jpg", "holiday", "--plot", f"holiday/{name}")
        assert (told.exit_code, "would be overwritten" in told.stderr) == (2, True)


class TestPictures:
    def test_the_page_holds_every_face_and_nothing_from_elsewhere(self, run):
        pytest.importorskip("matplotlib")
        assert run("anna.jpg", "holiday", "--plot", "out.html").exit_code == 0
        page = Path("out.html").read_text(encoding="utf-8")
        assert len(re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt="[^"]+"', page)) == 4
        assert re.findall(r'(?:src|href)="(?!data:)', page) == []
        assert [name in page for name in ("beach.jpg", "both.png", "bert.jpg")] == [True] * 3
        assert len(page) < 60_000

    def test_names_cannot_become_a_part_of_the_page(self, run):
        pytest.importorskip("matplotlib")
        shutil.copy("anna.jpg", "<script>.jpg")
        run("anna.jpg", "<script>.jpg", "--plot", "out.html")
        assert "<script" not in Path("out.html").read_text(encoding="utf-8")

    def test_only_the_best_are_drawn_however_many_there_are(self, run, monkeypatch):
        pytest.importorskip("matplotlib")
        monkeypatch.setattr(searching, "MOST_DRAWN", 1)
        run("anna.jpg", "holiday", "--plot", "out.html")
        page = Path("out.html").read_text(encoding="utf-8")
        assert page.count("<img ") == 2
        assert "1 more, not shown" in page

    def test_a_contact_sheet_is_a_picture(self, run):
        pytest.importorskip("matplotlib")
        assert run("anna.jpg", "holiday", "--plot", "out.png").exit_code == 0
        with Image.open("out.png") as sheet:
            assert min(sheet.size) > 400

    def test_nobody_found_can_be_drawn_too(self, run):
        pytest.importorskip("matplotlib")
        for name in ("out.png", "out.html"):
            assert run("anna.jpg", "holiday/sea.png", "--plot", name).exit_code == 0
            assert Path(name).stat().st_size > 1000


def searching_note(*bars: tuple[float, float]) -> dict[str, object]:
    """Return what a note tells of bars: (score, share of strangers' faces that reach it)."""
    return {
        "1": [
            {
                "fmr": share,
                "score": score,
                "strangers": {
                    grade: {"match": round(1e6 * share), "faces": 1_000_000, "interval": [share / 2, 2 * share]}
                    for grade in ("good", "fair", "poor")
                },
            }
            for score, share in bars
        ]
    }


class TestStrict:
    @pytest.fixture
    def told(self, run, tmp_path, weights):
        def told(*bars: tuple[float, float], words: tuple[str, ...] = ("--strict",)) -> tuple[dict, str]:
            counts = {"genuine": {"match": 9, "inconclusive": 0, "non_match": 1}}
            counts["impostor"] = {"match": 3, "inconclusive": 0, "non_match": 7}
            own = shutil.copy(weights, tmp_path / "own.h5")
            write_note(own, BAND, error_counts=counts, searching=searching_note((BAND[1], 0.3), *bars))
            result = run("--model", own, "anna.jpg", "holiday", *words)
            return json.loads(run("--model", own, "anna.jpg", "holiday", "--json", *words).stdout), result.stdout

        return told

    def test_the_bar_is_raised_until_less_than_one_false_match_is_expected(self, told):
        answer, words = told((0.83, 0.2), (0.85, 0.1), (0.89, 0.01))
        assert answer["inconclusive_band"] == [BAND[0], 0.85]
        assert answer["expected_false_matches"]["matches"] == pytest.approx(0.4)
        assert answer["expected_false_matches"]["interval"] == pytest.approx([0.2, 0.8])
        assert [one["decision"] for one in answer["found"]] == ["match", "match", "inconclusive"]
        assert "match from 0.850000 on" in words

    def test_what_does_not_reach_it_is_inconclusive(self, told):
        answer, _ = told((0.89, 0.1))
        assert [one["decision"] for one in answer["found"]] == ["inconclusive"] * 3

    def test_where_the_measurement_ends_the_answer_says_so(self, told):
        answer, words = told((0.85, 0.25))
        assert answer["inconclusive_band"][1] == 0.85
        assert answer["expected_false_matches"]["matches"] == pytest.approx(1.0)
        assert "no bar above 0.850000 was measured" in words

    def test_where_no_higher_bar_was_measured_none_is_offered(self, told):
        _, words = told(words=())
        assert "--strict" not in words
        assert "no bar above 0.800000 was measured" in words

    def test_a_damaged_note_is_told_before_the_search(self, run, monkeypatch, tmp_path, weights):
        monkeypatch.setattr(Verifier, "find", lambda *_: pytest.fail("looked"))
        own = write_note(Path(shutil.copy(weights, tmp_path / "own.h5")), BAND, searching={"1": [{}]})
        told = run("--model", own, "anna.jpg", "holiday")
        assert (told.exit_code, "searching is damaged" in told.stderr) == (2, True)

    def test_without_it_the_band_decides_and_the_answer_offers_it(self, told):
        answer, words = told((0.87, 0.1), words=())
        assert answer["inconclusive_band"] == list(BAND)
        assert "--strict" in words


class TestUsage:
    @pytest.mark.parametrize("words", [(), ("anna.jpg",), ("anna.jpg", "none"), ("none", "holiday")])
    def test_it_takes_a_reference_and_somewhere_to_look(self, run, words):
        assert run(*words).exit_code == 2

    def test_a_folder_without_photos_is_said_to_have_none(self, run):
        Path("empty").mkdir()
        told = run("anna.jpg", "empty")
        assert (told.exit_code, "no photos to look at in empty" in told.stderr) == (2, True)

    @pytest.mark.parametrize(
        ("words", "what"), [(["anna.jpg"], "references"), (["holiday", "--copy-to", "holiday"], "copies")]
    )
    def test_where_all_photos_were_passed_over_that_is_said(self, run, words, what):
        told = run("anna.jpg", *words)
        assert (told.exit_code, told.stdout) == (2, "")
        assert what in told.stderr.splitlines()[-1]
        assert "JPEG" not in told.stderr.splitlines()[-1]

    def test_where_no_photo_could_be_used_that_is_no_success(self, run):
        told = run("anna.jpg", "holiday/cut.jpg")
        assert (told.exit_code, "cannot be used 1" in told.stdout) == (2, True)


class TestStopping:
    def test_ctrl_c_ends_with_what_was_found_so_far(self, run, monkeypatch):
        pytest.importorskip("matplotlib")
        find = Verifier.find

        def three(*given):
            findings = find(*given)
            for _ in range(3):
                yield next(findings)
            raise KeyboardInterrupt

        monkeypatch.setattr(Verifier, "find", three)
        told = run("anna.jpg", "holiday", "--csv", "out.csv", "--copy-to", "found", "--plot", "out.html")
        assert (told.exit_code, told.stderr.splitlines()[-1]) == (130, "Stopped.")
        assert "photos: 3 of 5, stopped there: " in told.stdout
        assert len(Path("out.csv").read_text().splitlines()) == 1 + len(rows(told))
        assert files(Path("found")) == {"beach.jpg"}
        assert Path("out.html").exists()

    @pytest.mark.skipif(os.name != "posix", reason="a pipe as a photo is a Unix habit")
    def test_a_process_that_is_interrupted_tells_what_it_found(self, weights, album, tmp_path):
        for number in range(3):
            shutil.copy(HOPPER, tmp_path / f"{number}.jpg")
        os.mkfifo(tmp_path / "slow.jpg")
        words = ["find", "--model", weights, album / "anna.jpg", *sorted(tmp_path.glob("?.jpg")), tmp_path / "slow.jpg"]
        command = [sys.executable, "-m", "flaskapp.cli", *map(str, words)]
        settings = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **settings) as process, (tmp_path / "slow.jpg").open("wb") as _:
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
        assert process.returncode == 130
        assert errors.endswith("Stopped.\n")
        assert "Traceback" not in errors
        assert re.search(r"photos: \d of 4, stopped there", output)
