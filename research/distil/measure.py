"""What a run looks at: how well people are told apart, and what strangers look like when both are spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flaskapp.evaluation.curves import error_curve, first_allowed
from research.distil.spoiling import KINDS
from research.sets.labelled import labelled
from research.sets.table import TRAINING, VALIDATION, FaceTable

__all__ = ["Looks", "SpoiledRow", "look"]

VALIDATION_PHOTOS = 1800
SPOILED_PHOTOS = 400
SPOILED_FMR = 0.007
"""Of clean pairs of strangers: the threshold above which strangers that are spoiled alike are counted."""

Embed = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class SpoiledRow:
    """What both photos of a pair spoiled alike do.

    Attributes:
        kind: of spoiling, "clean" for none.
        strength: of ``Kind.measured``.
        strangers: share of stranger pairs above the threshold that ``SPOILED_FMR`` of clean ones reach.
        genuine: share of genuine pairs above it.
        length: median length of the vectors beside that of clean ones: the network's certainty.
        shorter: share of photos whose vector is shorter than 99 % of the clean ones.
    """

    kind: str
    strength: float
    strangers: float
    genuine: float
    length: float
    shorter: float


class Looks:
    """The photos that are looked at, and the figures of what a network says of them."""

    def __init__(self, table: FaceTable, crops: np.ndarray, targets: np.ndarray, seed: int = 2026) -> None:
        rows = labelled(table, VALIDATION).rows[:VALIDATION_PHOTOS]
        known = np.flatnonzero((table.role == TRAINING) & ~np.isnan(table.targets).any(axis=1))
        known = np.sort(np.random.default_rng(seed).permutation(known)[:VALIDATION_PHOTOS])
        self.faces, self.person = np.array(crops[rows]), table.person[rows]
        self.targets = targets[rows]
        self.known_faces, self.known_targets = np.array(crops[known]), targets[known]
        self.seed = seed

    def figures(self, embed: Embed) -> dict[str, float]:
        """Return FNMR at FMR 1 % and 0.1 % and mean cosines to the teacher, of clean photos by one view."""
        vectors, known = embed(self.faces), embed(self.known_faces)
        curve = error_curve(*_pairs(_unit(vectors), self.person))
        return {
            "fnmr_at_fmr_0.01": float(curve.fnmr[first_allowed(curve.false_matches, 0.01, curve.impostor)]),
            "fnmr_at_fmr_0.001": float(curve.fnmr[first_allowed(curve.false_matches, 0.001, curve.impostor)]),
            "cosine_unseen": _mean_cosine(vectors, self.targets),
            "cosine_training": _mean_cosine(known, self.known_targets),
        }

    def spoiled(self, embed: Embed) -> list[SpoiledRow]:
        """Return the table of both photos spoiled alike; its first row is of clean photos."""
        faces, person = self._some()
        clean = embed(faces)
        scores, same = _pairs(_unit(clean), person)
        strangers = np.sort(scores[~same])
        threshold = strangers[-1 - int(SPOILED_FMR * len(strangers))]
        lengths = np.linalg.norm(clean, axis=1)

        def row(kind: str, strength: float, vectors: np.ndarray) -> SpoiledRow:
            scores, _ = _pairs(_unit(vectors), person)
            length = np.linalg.norm(vectors, axis=1)
            return SpoiledRow(
                kind,
                strength,
                float(np.mean(scores[~same] > threshold)),
                float(np.mean(scores[same] > threshold)),
                float(np.median(length) / np.median(lengths)),
                float(np.mean(length < np.quantile(lengths, 0.01))),
            )

        rows = [row("clean", 0, clean)]
        for number, kind in enumerate(KINDS):
            for strength in kind.measured:
                seeds = [(self.seed, number, 0 if kind.draw_alike else photo) for photo in range(len(faces))]
                changed = [
                    kind.change(face, strength, np.random.default_rng(seed))
                    for face, seed in zip(faces, seeds, strict=True)
                ]
                rows.append(row(kind.name, strength, embed(np.stack(changed))))
        return rows

    def _some(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photos of so many people that there are ``SPOILED_PHOTOS`` of them."""
        people, first = np.unique(self.person, return_index=True)
        chosen, count = [], 0
        for person in people[np.argsort(first)]:
            if count >= SPOILED_PHOTOS:
                break
            chosen.append(person)
            count += int(np.sum(self.person == person))
        rows = np.flatnonzero(np.isin(self.person, chosen))[:SPOILED_PHOTOS]
        return self.faces[rows], self.person[rows]


def look(looks: Looks, embed: Embed) -> tuple[dict[str, float], list[SpoiledRow]]:
    """Return both kinds of figures."""
    return looks.figures(embed), looks.spoiled(embed)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _mean_cosine(vectors: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean(np.sum(_unit(vectors) * targets, axis=1)))


def _pairs(unit: np.ndarray, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(len(person), 1)
    return (unit @ unit.T)[first, second], person[first] == person[second]
