"""How far scores can be taken at their word where photos are poor: on the mixture of pairs that calibrates them.

It is made of people who calibrate nothing, as ``ship`` makes it: photos as they come, one of a pair spoiled, both
alike, both differently (``distil/mixture.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores
from flaskapp.evaluation import Interval, Quality, sigmoid
from flaskapp.evaluation.intervals import ENDS, resampled_weights, sources_by
from flaskapp.evaluation.quality import Ladder, score_quality
from flaskapp.parallel import map_in_order
from flaskapp.quality import GRADES, grades_of
from flaskapp.weights.info import WeightsInfo
from flaskapp.weights.runtime import Runtime
from research.distil.mixture import WAYS, Mixture, mix
from research.sets.crops import crops_as_served
from research.sets.labelled import labelled
from research.sets.table import FaceTable

FIGURES = ("ece", "calibration_loss")
FEWEST = 200
"""Genuine pairs, and impostor pairs, that a part must have: as ``evaluate`` asks for."""
REPLICATES = 200


@dataclass(frozen=True)
class Part:
    """Scores of some pairs as probabilities, and 95 % intervals of ``FIGURES`` over people."""

    quality: Quality
    intervals: Mapping[str, Interval]

    def to_json(self) -> dict[str, Any]:
        """Return it as ``evaluate`` does."""
        told = asdict(self.quality)
        return {
            **{name: told[name] for name in ("genuine", "impostor", "brier", "ece", "cllr", "min_cllr")},
            "calibration_loss": told["calibration_loss"],
            "reliability": list(told["bins"]),
            "intervals": {name: asdict(interval) for name, interval in self.intervals.items()},
        }


def measure_mixture(table: FaceTable, role: int, runtime: Runtime, seed: int = 2026) -> dict[str, Any]:
    """Return, in JSON's types, what scores of the mixture are worth, all pairs and by the grade of the worse photo.

    Args:
        table: the photos.
        role: whose, REPORTING for example.
        runtime: the weights.
        seed: of what is drawn, as ``ship`` draws it.
    """
    people = labelled(table, role)
    nothing = np.zeros((len(people.rows), preprocess.CROP_SIZE, preprocess.CROP_SIZE, 3), np.uint8)
    faces = crops_as_served([table.paths[row] for row in people.rows], nothing, allowed_cores())
    found = faces.reshape(len(faces), -1).any(axis=1)

    def embed(crops: np.ndarray) -> np.ndarray:
        def one(row: int) -> np.ndarray:
            return runtime.embed(preprocess.to_model_input(crops[row, None]))

        return np.concatenate(list(map_in_order(one, range(len(crops)), allowed_cores())))

    pairs = mix(embed, faces[found], people.person[found], people.set_index[found], seed)
    parts = by_grade(pairs, scores_of(pairs, runtime), runtime.info)
    whole, *rest = ((name, part.to_json()) for name, part in parts.items())
    return {
        "weights": runtime.info.weights_id,
        **whole[1],
        "ways": WAYS,
        "photos": len(faces),
        "photos_failed": int(np.sum(~found)),
        "interval_method": {
            "drawn": "person", "count": len(np.unique(pairs.people)), "replicates": REPLICATES, "seed": seed
        },
        "by_worse_grade": dict(rest),
    }  # fmt: skip


def scores_of(pairs: Mixture, runtime: Runtime) -> np.ndarray:
    """Return the pairs' similarity scores, float (M,), as the program gives them."""
    kernel, offset = runtime.head
    # All of the head's weights are equal, so their sum is what the mean distance counts for.
    return sigmoid(runtime.info.trust.weigh(pairs.distance * kernel.sum() + offset, pairs.certainty, pairs.other))


def by_grade(pairs: Mixture, scores: np.ndarray, info: WeightsInfo) -> dict[str, Part]:
    """Measure all pairs (``all``), and those whose worse photo has one grade; pairs weigh as their ways say."""
    worse = np.maximum(*(grades_of(certainty, info.grade_bounds) for certainty in (pairs.certainty, pairs.other)))
    chosen = {"all": np.ones(len(scores), bool)} | {name: worse == place for place, name in enumerate(GRADES)}
    weights = pairs.counts_for
    return {
        name: _part(pairs, scores, weights, np.flatnonzero(rows))
        for name, rows in chosen.items()
        if np.bincount(pairs.same[rows], minlength=2).min() >= FEWEST
    }


def _part(pairs: Mixture, scores: np.ndarray, weights: np.ndarray, rows: np.ndarray) -> Part:
    scores, same, weights = scores[rows], pairs.same[rows], weights[rows]
    ladder = Ladder(scores, same, 0.0, chances=True)
    sources = sources_by("person", *pairs.people[rows].T.tolist()).taken(ladder.order)
    drawn = [ladder.figures(times * weights[ladder.order]) for times in resampled_weights(sources, REPLICATES, 0)]
    ends = {name: np.quantile(np.concatenate([one[name] for one in drawn]), ENDS).tolist() for name in FIGURES}
    intervals = {name: Interval(low, high) for name, (low, high) in ends.items()}
    return Part(score_quality(scores, same, weights), intervals)
