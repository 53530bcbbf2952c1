"""Commands that the program suggests can be typed as they stand, and mean what was meant."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from weights_files import write_weights_files

from flaskapp.cli.program import main
from flaskapp.cli.train import how_to_try
from flaskapp.weights import runtime
from flaskapp.weights.runtime import Runtime


@pytest.fixture
def weights(tmp_path, monkeypatch) -> Path:
    (tmp_path / "weights").mkdir()
    path = write_weights_files(tmp_path / "weights")
    loaded = Runtime(path)
    monkeypatch.setattr(runtime, "default_runtime", lambda: loaded)
    return path


@pytest.fixture
def photos(tmp_path, monkeypatch, weights, hopper, hopper_pixels, collins_pixels) -> None:
    """Stand in a folder of photos whose names are a nuisance."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.hstack([hopper_pixels[:512], collins_pixels])).save("both women.png", compress_level=1)
    for name in ("-two.png", "$HOME & 'co'.png"):
        shutil.copy("both women.png", name)
    for name in ("hopper.jpg", "--json"):
        Path(name).write_bytes(hopper)


def compare(*words: str) -> Result:
    return CliRunner().invoke(main, ["compare", *words])


def suggested(result: Result) -> list[str]:
    assert result.exit_code == 2
    program, command, *words = shlex.split(result.stderr.splitlines()[-1].removeprefix("For example: "))
    assert (program, command) == ("facial-recognition", "compare")
    return words


@pytest.mark.parametrize(
    "names",
    [
        ("-two.png", "hopper.jpg"),
        ("hopper.jpg", "-two.png"),
        ("both women.png", "--json"),
        ("$HOME & 'co'.png", "hopper.jpg"),
    ],
)
def test_whatever_a_photo_is_called_the_suggestion_reads_it(photos, names):
    done = compare(*suggested(compare("--", *names)))
    assert done.exit_code != 2, done.stderr
    assert all(f" {name}: face 1" in done.stdout for name in names)


def test_what_was_chosen_already_stays_chosen(photos, weights):
    words = suggested(compare("both women.png", "both women.png", "--probe-face", "2", "--model", str(weights)))
    assert words == [
        *("both women.png", "both women.png"),
        *("--reference-face", "1", "--probe-face", "2", "--model", str(weights)),
    ]
    done = compare(*words)
    assert done.exit_code != 2, done.stderr
    assert f"weights {weights.stem}@" in done.stdout


def test_photo_after_photo_the_suggestions_lead_to_an_answer(photos):
    done = compare(*suggested(compare(*suggested(compare("--", "-two.png", "both women.png")))))
    assert done.exit_code != 2, done.stderr


@pytest.mark.parametrize("name", ["my model", "it's", "a;b", "models/my model"])
def test_a_trained_model_is_tried_by_its_whole_name(name):
    assert shlex.split(how_to_try(Path(name)))[-2:] == ["--model", str(Path(name))]
