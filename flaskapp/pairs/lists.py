"""Lists of photo pairs: which two photos to compare, and whether they show one person.

Three kinds of file are read, told apart by their first line:

* LFW's view 1 (``pairsDevTest.txt``): ``N``, then N genuine and N impostor lines;
* LFW's view 2 (``pairs.txt``): ``folds<TAB>N``, then N genuine and N impostor lines a fold;
* CSV with the columns ``reference``, ``probe`` and ``same``, and where they are known
  ``reference_person`` and ``probe_person``, and ``fold``; further columns are passed over, so
  that a list of scores can be read again as a list of pairs.

LFW's formats: http://vis-www.cs.umass.edu/lfw/README.txt.
"""

from __future__ import annotations

import csv
import functools
import math
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError
from flaskapp.evaluation import Band, Sources, decide_all, sources_by
from flaskapp.parallel import new_file

COLUMNS = ("reference", "probe", "same")
SCORE_COLUMN = "similarity_score"
PERSON_COLUMNS = ("reference_person", "probe_person")
KNOWN_COLUMNS = (*COLUMNS, SCORE_COLUMN, *PERSON_COLUMNS, "fold")
WRITTEN_COLUMNS = [*COLUMNS, SCORE_COLUMN, "decision"]
YES, NO = frozenset({"1", "true", "yes"}), frozenset({"0", "false", "no"})
LARGEST_SCORE = 1e300  # differences of larger ones overflow
LONGEST_ECHO = 200  # characters of a list that a message repeats
UNDECODED = "[\udc80-\udcff]"  # bytes that are no UTF-8, as they are read
ONCE = "Leave one of these lines out: a pair counts once."
SAVE = "Save it as CSV in UTF-8, with commas."
FIRST_LINES = f"the number of pairs (LFW), folds and pairs (LFW's view 2) or {','.join(COLUMNS)} (CSV)"


@dataclass(frozen=True)
class PhotoPair:
    """Two photos to compare, and the truth about them.

    Attributes:
        reference: path of the photo compared against, relative to the photos' root, with ``/``.
        probe: path of the new photo, likewise.
        same: whether both show the same person (a genuine pair).
        fold: number of the fold, from 0, where the list has folds.
        reference_person: who the reference shows, where that is known.
        probe_person: who the probe shows; known if the other is.
    """

    reference: str
    probe: str
    same: bool
    fold: int | None = None
    reference_person: str | None = None
    probe_person: str | None = None

    def __post_init__(self) -> None:
        if _shortened(self.reference) == _shortened(self.probe):
            raise DataError(f"A pair expects two photos. Received: {self.reference!r} twice.")
        known = [person for person in (self.reference_person, self.probe_person) if person is not None]
        if len(known) == 1 or (known and (known[0] == known[1]) != self.same):
            raise DataError(f"A pair expects two people, one and the same if it is genuine. Received: {known}.")


def read_pairs(path: str | Path) -> list[PhotoPair]:
    """Read a list of pairs, in one of LFW's two formats or CSV, UTF-8, in the file's own order.

    Paths come in their shortest spelling. Spaces around cells are passed over, but in a list that
    ``write_scores_csv`` wrote. Bytes of names that are no UTF-8 are kept as ``os.fsdecode`` does.

    Raises:
        DataError: the file is absent, of no known form, incomplete, pairs two photos twice, or
            names a photo outside the root. The message names file and line, what was expected and what was received.
    """
    path = Path(path)
    first, lines = _lines_of(path)
    if re.fullmatch(r"\d+(\s+\d+)?", first, re.ASCII):
        return list(_lfw_pairs(path.name, lines))
    if set(COLUMNS) <= _header(first):
        return [pair for pair, _ in _csv_pairs(path.name, lines)]
    raise _no_list(path.name, FIRST_LINES, first)


def read_scores(path: str | Path) -> tuple[list[PhotoPair], np.ndarray]:
    """Read a list of pairs with the scores that some system gave them.

    It is a CSV as ``read_pairs`` takes it, with a column ``similarity_score``: any number up to
    ±1e300, higher = more alike; empty = failure to acquire.

    Returns:
        The pairs, and float64 (N,), NaN = failure to acquire.

    Raises:
        DataError: as of ``read_pairs``, or a score is no number.
    """
    path = Path(path)
    first, lines = _lines_of(path)
    expected = {*COLUMNS, SCORE_COLUMN}
    if not expected <= _header(first):
        raise _no_list(path.name, f"the columns {', '.join(sorted(expected))}", first)
    pairs, scores = zip(*_csv_pairs(path.name, lines), strict=True)
    return list(pairs), np.array(scores, np.float64)


