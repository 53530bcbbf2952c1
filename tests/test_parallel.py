"""The ordered parallel map, and files that are written whole or not at all."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flaskapp.parallel import in_order, map_in_order, new_file, once


def test_answers_come_in_the_order_of_the_items():
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)
        elif item == 1:
            second_is_done.set()
        return -item

    seen = []
    answers = map_in_order(work, range(5), 2, lambda items: (seen.append(item) or item for item in items))
    assert answers == [0, -1, -2, -3, -4]
    assert seen == [0, 1, 2, 3, 4]


def test_nothing_is_begun_after_an_error():
    begun, go_on = [], threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise KeyError(item)
        go_on.wait(0.2)

    with pytest.raises(KeyError):
        map_in_order(work, range(100), 2)
    assert len(begun) < 10


def test_there_may_be_nothing_to_do():
    assert map_in_order(str, [], 2) == []


def test_no_more_is_taken_than_may_wait():
    taken = []
    with ThreadPoolExecutor(2) as pool:
        answers = in_order(pool, str, (taken.append(item) or item for item in itertools.count()), 3)
        assert [next(answers) for _ in range(5)] == list("01234")
        assert taken == list(range(7))
        answers.close()
        assert list(answers) == []


def test_what_waits_when_it_is_closed_is_not_begun():
    begun, go_on = [], threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item:
            go_on.wait(10)

    with ThreadPoolExecutor(1) as pool:
        answers = in_order(pool, work, range(100), 10)
        next(answers)
        answers.close()
        go_on.set()
    assert len(begun) <= 2


def test_what_is_made_once_is_the_same_for_all():
    making = threading.Event()

    @once
    def one() -> object:
        making.wait(0.2)  # while the others ask
        return object()

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: one(), range(4)))
    assert len(found) == 1
    assert one() in found


def test_an_error_is_no_answer():
    answers = iter([ValueError("not yet"), 1])

    @once
    def one() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(ValueError, match="not yet"):
        one()
    assert (one(), one()) == (1, 1)


class TestNewFile:
    def test_an_error_leaves_what_stood_there_and_names_the_file(self, tmp_path):
        path = tmp_path / "figures.json"
        path.write_text("old", encoding="utf-8")
        with pytest.raises(OSError, match="No space left") as caught, new_file(path) as file:
            file.write("half of the n")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        assert caught.value.filename == str(path)
        assert [file.read_text(encoding="utf-8") for file in tmp_path.iterdir()] == ["old"]

    def test_who_may_read_a_file_stays_as_it_was(self, tmp_path):
        path = tmp_path / "scores.csv"
        path.touch(0o640)
        with new_file(path) as file:
            file.write("new")
        assert (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o777) == ("new", 0o640)

    def test_a_link_stays_one(self, tmp_path):
        (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
        with new_file(tmp_path / "link.csv") as file:
            file.write("new")
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "real.csv").read_text(encoding="utf-8") == "new"

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
    def test_a_device_is_written_as_it_is(self):
        with pytest.raises(OSError, match="No space left") as caught, new_file(Path("/dev/full")) as file:
            file.write("new")
        assert caught.value.filename == "/dev/full"

    @pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="names of open files")
    def test_a_pipe_is_written_by_its_name(self):
        reader, writer = os.pipe()
        with new_file(Path(f"/dev/fd/{writer}")) as file:
            file.write("new")
        os.close(writer)
        assert os.read(reader, 10) == b"new"
        os.close(reader)
