"""The ordered parallel map."""

from __future__ import annotations

import threading

import pytest

from flaskapp.parallel import map_in_order


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
