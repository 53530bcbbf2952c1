"""How often strangers' faces are taken for somebody who is looked for: by the bar, the references and the grade.

Whoever looks through many photos needs bars above the band, and the rate of false matches at each. The bars are
chosen on calibration people and counted on reporting people, whose photos are spoiled, too, so that each grade
has its faces. They end where fewer than ten strangers reach them: what lies beyond was not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flaskapp.evaluation import no_errors_bound
from flaskapp.evaluation.calibration import Fusion
from flaskapp.evaluation.curves import FEWEST_ERRORS
from flaskapp.evaluation.decisions import sigmoid
from flaskapp.evaluation.intervals import ENDS, REPLICATES
from flaskapp.quality import GRADES, grades_of
from flaskapp.weights.runtime import certainties, weighted_l1
from research.distil.calibration import Calibration
from research.distil.mixture import KERNEL, Embed
from research.distil.spoiling import KINDS

FMRS = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Shares of strangers' faces that may reach each bar."""
DRAWS = 3
"""How often a person's references are drawn, where more than one is."""


@dataclass(frozen=True)
class Crowd:
    """N photos of people, and M faces to look among: these as they come, or with as many spoiled ones behind them.

    Attributes:
        references: float32 (N, 4096), embeddings of the photos as they come.
        faces: float32 (M, 4096), M = N or 2 N.
        person: int (N,).
        set_index: int (N,); people are looked for within a set, as sets hold some people twice.
    """

    references: np.ndarray
    faces: np.ndarray
    person: np.ndarray
    set_index: np.ndarray


@dataclass(frozen=True)
class Compared:
    """Strangers' faces that were compared with somebody's references, all (K,).

    Attributes:
        scores: float64.
        face: int, row of the crowd's faces.
        sought: int, whose references they were.
    """

    scores: np.ndarray
    face: np.ndarray
    sought: np.ndarray


def crowd_of(embed: Embed, faces: np.ndarray, person: np.ndarray, set_index: np.ndarray, *, spoiled: bool) -> Crowd:
    """Embed faces uint8 (N, 100, 100, 3), and each once more as one kind of spoiling leaves it where asked for."""
    clean = embed(faces)
    looked_at = clean
    if spoiled:
        rng = np.random.default_rng(2026)
        kinds = [KINDS[number] for number in rng.integers(len(KINDS), size=len(faces))]
        worse = [kind.change(face, rng.choice(kind.measured), rng) for kind, face in zip(kinds, faces, strict=True)]
        looked_at = np.concatenate([clean, embed(np.stack(worse))])
    return Crowd(clean, looked_at, person, set_index)


def compare_strangers(crowd: Crowd, calibration: Calibration, fusions: Mapping[int, Fusion]) -> dict[int, Compared]:
    """Look for each person among everybody else's faces, with so many references of theirs as ``fusions`` name.

    One reference: each photo in turn; of more, ``DRAWS`` draws of each person who has so many photos.
    """
    found: dict[int, list[tuple[np.ndarray, np.ndarray, int]]] = {number: [] for number in fusions}
    whose = np.tile(np.arange(len(crowd.person)), len(crowd.faces) // len(crowd.person))
    sure, rng = certainties(crowd.faces), np.random.default_rng(2026)
    for place in np.unique(crowd.set_index):
        for one in np.unique(crowd.person[crowd.set_index == place]):
            rows = np.flatnonzero((crowd.set_index == place) & (crowd.person == one))
            faces = np.flatnonzero((crowd.set_index[whose] == place) & (crowd.person[whose] != one))
            distances = np.stack([weighted_l1(crowd.faces[faces], crowd.references[row], KERNEL) for row in rows])
            odds = calibration.scale * distances.astype(np.float64) + calibration.offset
            for number, fusion in fusions.items():
                for drawn in _draws(len(rows), number, rng):
                    fused = fusion.fuse(odds[drawn], sure[rows[drawn]], sure[faces], calibration.trust)
                    found[number].append((sigmoid(fused), faces, int(one)))
    return {number: _joined(parts) for number, parts in found.items() if parts}


def _draws(photos: int, number: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    if number == 1:
        yield from np.arange(photos)[:, None]
    elif photos >= number:
        yield from (rng.permutation(photos)[:number] for _ in range(DRAWS))


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> Compared:
    sought = np.repeat([one for *_, one in parts], [len(scores) for scores, *_ in parts])
    return Compared(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]), sought)


