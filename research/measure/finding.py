"""What ``find`` finds, misses and finds wrongly, beside the number of mistakes that it says to expect.

Some people of a folder of people are looked for, each with one, three and eight references, in an album: photos of
people who are none of them, a few of each of them that are no references, and a few of others in the same folder.
Every photo of the album is read once; each search then compares its faces as ``Verifier.find`` does.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from flaskapp import preprocess
from flaskapp.cli.progress import progress_bar, report_left_out
from flaskapp.errors import PhotoError
from flaskapp.finding import Bar, bars_of, least_bar
from flaskapp.preprocess.files import look_through
from flaskapp.quality import GRADES, grades_of
from flaskapp.verifier import Verifier
from flaskapp.weights.info import default_weights_path
from flaskapp.weights.runtime import Runtime, certainties

HEAD = "| references | bar | photos of theirs | found | inconclusive | missed | wrongly found | of | expected |"
Progress = Callable[[Iterable[Path]], Iterable[Path]]


@dataclass(frozen=True)
class Plan:
    """Whom to look for, by what, and where.

    Attributes:
        references: person → photos to know them by; as many serve as are asked for.
        album: photos to look through.
        hers: person → those of the album that show them.
    """

    references: dict[str, list[Path]]
    album: list[Path]
    hers: dict[str, set[Path]]


def plan(people: Path, others: Path, sought: int, each: int, more: int, seed: int) -> Plan:
    """Choose those who have most photos; draw references, photos to be found, and photos of the rest."""
    rng = np.random.default_rng(seed)
    folders = {folder.name: list(look_through(folder).photos) for folder in sorted(people.iterdir()) if folder.is_dir()}
    ranked = sorted(folders, key=lambda name: (-len(folders[name]), name))
    references, hers = {}, {}
    for name in ranked[:sought]:
        drawn = [folders[name][place] for place in rng.permutation(len(folders[name]))]
        references[name], hers[name] = drawn[each:], set(drawn[:each])
    rest = [photo for name in ranked[sought:] for photo in folders[name]]
    strangers = [rest[place] for place in rng.permutation(len(rest))[:more]]
    album = [*look_through(others).photos, *sorted(set().union(*hers.values())), *sorted(strangers)]
    return Plan(references, album, hers)


@dataclass(frozen=True)
class Album:
    """The faces of an album: embeddings float32 (N, 4096), and which photo each is in, int (N,)."""

    photos: Sequence[Path]
    embeddings: np.ndarray
    photo: np.ndarray


def read_album(verifier: Verifier, photos: Sequence[Path], progress: Progress = iter) -> Album:
    """Find and embed all faces, as ``Verifier.find`` does."""
    nobody, failed = np.full((1, 4096), 1 / 64, np.float32), dict[str, str]()
    embeddings, places = [np.empty((0, 4096), np.float32)], list[int]()
    findings = verifier.find(nobody, photos)
    for place, (photo, finding) in enumerate(zip(progress(photos), findings, strict=True)):
        crops = [face.aligned for face in finding.compared if face.aligned is not None]
        if finding.error:
            failed[photo.name] = finding.error.message
        if crops:
            embeddings.append(verifier.runtime.embed(preprocess.to_model_input(np.stack(crops))))
            places += [place] * len(crops)
    report_left_out(failed, "cannot be used")
    return Album(photos, np.concatenate(embeddings), np.array(places, int))


@dataclass(frozen=True)
class Outcome:
    """One search. ``wrong`` names photos: look at them, as labels may be wrong and people may be in both folders."""

    person: str
    references: int
    strict: bool
    bar: float
    hers: int
    found: int
    inconclusive: int
    others: int
    wrong: list[str]
    expected: float
    interval: tuple[float, float] | None


def look_for(
    runtime: Runtime, album: Album, person: str, templates: np.ndarray, hers: set[Path], strict: bool
) -> Outcome:
    """Search an album for the person of templates, float32 (N, 4096)."""
    info = runtime.info
    faces = Counter(GRADES[place] for place in grades_of(certainties(album.embeddings), info.grade_bounds))
    bars = bars_of(info, [GRADES[place] for place in grades_of(certainties(templates), info.grade_bounds)])
    bar: Bar = least_bar(bars, faces) if strict else bars[0]
    best = np.full(len(album.photos), -1.0)
    np.maximum.at(best, album.photo, runtime.person_scores(templates, album.embeddings))
    low = info.for_references(len(templates)).inconclusive_band[0]
    mine = np.array([photo in hers for photo in album.photos])
    wrong = [album.photos[int(place)] for place in np.flatnonzero(~mine & (best >= bar.score))]
    expected = bar.expected(faces)
    return Outcome(
        person,
        len(templates),
        strict,
        bar.score,
        int(mine.sum()),
        int(np.sum(mine & (best >= bar.score))),
        int(np.sum(mine & (best >= low) & (best < bar.score))),
        int((~mine).sum()),
        ["/".join(photo.parts[-2:]) for photo in wrong],
        expected.matches,
        expected.interval,
    )


def rows_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the table's lines: sums over all people, by references and bar."""
    lines = [HEAD, f"|{'---|' * (HEAD.count('|') - 1)}"]
    for references, strict in dict.fromkeys((one.references, one.strict) for one in outcomes):
        of = [one for one in outcomes if (one.references, one.strict) == (references, strict)]
        hers, found, unsure, others = (
            sum(getattr(one, n) for one in of) for n in ("hers", "found", "inconclusive", "others")
        )
        ends = [one.interval for one in of if one.interval]
        interval = " ({:.2g} to {:.2g})".format(*np.sum(ends, axis=0)) if len(ends) == len(of) else ""
        wrong, expected = sum(len(one.wrong) for one in of), sum(one.expected for one in of)
        cells = [
            references,
            "--strict" if strict else "band",
            hers,
            found,
            unsure,
            hers - found - unsure,
            wrong,
            f"{others:,}",
        ]
        lines.append(f"| {' | '.join(map(str, cells))} | {expected:.2g}{interval} |")
    return lines


