"""Who may import whom."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flaskapp"

# Modules, or folders of modules, that answer a person who waits.
SERVING = (
    "app",
    "web",
    "verifier",
    "preprocess",
    "detection",
    "runtime",
    "serving_graph",
    "errors",
    "onnx_session",
)
# The web door is `app` and, so that no file gets long, the folder `web` behind it.
WEB = ("app", "web")
DOORS = (*WEB, "cli", "__main__")
TRAINING_ONLY = {"tensorflow", "keras"}
HEAVY = TRAINING_ONLY | {"matplotlib"}
FLASK = {"flask", "flask_limiter", "limits", "werkzeug"}


def name_of(file: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def modules() -> dict[str, Path]:
    return {name_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running_nodes(tree: ast.AST) -> list[ast.AST]:
    """Return every node but those that only a type checker reads."""
    found = [tree]
    for child in ast.iter_child_nodes(tree):
        if is_type_checking(child):
            for other in child.orelse:
                found += running_nodes(other)
        else:
            found += running_nodes(child)
    return found


def names_imported(source: str) -> set[str]:
    """Return the dotted names of all imports of a source text, also those inside functions.

    ``from a import b`` gives both ``a`` and ``a.b``: b may be a module.
    """
    names = set()
    for node in running_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@functools.cache
def imports(module: str) -> frozenset[str]:
    return frozenset(names_imported(modules()[module].read_text(encoding="utf-8")))


def foreign(module: str) -> set[str]:
    """Return the top-level names of what a module imports from outside the package."""
    return {name.partition(".")[0] for name in imports(module)} - {"flaskapp"}


def own(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    return {name for name in imports(module) if name in modules()}


def below(*tops: str) -> set[str]:
    """Return the modules named, and those in folders so named."""
    return {m for m in modules() for top in tops if m == f"flaskapp.{top}" or m.startswith(f"flaskapp.{top}.")}


def reached_from(starts: set[str]) -> set[str]:
    """Return the modules of the package that come along with some, however far the way."""
    reached, waiting = set(), set(starts)
    while waiting:
        module = waiting.pop()
        reached.add(module)
        parents = {".".join(module.split(".")[:end]) for end in range(1, module.count(".") + 1)}
        waiting |= (own(module) | (parents & modules().keys())) - reached
    return reached


def test_imports_are_read_as_python_reads_them():
    source = """
import os.path
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import keras
else:
    import numpy
def later():
    from flaskapp.model import build_trunk
"""
    assert names_imported(source) == {
        "os.path",
        "typing",
        "typing.TYPE_CHECKING",
        "numpy",
        "flaskapp.model",
        "flaskapp.model.build_trunk",
    }


@pytest.mark.parametrize("module", sorted(reached_from(below(*SERVING))))
def test_nothing_that_serves_imports_the_training_libraries(module):
    assert not foreign(module) & HEAVY


@pytest.mark.parametrize("module", sorted(modules()))
def test_only_app_and_web_know_flask(module):
    assert module in below(*WEB) or not foreign(module) & FLASK


def test_evaluation_knows_no_model():
    allowed = below("evaluation", "errors") | {"flaskapp"}
    assert {module: own(module) - allowed for module in below("evaluation") if own(module) - allowed} == {}
    assert set().union(*map(foreign, below("evaluation"))) - set(sys.stdlib_module_names) <= {"numpy"}


@pytest.mark.parametrize("module", sorted(modules().keys() - below(*DOORS)))
def test_nothing_imports_a_door(module):
    assert not own(module) & below(*DOORS)


def test_the_web_door_does_not_lead_to_the_command_line():
    assert not {module for module in below(*WEB) if own(module) & below("cli")}


def test_the_product_knows_neither_research_nor_benchmarks():
    assert not {module for module in modules() if foreign(module) & {"research", "benchmarks"}}


def test_the_command_line_starts_app_and_not_what_lies_behind_it():
    assert not {module for module in below("cli") if own(module) & below("web")}


@pytest.mark.parametrize("module", sorted(modules()))
def test_onnx_runtime_has_one_door(module):
    # It must be told to stay silent before the first import, whichever module comes first.
    assert module == "flaskapp.onnx_session" or "onnxruntime" not in foreign(module)


@pytest.mark.parametrize("module", sorted(modules()))
def test_matplotlib_is_for_plots_only(module):
    assert module in below("plots") or "matplotlib" not in foreign(module)


def modules_loaded_by(statement: str) -> set[str]:
    """Return the top-level names of all modules that a statement loads in a fresh process."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ
    )
    return set(done.stdout.split())


def test_the_package_itself_is_light():
    assert not modules_loaded_by("import flaskapp") & (HEAVY | {"numpy", "cv2", "PIL", "onnxruntime"})


@pytest.mark.slow
def test_the_serving_modules_load_no_training_library():
    serving = sorted(below(*SERVING))
    assert serving, "there is nothing that serves"
    assert not modules_loaded_by("\n".join(f"import {module}" for module in serving)) & HEAVY


def test_evaluate_loads_no_drawing_library_before_it_draws():
    assert not modules_loaded_by("import flaskapp.cli.measuring") & HEAVY


@pytest.mark.skipif(not below("cli"), reason="there is no command line yet")
def test_the_command_line_starts_without_loading_a_model_library():
    assert not modules_loaded_by("import flaskapp.cli") & (HEAVY | {"cv2", "onnxruntime"})
