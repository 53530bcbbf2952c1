"""Does training on one's own face help? Several people in turn as "me", others never seen.

``python -m research.measure.own_face --people ../shared/people`` takes the people with most photos,
each in turn as the owner: at most 20 photos to train with (validation among them), the rest
scored once, and as many more for the test as it takes to make 100 genuine pairs of test ×
training photos. The others are split by person; who is tested with is never learned from.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import click
import numpy as np

from flaskapp.errors import DataError
from flaskapp.personal.album import Album, read_people
from flaskapp.personal.loop import OwnRecipe
from flaskapp.personal.result import OwnResult
from flaskapp.personal.split import split_people
from flaskapp.personal.train import train_own_face
from flaskapp.weights.info import default_weights_path
from research.sets.quality import MISLABELLED_COSINE
from research.sets.table import read_teacher

MOST_TRAINING_PHOTOS = 20
GENUINE_PAIRS = 100
HEAD = (
    "| me | genuine, impostor pairs | F1 | before | gain, 95 % interval "
    "| strangers out of scope | owner out of scope | teacher's best |"
)
MODES = {
    "head": ("head", True),
    "stand-in": ("head", False),
    "whole": ("whole", True),
}


def test_share_for(photos: int) -> float:
    """Return the share of the smallest test of at least a fifth that makes 100 pairs and leaves at most 20 photos."""
    for test in range(math.ceil(photos / 5), photos):
        left = photos - test
        training = left - round(left / 5)
        if test * training >= GENUINE_PAIRS and left <= MOST_TRAINING_PHOTOS:
            return test / photos
    raise click.ClickException(f"{photos} photos are too few for {GENUINE_PAIRS} pairs.")


def run_one(people: Album, me: str, mode: str, weights: Path, minutes: float) -> OwnResult:
    """Train and score one person's model."""
    owner = np.array(people.people) == me
    mine, others = people.take(owner), people.take(~owner)
    kind, with_photos = MODES[mode]
    recipe = OwnRecipe(kind, minutes, test_share=test_share_for(len(mine)))
    parts = split_people(np.array(others.people), np.random.default_rng(1))
    strangers = None if with_photos else others.take(parts == "test")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        return train_own_face(mine, others if with_photos else None, out, recipe, base=weights, strangers=strangers)


def teachers_best(people: Album, me: str, teacher: dict[str, np.ndarray]) -> float:
    """Return the highest F1 that the teacher reaches with any threshold.

    Of all pairs of the owner's photos, and of each with photos of the others, weighed as if
    there were as many: what a perfect student of it could do.
    """
    vectors = np.array([teacher[Path(name).name] for name in people.names])
    owner = np.array(people.people) == me
    own = vectors[owner] @ vectors[owner].T
    genuine, impostor = own[np.triu_indices(len(own), 1)], (vectors[owner] @ vectors[~owner].T).ravel()
    found = np.array([np.mean(genuine >= cut) for cut in genuine])
    wrong = np.array([np.mean(impostor >= cut) for cut in genuine])
    return float(np.max(2 * found / (found + wrong + 1)))


def rightly_named(people: Album, teacher: dict[str, np.ndarray]) -> np.ndarray:
    """Say of each photo whether it is like its person's others, by the rule of ``audit``; bool (N,)."""
    vectors = np.array([teacher[Path(name).name] for name in people.names])
    person = np.array(people.people)
    others = np.stack([vectors[person == name].sum(axis=0) for name in person]) - vectors
    return np.sum(vectors * others, axis=1) > MISLABELLED_COSINE * np.linalg.norm(others, axis=1)


def read_teacher_by_file(path: Path) -> dict[str, np.ndarray]:
    """Return the teacher's vector of each photo by its file's name."""
    names, vectors = read_teacher(path)
    return {Path(name).name: vector for name, vector in zip(names, vectors, strict=True)}