def _embedded(verifier: Verifier, photos: Iterable[Path]) -> Iterator[np.ndarray]:
    for photo in photos:
        with contextlib.suppress(PhotoError):  # of nobody, or of several
            yield verifier.embed(photo)[1]


@click.command()
@click.option("--people", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--others", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(exists=True, path_type=Path), default=default_weights_path())
@click.option(
    "--references", "numbers", type=click.IntRange(1, 20), multiple=True, default=(1, 3, 8), show_default=True
)
@click.option("--sought", type=click.IntRange(min=1), default=12, show_default=True, help="How many people in turn.")
@click.option("--each", type=click.IntRange(min=1), default=10, show_default=True, help="Photos of each to be found.")
@click.option("--more", type=int, default=80, show_default=True, help="Photos of the other people of the folder.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write each search, and who was wrong.")
def main(
    people: Path,
    others: Path,
    weights: Path,
    numbers: tuple[int, ...],
    sought: int,
    each: int,
    more: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Look for people in an album, and print what was found beside what was to be expected."""
    verifier = Verifier(Runtime(weights))
    planned = plan(people, others, sought, each, more, seed)
    album = read_album(verifier, planned.album, progress_bar("Reading the album", "photos"))
    outcomes = []
    for person, photos in planned.references.items():
        templates = np.stack(list(itertools.islice(_embedded(verifier, photos), max(numbers))))
        for number in numbers:
            for strict in (False, True):
                hers = planned.hers[person]
                outcomes.append(look_for(verifier.runtime, album, person, templates[:number], hers, strict))
    click.echo(f"{len(album.photos):,} photos, {len(album.embeddings):,} faces, {verifier.weights.weights_id}")
    click.echo("\n".join(rows_of(sorted(outcomes, key=lambda one: (one.references, one.strict)))))
    if json_file:
        told = {"weights": verifier.weights.weights_id, "faces": len(album.embeddings)}
        json_file.write_text(
            json.dumps(told | {"searches": list(map(asdict, outcomes))}, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
