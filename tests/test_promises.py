"""docs/promises.md names tests that exist, for every promise that is made."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "promises.md").read_text(encoding="utf-8").splitlines()[1:]
    if line.startswith("|")
][2:]
MADE = {f"P{number}" for number in (*range(1, 16), *range(17, 27), 28)}


def test_every_promise_has_its_tests():
    assert {row[0].split()[0] for row in ROWS if row[0]} == MADE


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_test_exists_and_was_tried(row):
    file, _, name = row[1].strip("`").partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert name in defined
    assert row[2]


def test_every_test_of_a_promise_is_listed():
    listed = " ".join(row[1] for row in ROWS)
    for path in (ROOT / "tests" / "web").glob("test_promises_*.py"):
        for name in re.findall(r"^(?:class (TestP\d+\w*)|def (test_p\d+\w*))", path.read_text(encoding="utf-8"), re.M):
            assert f"{path.name}::{''.join(name)}`" in listed
