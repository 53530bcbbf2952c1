"""What is declared is used, what is installed is pinned, and a built package is whole."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCKS = ("requirements.lock", "requirements-dev.lock")
WEIGHTS = ("siamese_model_final.h5", "siamese_model_final.json")
PORTRAITS = ("grace_hopper.jpg", "eileen_collins.jpg")

# What a package is called where it is imported, if that differs from its name.
IMPORTED_AS = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "scikit-learn": "sklearn",
    "tensorflow-cpu": "tensorflow",
}
# Tools that are started rather than imported; and the backend that Keras loads by itself.
NOT_IMPORTED = {"mypy", "ruff", "tensorflow", "uv"}
# Werkzeug is Flask's lower half, SciPy scikit-learn's; `torch` is used where
# Keras was told to run on it.
COMES_ALONG = {"jinja2", "werkzeug", "torch"}
# For whoever asks a teacher about more photos: its package brings a second OpenCV, which would
# stand in the way of the one that serves.
BY_HAND = {"ncnn"}
DEV_COMES_ALONG = {"packaging", "scipy", "setuptools"}

MACHINES = {
    "Linux x86-64": {"sys_platform": "linux", "platform_machine": "x86_64"},
    "Linux ARM": {"sys_platform": "linux", "platform_machine": "aarch64"},
    "macOS": {"sys_platform": "darwin", "platform_machine": "arm64"},
    "Windows": {"sys_platform": "win32", "platform_machine": "AMD64"},
}
PYTHONS = ("3.11", "3.12", "3.13")

needs_weights = pytest.mark.skipif(not (ROOT / WEIGHTS[0]).exists(), reason="the weights have not landed yet")


def requirements(lines: list[str]) -> dict[str, Requirement]:
    found = [Requirement(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def locked(lock: str) -> list[tuple[Requirement, list[str]]]:
    """Return each requirement of a lock with its hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(Requirement(entry.partition("--hash")[0]), re.findall(r"--hash=(\S+)", entry)) for entry in entries]


def versions(lock: str, machine: str, python: str) -> dict[str, str]:
    """Return what a lock installs on one kind of machine."""
    environment = {**MACHINES[machine], "python_version": python, "python_full_version": f"{python}.0"}
    chosen = [req for req, _ in locked(lock) if req.marker is None or req.marker.evaluate(environment)]
    names = [canonicalize_name(req.name) for req in chosen]
    assert len(names) == len(set(names)), "one version each"
    return {name: str(req.specifier).removeprefix("==") for name, req in zip(names, chosen, strict=True)}


def third_party_imports(*folders: str) -> set[str]:
    """Return the top-level names of everything imported that is neither Python's nor ours."""
    names = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    ours = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {"flaskapp", "tests", "benchmarks"}
    return names - set(sys.stdlib_module_names) - ours


BASE = requirements(PROJECT["dependencies"])
PLOTS = requirements(PROJECT["optional-dependencies"]["plots"])
TRAIN = requirements(PROJECT["optional-dependencies"]["train"])
assert str(TRAIN.pop("facial-recognition")) == "facial-recognition[plots]", "training draws"
TRAIN |= PLOTS
DEV = requirements(PROJECT["optional-dependencies"]["dev"])


def import_names(declared: dict[str, Requirement]) -> set[str]:
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in declared}


def test_every_dependency_is_used():
    assert import_names(BASE | TRAIN) - third_party_imports("flaskapp") - NOT_IMPORTED == set()


def test_every_import_is_declared():
    assert third_party_imports("flaskapp") - import_names(BASE | TRAIN) - COMES_ALONG == set()
    everything = import_names(BASE | TRAIN | DEV) | COMES_ALONG | DEV_COMES_ALONG
    assert third_party_imports("flaskapp", "tests", "benchmarks") - everything - BY_HAND == set()


