"""The people of a sets file who have a role, as a list of pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair
from flaskapp.pairs.people import pairs_among
from research.sets.table import UNKNOWN_PERSON, FaceTable


def pairs_of_role(
    table: FaceTable, role: int, root: Path, impostors: int | None = None, seed: int = 0
) -> list[PhotoPair]:
    """Pair the photos of the people who have one role, within each set that may measure.

    The sets hold some photos twice, in different sizes: across sets a genuine pair may be one
    photo.

    Args:
        table: as of ``load_faces``.
        role: REPORTING, for example.
        root: folder that the pairs' paths shall start from.
        impostors: how many impostor pairs of all sets together, each as likely as any other; None = all.
        seed: of the draw.

    Raises:
        DataError: nobody has that role, or a photo lies outside the root.
    """
    of_sets = []
    for index in range(len(table.set_names)):
        chosen = (table.set_index == index) & (table.role == role) & (table.person != UNKNOWN_PERSON)
        if table.set_measures and not table.set_measures[index]:
            continue
        rows = np.flatnonzero(chosen).tolist()
        photos = {_below(table.paths[row], root): str(table.person[row]) for row in rows}
        of_sets.append(photos)
    pairs = pairs_among(of_sets, impostors, seed)
    if not pairs:
        raise DataError("No known people of the sets that may measure have this role.", "Name another by --role.")
    return pairs


def _below(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        raise DataError(f"{path.name} lies outside {root.name}.", "Put the sets file above its photos.") from None
