from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from personal_models import write_model
from PIL import Image
from weights_files import write_note, write_weights_files

from flaskapp.cli import measuring
from flaskapp.cli.program import main
from flaskapp.quality import Quality
from flaskapp.weights import runtime
from flaskapp.weights.runtime import Runtime

ALWAYS = {"match": (0.0, 0.0), "non_match": (1.0, 1.0), "inconclusive": (0.0, 1.0)}
"""Bands that leave no other verdict."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Runtime]:
    """Return weights for each verdict that say nothing else."""
    weights = write_weights_files(tmp_path_factory.mktemp("weights"))
    found = {}
    for verdict, band in ALWAYS.items():
        found[verdict] = Runtime(write_note(weights, band, name=verdict))
    return found


@pytest.fixture(autouse=True)
def use(monkeypatch, weights):
    """Return what makes the program answer one verdict to everything; match, unless called."""

    def choose(verdict: str) -> None:
        for module in (runtime, measuring):
            monkeypatch.setattr(module, "default_runtime", lambda: weights[verdict])

    choose("match")
    return choose


@pytest.fixture(scope="module")
def files(tmp_path_factory, hopper, collins, hopper_pixels, collins_pixels) -> Path:
    """Return a folder of good and bad photos."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "hopper.jpg").write_bytes(hopper)
    (folder / "collins.jpg").write_bytes(collins)
    Image.fromarray(np.hstack([hopper_pixels[:512], collins_pixels])).save(folder / "both women.png", compress_level=1)
    Image.fromarray(np.rot90(hopper_pixels)).save(folder / "on its side.png", compress_level=1)
    Image.new("RGB", (200, 200), "grey").save(folder / "nobody.png")
    (folder / "empty.jpg").touch()
    (folder / "cut.jpg").write_bytes(hopper[: len(hopper) // 2])
    (folder / "notes.txt").write_text("no photo")
    Image.new("RGB", (9, 9)).save(folder / "small.gif")
    with (folder / "huge.jpg").open("wb") as file:
        file.write(hopper)
        file.truncate(10**9)  # a hole: it takes no room on the disk
    return folder


BAD = ("empty.jpg", "cut.jpg", "notes.txt", "small.gif", "huge.jpg", "nobody.png")


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


class TestCompare:
    @pytest.mark.parametrize(("verdict", "code"), [("match", 0), ("non_match", 1), ("inconclusive", 3)])
    def test_the_verdict_is_the_exit_code(self, use, files, verdict, code):
        use(verdict)
        result = run("compare", files / "hopper.jpg", files / "collins.jpg")
        assert result.exit_code == code
        assert result.stdout.startswith(verdict.replace("_", "-"))
        assert result.stderr == ""

    def test_the_answer_names_photos_faces_errors_and_weights(self, files):
        told = run("compare", files / "hopper.jpg", files / "collins.jpg").stdout
        assert f"reference {files / 'hopper.jpg'}: face 1: x " in told
        assert all(figure in told for figure in ("(1 of 1,000)", "(90 of 100)"))
        assert "No liveness check" in told
        assert "match@" in told

    def test_each_photo_tells_its_quality_and_what_may_keep_the_answer_from_being_clear(self, use, files, monkeypatch):
        grades = iter(("poor", "good"))
        monkeypatch.setattr(
            "flaskapp.verifier.assess",
            lambda *_: Quality(grade := next(grades), 0.1, ("too_dark",) * (grade == "poor")),
        )
        use("inconclusive")
        told = run("compare", files / "hopper.jpg", files / "hopper.jpg").stdout.splitlines()
        assert sorted(line.rpartition(", ")[2] for line in told[2:4]) == ["quality good", "quality poor: too dark"]
        (poor,) = (line.split()[0] for line in told[2:4] if line.endswith("poor: too dark"))
        assert told[4].startswith(f"  The {poor} photo is poor: too dark. More light on the face may help.")

    @pytest.mark.parametrize(("verdict", "grade"), [("match", "fair"), ("non_match", "poor"), ("inconclusive", "good")])
    def test_no_photo_is_blamed_for_a_clear_answer_nor_a_good_one(self, use, files, monkeypatch, verdict, grade):
        monkeypatch.setattr("flaskapp.verifier.assess", lambda *_: Quality(grade, 0.1))
        use(verdict)
        told = run("compare", files / "hopper.jpg", files / "hopper.jpg").stdout
        assert told.count(f"quality {grade}") == 2
        assert "photo is" not in told

    def test_a_photo_that_lies_on_its_side_is_turned_and_that_is_told(self, files):
        told = run("compare", files / "on its side.png", files / "hopper.jpg").stdout.splitlines()
        assert [("turned by 90 degrees" in line) for line in told[2:4]] == [True, False]

    def test_json_is_the_verification(self, use, files):
        use("inconclusive")
        result = run("compare", files / "hopper.jpg", files / "collins.jpg", "--json")
        told = json.loads(result.stdout)
        assert (result.exit_code, told["decision"]) == (3, "inconclusive")
        assert 0 < told["similarity_score"] < 1
        assert told["inconclusive_band"] == [0, 1]
        assert told["error_counts"]["impostor_with_verdict"] == 19
        assert told["faces"]["reference"]["number"] == 1
        assert told["faces"]["reference"]["turned"] == 0
        quality = told["faces"]["probe"]["quality"]
        assert 0 < quality.pop("certainty") <= 1
        assert quality == {"grade": "good", "reasons": []}
        assert told["liveness"] == "not_checked"
        assert set(told["timing_ms"]) == {"decode", "detect", "align", "embed", "compare", "total"}

    def test_the_order_of_the_photos_does_not_matter(self, files):
        names = files / "hopper.jpg", files / "collins.jpg"
        forth, back = (json.loads(run("compare", *pair, "--json").stdout) for pair in (names, names[::-1]))
        assert forth["similarity_score"] == back["similarity_score"]

    def test_several_faces_are_listed_with_numbers_and_what_to_type(self, files):
        result = run("compare", files / "hopper.jpg", files / "both women.png")
        assert (result.exit_code, result.stdout) == (2, "")
        first, *faces, example = result.stderr.splitlines()
        assert first.startswith(f"Error: probe {files / 'both women.png'}: 2 faces were found")
        assert [line.split(":")[0] for line in faces] == ["  1", "  2"]
        assert example == (
            "For example: facial-recognition compare "
            f"{files / 'hopper.jpg'} '{files / 'both women.png'}' --probe-face 1"
        )

    def test_what_the_example_says_works(self, files):
        names = files / "both women.png", files / "hopper.jpg"
        assert run("compare", *names, "--reference-face", "2").exit_code == 0
        told = json.loads(run("compare", *names, "--reference-face", "1", "--json").stdout)
        assert (told["faces"]["reference"]["number"], told["faces"]["reference"]["other_faces"]) == (1, 1)

    def test_several_faces_in_json(self, files):
        result = run("compare", files / "both women.png", files / "hopper.jpg", "--json")
        error = json.loads(result.stdout)["error"]
        assert (result.exit_code, error["code"], error["photo"]) == (2, "several_faces", "reference")
        assert [face["number"] for face in error["faces"]] == [1, 2]
        assert set(error["faces"][0]) == {"number", "box_xyxy", "landmarks", "detection_score", "prominent"}

    @pytest.mark.parametrize(("bad", "place"), list(zip(BAD, (0, 1) * 3, strict=True)))
    def test_a_bad_file_is_one_clean_line(self, files, bad, place):
        names = [files / "hopper.jpg"] * 2
        names[place] = files / bad
        result = run("compare", *names)
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"Error: {('reference', 'probe')[place]} {files / bad}: ")

    def test_a_huge_file_is_left_unread(self, files):
        assert "more than 12 MB" in run("compare", files / "huge.jpg", files / "hopper.jpg").stderr

    def test_a_face_that_is_not_there(self, files):
        result = run("compare", files / "hopper.jpg", files / "hopper.jpg", "--probe-face", "7")
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert "no face 7" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["hopper.jpg"],
            ["hopper.jpg", "none.jpg"],
            ["hopper.jpg", "."],
            ["hopper.jpg", "hopper.jpg", "--probe-face", "0"],
            ["hopper.jpg", "hopper.jpg", "--probe-face", "left"],
            ["hopper.jpg", "hopper.jpg", "--plot", "no/folder/out.png"],
            ["hopper.jpg", "hopper.jpg", "--plot", "out.jpeg2000"],
            ["hopper.jpg", "hopper.jpg", "--threshold", "0.5"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage_is_explained(self, files, monkeypatch, arguments):
        monkeypatch.chdir(files)
        result = run("compare", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Error: " in result.stderr

    def test_the_answer_can_be_drawn(self, files, tmp_path, monkeypatch):
        plots = pytest.importorskip("flaskapp.plots")
        drawn, save = [], plots.save
        monkeypatch.setattr(plots, "save", lambda figure, path: (drawn.append(figure), save(figure, path)))
        result = run(
            "compare", files / "hopper.jpg", files / "both women.png", "--probe-face", "2", "--plot", tmp_path / "a.png"
        )
        assert (result.exit_code, result.stderr) == (0, f"Drawn: {tmp_path / 'a.png'}\n")
        with Image.open(tmp_path / "a.png") as image:
            assert min(image.size) > 500
        assert [text.get_text() for text in drawn[0].texts].count("good") == 2

    @pytest.mark.usefixtures("nobody_reads")
    @pytest.mark.parametrize("command", ["compare", "augment"])
    def test_what_was_asked_for_is_drawn_though_nobody_reads_the_answer(self, files, tmp_path, command):
        pytest.importorskip("matplotlib")
        album = tmp_path / "album"
        album.mkdir()
        photo, drawn = shutil.copy(files / "hopper.jpg", album), tmp_path / "a.png"
        words = {"compare": [photo, photo, "--plot"], "augment": [album, "--out", tmp_path / "out", "--sheet"]}
        assert run(command, *words[command], drawn).exit_code == 2
        assert drawn.exists()

    def test_damaged_weights_are_one_clean_line(self, monkeypatch, files, tmp_path):
        monkeypatch.setattr(runtime, "default_runtime", lambda: Runtime(tmp_path / "gone.h5"))
        result = run("compare", files / "hopper.jpg", files / "hopper.jpg")
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: gone.json, which belongs to the weights, is missing.")


class TestReferences:
    """Several photos of one person."""

    @pytest.fixture(autouse=True)
    def among_photos(self, files, monkeypatch):
        monkeypatch.chdir(files)

    def test_all_but_the_probe_are_references(self):
        told = run("compare", "hopper.jpg", "collins.jpg", "--probe", "hopper.jpg").stdout.splitlines()
        assert [line.split(":")[0].strip() for line in told[2:5]] == [
            *("reference 1 hopper.jpg", "reference 2 collins.jpg"),
            "probe     hopper.jpg",
        ]
        assert told[5].strip().startswith("Compared with 2 photos of one person.")

    def test_a_folder_stands_for_its_photos(self, hopper, tmp_path, use):
        for name in ("a.jpg", "more/b.jpg"):
            (tmp_path / "anna" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "anna" / name).write_bytes(hopper)
        (tmp_path / "anna" / "notes.txt").write_text("no photo")
        use("non_match")
        result = run("compare", tmp_path / "anna", "hopper.jpg", "--json")
        told = json.loads(result.stdout)
        assert (result.exit_code, told["references"]["count"], len(told["faces"]["references"])) == (1, 2, 2)
        more = json.loads(run("compare", tmp_path / "anna", "hopper.jpg", "--probe", "hopper.jpg", "--json").stdout)
        assert more["references"]["count"] == 3

    def test_a_personal_model_takes_a_named_probe_alone(self, tmp_path):
        model = write_model(tmp_path / "my_model")
        named = run("compare", "--probe", "hopper.jpg", "--model", model, "--json")
        plain = run("compare", "hopper.jpg", "--model", model, "--json")
        assert named.exit_code == plain.exit_code != 2
        told, same = (json.loads(result.stdout)["similarity_score"] for result in (named, plain))
        assert told == same

    def test_odd_ones_are_named(self, use):
        use("non_match")
        told = run("compare", "hopper.jpg", "hopper.jpg", "--probe", "hopper.jpg")
        assert "They do not look like each other: they may show two people." in told.stdout

    @pytest.mark.parametrize("named", [True, False])
    def test_one_reference_and_a_named_probe_are_a_pair(self, named):
        names = ["hopper.jpg", "--probe", "collins.jpg"] if named else ["hopper.jpg", "collins.jpg"]
        assert "reference hopper.jpg: face" in run("compare", *names).stdout

    def test_the_one_with_several_faces_is_told_with_what_to_type(self):
        names = "both women.png", "hopper.jpg", "both women.png", "--probe", "hopper.jpg"
        result = run("compare", *names, "--reference-face", "1", "--json")
        assert json.loads(result.stdout)["error"]["photo"] == "reference 3"
        *_, example = result.stderr.splitlines()
        assert result.stderr.startswith("Error: reference 3 both women.png: 2 faces were found")
        assert example == (
            "For example: facial-recognition compare 'both women.png' hopper.jpg 'both women.png' "
            "--probe hopper.jpg --reference-face 1:1 --reference-face 3:1"
        )
        told = json.loads(run("compare", *names, "--reference-face", "2", "--reference-face", "3:1", "--json").stdout)
        assert [face["number"] for face in told["faces"]["references"]] == [2, 1, 1]

    def test_the_best_one_is_drawn(self, tmp_path, monkeypatch):
        plots = pytest.importorskip("flaskapp.plots")
        drawn, save = [], plots.save
        monkeypatch.setattr(plots, "save", lambda figure, path: (drawn.append(figure), save(figure, path)))
        monkeypatch.setattr("flaskapp.verifier.assess", lambda crop, *_: Quality("fair", crop.mean() / 255))
        run("compare", "hopper.jpg", "collins.jpg", "--probe", "hopper.jpg", "--plot", tmp_path / "a.png")
        titles = [axes.get_title("left") for axes in drawn[0].axes]
        assert any(re.match("Reference [12] of 2", title) for title in titles), titles

    @pytest.mark.parametrize(
        "arguments",
        [
            ["hopper.jpg", "hopper.jpg", "hopper.jpg"],
            ["hopper.jpg"] * 21 + ["--probe", "hopper.jpg"],
            [".", "."],
            ["none", "hopper.jpg"],
            ["hopper.jpg", "--probe", "."],
            ["--probe", "hopper.jpg"],
            ["hopper.jpg", "hopper.jpg", "--reference-face", "2:1"],
            ["hopper.jpg", "hopper.jpg", "--reference-face", "1", "--reference-face", "2"],
            ["hopper.jpg", "hopper.jpg", "--reference-face", "0"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage_is_explained(self, arguments):
        result = run("compare", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Error: " in result.stderr

    def test_a_reference_that_is_not_there_is_named_with_what_to_try(self):
        told = run("compare", "hopper.jpg", "hopper.jpg", "--reference-face", "3:1").stderr
        assert all(words in told for words in ("no reference 3.", "Write 2"))

    def test_a_folder_without_photos_says_so(self, tmp_path):
        result = run("compare", tmp_path, "hopper.jpg")
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert f"no photos in {tmp_path.name}" in result.stderr

    def test_no_photo_of_a_folder_is_drawn_over(self, hopper, tmp_path):
        pytest.importorskip("matplotlib")
        (tmp_path / "a.png").write_bytes(hopper)
        assert run("compare", tmp_path, "hopper.jpg", "--plot", tmp_path / "a.png").exit_code == 2
        assert (tmp_path / "a.png").read_bytes() == hopper


class TestDetect:
    def test_faces_are_listed_left_to_right_from_0(self, files):
        result = run("detect", files / "both women.png", files / "nobody.png", files / "hopper.jpg")
        lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert lines[0] == f"{files / 'both women.png'}: 2 faces"
        assert [line.split(":")[0] for line in lines[1:3]] == ["  1", "  2"]
        assert [line.rpartition(", ")[2] for line in lines[1:3]] == ["quality good"] * 2
        assert lines[3:5] == [f"{files / 'nobody.png'}: no face", f"{files / 'hopper.jpg'}: 1 face"]

    def test_that_a_photo_was_turned_is_told(self, files):
        words = run("detect", files / "on its side.png").stdout.splitlines()
        assert "lies on its side" in words[-1]
        (told,) = json.loads(run("detect", files / "on its side.png", "--json").stdout)
        assert (told["turned"], told["notes"], told["photo_size_wh"]) == (90, [words[-1].strip()], [600, 512])

    def test_bad_files_are_reported_and_the_others_still_listed(self, files):
        bad = [files / name for name in ("empty.jpg", "huge.jpg", "missing.jpg", "small.gif", ".")]
        result = run("detect", bad[0], files / "hopper.jpg", *bad[1:])
        assert result.exit_code == 2
        assert result.stdout.startswith(f"{files / 'hopper.jpg'}: 1 face")
        errors = result.stderr.splitlines()
        assert [error.split(": ")[:2] for error in errors] == [["Error", str(photo)] for photo in bad]

    def test_json_has_an_entry_for_every_photo(self, files):
        result = run("detect", files / "hopper.jpg", files / "cut.jpg", files / "nobody.png", "--json")
        good, bad, nobody = json.loads(result.stdout)
        quality = good["faces"][0].pop("quality")
        assert 0 < quality.pop("certainty") <= 1
        assert quality == {"grade": "good", "reasons": []}
        assert result.exit_code == 2
        assert good["photo"] == str(files / "hopper.jpg")
        assert good["photo_size_wh"] == [512, 600]
        assert set(good["faces"][0]) == {"number", "box_xyxy", "landmarks", "detection_score", "prominent"}
        assert (good["more_faces"], good["notes"]) == (False, [])
        assert bad["error"]["code"] == "truncated_photo"
        assert nobody["faces"] == []

    def test_quality_is_that_of_a_comparison_and_drawn_under_each_face(self, files, tmp_path, monkeypatch):
        plots = pytest.importorskip("flaskapp.plots")
        drawn, save = [], plots.save
        monkeypatch.setattr(plots, "save", lambda figure, path: (drawn.append(figure), save(figure, path)))
        monkeypatch.setattr("flaskapp.verifier.assess", lambda crop, *_: Quality("fair", crop.mean() / 255))
        plain = json.loads(run("detect", files / "both women.png", "--json", "--plot", tmp_path).stdout)
        for face in plain[0]["faces"]:
            chosen = "--reference-face", face["number"], "--json"
            told = json.loads(run("compare", files / "both women.png", files / "hopper.jpg", *chosen).stdout)
            assert told["faces"]["reference"]["quality"] == face["quality"]
        assert [text.get_text() for text in drawn[0].axes[0].texts] == ["1", "2", "fair", "fair"]

    def test_faces_can_be_drawn_into_a_folder(self, files, tmp_path):
        pytest.importorskip("matplotlib")
        (tmp_path / "other").mkdir()
        other = shutil.copyfile(files / "collins.jpg", tmp_path / "other" / "hopper.png")
        out = tmp_path / "new" / "boxes"
        assert run("detect", files / "hopper.jpg", files / "empty.jpg", other, "--plot", out).exit_code == 2
        assert sorted(path.name for path in out.iterdir()) == ["hopper-2.faces.png", "hopper.faces.png"]

    def test_no_drawing_takes_anothers_name(self, tmp_path, files):
        pytest.importorskip("matplotlib")
        photos = []
        for name in ("a/1.jpg", "b/1.jpg", "1-2.jpg", "c/1.jpg"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            photos.append(shutil.copyfile(files / "nobody.png", tmp_path / name))
        assert run("detect", *photos, "--plot", tmp_path / "boxes").exit_code == 0
        names = sorted(path.name for path in (tmp_path / "boxes").iterdir())
        assert names == ["1-2.faces.png", "1-3.faces.png", "1-4.faces.png", "1.faces.png"]

    def test_a_photo_is_needed(self):
        assert run("detect").exit_code == 2


class TestEvaluate:
    @pytest.fixture
    def lists(self, tmp_path, files) -> Path:
        """Return a folder with lists of pairs, in both forms, and the photos they name."""
        for name in ("hopper", "collins"):
            for number in (1, 2):
                path = tmp_path / "photos" / name / f"{name}_{number:04d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(files / f"{name}.jpg", path)
        shutil.copyfile(files / "cut.jpg", tmp_path / "photos" / "cut.jpg")
        (tmp_path / "pairs.csv").write_text(
            "reference,probe,same\n"
            "hopper/hopper_0001.jpg,hopper/hopper_0002.jpg,1\n"
            "collins/collins_0001.jpg,collins/collins_0002.jpg,1\n"
            "hopper/hopper_0001.jpg,collins/collins_0001.jpg,0\n"
            "hopper/hopper_0002.jpg,cut.jpg,0\n"
        )
        (tmp_path / "lfw.txt").write_text(
            "2\nhopper\t1\t2\ncollins\t1\t2\nhopper\t1\tcollins\t1\ncollins\t2\thopper\t2\n"
        )
        return tmp_path

    def test_a_table_tells_every_rate_with_its_counts(self, lists):
        result = run("evaluate", "--pairs", lists / "pairs.csv", "--root", lists / "photos")
        assert result.exit_code == 0
        for told in (
            "4: 2 genuine, 2 impostor",
            "failures to acquire  1 pairs",
            "accuracy",
            "FNMR at FMR 0.1 %",
            "match@",
        ):
            assert told in result.stdout
        assert re.search(r"two people +2 +1 \(50.00; 0.00 to 100.00 %\)", result.stdout)
        assert result.stderr.splitlines()[0].startswith("  failure to acquire: cut.jpg: ")

    def test_lfws_own_lists_are_read(self, lists):
        result = run("evaluate", "--pairs", lists / "lfw.txt", "--root", lists / "photos")
        assert result.exit_code == 0
        assert "4: 2 genuine, 2 impostor" in result.stdout

    def test_everything_can_be_written(self, lists):
        pytest.importorskip("matplotlib")
        out = {name: lists / name for name in ("scores.csv", "figures.json", "plots")}
        result = run(
            *("evaluate", "--pairs", lists / "pairs.csv", "--root", lists / "photos", "--face", "largest"),
            *("--scores", out["scores.csv"], "--json", out["figures.json"], "--plots", out["plots"]),
        )
        assert result.exit_code == 0, result.stderr
        with out["scores.csv"].open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["reference", "probe", "same", "similarity_score", "decision"]
        assert [row["decision"] for row in rows] == ["match", "match", "match", "non_match"]
        figures = json.loads(out["figures.json"].read_text())
        assert figures.keys() >= {
            *("pairs", "genuine", "impostor", "failures_to_acquire", "threshold", "accuracy", "precision", "recall"),
            *("f1", "fmr", "fnmr", "eer", "auc", "fnmr_at_fmr", "decisions"),
        }
        assert set(figures["fnmr_at_fmr"]) == {"0.1", "0.01", "0.001", "0.0001"}
        assert figures["decisions"]["impostor"] == {"match": 1, "inconclusive": 0, "non_match": 1}
        assert list(figures["failed_photos"]) == ["cut.jpg"]
        assert {path.name for path in out["plots"].iterdir()} == {"scores.png", "roc.png", "det.png", "reliability.png"}

    def test_its_scores_are_again_a_list_of_pairs(self, lists):
        options = "--root", lists / "photos", "--scores"
        run("evaluate", "--pairs", lists / "pairs.csv", *options, lists / "first.csv")
        run("evaluate", "--pairs", lists / "first.csv", *options, lists / "second.csv")
        assert (lists / "first.csv").read_text() == (lists / "second.csv").read_text()

    def test_other_weights_can_be_measured(self, lists, tmp_path):
        arguments = "evaluate", "--pairs", lists / "lfw.txt", "--root", lists / "photos", "--weights"
        assert "random@" in run(*arguments, write_weights_files(tmp_path)).stdout
        (lists / "lonely.h5").touch()
        result = run(*arguments, lists / "lonely.h5")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("Error: lonely.json, which belongs to the weights, is missing.")

    @pytest.mark.parametrize(
        "text", ["", "nonsense\n", "reference,probe,same\n", "reference,probe,same\na,b,x\n", "5\n"]
    )
    def test_a_wrong_list_is_one_clean_line(self, lists, text):
        (lists / "wrong.csv").write_text(text)
        result = run("evaluate", "--pairs", lists / "wrong.csv", "--root", lists)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert result.stderr.startswith("Error: wrong.csv")

    def test_missing_photos_are_one_clean_line(self, lists):
        result = run("evaluate", "--pairs", lists / "pairs.csv", "--root", lists)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
        assert "5 of 5 photos in the list" in result.stderr

    @pytest.mark.parametrize("option", ["--scores", "--json"])
    def test_a_place_that_cannot_be_written_is_noticed_first(self, lists, monkeypatch, option):
        monkeypatch.setattr("flaskapp.pairs.scoring.score_pairs", lambda *_: pytest.fail("it has begun to work"))
        result = run("evaluate", "--pairs", lists / "lfw.txt", "--root", lists / "photos", option, lists / "no" / "x")
        assert result.exit_code == 2
        assert "there is no folder" in result.stderr
