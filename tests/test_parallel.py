"""The ordered parallel map."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flaskapp.parallel import in_order, map_in_order, once


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
