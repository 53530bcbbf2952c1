"""The measuring commands: whose pairs, what is drawn, what does not go together, and what is never written over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from weights_files import write_note, write_weights_files

from flaskapp import plots
from research.__main__ import main
from research.measure.evaluating import hardest_pairs
from research.plots.hardest import HardPair, plot_hardest


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_note(write_weights_files(tmp_path_factory.mktemp("weights")), (0.4, 0.6))


@pytest.fixture
def folder(tmp_path, monkeypatch, hopper, collins):
    """Stand in a folder with a sets file of two people, one of whose photos shows nobody."""
    monkeypatch.chdir(tmp_path)
    for person, photo in (("hopper", hopper), ("collins", collins)):
        Path("people", person).mkdir(parents=True)
        for number in (1, 2):
            Path("people", person, f"{number}.jpg").write_bytes(photo)
    Image.new("RGB", (200, 200), "grey").save("people/hopper/fairness.png")
    Path("sets.toml").write_text('[[set]]\nname="two"\nfolder="people"\nidentities="folder"\nroles="reporting"\n')
    Path("labels.csv").write_text("path,group\nhopper/fairness.png,x\ncollins/1.jpg,y\n")
    Path("pairs.csv").write_text("reference,probe,same\nhopper/1.jpg,hopper/2.jpg,1\n")
    Path("linked.json").hardlink_to("people/hopper/1.jpg")
    Path("linked.png").hardlink_to("people/hopper/1.jpg")
    return tmp_path


def test_the_people_of_a_role(folder, weights):
    run("evaluate", "--sets", "sets.toml", "--role", "reporting", "--weights", weights, "--json", "a.json",
        "--without-names")  # fmt: skip
    figures = json.loads(Path("a.json").read_text())
    assert (figures["genuine"], figures["impostor"]) == (4, 6)
    assert figures["interval_method"]["drawn"] == "person"
    assert figures["command"] == "python -m research evaluate --weights random.h5 --sets sets.toml --role reporting"
    assert (figures["photos_failed"], figures["failed_photos"]) == (1, {})


def test_it_measures_as_the_product_does(folder, weights):
    from flaskapp.cli.program import main

    asked = ["evaluate", "--people", "people", "--impostors", "3", "--weights", str(weights), "--json"]
    run(*asked, "ours.json")
    assert CliRunner().invoke(main, [*asked, "products.json"]).exit_code == 0
    first, second = (json.loads(Path(name).read_text()) for name in ("ours.json", "products.json"))
    assert first.pop("command").startswith("python -m research evaluate --people people")
    assert second.pop("command").startswith("facial-recognition evaluate --people people")
    assert first == second


def test_faces_are_drawn_only_where_asked_for_and_it_says_so(folder, weights):
    told = run("evaluate", "--people", "people", "--weights", weights, "--hardest", "a.png")
    assert "It shows faces" in told.stderr
    with Image.open("a.png") as image:
        assert min(image.size) > 400
    assert "IT SHOWS FACES" in " ".join(run("evaluate", "--help").stdout.split())


def test_hardest_is_what_went_wrong_most():
    genuine, impostor = hardest_pairs(
        np.array([0.9, 0.2, np.nan, 0.4, 0.7, np.nan]), [True, True, True, False, False, False]
    )
    assert (genuine.tolist(), impostor.tolist()) == ([1, 0], [4, 3])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("evaluate", "Give one of --pairs, --people, --sets, --scores-from"),
        ("evaluate --sets sets.toml", "--sets needs --role"),
        ("evaluate --people people --role reporting", "--role goes with --sets"),
        ("evaluate --pairs pairs.csv --root . --impostors 3", "--impostors goes with --people or --sets"),
        ("evaluate --scores-from pairs.csv --hardest a.png", "--beside and --hardest go with photos"),
        ("evaluate --scores-from pairs.csv --beside pairs.csv", "--beside and --hardest go with photos"),
        ("worse-photos", "Give one of --pairs, --people, --sets"),
        ("worse-photos --sets sets.toml", "--sets needs --role"),
        *((f"worse-photos --people people {option} 3", "No such option") for option in ("--labels", "--scores")),
        *((f"worse-photos --people people {option} 3", "No such option") for option in ("--hardest", "--impostors")),
    ],
)
def test_options_that_do_not_belong_together_are_refused(folder, command, said):
    assert said in run(*command.split(), code=2).stderr


@pytest.mark.parametrize(
    "command",
    [
        "evaluate --people people --json linked.json",
        "evaluate --people people --hardest linked.png",
        "worse-photos --pairs pairs.csv --root people --json linked.json",
        "strangers people --labels labels.csv --plots people/hopper",
        "model-card pairs.csv --out linked/../pairs.csv",
    ],
)
def test_what_is_read_is_never_written_over(folder, command):
    Path("linked").mkdir()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert "is an input and would be overwritten" in run(*command.split(), code=2).stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_hardest_pairs_are_shown_with_score_and_names(tmp_path):
    face = np.tile(np.linspace(0, 255, 100, dtype=np.uint8)[None, :, None], (100, 1, 3))
    pair = HardPair(face, face, 0.1234, ("a_$x$/1.jpg", "b" * 60))
    figure = plot_hardest([pair] * 5, [])
    assert len(figure.axes) == 10
    said = {text.get_text() for text in figure.texts}
    assert "One person, lowest scores" in said
    assert "Two people, highest scores" not in said
    assert {"score 0.123", "a_$x$/1.jpg"} <= said
    plots.save(figure, tmp_path / "a.png")
