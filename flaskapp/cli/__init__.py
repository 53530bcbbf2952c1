"""``facial-recognition …``: the program from a terminal.

``run`` is the program, ``main`` its commands. They are imported late, so that ``run`` can say
what is wrong even where the memory does not suffice for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flaskapp.cli.running import run

if TYPE_CHECKING:
    from flaskapp.cli.program import main

__all__ = ["main", "run"]


def __getattr__(name: str) -> Any:
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flaskapp.cli.program import main

    return main
