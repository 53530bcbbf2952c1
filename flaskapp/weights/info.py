"""What is known of weights: name, hash, band, and how often each verdict was wrong."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp.errors import WeightsError
from flaskapp.evaluation.calibration import Fusion, Trust
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.quality import GRADES, Grade

WEIGHTS_NAME = "siamese_model_final.h5"
MOST_REFERENCES = 20  # photos of one person that one photo is compared with
NUMBERS = ("scale", "offset", "threshold")  # that were fitted for several


@dataclass(frozen=True)
class VerdictCounts:
    """How often weights gave one verdict when they were measured on people they had never seen.

    Attributes:
        impostor_pairs: pairs of two people.
        impostor_with_verdict: how many of them got the verdict.
        genuine_pairs: pairs of one person.
        genuine_with_verdict: how many of them got the verdict.
        grades: of both photos of each pair; None = whatever they were.
        intervals: 95 % of either share, by "impostor" and "genuine", where they were measured.
        references: photos of the one person in each pair; None = one photo each was asked for.
        impostors: who the two people are, in words.
        genuine: who the one person is.
        unit: "pairs", or "photos" where each was held against those of one person.
    """

    impostor_pairs: int
    impostor_with_verdict: int
    genuine_pairs: int
    genuine_with_verdict: int
    grades: tuple[Grade, Grade] | None = None
    intervals: Mapping[str, tuple[float, float]] | None = None
    references: int | None = None
    impostors: str = "strangers"
    genuine: str = "the same person"
    unit: str = "pairs"

    def __post_init__(self) -> None:
        if not (
            0 <= self.impostor_with_verdict <= self.impostor_pairs
            and 0 <= self.genuine_with_verdict <= self.genuine_pairs
        ):
            raise ValueError(f"Verdicts cannot outnumber pairs. Received: {self}")

    def __str__(self) -> str:
        impostor = _share(self.impostor_with_verdict, self.impostor_pairs, f"{self.unit} of {self.impostors}")
        genuine = _share(self.genuine_with_verdict, self.genuine_pairs, f"{self.unit} of {self.genuine}")
        return f"In testing{self._photos()}, this verdict was given to {impostor} and to {genuine}."

    def _photos(self) -> str:
        if self.references is not None:
            return f" with {self.references} photo{'s' * (self.references > 1)} of the person"
        if self.grades is None:
            return ""
        first, second = sorted(self.grades, key=GRADES.index)
        return f" with two {first} photos" if first == second else f" with a {first} and a {second} photo"

    def to_json(self) -> dict[str, Any]:
        """Return the counts, whom they are of, and the sentence that tells them, in JSON's types."""
        return {name: value for name, value in vars(self).items() if name != "unit"} | {"sentence": str(self)}


def _share(part: int, whole: int, kind: str) -> str:
    """Say which share of a kind it is, with as many digits as keep some from reading as none, and most as all."""
    if not part:
        return f"none of {whole:,} {kind}"
    share = 100 * part / whole
    digits = 1 if share >= 1 else 2
    while part < whole and float(f"{share:.{digits}f}") in (0, 100):
        digits += 1
    return f"{share:.{digits}f} % of {kind} ({part:,} of {whole:,})"


@dataclass(frozen=True)
class WeightsInfo:
    """What belongs to a set of weights: the JSON file beside the ``.h5``.

    Attributes:
        name: what the weights are called.
        sha256: of the ``.h5`` file.
        threshold: score that forces a two-way answer, in [0, 1].
        inconclusive_band: ``(low, high)`` with low ≤ threshold ≤ high.
        error_counts: pairs by ground truth ("genuine", "impostor") and verdict, from people
            that neither training nor the choice of the band saw; photos as they come.
        trust: what log-odds count for where the network is less sure.
        grade_bounds: certainty below which a photo is poor, and from which it is good.
        counts_by_grades: as ``error_counts``, for each pair of grades, "fair and good" for example;
            photos as they come and spoiled.
        by_references: what was fitted and counted for several photos of one person, by their number.
        fusion: how log-odds with several photos of one person become one.
        tensor_ranges: lowest and highest number of tensors of the network that are rounded; see ``embedding_graph``.
        counted_references: of how many photos of the person the counts are; None = of pairs of photos.
        details: the whole JSON, for whoever wants to know more.
    """

    name: str
    sha256: str
    threshold: float
    inconclusive_band: tuple[float, float]
    error_counts: Mapping[str, Mapping[str, int]]
    trust: Trust
    grade_bounds: tuple[float, float]
    counts_by_grades: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    by_references: Mapping[int, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    fusion: Fusion = field(default_factory=Fusion)
    tensor_ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)
    counted_references: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        low, high = self.inconclusive_band
        if not 0 <= low <= self.threshold <= high <= 1:
            raise WeightsError(
                f"{self.name}: the band expects 0 ≤ low ≤ threshold ≤ high ≤ 1. "
                f"Received: low={low}, threshold={self.threshold}, high={high}.",
                "Use the .json that was written with the weights.",
            )

    @property
    def weights_id(self) -> str:
        """Name and the first twelve digits of the hash: enough to tell weights apart."""
        return f"{self.name}@{self.sha256[:12]}"

    @property
    def is_personal(self) -> bool:
        """Whether they were trained on one person's face."""
        return "personal" in self.details

    def verdict_counts(self, verdict: str, grades: tuple[Grade, Grade] | None = None) -> VerdictCounts:
        """Return how often a verdict ("match", "non_match", "inconclusive") was given to whom.

        The counts are of pairs whose photos have these ``grades``, in whichever order, where there are any.
        """
        if grades and (counts := self.counts_by_grades.get(" and ".join(sorted(grades, key=GRADES.index)))):
            return VerdictCounts(*told_counts(counts, verdict), grades, counts["intervals"][verdict])
        return VerdictCounts(*told_counts(self.error_counts, verdict), references=self.counted_references)

    def for_references(self, count: int) -> WeightsInfo:
        """Return what is known of the weights where one photo is compared with ``count`` of one person.

        Between two fitted numbers all is linear in the number's logarithm, beyond the last as there; the counts
        are of that one of both with which more strangers match.

        Raises:
            ValueError: the number is not 1 to 20.
        """
        if not 1 <= count <= MOST_REFERENCES:
            raise ValueError(f"Expected 1 to {MOST_REFERENCES} references. Received: {count}")
        if count == 1:
            return self
        fitted = {1: {"scale": 1.0, "offset": 0.0, **vars(self)}, **self.by_references}
        numbers = sorted(fitted)
        rows = ((*(fitted[n][name] for name in NUMBERS), *fitted[n]["inconclusive_band"]) for n in numbers)
        scale, offset, threshold, low, high = (
            float(np.interp(np.log(count), np.log(numbers), values)) for values in zip(*rows, strict=True)
        )
        beside = numbers_beside(count, numbers)
        counted = max(beside, key=lambda number: _strangers_that_match(fitted[number]["error_counts"]))
        return replace(
            self,
            threshold=threshold,
            inconclusive_band=(low, high),
            error_counts=fitted[counted]["error_counts"],
            counts_by_grades={},
            fusion=replace(self.fusion, scale=scale, offset=offset),
            counted_references=counted,
        )


