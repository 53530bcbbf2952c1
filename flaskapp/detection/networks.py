"""The three networks of MTCNN, read from the files in ``mtcnn`` and run on ONNX Runtime.

K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint Face Detection and Alignment Using Multitask
Cascaded Convolutional Networks", 2016. ``research/mtcnn_weights.py`` made the files from the
weights of the ``mtcnn`` package (MIT licence, beside them).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.onnx_session import open_session

FOLDER = Path(__file__).resolve().parent / "mtcnn"
REINSTALL = "Restore the file, or install the program again."

FILES = {
    "pnet": (12, 1, "691b6282cb0b5a533a73f8a383582cca526f1b22daef49e9e22366f81084e772"),
    "rnet": (24, 256, "ac6cc092425dd3585e704c4e4606fe6d730466fe0603d952653b9e785eaea70e"),
    "onet": (48, 64, "f92598a6653368591518d40e1e436fcc881dbd679544553ce1faa9d75284f0d4"),
}
"""Of each network: side in pixels of the square images it takes, though the first takes any size; most
images in one run, more are run one batch after the other; and its file's SHA-256. What a run works in
grows with its batch: for four thousand faces at once it would be eight gigabytes."""


class Network:
    """One of the three networks, ready to run from any number of threads.

    Args:
        name: "pnet", "rnet" or "onet".
        folder: where its file is.

    Raises:
        WeightsError: its file is missing, or is not the known one.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.input_size, self._at_once, sha256 = FILES[name]
        try:
            content = (folder / f"{name}.onnx").read_bytes()
        except OSError as error:
            raise WeightsError(f"The detector's weights {name}.onnx cannot be read.", REINSTALL) from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise WeightsError(f"The detector's weights {name}.onnx are not the expected ones.", REINSTALL)
        self._session = open_session(content)
        self._outputs = [output.name for output in self._session.get_outputs()]

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