def cuts_above(scores: np.ndarray, high: float) -> dict[float, float]:
    """Return the lowest score that at most each share of ``FMRS`` reaches, by the share.

    Those that lie no higher than the band, or that fewer than ten scores reach, are left out.
    """
    cuts: dict[float, float] = {}
    ranked = np.sort(scores)[::-1]
    for share in FMRS:
        reach = int(share * len(ranked))
        if FEWEST_ERRORS <= reach < len(ranked) and ranked[reach] < ranked[reach - 1]:
            cut = float((ranked[reach - 1] + ranked[reach]) / 2)
            cuts |= {share: cut} if cut > high else {}
    return cuts


def count_strangers(crowd: Crowd, compared: Compared, cut: float, bounds: tuple[float, float]) -> dict[str, Any]:
    """Count the faces of each grade that reach a cut, with 95 % of their share when people are drawn anew.

    A grade that no face has gets the counts of all.
    """
    grades = grades_of(certainties(crowd.faces), bounds)[compared.face]
    names, who = np.unique(crowd.person, return_inverse=True)
    pair = np.searchsorted(names, compared.sought) * len(names) + who[compared.face % len(who)]
    reached, told = compared.scores >= cut, dict[str, Any]()
    for place, grade in enumerate(GRADES):
        chosen = grades == place if (grades == place).any() else np.ones_like(reached)
        seen, hit = (np.bincount(pair[rows], minlength=len(names) ** 2) for rows in (chosen, chosen & reached))
        match, faces = int(hit.sum()), int(seen.sum())
        told[grade] = {"match": match, "faces": faces, "interval": _interval(hit, seen, len(names))}
    return told


def _interval(hit: np.ndarray, seen: np.ndarray, people: int) -> list[float]:
    """Return 95 % of the share of hits among pairs of people, each int (people²,): both people are drawn."""
    if not hit.any():
        return [0.0, no_errors_bound(int((seen > 0).sum()))]
    hits, all_of = (counts.reshape(people, people).astype(np.float64) for counts in (hit, seen))
    times = np.random.default_rng(0).multinomial(people, np.full(people, 1 / people), REPLICATES).astype(np.float64)
    shares = [((times @ of) * times).sum(axis=1) for of in (hits, all_of)]
    return np.quantile(shares[0] / np.maximum(shares[1], 1), ENDS).tolist()


def measure(
    calibrating: Crowd,
    reporting: Crowd,
    calibration: Calibration,
    fitted: Mapping[int, tuple[Fusion, float]],
    bounds: tuple[float, float],
) -> dict[str, Any]:
    """Return what the weights' note tells of searching: for each number of references bars and their counts.

    Args:
        calibrating: calibration people, photos as they come.
        reporting: reporting people, spoiled photos too.
        calibration: of the score.
        fitted: number of references → how they are fused, and the band's upper end; 1 is among them.
        bounds: of the grades.
    """
    fusions = {number: fusion for number, (fusion, _) in fitted.items()}
    chosen, counted = (compare_strangers(crowd, calibration, fusions) for crowd in (calibrating, reporting))
    told = {}
    for number in sorted(chosen.keys() & counted.keys()):
        high = fitted[number][1]
        cuts = [(None, high), *cuts_above(chosen[number].scores, high).items()]
        told[str(number)] = [
            {"fmr": share, "score": cut, "strangers": count_strangers(reporting, counted[number], cut, bounds)}
            for share, cut in cuts
        ]
    return told
