"""Checkpoints: all variables and where a run stands, in one file that is old or new, never half."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from flaskapp.errors import DataError
from flaskapp.parallel import replacing


def save_checkpoint(path: Path, variables: Sequence[Any], state: dict[str, Any]) -> None:
    """Write a checkpoint; a kill at any moment leaves the old one or the new one.

    Args:
        path: the ``.npz``.
        variables: Keras's variables or arrays, in an order that the next run repeats.
        state: what JSON can hold.
    """
    arrays = {f"{index:04d}": ops.convert_to_numpy(variable) for index, variable in enumerate(variables)}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, state=json.dumps(state), **arrays)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: Path, variables: Sequence[Any]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read a checkpoint of variables (or arrays) of these shapes.

    Raises:
        DataError: it is damaged or of another network.
    """
    try:
        # Opened here, because NumPy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            state = json.loads(str(arrays["state"]))
            if len(arrays.files) != len(variables) + 1:
                raise ValueError("another number of variables")
            read = [arrays[f"{index:04d}"] for index in range(len(variables))]
            if [array.shape for array in read] != [tuple(variable.shape) for variable in variables]:
                raise ValueError("other shapes")
            return read, state
    except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"The checkpoint {path.name} is damaged or of another network ({type(error).__name__}).",
            "Name another folder for this run, or take the checkpoint away.",
        ) from error
