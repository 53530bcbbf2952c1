"""One ordered parallel map, one thing made once for all threads, and how a file is written whole or not at all."""

from __future__ import annotations

import functools
import shutil
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

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
    with ThreadPoolExecutor(threads) as pool, closing(in_order(pool, work, items, 2 * threads)) as answers:
        return [answer for _, answer in zip(progress(items), answers, strict=True)]


def in_order(
    pool: Executor, work: Callable[[Item], Answer], items: Iterable[Item], ahead: int
) -> Generator[Answer, None, None]:
    """Work on items in a pool, and yield the answers in the items' order.

    Items are taken as their turn comes: at most ``ahead`` are begun or waiting, however many there are.
    An error, Ctrl-C or closing ends it: what waits is not begun.
    """
    jobs = deque[Future[Answer]]()
    try:
        for item in items:
            jobs.append(pool.submit(work, item))
            if len(jobs) >= ahead:
                yield jobs.popleft().result()
        while jobs:
            yield jobs.popleft().result()
    finally:
        for job in jobs:
            job.cancel()
        jobs.clear()


def once(make: Callable[[], Answer]) -> Callable[[], Answer]:
    """Make something at the first call, once for all threads, and return it at every call."""
    lock, made = threading.Lock(), functools.cache(make)

    @functools.wraps(make)
    def get() -> Answer:
        with lock:
            return made()

    return get


@contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[Path]:
    """Give a path to write in a file's place; the file is replaced when that is whole.

    A kill at any moment leaves the old file or the new one. After an error the old one stays.

    Args:
        path: the file.
        suffix: that the other path must end with, where its writer asks for one.
    """
    part = path.with_name(f"{path.name.removesuffix(suffix)}.part{suffix}") if suffix else path.with_suffix(".part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Give a file to write in a path's place; an error names the path, and leaves what stood there.

    What a link leads to is replaced, not the link; a pipe or a device is written as it is. Text is UTF-8, with
    undecodable bytes of names as they are; ``buffer`` takes bytes.

    Raises:
        OSError: it cannot be written; its ``filename`` is the path.
    """
    real = path.resolve()
    try:
        if path.exists() and not path.is_file():  # by its own name: what /dev/stdout leads to may have none
            with path.open("w", encoding="utf-8", errors="surrogateescape", newline=newline) as file:
                yield file
            return
        with replacing(real, real.suffix) as part:
            with part.open("w", encoding="utf-8", errors="surrogateescape", newline=newline) as file:
                yield file
            if real.exists():
                shutil.copymode(real, part)
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
