"""Does training on one's own face help? Several people in turn as "me", others never seen.

``python -m research.measure.own_face --people ../shared/people`` takes the people with most photos, each in
turn as the owner of at most 15 photos. What it makes of them is loaded as whoever uses it loads it, and asked
*is it me?* of the owner's photos that are left and of people that no training saw. Beside it the weights that it
started from: with the same photos as references, and with each of them alone. All decide by the band that they
ship. How real the strangers of its own test are, those drawn from the stand-in for example, is seen by how many of
them it takes for its owner, beside others' (``--strangers``).
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from flaskapp import preprocess
from flaskapp.errors import DataError
from flaskapp.evaluation.decisions import Verdicts, confusion_at, count_verdicts, rates
from flaskapp.evaluation.intervals import exact_interval
from flaskapp.personal import load_model
from flaskapp.personal.album import Album, read_album, read_people
from flaskapp.personal.loop import OwnRecipe
from flaskapp.personal.split import split_people
from flaskapp.personal.train import train_own_face
from flaskapp.report.rows import interval_text, percent
from flaskapp.weights.info import default_weights_path
from flaskapp.weights.runtime import Runtime, surest
from research.sets.quality import MISLABELLED_COSINE
from research.sets.table import read_teacher

MOST_PHOTOS = 15
SYSTEMS = {"personal": "the model", "shipped": "shipped, same photos", "alone": "shipped, one photo"}
HEAD = (
    *("me", "photos known, new, strangers'", "decides", "F1", "same photos", "F1 of pairs", "before"),
    *(*SYSTEMS.values(), "teacher's best"),
)
MODES = {
    "head": ("head", True),
    "stand-in": ("head", False),
    "whole": ("whole", True),
}

Answers = dict[str, dict[str, Verdicts]]


@dataclass(frozen=True)
class Measured:
    """What came of one person's training.

    Attributes:
        known: photos that the owner gave.
        learned: whether what training learned decides.
        f1: by system, and of "pairs" of a new photo with a known one by the model's own weights; both kinds weigh
            the same.
        answers: likewise → "genuine" (new photos of the owner) and "impostor" (strangers') → verdicts.
        strangers: kind of strangers → how many the model took for the owner, and of how many.
    """

    known: int
    learned: bool
    f1: dict[str, float]
    answers: Answers
    strangers: dict[str, tuple[int, int]]


def measure_one(
    people: Album, me: str, mode: str, weights: Path, minutes: float, more: Mapping[str, Album], seed: int = 0
) -> Measured:
    """Train one person's model, and ask it of photos that it never saw; of ``more`` strangers too."""
    rng = np.random.default_rng(seed)
    owner = np.array(people.people) == me
    order = rng.permutation(np.flatnonzero(owner))
    mine, new, others = people.take(order[:MOST_PHOTOS]), people.take(order[MOST_PHOTOS:]), people.take(~owner)
    kind, with_photos = MODES[mode]
    kept_out = split_people(np.array(others.people), rng) == "test"
    strangers = others.take(kept_out) if with_photos else others
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        train_own_face(
            mine, others.take(~kept_out) if with_photos else None, out, OwnRecipe(kind, minutes), base=weights
        )
        personal, known = load_model(out)
    assert known is not None  # noqa: S101 - train wrote it
    shipped = Runtime(weights)
    same = np.arange(len(new) + len(strangers)) < len(new)
    probes = preprocess.to_model_input(np.concatenate([new.faces, strangers.faces]))
    references = shipped.embed(preprocess.to_model_input(mine.faces))
    references = references[surest(references)]
    embeddings, by_model = shipped.embed(probes), personal.embed(probes)
    of_pairs, count = np.tile(same, len(references)), len(references)
    scored = {
        "personal": (personal.person_scores(known.templates, by_model), same, personal.info.for_references(count)),
        "shipped": (shipped.person_scores(references, embeddings), same, shipped.info.for_references(count)),
        "alone": (one_by_one(shipped, references, embeddings), of_pairs, shipped.info),
        "pairs": (one_by_one(personal, known.templates, by_model), of_pairs, personal.info),
    }
    taken = {"tested": count_of(personal.info.details["personal"]["counts"]["impostor"])}
    for name, album in more.items():
        found = personal.person_scores(known.templates, personal.embed(preprocess.to_model_input(album.faces)))
        match = found >= personal.info.for_references(count).inconclusive_band[1]
        taken[name] = int(match.sum()), len(album)
    return Measured(
        len(mine),
        bool(personal.info.details["personal"]["learned"]),
        {name: even_f1(scores, truth, info.threshold) for name, (scores, truth, info) in scored.items()},
        {name: count_verdicts(scores, truth, info.inconclusive_band) for name, (scores, truth, info) in scored.items()},
        taken,
    )


def count_of(verdicts: Mapping[str, int]) -> tuple[int, int]:
    """Return how many read match, and of how many."""
    return verdicts["match"], sum(verdicts.values())


def even_f1(scores: np.ndarray, same: np.ndarray, threshold: float) -> float:
    """Return the F1 of a two-way decision as if there were as many genuine as impostor pairs."""
    of = confusion_at(scores, same, threshold)
    return float(rates(of.true_matches / of.genuine, of.false_matches / of.impostor, 1, 1)["f1"])


def one_by_one(runtime: Runtime, references: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """Return the scores of every photo with every reference by itself, float64 (N · M,), reference by reference."""
    return np.concatenate([runtime.scores(probes, reference) for reference in references])


def row_of(me: str, found: Measured, ceiling: float | None) -> str:
    """Return one line of the table."""
    own, strangers = (found.answers["personal"][kind].pairs for kind in ("genuine", "impostor"))
    cells = [
        me,
        f"{found.known}, {own}, {strangers:,}",
        "what it learned" if found.learned else "shipped weights",
        *(f"{found.f1[name]:.4f}" for name in ("personal", "shipped", "pairs", "alone")),
        *(f"{_told(found.answers[name]['genuine'])}; {_told(found.answers[name]['impostor'])}" for name in SYSTEMS),
        "" if ceiling is None else f"{ceiling:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def _told(verdicts: Verdicts) -> str:
    return f"{verdicts.match:,} / {verdicts.inconclusive:,} / {verdicts.non_match:,}"


def summary(found: Sequence[Measured]) -> str:
    """Return the mean F1 of pairs, and of each system both error rates over all people, with their counts."""
    f1 = {name: np.mean([one.f1[name] for one in found]) for name in found[0].f1}
    learned = sum(one.learned for one in found)
    lines = [
        f"mean F1 {f1['personal']:.4f}, of the shipped weights with the same photos {f1['shipped']:.4f}, of pairs "
        f"{f1['pairs']:.4f}, before {f1['alone']:.4f}; what was learned decides for {learned}"
    ]
    for system, name in SYSTEMS.items():
        genuine, impostor = ([one.answers[system][kind] for one in found] for kind in ("genuine", "impostor"))
        own, strangers = (sum(one.pairs for one in kind) for kind in (genuine, impostor))
        missed, unsure = sum(one.non_match for one in genuine), sum(one.inconclusive for one in genuine)
        taken = sum(one.match for one in impostor)
        lines.append(
            f"{name}: FNMR {_rate(missed, own)}, inconclusive {_rate(unsure, own)}, FMR {_rate(taken, strangers)}, "
            f"inconclusive {_rate(sum(one.inconclusive for one in impostor), strangers)}"
        )
    for name in found[0].strangers:
        taken, of = np.sum([one.strangers[name] for one in found], axis=0).tolist()
        lines.append(f"strangers, {name}: taken for the owner {_rate(taken, of)}")
    return "\n".join(lines)


def _rate(count: int, of: int) -> str:
    return f"{percent(count / of)} ({count:,} of {of:,}; {interval_text(exact_interval(count, of))})"


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


@click.command()
@click.option("--people", "folder", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(exists=True, path_type=Path), default=default_weights_path())
@click.option(
    "--mode", "modes", type=click.Choice(list(MODES)), multiple=True, default=("stand-in",), show_default=True
)
@click.option("--owners", type=click.IntRange(min=1), default=10, show_default=True, help="How many people in turn.")
@click.option("--skip", type=int, default=7, show_default=True, help="First people, with whom the rules were chosen.")
@click.option("--minutes", type=float, default=5.0, show_default=True, help="Of training for each, at most.")
@click.option(
    "--teacher", type=click.Path(exists=True, path_type=Path), help="File of the teacher's vectors, to show its best."
)
@click.option("--clean", is_flag=True, help="Leave out photos that the teacher takes for somebody else's.")
@click.option(
    "--strangers",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of photos of people who are none of these.",
)
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
    strangers: tuple[Path, ...],
    json_file: Path | None,
) -> None:
    """Train on people's faces, and print what it is worth: match / inconclusive / non-match, of me; of strangers."""
    people = read_people(folder)
    vectors = None if teacher is None else read_teacher_by_file(teacher)
    if clean:
        if vectors is None:
            raise click.UsageError("--clean takes --teacher.")
        kept = rightly_named(people, vectors)
        click.echo(f"left out: {np.sum(~kept)} of {len(kept)} photos, by the teacher")
        people = people.take(kept)
    more = {place.name: read_album(place) for place in strangers}
    most = [name for name, _ in sorted(Counter(people.people).items(), key=lambda item: (-item[1], item[0]))]
    figures: dict[str, dict[str, object]] = {}
    for mode in modes:
        click.echo(f"\n{mode}, at most {minutes:g} minutes each\n\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
        found, ceilings = dict[str, Measured](), list[float]()
        for me in most[skip : skip + owners]:
            try:
                found[me] = measure_one(people, me, mode, weights, minutes, more)
            except DataError as error:  # a collapsed training is a result too
                click.echo(f"| {me} | {error} |{' |' * (len(HEAD) - 2)}")
                continue
            ceilings += [teachers_best(people, me, vectors)] if vectors is not None else []
            click.echo(row_of(me, found[me], ceilings[-1] if ceilings else None))
            figures[mode] = {name: asdict(one) for name, one in found.items()}
            if json_file:
                json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        if found:
            click.echo(f"\n{len(found)} people: {summary(list(found.values()))}")
        if ceilings:
            click.echo(f"The teacher's best, mean F1: {np.mean(ceilings):.4f}")


if __name__ == "__main__":
    main()
