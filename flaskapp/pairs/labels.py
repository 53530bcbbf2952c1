"""A CSV that says of photos which groups they belong to."""

from __future__ import annotations

import csv
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flaskapp.errors import DataError
from flaskapp.pairs.lists import SAVE, PhotoPair, photos_of, sides_of

PATH_COLUMNS = ("path", "file", "photo")
MOST_VALUES = 50  # a column of more is no grouping but a name or a number


@dataclass(frozen=True)
class Labels:
    """The groups of photos: by path the value of each column ("gender" for example), "" where it is not known."""

    columns: tuple[str, ...]
    of_photo: dict[str, tuple[str, ...]]

    def values(self, photos: Sequence[str]) -> np.ndarray:
        """Return str (N, columns), "" for a photo without labels."""
        unknown = ("",) * len(self.columns)
        found = [self.of_photo.get(photo, unknown) for photo in photos]
        return np.array(found, str).reshape(len(photos), len(self.columns))


def read_labels(path: Path, by: Sequence[str] = ()) -> Labels:
    """Read labels from a CSV: a column ``path`` (or ``file`` or ``photo``), then one for each grouping.

    Its paths start where those of the pairs start. Of the groupings those named ``by`` are taken; else all.

    Raises:
        DataError: the file cannot be read, has not these columns, says two things of one photo,
            or a column has so many values that it cannot be a grouping.
    """
    names, rows = _rows_of(path)
    place = next((name for name in PATH_COLUMNS if name in names), None)
    columns = tuple(by) or tuple(name for name in names if name not in (place, ""))
    if place is None or not columns or set(columns) - set(names):
        wanted = ", ".join(by) or "at least one for a grouping"
        received, hint = ", ".join(names) or "nothing", SAVE if len(names) < 2 else ""
        raise DataError(f"{path.name} expects the columns path (or file) and {wanted}. Received: {received}.", hint)
    cells: dict[str, tuple[str, ...]] = {}
    lines: dict[str, int] = {}
    for line, row in rows:
        if not (photo := (row[place] or "").strip()):
            continue
        photo, values = posixpath.normpath(photo), tuple((row[name] or "").strip() for name in columns)
        if cells.setdefault(photo, values) != values:
            both = f"what line {lines[photo]} says of {photo}, {', '.join(cells[photo])}"
            raise DataError(f"{path.name}, line {line}: expects {both}. Received: {', '.join(values)}.")
        lines.setdefault(photo, line)
    for name, column in zip(columns, zip(*cells.values(), strict=True), strict=False):
        if len(set(column)) > MOST_VALUES:
            many = f"{path.name}: the column {name} has more than {MOST_VALUES} values."
            raise DataError(many, "Choose others by --by.")
    return Labels(columns, cells)


def _rows_of(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    """Return the names of the columns, and each row with its line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            return names, [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise DataError(f"The labels {path.name} are not text in UTF-8.", SAVE) from None
    except (OSError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"The labels {path.name} cannot be read: {why}.", SAVE) from None


def group_masks(pairs: Sequence[PhotoPair], labels: Labels) -> dict[str, np.ndarray]:
    """Return which pairs belong to which group: those whose photos both do.

    Returns:
        "gender=Female" → bool (N,); last, "alike in gender, race", the genuine pairs with
        those impostor pairs whose photos agree in every column: the harder ones.

    Raises:
        DataError: not one photo of the pairs has a label.
    """
    first, second = map(labels.values, sides_of(pairs))
    if not (first != "").any() and not (second != "").any():
        none = f"The labels name none of the {len(photos_of(pairs)):,} photos."
        raise DataError(none, "Write their paths as the list of pairs does.")
    masks = {
        f"{column}={value}": (first[:, place] == value) & (second[:, place] == value)
        for place, column in enumerate(labels.columns)
        for value in np.union1d(first[:, place], second[:, place]).tolist()
        if value
    }
    alike = ((first == second) & (first != "")).all(axis=1)
    same = np.array([pair.same for pair in pairs])
    return {**masks, f"alike in {', '.join(labels.columns)}": alike | same}
