"""What photos show of one person, and how many strangers' faces would be taken for theirs.

Many faces are many chances to be wrong: whoever looks through a folder needs to know how many false matches to
expect in it, and may want a higher bar than that of one comparison.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from flaskapp.detection import Detection, Face
from flaskapp.errors import FacialRecognitionError, WeightsError
from flaskapp.evaluation.decisions import Decision
from flaskapp.evaluation.intervals import exact_interval
from flaskapp.quality import GRADES, Grade, Quality
from flaskapp.weights.info import VerdictCounts, WeightsInfo, numbers_beside


@dataclass(frozen=True)
class FoundFace:
    """One face of a photo, compared with the references.

    Attributes:
        number: which face of the photo it is; 1 is the leftmost.
        face: box, landmarks and detection score, in the upright photo's own pixels.
        similarity_score: in [0, 1], higher = more alike.
        decision: match, non_match or inconclusive, by the band for so many references.
        quality: how good a photo of this face it is.
        aligned: uint8 (100, 100, 3) RGB, what the network saw; None where nobody needs it any more.
    """

    number: int
    face: Face
    similarity_score: float
    decision: Decision
    quality: Quality
    aligned: np.ndarray | None = field(repr=False, compare=False)


@dataclass(frozen=True)
class Finding:
    """What one photo shows.

    Attributes:
        compared: its faces, most alike first, without those that the photo's edge cuts off.
        detection: all its faces, and how far the search went; None where the photo cannot be used.
        error: why it cannot; None where it can.
    """

    compared: tuple[FoundFace, ...] = ()
    detection: Detection | None = None
    error: FacialRecognitionError | None = None

    @property
    def cut_off(self) -> int:
        """How many faces the photo's edge cuts off, so that they were not compared."""
        return len(self.detection or ()) - len(self.compared)


class Rate(NamedTuple):
    """How many of so many strangers' faces reached a bar in testing, and 95 % of their share where it is known."""

    match: int
    faces: int
    interval: tuple[float, float] | None = None

    @property
    def share(self) -> float:
        """Of those faces, how many reached it."""
        return self.match / self.faces


@dataclass(frozen=True)
class Expected:
    """How many false matches to expect among faces, were all of them strangers'.

    Attributes:
        faces: how many faces.
        matches: how many of them would read match.
        interval: 95 %, by those of the rates in testing; None where they have none.
        references: photos of the person in that testing; None = one each.
    """

    faces: int
    matches: float
    interval: tuple[float, float] | None
    references: int | None = None

    @property
    def most(self) -> float:
        """The interval's upper end, or the number itself where there is none."""
        return self.interval[1] if self.interval else self.matches

    def __str__(self) -> str:
        interval = " ({} to {})".format(*map(_about, self.interval)) if self.interval else ""
        measured = f" with {self.references} photo{'s' * (self.references > 1)} of a person" if self.references else ""
        all_of_them = "the one face a stranger's" if self.faces == 1 else f"all {self.faces:,} faces strangers'"
        return (
            f"Were {all_of_them}, {_about(self.matches)}{interval} would read match, "
            f"going by the rates in testing{measured}."
        )

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, and the sentence that tells them, in JSON's types."""
        return {**vars(self), "sentence": str(self)}


