"""No command writes over what it reads, whatever name or link leads there."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from weights_files import write_weights_files

from flaskapp.cli import measuring
from flaskapp.cli.program import main
from flaskapp.weights import info, runtime
from flaskapp.weights.runtime import Runtime
from tests.conftest import PORTRAITS

pytest.importorskip("matplotlib")  # half of what is written are pictures


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Stand in a folder of photos, with weights and lists that name some of them."""
    monkeypatch.chdir(tmp_path)
    weights = write_weights_files(tmp_path)
    loaded = Runtime(weights)
    monkeypatch.setattr(info, "default_weights_path", lambda: weights)
    for module in (runtime, measuring):
        monkeypatch.setattr(module, "default_runtime", lambda: loaded)
    for person, portrait in (("grace", "grace_hopper.jpg"), ("eileen", "eileen_collins.jpg")):
        for name in ("1.jpg", "2.jpg", "scores.png"):
            Path("people", person).mkdir(parents=True, exist_ok=True)
            shutil.copy(PORTRAITS / portrait, f"people/{person}/{name}")
    for name in ("a.jpg", "a.faces.png", "b.png"):
        shutil.copy(PORTRAITS / "grace_hopper.jpg", name)
    Path("pairs.csv").write_text(
        "reference,probe,same\npeople/grace/1.jpg,people/grace/scores.png,1\npeople/grace/2.jpg,people/eileen/1.jpg,0\n"
    )
    os.link("b.png", "linked.png")
    os.link("people/grace/1.jpg", "linked.html")
    os.link("people/grace/1.jpg", "linked.json")
    Path("soft.png").symlink_to("b.png")
    Path("out").mkdir()
    Path("out/1.jpg.darker.jpg").symlink_to(Path("people/grace/1.jpg").resolve())
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "command",
    [
        "compare a.jpg b.png --plot b.png",
        "compare a.jpg b.png --plot ./people/../b.png",
        "compare a.jpg b.png --plot linked.png",
        "compare a.jpg linked.png --plot b.png",
        "compare a.jpg b.png --plot soft.png",
        "compare a.jpg soft.png --plot linked.png",
        "detect a.jpg a.faces.png --plot .",
        "augment people/grace --out other --sheet people/grace/scores.png",
        "augment people/grace --out out",
        "evaluate --people people --json linked.json",
        "evaluate --pairs pairs.csv --root . --report linked.html",
        "evaluate --pairs pairs.csv --root . --plots people/grace",
        "evaluate --pairs pairs.csv --root . --json random.json",
        "evaluate --pairs pairs.csv --root . --weights random.h5 --json random.json",
    ],
)
def test_what_is_read_is_never_written_over(folder, command):
    before = contents(folder)
    told = run(*command.split())
    assert (told.exit_code, told.stdout) == (2, "")
    assert "is an input and would be overwritten" in told.stderr
    assert contents(folder) == before


@pytest.mark.parametrize("other", ["x.html", "./x.html", "sub/../x.html"])
def test_two_outputs_are_not_written_to_one_place(folder, other):
    Path("sub").mkdir()
    before = contents(folder)
    told = run("evaluate", "--pairs", "pairs.csv", "--root", ".", "--json", other, "--report", "x.html")
    assert (told.exit_code, "would be written twice" in told.stderr) == (2, True)
    assert contents(folder) == before


def test_what_an_earlier_run_wrote_may_be_written_over(folder):
    Path("one").mkdir()
    shutil.copy("a.jpg", "one")
    earlier = [Path(name) for name in ("drawn/a.faces.png", "nine/a.jpg.darker.jpg", "sheet.png", "b.svg", "told.json")]
    for path in earlier:
        path.parent.mkdir(exist_ok=True)
        path.write_text("of an earlier run")
    assert run("detect", "a.jpg", "--plot", "drawn").exit_code == 0
    assert run("augment", "one", "--out", "nine", "--sheet", "sheet.png").exit_code == 0
    assert run("compare", "a.jpg", "b.png", "--plot", "b.svg").exit_code != 2
    assert run("evaluate", "--pairs", "pairs.csv", "--root", ".", "--json", "told.json").exit_code == 0
    assert b"of an earlier run" not in {path.read_bytes() for path in earlier}


def test_a_link_to_itself_overwrites_nothing(folder):
    Path("loop.jpg").symlink_to("loop.jpg")
    Path("a.faces.png").write_text("of an earlier run")
    told = run("detect", "loop.jpg", "a.jpg", "--plot", ".")
    assert (told.exit_code, "loop.jpg" in told.stderr) == (2, True)
    assert told.stdout.startswith("a.jpg: 1 face")
