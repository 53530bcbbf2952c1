"""The three networks of MTCNN, read from the files in ``mtcnn`` and run on ONNX Runtime.

K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", 2016. ``research/mtcnn_weights.py`` made the files from the
weights of the ``mtcnn`` package (MIT licence, beside them).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.onnx_session import open_model

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FOLDER = Path(__file__).resolve().parent / "mtcnn"
REINSTALL = "Restore the file, or install the program again."


class File(NamedTuple):
    """What is known of one network's file.

    Attributes:
        input_size: side of the square images it takes, in pixels; the first network takes any size.
        at_once: most images in one run; more are run one batch after the other. What a run works
            in grows with its batch: for four thousand faces at once it would be eight gigabytes.
        sha256: of the whole file.
    """

    input_size: int
    at_once: int
    sha256: str


FILES = {
    "pnet": File(12, 1, "691b6282cb0b5a533a73f8a383582cca526f1b22daef49e9e22366f81084e772"),
    "rnet": File(24, 256, "ac6cc092425dd3585e704c4e4606fe6d730466fe0603d952653b9e785eaea70e"),
    "onet": File(48, 64, "f92598a6653368591518d40e1e436fcc881dbd679544553ce1faa9d75284f0d4"),
}


class Network:
    """One of the three networks, ready to run from any number of threads.

    Args:
        session: its graph on ONNX Runtime.
        input_size: see ``File``.
        at_once: see ``File``.
    """

    def __init__(self, session: InferenceSession, input_size: int, at_once: int) -> None:
        self.input_size = input_size
        self._at_once = at_once
        self._outputs = [output.name for output in session.get_outputs()]
        self._session = session

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Run the network.

        Args:
            images: float32 (N, height, width, 3) RGB in [0, 255].

        Returns:
            "offsets" float32 (..., 4), "scores" (...) in [0, 1], and from the last network
            "landmarks" (..., 10); ... is (N, rows, columns) for the first network and (N,)
            for the others.
        """
        starts = range(0, max(len(images), 1), self._at_once)
        runs = [self._session.run(self._outputs, {"images": images[at : at + self._at_once]}) for at in starts]
        answers = runs[0] if len(runs) == 1 else map(np.concatenate, zip(*runs, strict=True))
        return dict(zip(self._outputs, answers, strict=True))


def load_network(name: str, folder: Path = FOLDER) -> Network:
    """Return the network "pnet", "rnet" or "onet".

    Raises:
        WeightsError: its file is missing, or is not the known one.
    """
    file, path = FILES[name], folder / f"{name}.onnx"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The detector's weights {path.name} cannot be read.", REINSTALL) from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise WeightsError(f"The detector's weights {path.name} are not the expected ones.", REINSTALL)
    return Network(open_model(content), file.input_size, file.at_once)