def _header(line: str) -> set[str]:
    try:
        return {column.strip() for column in next(csv.reader([line], skipinitialspace=True), ())}
    except csv.Error:
        return set()


def photos_of(pairs: Iterable[PhotoPair]) -> list[str]:
    """List every photo of the pairs once, in the order in which they are first met.

    >>> photos_of([PhotoPair("a.jpg", "b.jpg", True), PhotoPair("a.jpg", "c.jpg", False)])
    ['a.jpg', 'b.jpg', 'c.jpg']
    """
    return list(dict.fromkeys(photo for pair in pairs for photo in (pair.reference, pair.probe)))


def sides_of(pairs: Sequence[PhotoPair]) -> tuple[list[str], list[str]]:
    """Return the paths of all references, and of all probes."""
    return [pair.reference for pair in pairs], [pair.probe for pair in pairs]


def sources_of(pairs: Sequence[PhotoPair]) -> Sources:
    """Find out whom the pairs are made of.

    The people that the pairs name; else folders, where the list bears that out: every genuine pair
    within one folder, every impostor pair across two, both kinds present (as in LFW). Else photos.
    """
    if pairs and all(pair.reference_person is not None and pair.probe_person is not None for pair in pairs):
        return sources_by("person", [p.reference_person for p in pairs], [p.probe_person for p in pairs])
    references, probes = ([posixpath.dirname(path) for path in side] for side in sides_of(pairs))
    folders = zip(references, probes, pairs, strict=True)
    agree = all(one and other and (one == other) == pair.same for one, other, pair in folders)
    if agree and len({pair.same for pair in pairs}) == 2:
        return sources_by("person", references, probes)
    return sources_by("photo", *sides_of(pairs))


def write_scores_csv(path: str | Path, pairs: Sequence[PhotoPair], scores: npt.ArrayLike, band: Band) -> None:
    """Write each pair with its score and verdict; the file can be read again, as pairs or as scores.

    People and folds get columns of their own where the pairs know them. Scores are float (N,); NaN, a
    failure to acquire, leaves its field empty. The band is (low, high), as in ``decide``.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(pairs),):
        raise ValueError(f"Expected {len(pairs)} scores. Received: shape {values.shape}")
    decisions = decide_all(values, band)
    known = [name for name in (*PERSON_COLUMNS, "fold") if any(getattr(pair, name) is not None for pair in pairs)]
    returns = "\r" in "".join(photos_of(pairs))  # before Python 3.13 these alone are not quoted
    with new_file(Path(path), newline="") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL)
        writer.writerow((*WRITTEN_COLUMNS, *known))
        for pair, score, decision in zip(pairs, values.tolist(), decisions, strict=True):
            shown, more = "" if np.isnan(score) else repr(score), (getattr(pair, name) for name in known)
            writer.writerow((pair.reference, pair.probe, int(pair.same), shown, decision, *more))


def _no_list(file: str, expected: str, first: str) -> DataError:
    """Return what is said of a first line that begins no list."""
    if re.search(f"\0|{UNDECODED}", first):
        return DataError(f"{file} is not text in UTF-8.", SAVE)
    return _wrong(f"{file}, line 1", expected, first, SAVE if re.search("[;\t]", first) else "")


def _wrong(place: str, expected: str, received: object, hint: str = "") -> DataError:
    """Return what is said of a place in a list, its file's name and mostly its line."""
    told = repr(received)
    if len(told) > LONGEST_ECHO:  # a quote that is not closed takes in all that follows
        told = f"{told[:LONGEST_ECHO]} …"
    return DataError(f"{place}: expects {expected}. Received: {told}.", hint)


def _pair(place: str, reference: str, probe: str, *more: Any) -> PhotoPair:
    try:
        return PhotoPair(_shortened(reference), _shortened(probe), *more)
    except DataError as error:
        raise DataError(f"{place}: {error.message}", error.hint) from None


def _check_new(told: dict[frozenset[str], tuple[bool, int]], file: str, line: int, pair: PhotoPair) -> None:
    """Refuse two photos that an earlier line has paired; ``told`` takes what this line says of them."""
    same, first = told.setdefault(frozenset((pair.reference, pair.probe)), (pair.same, line))
    place = f"{file}, line {line}"
    if same != pair.same:
        raise _wrong(place, f"what line {first} says of these two photos, same={int(same)}", int(pair.same))
    if first != line:
        raise _wrong(place, "two photos that no line has paired before", f"those of line {first}", ONCE)


def _lines_of(path: Path) -> tuple[str, list[str]]:
    """Return the first line, stripped, and all lines with their ends."""
    try:
        # A spreadsheet's CSV often opens with a byte order mark, which "utf-8-sig" takes off.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = file.readlines()
        return (lines[0].strip() if lines else ""), lines
    except FileNotFoundError:
        raise DataError(f"There is no list of pairs {path.name}.", "Check the path.") from None
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}.", "Give the path of a file.") from None


