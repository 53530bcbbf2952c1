"""Guess which groups people of a sets file belong to, for figures of strangers who look alike.

Where only some photos have labels, ``python -m research.measure.guessed_groups sets.toml
--learn celeba_89 --labels labels.csv --root celeba_89/celebA --by gender --out groups.csv`` learns
from the teacher's embeddings of those, by a support vector machine, guesses for the people who
report, from all photos of each, and writes a CSV for ``evaluate --labels``.

Photos of nobody named teach as well, each as a person of its own: FairFace's, for ``--by race``.
``--beside groups.csv`` takes the columns of an earlier run along.

A guess serves to sort pairs into easy and hard ones and says nothing of a person. How often it
is right is printed, of labelled people whom it did not learn from.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from flaskapp.errors import DataError
from flaskapp.pairs.labels import Labels, read_labels
from research.sets import table as sets
from research.sets.table import FaceTable

HELD_OUT = 0.2


@dataclass(frozen=True)
class Photos:
    """Photos of people.

    Attributes:
        embeddings: float (N, F) of unit length.
        person: int (N,), who is in each.
    """

    embeddings: np.ndarray
    person: np.ndarray


def guess_groups(known: Photos, labels: np.ndarray, others: Photos, seed: int = 0) -> tuple[np.ndarray, float]:
    """Learn a label from embeddings and guess it for each person, from all photos of them.

    Args:
        known: the photos to learn from.
        labels: str (N,), what each of them is, none empty.
        others: the M photos to guess for; people get one guess.
        seed: which people are held out.

    Returns:
        str (M,), and the share of held-out photos whose person was guessed right, 0 to 1.
    """
    people, number = np.unique(known.person, return_inverse=True)
    held_out = (np.random.default_rng(seed).random(len(people)) < HELD_OUT)[number]
    # A linear model will not do: it is right for 74 of 100 where this is for 97.
    model = make_pipeline(StandardScaler(), SVC()).fit(known.embeddings[~held_out], labels[~held_out])

    def guess(photos: Photos) -> np.ndarray:
        votes = model.decision_function(photos.embeddings).reshape(len(photos.person), -1)
        votes = np.hstack([-votes, votes]) if votes.shape[1] == 1 else votes
        _, number = np.unique(photos.person, return_inverse=True)
        sums = np.zeros((number.max() + 1, votes.shape[1]))
        np.add.at(sums, number, votes)
        return np.asarray(model.classes_[sums.argmax(axis=1)][number])

    test = Photos(known.embeddings[held_out], known.person[held_out])
    return guess(others), float(np.mean(guess(test) == labels[held_out]))


def people_of(table: FaceTable, rows: np.ndarray) -> np.ndarray:
    """Return who is in each of these photos, int (N,); where nobody is named, a number of the photo's own."""
    person = table.person[rows]
    return np.where(person == sets.UNKNOWN_PERSON, -1 - rows, person)


def labelled_rows(table: FaceTable, name: str, labels: Path, root: Path, by: Sequence[str]) -> tuple[np.ndarray, ...]:
    """Return the rows (N,) of a set's training photos with an embedding and all labels, and these, str (N, columns).

    Raises:
        DataError: there are none.
    """
    learned = (table.role == sets.TRAINING) & ~np.isnan(table.teacher).any(axis=1)
    rows = np.flatnonzero(learned & (table.set_index == table.set_names.index(name)))
    names = [Path(os.path.relpath(table.paths[row], root)).as_posix() for row in rows]
    values = read_labels(labels, by).values(names)
    known = (values != "").all(axis=1)
    if not known.any():
        raise DataError(
            f"{labels.name} names no photo of {name}.", "Name the folder that its paths start from: --root."
        )
    return rows[known], values[known]


@click.command()
@click.argument("sets_file", type=click.Path(exists=True, path_type=Path))
@click.option("--learn", required=True, help="The set whose photos have labels.")
@click.option("--labels", type=click.Path(exists=True, path_type=Path), required=True, help="A CSV: path, groups.")
@click.option("--root", type=click.Path(exists=True, path_type=Path), required=True, help="Where its paths start.")
@click.option("--by", multiple=True, required=True, help="A column to learn; may be repeated.")
@click.option("--role", type=click.Choice(sets.ROLE_NAMES), default="reporting", show_default=True)
@click.option("--most", type=click.IntRange(min=1), help="Learn from so many photos at most.")
@click.option("--beside", type=click.Path(exists=True, path_type=Path), help="A CSV that this wrote, to take along.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The CSV to write.")
def main(
    sets_file: Path,
    learn: str,
    labels: Path,
    root: Path,
    by: tuple[str, ...],
    role: str,
    most: int | None,
    beside: Path | None,
    out: Path,
) -> None:
    """Guess the groups of people, and write them as a CSV."""
    sets_file = sets_file.resolve()
    table = sets.load_faces(*sets.read_sets(sets_file))
    rows, values = labelled_rows(table, learn, labels, root.resolve(), by)
    some = np.random.default_rng(0).permutation(len(rows))[:most]
    rows, values = rows[some], values[some]
    usable = (table.person != sets.UNKNOWN_PERSON) & ~np.isnan(table.teacher).any(axis=1)
    others = np.flatnonzero(usable & (table.role == sets.ROLE_NAMES.index(role)))
    known, asked = (Photos(table.teacher[these], people_of(table, these)) for these in (rows, others))
    first = np.unique(asked.person, return_index=True)[1]
    click.echo(f"{len(rows):,} photos with labels, of {len(np.unique(known.person)):,} people")
    guesses = []
    for place, column in enumerate(by):
        guess, right = guess_groups(known, values[:, place], asked)
        guesses.append(guess)
        click.echo(f"{column}: right for {100 * right:.1f} % of labelled photos of people who were held out")
        names, counts = np.unique(guess[first], return_counts=True)
        click.echo("  " + ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True)))
    paths = [Path(os.path.relpath(table.paths[row], sets_file.parent)).as_posix() for row in others]
    earlier = read_labels(beside) if beside else Labels((), {})
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", *earlier.columns, *by))
        for path, *groups in zip(paths, *earlier.values(paths).T, *guesses, strict=True):
            writer.writerow((path, *groups))
    click.echo(f"Written: {out.name}, {len(others):,} photos of {len(first)} people")


if __name__ == "__main__":
    main()
