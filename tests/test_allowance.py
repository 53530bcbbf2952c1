"""What the process may use of a machine, read from control groups as the kernel writes them."""

from __future__ import annotations

import ast
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from weights_files import write_weights_files

import flaskapp
from flaskapp import allowance
from flaskapp.verifier import Verifier
from flaskapp.web.comparing import Comparer
from flaskapp.weights.runtime import Runtime

MEGABYTE = 1024 * 1024
UNLIMITED = "9223372036854771712"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that makes a machine of 64 cores and 256 GB whose control groups hold these files."""

    def make(own: str, files: dict[str, str]) -> None:
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n")

    monkeypatch.setattr(allowance, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(allowance, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 128)
    pages = {"SC_PHYS_PAGES": 256_000 * MEGABYTE // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    monkeypatch.setattr(os, "sysconf_names", pages, raising=False)
    return make


V1 = "5:cpuacct,cpu:/docker/ab\n4:memory:/docker/ab\n1:name=systemd:/\n"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/\n", {}, 64),
        ("0::/\n", {"cpu.max": "max 100000"}, 64),
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000"}, 2),
        ("0::/\n", {"cpu.max": "10000 100000"}, 1),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ("0::/../../x\n", {"cpu.max": "400000 100000"}, 4),
        (V1, {"cpu/docker/ab/cpu.cfs_quota_us": "-1", "cpu/docker/ab/cpu.cfs_period_us": "100000"}, 64),
        (V1, {"cpu/docker/ab/cpu.cfs_quota_us": "500000", "cpu/docker/ab/cpu.cfs_period_us": "100000"}, 5),
        (V1, {"cpu/cpu.cfs_quota_us": "600000", "cpu/cpu.cfs_period_us": "100000"}, 6),
    ],
)
def test_cores_are_those_of_affinity_and_quota(machine, own, files, cores):
    machine(own, files)
    assert allowance.allowed_cores() == cores


@pytest.mark.parametrize(
    ("own", "files", "megabytes"),
    [
        ("0::/\n", {}, 256_000),
        ("0::/\n", {"memory.max": "max"}, 256_000),
        ("0::/\n", {"memory.max": str(512 * MEGABYTE)}, 512),
        ("0::/a/b\n", {"a/memory.high": str(700 * MEGABYTE), "a/b/memory.max": str(900 * MEGABYTE)}, 700),
        (V1, {"memory/docker/ab/memory.limit_in_bytes": UNLIMITED}, 256_000),
        (V1, {"memory/memory.limit_in_bytes": str(1024 * MEGABYTE)}, 1024),
    ],
)
def test_memory_is_that_of_the_machine_or_the_least_limit(machine, own, files, megabytes):
    machine(own, files)
    assert allowance.allowed_bytes() == megabytes * MEGABYTE


@pytest.mark.parametrize(
    ("files", "photos"),
    [
        ({}, 128),
        ({"cpu.max": "200000 100000"}, 4),
        ({"cpu.max": "100000 100000"}, 4),
        ({"memory.max": "16000000000"}, 39),
        ({"memory.max": "1200000000"}, 2),
        ({"memory.max": "500000000"}, 1),
        ({"memory.max": "100000000"}, 1),
    ],
)
def test_photos_at_once_follow_cores_and_memory(machine, files, photos):
    machine("0::/\n", files)
    assert allowance.photos_at_once() == photos


def test_without_control_groups_and_affinity_the_machine_counts(machine, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert (allowance.allowed_cores(), allowance.allowed_bytes()) == (128, None)
    assert allowance.photos_at_once() == 256


def test_nothing_else_counts_the_cores_of_the_machine():
    package = Path(flaskapp.__file__).parent
    counting = {
        file.name
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("cpu_count", "process_cpu_count", "sched_getaffinity")
    }
    assert counting == {"allowance.py"}


@pytest.mark.parametrize(("photos", "requests"), [(1, 1), (2, 1), (3, 2), (8, 4)])
def test_the_server_keeps_to_it(monkeypatch, tmp_path, photos, requests):
    threads = []

    class Noting(ThreadPoolExecutor):
        def __init__(self, most: int, **more: object) -> None:
            threads.append(most)
            super().__init__(most, **more)

    monkeypatch.setattr("flaskapp.verifier.ThreadPoolExecutor", Noting)
    monkeypatch.setattr("flaskapp.verifier.photos_at_once", lambda: photos)
    monkeypatch.setattr("flaskapp.web.comparing.photos_at_once", lambda: photos)
    verifier = Verifier(Runtime(write_weights_files(tmp_path)))
    places = Comparer(verifier, under_way=36).at_work
    assert threads == [photos]
    assert [places.acquire(blocking=False) for _ in range(requests + 1)] == [True] * requests + [False]