def row_of(me: str, result: OwnResult, ceiling: float | None) -> str:
    """Return one line of the table."""
    interval = result.f1_gain_interval
    told = "all draws agree" if interval is None else f"{interval[0]:+.4f} to {interval[1]:+.4f}"
    confusion, scope = result.personal.confusion, result.scope
    cells = [
        me,
        f"{confusion.genuine}, {confusion.impostor}",
        f"{result.personal.figures()['f1'] or 0:.4f}",
        f"{result.shipped.figures()['f1'] or 0:.4f}",
        f"{result.f1_gain:+.4f} ({told})",
        f"{scope.strangers_out:,} of {scope.stranger_pairs:,}",
        f"{scope.owner_out} of {scope.owner_pairs}",
        "" if ceiling is None else f"{ceiling:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def summary(results: list[OwnResult]) -> str:
    """Return the means over people, and the counts over all pairs."""
    f1, before = (
        np.mean([getattr(result, name).figures()["f1"] or 0 for result in results]) for name in ("personal", "shipped")
    )
    counts = {name: sum(getattr(result.scope, name) for result in results) for name in vars(results[0].scope)}
    return (
        f"mean F1 {f1:.4f}, before {before:.4f}; out of scope: strangers "
        f"{counts['strangers_out'] / counts['stranger_pairs']:.2%} of {counts['stranger_pairs']:,}, owner "
        f"{counts['owner_out'] / counts['owner_pairs']:.2%} of {counts['owner_pairs']:,}"
    )


@click.command()
@click.option("--people", "folder", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(exists=True, path_type=Path), default=default_weights_path())
@click.option("--mode", "modes", type=click.Choice(list(MODES)), multiple=True, default=("head",), show_default=True)
@click.option("--owners", type=click.IntRange(min=1), default=10, show_default=True, help="How many people in turn.")
@click.option("--skip", type=int, default=7, show_default=True, help="First people, with whom the rules were chosen.")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Of training for each, at most.")
@click.option(
    "--teacher", type=click.Path(exists=True, path_type=Path), help="File of the teacher's vectors, to show its best."
)
@click.option("--clean", is_flag=True, help="Leave out photos that the teacher takes for somebody else's.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures.")
def main(
    folder: Path,
    weights: Path,
    modes: tuple[str, ...],
    owners: int,
    skip: int,
    minutes: float,
    teacher: Path | None,
    clean: bool,
    json_file: Path | None,
) -> None:
    """Train on people's faces, and print what it is worth."""
    people = read_people(folder)
    vectors = None if teacher is None else read_teacher_by_file(teacher)
    if clean:
        if vectors is None:
            raise click.UsageError("--clean takes --teacher.")
        kept = rightly_named(people, vectors)
        click.echo(f"left out: {np.sum(~kept)} of {len(kept)} photos, by the teacher")
        people = people.take(kept)
    most = [name for name, _ in sorted(Counter(people.people).items(), key=lambda item: (-item[1], item[0]))]
    figures: dict[str, dict[str, object]] = {}
    for mode in modes:
        click.echo(f"\n{mode}, at most {minutes:g} minutes each\n\n{HEAD}\n|{'---|' * 8}")
        results, ceilings = {}, list[float]()
        for me in most[skip : skip + owners]:
            try:
                results[me] = run_one(people, me, mode, weights, minutes)
            except DataError as error:  # a collapsed training is a result too
                click.echo(f"| {me} | {error} |{' |' * 6}")
                continue
            ceilings += [teachers_best(people, me, vectors)] if vectors is not None else []
            click.echo(row_of(me, results[me], ceilings[-1] if ceilings else None))
            figures[mode] = {name: result.to_json() for name, result in results.items()}
            if json_file:
                json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if results:
            click.echo(f"\n{len(results)} people: {summary(list(results.values()))}")
        if ceilings:
            click.echo(f"The teacher's best, mean F1: {np.mean(ceilings):.4f}")


if __name__ == "__main__":
    main()
