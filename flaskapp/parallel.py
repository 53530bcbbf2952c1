"""One ordered parallel map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def map_in_order(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    threads: int,
    progress: Callable[[Iterable[Item]], Iterable[Item]] = iter,
) -> list[Answer]:
    """Work on items in threads, and return the answers in the items' order.

    An error or Ctrl-C ends it at once: what still waits is not begun.

    Args:
        work: item → answer.
        items: what to work on.
        threads: at most so many at a time.
        progress: wraps the iteration over the items, a progress bar for example.
    """
    with ThreadPoolExecutor(threads) as pool:
        answers = pool.map(work, items)
        try:
            return [answer for _, answer in zip(progress(items), answers, strict=True)]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else leaving would wait for all that is queued
            raise
