"""What is known of weights: name, hash, band, and how often each verdict was wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from flaskapp.errors import WeightsError
from flaskapp.evaluation.decisions import DECISIONS
from flaskapp.preprocess import CROP_GEOMETRY

WEIGHTS_NAME = "siamese_model_final.h5"

_REINSTALL = "Restore the file, or install the program again."
_NAME_OURS = "Use weights that this program's train wrote, with their .json beside them and both unchanged."


@dataclass(frozen=True)
class VerdictCounts:
    """How often weights gave one verdict when they were measured on people they had never seen.

    Attributes:
        impostor_pairs: pairs of two people.
        impostor_with_verdict: how many of them got the verdict.
        genuine_pairs: pairs of one person.
        genuine_with_verdict: how many of them got the verdict.
    """

    impostors: ClassVar[str] = "strangers"
    genuine: ClassVar[str] = "the same person"

    impostor_pairs: int
    impostor_with_verdict: int
    genuine_pairs: int
    genuine_with_verdict: int

    def __post_init__(self) -> None:
        if not (
            0 <= self.impostor_with_verdict <= self.impostor_pairs
            and 0 <= self.genuine_with_verdict <= self.genuine_pairs
        ):
            raise ValueError(f"Verdicts cannot outnumber pairs. Received: {self}")

    def __str__(self) -> str:
        impostor = _share(self.impostor_with_verdict, self.impostor_pairs, self.impostors)
        genuine = _share(self.genuine_with_verdict, self.genuine_pairs, self.genuine)
        return f"In testing, this verdict was given to {impostor} and to {genuine}."

    def to_json(self) -> dict[str, int | str]:
        """Return the counts, whom they are of, and the sentence that tells them, in JSON's types."""
        return {**vars(self), "impostors": self.impostors, "genuine": self.genuine, "sentence": str(self)}


def _share(part: int, whole: int, people: str) -> str:
    """Say which share of pairs it is, with as many digits as keep some from reading as none, and most as all."""
    if not part:
        return f"none of {whole:,} pairs of {people}"
    share = 100 * part / whole
    digits = 1 if share >= 1 else 2
    while part < whole and float(f"{share:.{digits}f}") in (0, 100):
        digits += 1
    return f"{share:.{digits}f} % of pairs of {people} ({part:,} of {whole:,})"


@dataclass(frozen=True)
class WeightsInfo:
    """What belongs to a set of weights: the JSON file beside the ``.h5``.

    Attributes:
        name: what the weights are called.
        sha256: of the ``.h5`` file.
        threshold: score that forces a two-way answer, in [0, 1].
        inconclusive_band: ``(low, high)`` with low ≤ threshold ≤ high.
        error_counts: pairs by ground truth ("genuine", "impostor") and verdict, from people
            that neither training nor the choice of the band saw.
        details: the whole JSON, for whoever wants to know more.
    """

    name: str
    sha256: str
    threshold: float
    inconclusive_band: tuple[float, float]
    error_counts: Mapping[str, Mapping[str, int]]
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

    def verdict_counts(self, verdict: str) -> VerdictCounts:
        """Return how often a verdict ("match", "non_match", "inconclusive") was given to whom."""
        impostor, genuine = self.error_counts["impostor"], self.error_counts["genuine"]
        return VerdictCounts(sum(impostor.values()), impostor[verdict], sum(genuine.values()), genuine[verdict])


def default_weights_path() -> Path:
    """Return where the shipped weights lie: inside an installed package, else in the project's folder."""
    package = Path(__file__).parent.parent
    inside = package / WEIGHTS_NAME
    return inside if inside.exists() else package.parent / WEIGHTS_NAME


def remedy(path: Path) -> str:
    """Say what to try: only the shipped weights can be put back, others must be made by this program."""
    return _REINSTALL if path.resolve() == default_weights_path().resolve() else _NAME_OURS


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


def _info_of(details: Mapping[str, Any]) -> WeightsInfo:
    low, high = details["inconclusive_band"]
    info = WeightsInfo(
        name=str(details["name"]),
        sha256=str(details["sha256"]),
        threshold=float(details["threshold"]),
        inconclusive_band=(float(low), float(high)),
        error_counts=details["error_counts"],
        details=details,
    )
    for verdict in DECISIONS:
        info.verdict_counts(verdict)
    return info
