"""What it is worth to take off what all faces have in common.

``python -m research.measure.centring sets.toml``: at the cosine that lets 1 % of the stranger
pairs of validation people in, the share of stranger pairs of each set of unnamed people that
pass, by the teacher's vectors as they are and less the mean of the sets named as centre. Of a
set that is the centre only photos that have no part in the mean are counted. No network of
this project takes part.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from research.distil.centring import centre_rows, centred_teacher
from research.sets import table as sets
from research.sets.labelled import Labelled, labelled
from research.sets.table import FaceTable

PHOTOS = 5000
RATES = 0.01, 0.001


def cosines(vectors: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosines of pairs of rows."""
    return (vectors @ vectors.T)[first, second]


def thresholds(vectors: np.ndarray, people: Labelled) -> Iterator[tuple[float, float]]:
    """Give the cosine and the FNMR at each FMR, of the validation people."""
    first, second, same = people.pairs()
    values = cosines(vectors[people.rows], first, second)
    strangers = np.sort(values[~same])[::-1]
    for rate in RATES:
        cut = strangers[int(rate * len(strangers))]
        yield cut, float(np.mean(values[same] <= cut))


def strangers(table: FaceTable, seed: int = 0) -> dict[str, np.ndarray]:
    """Return rows of each set whose people are not named, none of which made the mean."""
    usable = ~np.isnan(table.teacher).any(axis=1) & (table.person == sets.UNKNOWN_PERSON)
    usable[centre_rows(table)] = False
    rng = np.random.default_rng(seed)
    rows = {
        name: rng.permutation(np.flatnonzero(usable & (table.set_index == index)))[:PHOTOS]
        for index, name in enumerate(table.set_names)
    }
    return {name: found for name, found in rows.items() if len(found) > 1}


def main(sets_file: Path) -> None:
    """Print the figures of a sets file."""
    table = sets.load_faces(*sets.read_sets(sets_file))
    people = labelled(table, sets.VALIDATION)
    people = Labelled(*(values[people.set_index == 0] for values in vars(people).values()))
    for name, vectors in {"as it is": table.teacher, "less the mean": centred_teacher(table)}.items():
        cuts = list(thresholds(vectors, people))
        figures = [f"FNMR at FMR {rate:.1%} {fnmr:.1%}" for rate, (_, fnmr) in zip(RATES, cuts, strict=True)]
        for set_name, rows in strangers(table).items():
            pairs = np.triu_indices(len(rows), 1)
            share = np.mean(cosines(vectors[rows], *pairs) > cuts[0][0])
            figures.append(f"{set_name} {share:.2%} of {len(pairs[0]):,}")
        print(f"{name + ':':<15}{'; '.join(figures)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
