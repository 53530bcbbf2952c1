"""The notebook: it defines nothing, was committed executed, and runs from beginning to end."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "train_model.ipynb"
SMALL = {"PEOPLE, PHOTOS": "12, 10", "EPOCHS, MINUTES, SEED": "2, 1.0, 2026"}


def cells(path: Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def code_of(cell: dict) -> str:
    """Return a cell's Python, without IPython's own lines."""
    return "".join(line for line in cell["source"] if not line.startswith("%"))


def outputs(path: Path) -> list[dict]:
    return [output for cell in cells(path, "code") for output in cell["outputs"]]


def pictures(path: Path) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(path))


def text(path: Path) -> str:
    return "".join("".join(output.get("text", ())) for output in outputs(path))


def test_it_defines_nothing_and_calls_the_package():
    trees = [ast.parse(code_of(cell)) for cell in cells(NOTEBOOK, "code")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    defining = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.AsyncFunctionDef)
    # One lambda says which network looks for near-duplicates: it is an argument, no definition.
    assert sum(isinstance(node, defining) for node in nodes) == 1
    assert sum(isinstance(node, ast.ImportFrom) and node.module.startswith("flaskapp") for node in nodes) >= 8


def test_its_settings_stand_in_one_cell():
    assigned = [
        [target.id for node in ast.parse(code_of(cell)).body if isinstance(node, ast.Assign) for target in _names(node)]
        for cell in cells(NOTEBOOK, "code")
    ]
    with_settings = [names for names in assigned if any(name.isupper() for name in names)]
    assert len(with_settings) == 1


def _names(node: ast.Assign) -> list[ast.Name]:
    return [name for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def test_it_was_committed_executed_in_order_and_without_error():
    counts = [cell["execution_count"] for cell in cells(NOTEBOOK, "code")]
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(NOTEBOOK) if output["output_type"] == "error"]
    # A detection, two faces and their nine changes are the public-domain portraits; the others are curves.
    assert pictures(NOTEBOOK) == 7


def test_it_tells_the_whole_story():
    story = " ".join("".join(cell["source"]) for cell in cells(NOTEBOOK, "markdown"))
    for word in ("Siamese", "landmarks", "transformations", "genuine", "impostor", "embedding", "cross-entropy", "ROC"):
        assert word in story
    for word in ("accuracy", "precision", "recall", "F1", "out_of_scope", "decided match"):
        assert word in text(NOTEBOOK)


def test_it_names_no_folder_of_whoever_ran_it():
    content = NOTEBOOK.read_text(encoding="utf-8")
    places = ("/home/", "/root/", "/Users/", str(ROOT))
    assert [start for start in places if start in content] == []


@pytest.mark.slow
@pytest.mark.needs_shared
@pytest.mark.needs_tensorflow
def test_it_runs_from_beginning_to_end():
    """All its code, on fewer people, photos and epochs than it was committed with."""
    pytest.importorskip("ipykernel")
    copy = ROOT / "train_model.executed.ipynb"  # beside the original: its paths start there
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    settings = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert set(SMALL) <= {line.partition(" = ")[0] for line in settings["source"]}
    settings["source"] += [f"\n{names} = {values}" for names, values in SMALL.items()]
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    try:
        program = "from nbclient.cli import main; main()"  # what `jupyter execute` starts
        command = [sys.executable, "-c", program, "--inplace", "--timeout=1800", copy.name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert pictures(copy) == pictures(NOTEBOOK)
        assert not (ROOT / "notebook_model").exists()
    finally:
        copy.unlink()