def test_requirements_txt_names_what_pyproject_declares():
    named = requirements((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    assert {name: str(req) for name, req in named.items()} == {name: str(req) for name, req in (BASE | TRAIN).items()}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_by_hash(lock):
    entries = locked(lock)
    assert entries
    for requirement, hashes in entries:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_host(lock):
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host", text)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_locks_hold_what_is_declared_and_agree(machine, python):
    running, testing = (versions(lock, machine, python) for lock in LOCKS)
    assert running.items() <= testing.items()
    environment = {**MACHINES[machine], "python_version": python}
    for declared, lock in ((BASE | TRAIN, running), (BASE | TRAIN | DEV, testing)):
        for name, requirement in declared.items():
            if requirement.marker is None or requirement.marker.evaluate(environment):
                assert requirement.specifier.contains(lock[name]), (requirement, lock[name])
        assert "setuptools" in lock, "it installs the project itself"


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("lock", LOCKS)
def test_tensorflow_comes_in_one_build(lock, machine, python):
    expected = "tensorflow-cpu" if machine == "Linux x86-64" else "tensorflow"
    assert versions(lock, machine, python).keys() & {"tensorflow", "tensorflow-cpu"} == {expected}


def brought_along(names: Iterable[str]) -> set[str]:
    """Return these packages and all that they require, without extras, as installed here."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found:
            found.add(name)
            needed = [Requirement(line) for line in metadata.requires(name) or ()]
            waiting += [req.name for req in needed if req.marker is None or req.marker.evaluate({"extra": ""})]
    return found


@pytest.fixture(scope="module")
def run_without_extras() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the program where only what the plain dependencies bring can be imported."""
    allowed = brought_along(BASE)
    absent = [
        top
        for top, owners in metadata.packages_distributions().items()
        if top != "flaskapp" and not allowed & set(map(canonicalize_name, owners))
    ]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent!r})); import flaskapp.cli; flaskapp.cli.run()"

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    return run


class TestWithoutExtras:
    """What `pip install facial-recognition` brings is enough, and little."""

    PHOTOS = tuple(ROOT / "tests" / "portraits" / name for name in PORTRAITS)

    def test_nothing_large_is_brought_along(self):
        large = {"joblib", "keras", "matplotlib", "mtcnn", "scikit-learn", "scipy", "tensorflow", "tensorflow-cpu"}
        assert not brought_along(BASE) & large

    def test_it_compares(self, run_without_extras):
        done = run_without_extras("compare", self.PHOTOS[0], self.PHOTOS[0], "--json")
        assert (done.returncode, json.loads(done.stdout)["decision"]) == (0, "match")

    def test_it_lists_faces(self, run_without_extras):
        done = run_without_extras("detect", *self.PHOTOS)
        assert (done.returncode, done.stderr) == (0, "")

    def test_it_evaluates(self, run_without_extras, tmp_path):
        scores = [f"a{index}.jpg,b{index}.jpg,{index % 2},0.{index}" for index in range(1, 9)]
        (tmp_path / "scores.csv").write_text("\n".join(["reference,probe,same,similarity_score", *scores]))
        done = run_without_extras("evaluate", "--scores-from", tmp_path / "scores.csv", "--threshold", 0.5)
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize(("command", "name"), [("compare", "answer.png"), ("detect", "boxes")])
    def test_pictures_say_what_to_install(self, run_without_extras, tmp_path, command, name):
        done = run_without_extras(command, *self.PHOTOS, "--plot", tmp_path / name)
        assert (done.returncode, done.stdout) == (2, "")
        assert "matplotlib" in done.stderr
        assert "[plots]" in done.stderr

    def test_training_says_what_to_install(self, run_without_extras, tmp_path):
        done = run_without_extras("train", "--me", tmp_path, "--out", tmp_path / "model")
        assert (done.returncode, "[train]" in done.stderr) == (2, True)


def test_the_pythons_are_the_same_everywhere():
    supported = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.5" in supported] == list(PYTHONS)
    prefix = "Programming Language :: Python :: "
    assert [line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix)] == list(PYTHONS)
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")
@pytest.mark.parametrize(
    ("target", "lists"),
    [
        ("run", ["requirements.lock"]),
        ("test", ["requirements.lock", "requirements-dev.lock"]),
        ("test-research", ["requirements.lock", "requirements-dev.lock", "research/requirements.txt"]),
    ],
)
def test_one_environment_gets_what_a_target_needs(target, lists):
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    planned = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"install .*-r (\S+)", planned) == lists
    assert set(re.findall(r"\.venv[\w-]*", planned)) == {".venv"}