def numbers_beside(count: int, measured: Iterable[int]) -> tuple[int, int]:
    """Return the measured numbers of references next to a number: the largest not above it, the least not below.

    Beyond the largest both are the largest.

    Raises:
        ValueError: all measured numbers are larger, or there is none.
    """
    measured = sorted(measured)
    below = max(number for number in measured if number <= count)
    return below, min((number for number in measured if number >= count), default=below)


def _strangers_that_match(counts: Mapping[str, Mapping[str, int]]) -> float:
    impostor = counts.get("impostor", {})
    return impostor.get("match", 0) / max(sum(impostor.values()), 1)


def told_counts(counts: Mapping[str, Mapping[str, int]], verdict: str) -> tuple[int, int, int, int]:
    """Return the four numbers of ``VerdictCounts`` from counts by "impostor" and "genuine", and verdict."""
    impostor, genuine = counts["impostor"], counts["genuine"]
    return sum(impostor.values()), impostor[verdict], sum(genuine.values()), genuine[verdict]


def default_weights_path() -> Path:
    """Return where the shipped weights lie: inside an installed package, else in the project's folder."""
    package = Path(__file__).parent.parent
    inside = package / WEIGHTS_NAME
    return inside if inside.exists() else package.parent / WEIGHTS_NAME


def remedy(path: Path) -> str:
    """Say what to try: only the shipped weights can be put back, others must be made by this program."""
    if path.resolve() == default_weights_path().resolve():
        return "Restore the file, or install the program again."
    return "Use weights that this program's train wrote, with their .json beside them and both unchanged."


def read_info(path: Path) -> WeightsInfo:
    """Read and check the JSON file that belongs to a weights file.

    Raises:
        WeightsError: it is missing, unreadable, or made for other crops than this program's.
    """
    note = path.with_suffix(".json")
    try:
        details = json.loads(note.read_text(encoding="utf-8"))
        info = _info_of(details)
        geometry = details["crop_geometry"]
    except FileNotFoundError:
        raise WeightsError(f"{note.name}, which belongs to the weights, is missing.", remedy(path)) from None
    except OSError as error:
        raise WeightsError(f"{note.name} cannot be read: {error.strerror}.", remedy(path)) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise WeightsError(
            f"{note.name} is damaged, or comes from another program ({type(error).__name__}).", remedy(path)
        ) from None
    if geometry != CROP_GEOMETRY:
        raise WeightsError(
            f"{path.name} was trained on faces that were cut out differently.",
            "Use weights that fit this version of the program.",
        )
    return info


def _range(low: float, high: float) -> tuple[float, float]:
    if not -math.inf < low <= 0 < high < math.inf:
        raise ValueError(f"A range expects low ≤ 0 < high. Received: {low}, {high}")
    return float(low), float(high)


def _info_of(details: Mapping[str, Any]) -> WeightsInfo:
    low, high = details["inconclusive_band"]
    poor, good = details["grade_bounds"]
    if not 0 <= poor <= good <= 1:
        raise ValueError(f"grade_bounds expects 0 ≤ poor ≤ good ≤ 1. Received: {poor}, {good}")
    references = details.get("references", {"best": Fusion.best, "by_number": {}})
    info = WeightsInfo(
        name=str(details["name"]),
        sha256=str(details["sha256"]),
        threshold=float(details["threshold"]),
        inconclusive_band=(float(low), float(high)),
        error_counts=details["error_counts"],
        trust=Trust.from_json(details["trust"]),
        grade_bounds=(float(poor), float(good)),
        counts_by_grades=details.get("counts_by_grades", {}),
        by_references={int(number): told for number, told in references["by_number"].items()},
        fusion=Fusion(best=int(references["best"]), poor_below=float(poor)),
        tensor_ranges={name: _range(*ends) for name, ends in details.get("tensor_ranges", {}).items()},
        details=details,
    )
    for verdict, first, second in itertools.product(DECISIONS, GRADES, GRADES):
        info.verdict_counts(verdict, (first, second))
    for number, verdict in itertools.product(info.by_references, DECISIONS):
        info.for_references(number).verdict_counts(verdict)
    return info