def _lfw_pairs(file: str, lines: list[str]) -> Iterator[PhotoPair]:
    *folds, each = map(int, lines[0].split())
    expected = 2 * each * (folds[0] if folds else 1)
    told: dict[frozenset[str], tuple[bool, int]] = {}
    body = [(number, line) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    if len(body) != expected or not expected:
        wanted = f"{max(expected, 2)} lines of pairs after its first line {lines[0].strip()!r}"
        raise _wrong(file, wanted, f"{len(body)} lines")
    for index, (number, line) in enumerate(body):
        fold, within = divmod(index, 2 * each)
        place, same = f"{file}, line {number}", within < each
        # At tabs, as LFW's files do; at any space where a copy has lost its tabs.
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        people, numbers = (fields[:1] * 2, fields[1:]) if same else (fields[::2], fields[1::2])
        if len(fields) != 4 - same or not _are_numbers(*numbers) or (people[0] == people[1]) != same:
            wanted = "a name and two photo numbers" if same else "a name and a photo number, twice, of two people"
            raise _wrong(place, wanted, line.strip())
        photos = (f"{name}/{name}_{int(photo):04d}.jpg" for name, photo in zip(people, numbers, strict=True))
        pair = _pair(place, *photos, same, fold if folds else None)
        _check_new(told, file, number, pair)
        yield pair


def _are_numbers(*fields: str) -> bool:
    return all(re.fullmatch(r"\d{1,9}", field, re.ASCII) for field in fields)


def _csv_pairs(file: str, lines: list[str]) -> Iterator[tuple[PhotoPair, float]]:
    """Yield each pair with its score, NaN where there is none."""
    written_here = next(csv.reader(lines[:1]))[: len(WRITTEN_COLUMNS)] == WRITTEN_COLUMNS
    reader = csv.DictReader(lines, skipinitialspace=not written_here)
    reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    told: dict[frozenset[str], tuple[bool, int]] = {}
    read = 0  # lines, when a row begins; a quote that is not closed may make a field longer than fields may be
    try:
        for row in reader:
            read, place = reader.line_num, f"{file}, line {reader.line_num}"
            cells = {name: row.get(name) or "" for name in KNOWN_COLUMNS}
            if not written_here:
                cells = {name: cell.strip() for name, cell in cells.items()}
            pair, score = _csv_pair(place, cells)
            _check_new(told, file, read, pair)
            yield pair, score
    except csv.Error as error:
        raise _wrong(f"{file}, line {read + 1}", "a row of a CSV, every quote of it closed", str(error)) from None
    if not told:
        raise _wrong(file, "at least one pair below its first line", "none")


def _csv_pair(place: str, row: dict[str, str]) -> tuple[PhotoPair, float]:
    if not all(row[column] for column in COLUMNS):
        raise _wrong(place, "a reference, a probe and same", {column: row[column] for column in COLUMNS})
    if row["same"].lower() not in YES | NO:
        raise _wrong(place, "1, 0, true, false, yes or no under same", row["same"])
    if row["fold"] and not _are_numbers(row["fold"]):
        raise _wrong(place, "a whole number under fold", row["fold"])
    try:
        score = float(row[SCORE_COLUMN] or "nan")
    except ValueError:
        score = math.inf
    if abs(score) > LARGEST_SCORE:
        wanted = f"a number from {-LARGEST_SCORE:g} to {LARGEST_SCORE:g}, or nothing, under {SCORE_COLUMN}"
        raise _wrong(place, wanted, row[SCORE_COLUMN])
    people = (row[column] or None for column in PERSON_COLUMNS)
    fold = int(row["fold"]) if row["fold"] else None
    return _pair(place, row["reference"], row["probe"], row["same"].lower() in YES, fold, *people), score


@functools.lru_cache(maxsize=100_000)  # all pairs of some people name each photo many times
def _shortened(path: str) -> str:
    """Return the shortest spelling of a path below the photos' root.

    Raises:
        DataError: the path could lead out of the root, on whatever operating system.

    >>> _shortened("./a//b/../1.jpg")
    'a/1.jpg'
    """
    windows = PureWindowsPath(path)
    climbs = posixpath.normpath(windows.as_posix()).split("/")[0] == ".."
    if not path or "\0" in path or "://" in path or windows.anchor or climbs:
        raise DataError(
            f"A pair expects paths below the photos' root. Received: {path!r}.",
            "Write them relative to the root, without going up.",
        )
    return posixpath.normpath(path)
