"""A peer on the same pairs: what lies between it and us, and how much of that is chance.

Both are measured on every replicate of the same draws (``intervals``), so what makes a draw of
people easy or hard for both falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flaskapp.errors import DataError, UnreachableRateError
from flaskapp.evaluation import Sources, auc, confusion_at, eer, error_curve, fnmr_at_fmr
from flaskapp.evaluation.decisions import FloatArray, check_both_kinds, check_pairs
from flaskapp.evaluation.intervals import ENDS, REPLICATES, replicated
from flaskapp.evaluation.quality import Ladder
from flaskapp.pairs.lists import PhotoPair, read_scores
from flaskapp.report.rows import PLAIN, name_of, value_text
from research.sets.table import list_faces, read_sets, read_teacher


@dataclass(frozen=True)
class Beside:
    """One figure of two systems.

    Attributes:
        ours: of the first.
        theirs: of the second.
        low: lower end of the 95 % interval of ours − theirs.
        high: its upper end.
        ratio: ours / theirs, where a ratio says more: of FNMR; None elsewhere or where theirs is 0.
        ratio_low: lower end of its 95 % interval; None where theirs was 0 in a draw.
        ratio_high: its upper end.
    """

    ours: float
    theirs: float
    low: float
    high: float
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None

    @property
    def difference(self) -> float:
        """Ours − theirs."""
        return self.ours - self.theirs

    def to_json(self) -> dict[str, float | None]:
        """Return both figures, their difference and its interval."""
        return {**vars(self), "difference": self.difference}


def compare(
    scores: npt.ArrayLike,
    others: npt.ArrayLike,
    same: npt.ArrayLike,
    threshold: float,
    other_threshold: float,
    sources: Sources,
    *,
    stated_fmrs: tuple[str, ...] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Beside]:
    """Compare two systems' scores of the same pairs.

    Args:
        scores: float (N,), ours; NaN = failure to acquire.
        others: float (N,), theirs, on any scale, likewise.
        same: bool (N,), True = genuine.
        threshold: ours, for the accuracy.
        other_threshold: theirs.
        sources: the people of both photos of each pair.
        stated_fmrs: false match rates ("0.01") at which these pairs can show an FNMR.
        replicates: how many times people are drawn.
        seed: what the draws start from.

    Returns:
        "accuracy", "eer", "auc" and "fnmr_at_fmr.…", as far as both can show it.

    Raises:
        DataError: the pairs are of one kind only, or show a single person.
    """
    if sources.count < 2:
        raise DataError("A comparison of systems expects pairs of several people. Received: one person.")
    systems = []
    for values, cut in ((scores, threshold), (others, other_threshold)):
        checked, truths = check_pairs(values, same)
        check_both_kinds(truths, "A comparison of systems")
        ladder = Ladder(checked, truths, cut, stated_fmrs, chances=False)
        systems.append((_figures(values, truths, cut, stated_fmrs), replicated(ladder, sources, replicates, seed)))
    (ours, our_draws), (theirs, their_draws) = systems
    return {
        name: _beside(name, ours[name], theirs[name], our_draws[name], their_draws[name])
        for name in ours
        if name in theirs
    }


def _figures(scores: npt.ArrayLike, same: npt.ArrayLike, threshold: float, stated: tuple[str, ...]) -> dict[str, float]:
    curve = error_curve(scores, same)
    figures = {"accuracy": confusion_at(scores, same, threshold).accuracy, "eer": eer(curve), "auc": auc(curve)}
    for key in stated:
        with suppress(UnreachableRateError):  # tied scores
            figures[f"fnmr_at_fmr.{key}"] = fnmr_at_fmr(curve, float(key))
    return figures


def _beside(name: str, ours: float, theirs: float, our_draws: FloatArray, their_draws: FloatArray) -> Beside:
    low, high = _ends(our_draws - their_draws)
    if not name.startswith("fnmr") or theirs == 0:
        return Beside(ours, theirs, low, high)
    if np.any(their_draws == 0):  # then nobody knows how large the ratio might be
        return Beside(ours, theirs, low, high, ours / theirs)
    return Beside(ours, theirs, low, high, ours / theirs, *_ends(our_draws / their_draws))


def _ends(drawn: FloatArray) -> tuple[float, float]:
    low, high = np.nanquantile(drawn, ENDS)
    return float(low), float(high)


BESIDE_HEAD = ("", "ours", "peer", "difference", "95 % interval", "ratio", "95 % interval")


def beside_rows(figures: Mapping[str, Beside]) -> list[tuple[str, ...]]:
    """Return a row for each figure of two systems: differences in percentage points, as the figures are."""
    return [(name_of(key), *_cells(key, figure)) for key, figure in figures.items()]


def _cells(key: str, figure: Beside) -> tuple[str, ...]:
    digits, times = (5, 1) if key in PLAIN else (2, 100)
    difference, low, high = (f"{times * value:+.{digits}f}" for value in (figure.difference, figure.low, figure.high))
    told = (value_text(key, figure.ours), value_text(key, figure.theirs), difference, f"{low} to {high}")
    if figure.ratio is None:
        return *told, "", ""
    known = figure.ratio_low is not None and figure.ratio_high is not None
    return *told, f"{figure.ratio:.2f}", f"{figure.ratio_low:.2f} to {figure.ratio_high:.2f}" if known else "unknown"


def peer_scores(path: Path, pairs: Sequence[PhotoPair]) -> np.ndarray:
    """Return a peer's score of every pair, float64 (N,), NaN = failure to acquire.

    Args:
        path: a CSV as ``read_scores`` takes it; or a teacher's ``.npz``, or a sets file that names
            such, whose cosines are the scores.
        pairs: N pairs.

    Raises:
        DataError: the file cannot be read, or lacks a pair or photo.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _cosines(path, *read_teacher(path), pairs)
    if kind == ".toml":
        table, root = list_faces(read_sets(path.resolve())[0]), path.resolve().parent
        # A photo outside the sets file's folder is in no pair.
        names = [photo.relative_to(root).as_posix() if photo.is_relative_to(root) else "" for photo in table.paths]
        return _cosines(path, names, table.teacher, pairs)
    return _listed(path, pairs)


