"""The README tells nothing that the program does not do."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from web_process import Server

from flaskapp.cli.program import main
from flaskapp.web import openapi

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "research" / "README.md"])
NOTES = sorted((ROOT / "research" / "notes").glob("*.md"))
PROGRAM = "facial-recognition"
FIGURES = "What the answer means"


def blocks_of(document: str) -> list[tuple[str, str]]:
    """Return language and text of each block of code."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", document, flags=re.DOTALL | re.MULTILINE)


def example(name: str, language: str, holds: str = "") -> str:
    """Return the only block of a language in a document."""
    document = (ROOT / name).read_text(encoding="utf-8")
    (found,) = (text for of_block, text in blocks_of(document) if of_block == language and holds in text)
    return found


BLOCKS = blocks_of(README)
PROSE = re.sub(r"^```\w+\n.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
CODE_SPANS = re.findall(r"`([^`\n]+)`", PROSE)
SHELL_LINES = [line for language, text in BLOCKS if language in {"sh", "bat"} for line in text.splitlines()]


def words_of(line: str) -> list[str]:
    """Return the words of one command: no comment, nothing behind a pipe, redirection or semicolon."""
    words = shlex.split(line.replace("\\", "/"), comments=True)
    ends = [index for index, word in enumerate(words) if word.startswith(("|", ">", ";", "&&"))]
    return words[: ends[0]] if ends else words


def program_commands() -> list[list[str]]:
    """Return what follows the program's name wherever the README calls it."""
    calls = [words for words in map(words_of, SHELL_LINES) if words and Path(words[0]).name == PROGRAM]
    calls += [words for words in map(words_of, CODE_SPANS) if words[0] == PROGRAM and len(words) > 1]
    return [words[1:] for words in calls]


def make_targets() -> set[str]:
    calls = [words_of(line) for line in [*SHELL_LINES, *CODE_SPANS] if line.startswith("make ")]
    return {word for words in calls for word in words[1:2]}


def table_below(heading: str) -> list[list[str]]:
    """Return the rows, without head and rule, of the first table of a section."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def anchors(document: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readers_of_the_readme_find_something():
    names = {words[0] for words in program_commands()}
    assert names >= {"compare", "detect", "evaluate", "train"}
    assert make_targets() >= {"run", "test", "lint"}
    assert len(table_below(FIGURES)) >= 5


@pytest.mark.parametrize("words", program_commands(), ids=" ".join)
def test_every_command_is_understood(words):
    assert isinstance(main, click.Group)
    command = main.commands[words[0]]
    context = click.Context(command, info_name=words[0])
    given, extra, _ = command.make_parser(context).parse_args(words[1:])
    assert not extra
    if words[1:]:  # else the command is only mentioned
        needed = {param.name for param in command.params if param.required}
        assert needed <= {name for name, value in given.items() if isinstance(value, (str, tuple))}
    assert CliRunner().invoke(main, [words[0], "--help"]).exit_code == 0


def test_every_subcommand_is_shown():
    assert {words[0] for words in program_commands()} >= set(main.commands)


@pytest.mark.parametrize("target", sorted(make_targets()))
def test_every_make_target_exists(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^([\w./-]+ )*{re.escape(target)}( [\w./-]+)*:", makefile, flags=re.MULTILINE)


@pytest.mark.parametrize("path", DOCUMENTS + NOTES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    document = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", document):
        if link.startswith("#"):
            assert link[1:] in anchors(document), link
        elif not link.startswith("https://"):
            name, _, anchor = link.partition("#")
            assert (path.parent / name).is_file(), link
            assert not anchor or anchor in anchors((path.parent / name).read_text(encoding="utf-8")), link


@pytest.mark.parametrize("row", table_below(FIGURES), ids=lambda row: row[0])
def test_every_figure_names_its_command(row):
    commands = [words_of(span) for span in re.findall(r"`([^`]+)`", row[-1])]
    assert commands
    assert all(words[0] in {PROGRAM, "make"} for words in commands)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_figure_is_left_open(path):
    assert re.findall(r"<!--.*?-->", path.read_text(encoding="utf-8")) == []


def test_every_row_of_the_figures_has_one():
    assert [row[0] for row in table_below(FIGURES) if not re.search(r"\d", row[1])] == []


@pytest.mark.slow
@pytest.mark.parametrize("code", [text for language, text in BLOCKS if language == "python"])
def test_the_python_example_runs(code):
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "match"


def curl_examples() -> dict[str, str]:
    """Return the commands by which docs/serving.md and /api/docs show the API."""
    page = re.findall(r"^    (.*)$", openapi.describe()["info"]["description"], flags=re.MULTILINE)
    return {"serving": example("docs/serving.md", "sh", "curl"), "docs": "\n".join(page)}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="needs bash and curl")
@pytest.mark.parametrize("place", curl_examples())
def test_the_curl_examples_run(place, tmp_path):
    samples = ROOT / "flaskapp" / "static" / "samples"
    for name, sample in (("passport.jpg", "whitson_portrait.jpg"), ("selfie.jpg", "whitson_at_work.jpg")):
        shutil.copyfile(samples / sample, tmp_path / name)
    still_standing = 'echo; curl -s localhost:5000/api/v1/consent -H "Authorization: Bearer $TOKEN"'
    with Server(ROOT, tmp_path) as server:
        script = f"{curl_examples()[place]}\n{still_standing}\n".replace("localhost:5000", f"localhost:{server.port}")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    answer, consent = (json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{"))
    assert answer["decision"] == "match"
    withdrawn = "DELETE" in curl_examples()[place]
    assert consent.get("code") == ("consent_required" if withdrawn else None)


def test_the_list_of_pairs_example_is_read(tmp_path):
    from flaskapp.pairs.lists import read_pairs

    (tmp_path / "pairs.csv").write_text(example("docs/evaluation.md", "text"), encoding="utf-8")
    assert [(pair.reference, pair.probe, pair.same) for pair in read_pairs(tmp_path / "pairs.csv")] == [
        ("anna/1.jpg", "anna/2.jpg", True),
        ("anna/1.jpg", "bert/1.jpg", False),
    ]
