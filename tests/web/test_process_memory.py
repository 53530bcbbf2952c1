"""What the server's memory is given back by."""

from __future__ import annotations

import threading

import pytest
from web_sockets import until

from flaskapp.errors import BusyError
from flaskapp.web import process_memory
from flaskapp.web.comparing import Comparer


def no_more_threads(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_comparison_keeps_no_place_where_no_thread_can_start(monkeypatch, verifier):
    comparer, tidied = Comparer(verifier, under_way=1), []
    monkeypatch.setattr(process_memory, "give_arena_back", lambda: tidied.append(True))
    monkeypatch.setattr(process_memory, "ARENA_SECONDS", 0)
    until(lambda: not process_memory._tidying.locked())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more_threads)
        with comparer.place():
            pass
    with comparer.place(), pytest.raises(BusyError), comparer.place():
        pass
    until(lambda: bool(tidied))
