"""A training on one's own face as a process of its own: faces by the pipe in, progress by the pipe out.

The server starts it (``python -m flaskapp.personal.worker``), so that TensorFlow never enters the
process that serves, and so that a training can be stopped by ending it. The order is one line
of JSON and then the faces' pixels; each answer is one line of JSON. Nothing but the model and
its checkpoints reaches the disk; the server itself puts the model into its place. When the server
ends, its end of the pipe closes, and so does this.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from flaskapp.errors import FacialRecognitionError
from flaskapp.personal.folder import MAKE_ROOM, UnwritableError, writing
from flaskapp.preprocess import CROP_SIZE

if TYPE_CHECKING:
    from flaskapp.personal.result import OwnResult

SIZE = (CROP_SIZE, CROP_SIZE, 3)
SLOWER = 5  # niceness: whoever waits for a comparison comes first


def read_order(pipe: BinaryIO) -> tuple[dict[str, Any], np.ndarray]:
    """Return the order and the faces uint8 (N, 100, 100, 3) behind it; a ValueError if the pipe ends too early."""
    order = json.loads(pipe.readline())
    count = order["photos"]
    pixels = pipe.read(count * int(np.prod(SIZE)))
    return order, np.frombuffer(pixels, np.uint8).reshape(count, *SIZE)


def main() -> None:
    """Train as the order says; answer ``share``, ``words``, ``doubted``, and in the end ``result`` or ``problem``."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed goes to standard error from now on

    def tell(**answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    order, faces = read_order(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(SLOWER)
    tell(words="Loading the training program.")
    try:
        with writing(Path(order["out"])):
            result = train(Path(order["out"]), order["minutes"], faces, tell)
    except UnwritableError as error:
        tell(problem=error.to_json() | {"code": "training_failed", "hint": MAKE_ROOM})
    except FacialRecognitionError as error:
        tell(problem=error.to_json())
    else:
        tell(result={"words": result.in_words(), "figures": result.even_figures(), "scope": vars(result.scope)})


def _end_with_the_server() -> None:
    os.read(sys.stdin.fileno(), 1)  # not by the buffer: its lock would be held when this ends by itself
    os._exit(1)


def train(out: Path, minutes: float, faces: np.ndarray, tell: Callable[..., None]) -> OwnResult:
    """Train on faces uint8 (N, 100, 100, 3), and tell how it goes by ``share``, ``words`` and ``doubted``."""
    from flaskapp.personal.album import ME, Album
    from flaskapp.personal.loop import OwnRecipe
    from flaskapp.personal.train import OwnReporter, make_own_model

    def learning(share: float) -> None:
        tell(share=round(share, 3), words="Training." if share < 1 else "Scoring the photos that were kept back.")

    names = tuple(f"photo {number}" for number in range(1, len(faces) + 1))
    mine = Album(names, (ME,) * len(faces), faces, tuple(hashlib.sha256(face).hexdigest() for face in faces))
    tell(words="Splitting the photos, and changing copies of them.")
    reporter = OwnReporter(lambda _: None, learning, lambda doubt: tell(doubted=[row + 1 for row in doubt.rows]))
    return make_own_model(mine, None, out, OwnRecipe(minutes=minutes), reporter)


if __name__ == "__main__":
    main()