def _listed(path: Path, pairs: Sequence[PhotoPair]) -> np.ndarray:
    listed, scores = read_scores(path)
    score_of = {(pair.reference, pair.probe): score for pair, score in zip(listed, scores.tolist(), strict=True)}
    score_of |= {(probe, reference): score for (reference, probe), score in score_of.items()}
    wanted = [(pair.reference, pair.probe) for pair in pairs]
    missing = [pair for pair in wanted if pair not in score_of]
    if missing:
        raise _lacks(path, f"{len(missing):,} of {len(wanted):,} pairs, the first is {' and '.join(missing[0])}")
    return np.array([score_of[pair] for pair in wanted], np.float64)


def _cosines(path: Path, names: Sequence[str], embeddings: np.ndarray, pairs: Sequence[PhotoPair]) -> np.ndarray:
    row_of: dict[str, int] = {}
    for row, name in enumerate(names):
        row_of.setdefault(name, row)  # a file with several views of each photo begins with it as it is
    sides = [[pair.reference for pair in pairs], [pair.probe for pair in pairs]]
    missing = sorted({name for side in sides for name in side} - row_of.keys())
    if missing:
        raise _lacks(path, f"{len(missing):,} photos, the first is {missing[0]}")
    first, second = (embeddings[[row_of[name] for name in side]].astype(np.float64) for side in sides)
    return np.asarray(np.sum(first * second, axis=1))


def _lacks(path: Path, what: str) -> DataError:
    return DataError(f"{path.name} lacks {what}.", "Both systems must have scored the same pairs.")