def _about(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else np.format_float_positional(float(f"{number:.2g}"), trim="-")


@dataclass(frozen=True)
class Bar:
    """A score from which on a face reads match, and how often strangers' faces reached it in testing.

    Attributes:
        score: in [0, 1].
        strangers: by the face's grade.
        references: photos of the person in that testing; None = one each.
    """

    score: float
    strangers: Mapping[Grade, Rate]
    references: int | None = None

    def expected(self, faces: Mapping[Grade, int]) -> Expected:
        """Return how many of so many faces of each grade would read match, were all of them strangers'."""
        rates = [(count, self.strangers[grade]) for grade, count in faces.items() if count]
        matches = sum(count * rate.share for count, rate in rates)
        ends = [[count * end for end in rate.interval] for count, rate in rates if rate.interval]
        low, high = (float(sum(side)) for side in zip((0.0, 0.0), *ends, strict=True))
        interval = (low, high) if len(ends) == len(rates) else None
        return Expected(sum(faces.values()), float(matches), interval, self.references)


def bars_of(weights: WeightsInfo, references: Sequence[Grade], counts: VerdictCounts | None = None) -> tuple[Bar, ...]:
    """Return the bars that were measured, lowest first: the band's upper end, and higher ones where there are any.

    The higher ones were chosen, as the band was, on people set aside for that, and all are counted on people whom
    nobody had seen: ``research/distil/searching.py``. Between two measured numbers of references a bar is linear
    in the number's logarithm, as the band is, where both have one for the same share of strangers; the counts are
    those of that one of both with which more strangers match.

    Args:
        weights: what is known of them for one photo of a person.
        references: grades of the person's photos.
        counts: of matches with these very references, where there are some: a personal model's.

    Raises:
        WeightsError: what is told of higher bars is damaged.
    """
    count, higher = len(references), _measured(weights, len(references))
    band = weights.for_references(count)
    by_grade = {grade: counts or band.verdict_counts("match", (references[0], grade)) for grade in GRADES}
    rates = {grade: _rate(counts) for grade, counts in by_grade.items()}
    first = Bar(band.inconclusive_band[1], rates, None if counts else band.counted_references)
    if higher and count > 1:  # the band's own counts know the grades of pairs alone
        first = replace(higher[0], score=first.score)
    return tuple(itertools.accumulate(higher[1:], _capped, initial=first))


def _capped(lower: Bar, higher: Bar) -> Bar:
    """Return the higher bar with rates no greater than the lower one's, which may know the reference's grade."""

    def least(grade: Grade) -> Rate:
        rates = [bar.strangers[grade] for bar in (lower, higher)]
        match, faces, interval = min(rates, key=lambda rate: rate.share)
        ends = [rate.interval[1] for rate in rates if rate.interval]
        return Rate(match, faces, interval and (min(interval[0], *ends), min(ends)))

    return replace(higher, strangers={grade: least(grade) for grade in GRADES})


def _rate(counts: VerdictCounts) -> Rate:
    seen, pairs = counts.impostor_with_verdict, counts.impostor_pairs
    interval = (counts.intervals or {}).get("impostor")
    if interval and seen:  # drawing again never shows what did not happen
        return Rate(seen, pairs, interval)
    exact = exact_interval(seen, pairs)
    return Rate(seen, pairs, (exact.low, exact.high))


def _measured(weights: WeightsInfo, count: int) -> list[Bar]:
    """Return the bars of the note, lowest first; none in a note of earlier weights, or of personal ones."""
    try:
        told = {int(number): bars for number, bars in weights.details.get("searching", {}).items()}
        if not told:
            return []
        below, above = numbers_beside(count, told)
        lower, higher = ({bar["fmr"]: bar for bar in told[number]} for number in (below, above))
        return [_between(count, {below: bar, above: higher[share]}) for share, bar in lower.items() if share in higher]
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(
            f"What the .json of {weights.name} tells of searching is damaged ({type(error).__name__}).",
            "Use the .json that was written with the weights.",
        ) from None


def _between(count: int, told: Mapping[int, Mapping[str, Any]]) -> Bar:
    """Return the bar between those of two numbers of references, or of the one, with the rates of the worse."""
    rates = {number: {grade: Rate(**bar["strangers"][grade]) for grade in GRADES} for number, bar in told.items()}
    worse = max(rates, key=lambda number: sum(rate.share for rate in rates[number].values()))
    score = np.interp(np.log(count), np.log(list(told)), [bar["score"] for bar in told.values()])
    return Bar(float(score), rates[worse], worse if count > 1 else None)


def least_bar(bars: Sequence[Bar], faces: Mapping[Grade, int]) -> Bar:
    """Return the lowest bar with less than one false match to expect, also at the interval's end; else the highest."""
    return next((bar for bar in bars if bar.expected(faces).most < 1), bars[-1])