def test_the_check_of_every_change_runs_lint_types_and_tests():
    script = ROOT / ".ci" / "run"
    assert {"make lint", "make test", "make test-research"} <= set(script.read_text(encoding="utf-8").splitlines())
    if sys.platform != "win32":
        assert script.stat().st_mode & stat.S_IXUSR


@pytest.mark.slow
@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_without_a_browser_the_tests_of_the_page_fail_where_ci_is_set(tmp_path, ci, code):
    pytest.importorskip("playwright")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/browser/test_page_forms.py"]
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "CHROMIUM", "PATH")}
    environment = kept | {"PATH": str(tmp_path)} | ({"CI": ci} if ci else {})
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
    assert "there is no Chromium" in done.stdout
    assert "passed" not in done.stdout


@pytest.mark.parametrize("folder", ["flaskapp/static/samples", "tests/portraits"])
def test_photos_say_where_they_come_from(folder):
    note = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    photos = [file.name for file in (ROOT / folder).iterdir() if file.name != "README.md"]
    assert len(photos) >= 2
    assert [name for name in photos if f"`{name}`" not in note] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The package as it is built from a copy of what the build reads."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "LICENSE-WEIGHTS.md", *WEIGHTS):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "flaskapp", source / "flaskapp", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", out, source], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder with the package as the wheel lays it out."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@needs_weights
@pytest.mark.slow
class TestWheel:
    def test_holds_every_module_and_nothing_else(self, wheel):
        names = set(zipfile.ZipFile(wheel).namelist())
        modules = {str(path.relative_to(ROOT).as_posix()) for path in (ROOT / "flaskapp").rglob("*.py")}
        assert {name for name in names if name.endswith(".py")} == modules
        tops = {name.partition("/")[0] for name in names}
        assert {top for top in tops if not top.endswith(".dist-info")} == {"flaskapp"}

    def test_holds_the_weights_unchanged(self, installed):
        for name in WEIGHTS:
            assert (installed / "flaskapp" / name).read_bytes() == (ROOT / name).read_bytes()

    def test_holds_all_static_files_templates_and_detector_weights(self, installed):
        for folder in ("static", "templates", "detection"):
            files = [
                path for path in (ROOT / "flaskapp" / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"
            ]
            assert all((installed / path.relative_to(ROOT)).is_file() for path in files)

    def test_names_the_command_and_both_licences(self, installed):
        (info,) = installed.glob("*.dist-info")
        assert "facial-recognition = flaskapp.cli:run" in (info / "entry_points.txt").read_text(encoding="utf-8")
        assert {path.name for path in (info / "licenses").iterdir()} == {"LICENSE", "LICENSE-WEIGHTS.md"}

    def test_compares_away_from_the_checkout(self, installed, tmp_path):
        photos = [str(path) for path in sorted((installed / "flaskapp" / "static" / "samples").glob("*.jpg"))[:2]]
        answers = [compare(folder, tmp_path, photos) for folder in (installed, ROOT)]
        assert answers[0] == answers[1]


def compare(package_folder: Path, working_folder: Path, photos: list[str]) -> tuple[str, float]:
    """Return decision and score of the program that lies in a folder."""
    code = """
import sys
folder = sys.argv.pop(1)
sys.path.insert(0, folder)
import flaskapp.cli
assert flaskapp.cli.__file__.startswith(folder)
flaskapp.cli.run()
"""
    command = [sys.executable, "-I", "-c", code, str(package_folder), "compare", *photos, "--json"]
    done = subprocess.run(command, cwd=working_folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    answer = json.loads(done.stdout)
    return answer["decision"], answer["similarity_score"]


@pytest.mark.parametrize(("own", "kept"), [({}, "4"), ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "20")])
def test_numpys_threads_are_told_to_sleep_before_numpy_is_imported(own, kept):
    told = "import os, sys, flaskapp; print(os.environ['OPENBLAS_THREAD_TIMEOUT'], 'numpy' in sys.modules)"
    inherited = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"}
    done = subprocess.run(
        [sys.executable, "-c", told], check=True, capture_output=True, text=True, env=inherited | own, cwd=ROOT
    )
    assert done.stdout.split() == [kept, "False"]
