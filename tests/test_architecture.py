"""Who may import whom, for type checkers' eyes apart."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import grimp
import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "flaskapp"
# From those that people call to those that know nobody; none imports what stands before it,
# however long the way, and those in one set do not know each other.
LAYERS = ("cli", "app", "web", {"personal", "pairs"}, "verifier", "weights", "preprocess", "detection")
# What only some modules, or folders of modules, may import.
DOORS = {
    "keras": {"model", "layers", "personal.loop", "personal.train", "personal.worker"},
    "tensorflow": {"model", "layers", "personal.loop", "personal.train", "personal.worker"},
    "matplotlib": {"plots"},
    "flask": {"app", "web"},
    "werkzeug": {"app", "web"},
    # It must be told to stay silent before the first import, whichever module comes first.
    "onnxruntime": {"onnx_session"},
}
COMPARING = ("app", "web", "verifier", "weights", "preprocess", "detection")
TRAINING = {"tensorflow", "keras"}
HEAVY = TRAINING | {"matplotlib"}


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("flaskapp", include_external_packages=True, exclude_type_checking_imports=True)


def full(name: str | set[str]) -> str | set[str]:
    return f"flaskapp.{name}" if isinstance(name, str) else {f"flaskapp.{one}" for one in name}


def is_below(module: str, names: set[str]) -> bool:
    return any(module == full(name) or module.startswith(f"{full(name)}.") for name in names)


def test_the_product_knows_neither_research_nor_benchmarks(graph):
    beside = [name for name in ("research", "benchmarks") if name in graph.modules]
    assert {name: graph.find_modules_that_directly_import(name) for name in beside} == {}


def test_each_large_library_has_its_door(graph):
    importers = {name: graph.find_modules_that_directly_import(name) for name in DOORS if name in graph.modules}
    strays = {name: {one for one in found if not is_below(one, DOORS[name])} for name, found in importers.items()}
    ways = [
        graph.find_shortest_chain(importer=module, imported=library)
        for module in sorted(graph.modules)
        if is_below(module, set(COMPARING))
        for library in sorted(HEAVY & graph.modules)
    ]
    assert {name: found for name, found in strays.items() if found} == {}
    assert [way for way in ways if way] == []


def test_evaluation_knows_numpy_and_errors_alone(graph):
    imported = graph.find_modules_directly_imported_by("flaskapp.evaluation", as_package=True)
    assert imported - set(sys.stdlib_module_names) == {"numpy", "flaskapp.errors"}


def test_each_layer_knows_only_those_below(graph):
    wrong = graph.find_illegal_dependencies_for_layers([full(layer) for layer in LAYERS])
    assert [route for dependency in wrong for route in map(str, dependency.routes)] == []
    assert graph.find_modules_that_directly_import("flaskapp.app") == {"flaskapp.cli.serve"}
    assert graph.find_modules_that_directly_import("flaskapp.cli", as_package=True) == set()
    into_web = graph.find_modules_that_directly_import("flaskapp.web", as_package=True)
    assert {module for module in into_web if not is_below(module, {"app", "web"})} == set()


def test_no_modules_import_each_other_in_a_circle(graph):
    ways = (
        graph.find_shortest_chain(importer=other, imported=module)
        for module in sorted(graph.modules)
        for other in graph.find_modules_directly_imported_by(module)
    )
    assert [way for way in ways if way] == []


def test_packages_hand_names_on_and_modules_do_not():
    own, handed_on = [], []
    for file in sorted(PACKAGE.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if file.name != "__init__.py" and re.search(r"^__all__\b", text, re.MULTILINE):
            handed_on.append(file.relative_to(ROOT))
        # The photo path's verbs may stand in one, and what imports a name late.
        elif file.name == "__init__.py" and file.parent.name != "preprocess":
            own += [(file.parent.name, name) for name in re.findall(r"^(?:def|class) (?!__getattr__)(\w+)", text, re.M)]
    assert (own, handed_on) == ([], [])


def modules_loaded_by(statement: str) -> set[str]:
    """Return the top-level names of all modules that a statement loads in a fresh process."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("flaskapp", HEAVY | {"numpy", "cv2", "PIL", "onnxruntime"}),
        ("flaskapp.cli.program", HEAVY | {"cv2", "onnxruntime"}),
        ("flaskapp.cli.measuring", HEAVY),  # before it draws
    ],
)
def test_what_starts_loads_no_library_before_it_is_needed(name, left_out):
    assert not modules_loaded_by(f"import {name}") & left_out


@pytest.mark.slow
def test_what_compares_loads_no_training_library(graph):
    modules = sorted(module for module in graph.modules if is_below(module, set(COMPARING)))
    assert not modules_loaded_by("\n".join(f"import {module}" for module in modules)) & HEAVY
