"""What ``find`` does: references and folders in; a table, copies, a page or a picture out."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np

from flaskapp import report
from flaskapp.allowance import photos_at_once
from flaskapp.cli.exit_codes import USAGE
from flaskapp.cli.options import FIGURE_SUFFIXES, photo_count, refuse_overwriting, shown
from flaskapp.cli.progress import progress_bar, report_left_out
from flaskapp.detection.face import SMALLEST_FACE
from flaskapp.errors import DataError, FacialRecognitionError, NotEnoughMemoryError, PhotoError, SeveralFacesError
from flaskapp.evaluation.decisions import Band, decide
from flaskapp.finding import Bar, Expected, Finding, FoundFace, bars_of, least_bar
from flaskapp.parallel import map_in_order, new_file
from flaskapp.preprocess.files import look_through, read_photo
from flaskapp.quality import GRADES, Grade, grades_of
from flaskapp.report import Section, Table
from flaskapp.verifier import FaceInPhoto, Verifier, face_to_json
from flaskapp.weights.info import VerdictCounts, WeightsInfo
from flaskapp.weights.runtime import certainties, default_runtime, surest

MOST_INCONCLUSIVE, MOST_ALSO, MOST_IN_FIGURE, MOST_DRAWN = 10, 5, 60, 300
MORE = "more; --json lists them all."
HEAD = ("photo", "face", "verdict", "score", "quality")
COLUMNS = ("photo", "decision", "similarity_score", "number", "faces", "also_match", "quality", "reasons", "box_xyxy")
IS_REFERENCE, IS_COPY = "It is one of the references.", "It lies where copies go."
PASSED_OVER = {IS_REFERENCE: "the references", IS_COPY: "those that lie where copies go"}
SHOWS_FACES = "This shows faces: hand it on only if everybody in it agrees."


@dataclass(frozen=True)
class Person:
    """Who is looked for.

    Attributes:
        name: what to call them.
        templates: float32 (N, 4096), 1 to 20 embeddings.
        faces: the N faces by their photos; none of a personal model.
        odd: which of these photos do not look like the others.
        read: these photos, and those that were read and not chosen.
        counts: of matches with a personal model's owner.
    """

    name: str
    templates: np.ndarray
    faces: Mapping[str, FaceInPhoto] = field(default_factory=dict)
    odd: Collection[str] = ()
    read: Collection[Path] = ()
    counts: VerdictCounts | None = None


@dataclass(frozen=True)
class Found:
    """A photo that shows the person or may: how many faces it has, the one most alike, and others that match."""

    photo: Path
    faces: int
    alike: tuple[FoundFace, ...]

    @property
    def best(self) -> FoundFace:
        """The face most alike."""
        return self.alike[0]

    @property
    def also(self) -> list[int]:
        """Numbers of further faces that match: a mirror, a picture of a picture, or a mistake."""
        return [face.number for face in self.alike[1:] if face.decision == "match"]

    def decided(self, band: Band) -> Found:
        """Return the same, decided by another band."""
        decided = (replace(face, decision=decide(face.similarity_score, band)) for face in self.alike)
        return replace(self, alike=tuple(decided))

    def without_pixels(self) -> Found:
        """Return the same without what the network saw, thirty kilobytes."""
        return replace(self, alike=(replace(self.best, aligned=None), *self.alike[1:]))

    def row(self) -> tuple[str, ...]:
        """Return its line of the table, under ``HEAD``."""
        best, named, left = self.best, self.also[:MOST_ALSO], len(self.also) - MOST_ALSO
        also = f", also {', '.join(map(str, named))}" * bool(named) + f" and {left} more" * (left > 0)
        score = f"{best.similarity_score:.4f}"
        return shown(self.photo), f"{best.number} of {self.faces}{also}", best.decision, score, str(best.quality)

    def to_json(self) -> dict[str, Any]:
        """Return all but the pixels, in JSON's types."""
        best = self.best
        told = {"photo": str(self.photo), "decision": best.decision, "similarity_score": best.similarity_score}
        told |= {"number": best.number, "faces": self.faces, "also_match": self.also}
        return told | {**face_to_json(best.face), "quality": best.quality.to_json()}


@dataclass
class Seen:
    """What was seen so far; the pixels of the best ``MOST_DRAWN`` faces stay, so that they can be drawn."""

    photos: int = 0
    grades: Counter[Grade] = field(default_factory=Counter)
    cut_off: int = 0
    crowds: int = 0
    reduced: int = 0
    without_face: list[str] = field(default_factory=list)
    failed: dict[str, FacialRecognitionError] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)

    def add(self, photo: Path, finding: Finding) -> None:
        """Count what a photo shows, and keep it if the person may be in it."""
        self.photos += 1
        if finding.detection is None:
            self.failed |= {str(photo): finding.error} if finding.error else {}
            return
        self.without_face += [] if finding.detection else [str(photo)]
        self.grades.update(face.quality.grade for face in finding.compared)
        self.cut_off += finding.cut_off
        self.crowds += finding.detection.more_faces
        self.reduced += round(finding.detection.smallest_face) > SMALLEST_FACE
        best, *others = finding.compared or (None,)
        if best and best.decision != "non_match":
            also = (replace(face, aligned=None) for face in others if face.decision == "match")
            self.found.append(Found(photo, len(finding.detection), (best, *also)))
            if len(self.found) % MOST_DRAWN == 0:
                ranked = self.best_first()
                self.found = ranked[:MOST_DRAWN] + [one.without_pixels() for one in ranked[MOST_DRAWN:]]

    def best_first(self) -> list[Found]:
        """Return what was found, the most alike first."""
        return sorted(self.found, key=lambda one: -one.best.similarity_score)


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items() if number) or "none"


@dataclass(frozen=True)
class Answer:
    """All that there is to tell: what was found in how many photos, by which bar, and how wrong that may be."""

    person: Person
    seen: Seen
    total: int
    passed_over: Mapping[str, str]
    weights: WeightsInfo  # for so many references
    bars: Sequence[Bar]
    strict: bool

    @cached_property
    def bar(self) -> Bar:
        """The score from which on a face matches."""
        return least_bar(self.bars, self.seen.grades) if self.strict else self.bars[0]

    @cached_property
    def expected(self) -> Expected:
        """How many of the faces would match, were all of them strangers'."""
        return self.bar.expected(self.seen.grades)

    @cached_property
    def found(self) -> list[Found]:
        """The photos that show the person or may, best first."""
        band = self.weights.inconclusive_band[0], self.bar.score
        return [one.decided(band) for one in self.seen.best_first()]

    def of(self, decision: str) -> list[Found]:
        """Return the photos with a verdict."""
        return [one for one in self.found if one.best.decision == decision]

    def table(self) -> Table:
        """Return all that match, and the best that are inconclusive."""
        return Table(HEAD, [one.row() for one in [*self.of("match"), *self.of("inconclusive")[:MOST_INCONCLUSIVE]]])

    def sentences(self) -> list[str]:
        """Say what was looked at, what was found, and how many mistakes to expect."""
        seen, found = self.seen, {name: len(self.of(name)) for name in ("match", "inconclusive")}
        failed = {"without a face": len(seen.without_face), "cannot be used": len(seen.failed)}
        others = {"non-match": seen.photos - sum(found.values()) - sum(failed.values())}
        notes = {
            "of a crowd, so that not everybody was looked at": seen.crowds,
            f"so large that faces of {SMALLEST_FACE} pixels were not looked for": seen.reduced,
        }
        graded = {grade: seen.grades[grade] for grade in GRADES}
        uncompared = {"cut off by the edge and not compared": seen.cut_off}
        of = f" of {self.total:,}, stopped there" if seen.photos < self.total else ""
        lines = [
            f"photos: {seen.photos:,}{of}: {_counts(found | others | failed | notes)}",
            f"faces: {sum(seen.grades.values()):,}, compared with {self.person.name}: {_counts(graded | uncompared)}",
            str(self.expected) * (self.expected.faces > 0),
            self._about_the_bar(),
            f"weights {self.weights.weights_id}",
        ]
        return [line for line in lines if line]

    def _about_the_bar(self) -> str:
        lowest, bar, highest = (one.score for one in (self.bars[0], self.bar, self.bars[-1]))
        if self.expected.most < 1 or not self.of("match"):
            return f"--strict: match from {bar:.6f} on, in place of {lowest:.6f}." * (bar > lowest)
        if bar < highest:
            return "Look at each match yourself, or raise the bar with --strict."
        return f"Look at each match yourself: no bar above {bar:.6f} was measured."

    def to_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        seen, weights = self.seen, self.weights
        return {
            "model": weights.weights_id,
            "references": [
                {"photo": name, "odd": name in self.person.odd, "quality": found.quality.to_json()}
                for name, found in self.person.faces.items()
            ],
            "photos": {"all": self.total, "looked_at": seen.photos, "crowds": seen.crowds, "reduced": seen.reduced},
            "faces": {"compared": dict(seen.grades), "cut_off": seen.cut_off},
            "inconclusive_band": [weights.inconclusive_band[0], self.bar.score],
            "strict": self.strict,
            "expected_false_matches": self.expected.to_json(),
            "found": [one.to_json() for one in self.found],
            "without_face": seen.without_face,
            "failed": {name: error.to_json() for name, error in seen.failed.items()},
            "passed_over": dict(self.passed_over),
            "liveness": "not_checked",
        }


def search(asked: SimpleNamespace) -> None:
    """Look for one person as the command asks, and tell what was found, all of it or until Ctrl-C."""
    written = [file for file in (asked.csv_file, asked.plot) if file]
    verifier, person, places = _person(asked, written)
    references = {photo.resolve() for photo in person.read}
    photos, passed_over = _photos(places, written, references, asked.copy_to)
    report_left_out(passed_over, "passed over", MORE)
    if not photos:
        where = ", ".join(map(shown, places))
        but = " and ".join(words for reason, words in PASSED_OVER.items() if reason in passed_over.values())
        raise DataError(
            f"There are no photos to look at in {where}{' but ' * bool(but)}{but}.",
            "Name other photos or folders." if but else "Photos are JPEG, PNG, WebP or HEIC.",
        )
    certainty, info = certainties(person.templates), verifier.weights
    bars = bars_of(info, [GRADES[place] for place in grades_of(certainty, info.grade_bounds)], person.counts)
    seen, stopped = Seen(), False
    try:
        with closing(verifier.find(person.templates, photos)) as findings:
            for photo, finding in zip(progress_bar("Looking", "photos")(photos), findings, strict=True):
                seen.add(photo, finding)
    except KeyboardInterrupt:
        stopped = True
    weights = info.for_references(len(person.templates))
    tell(Answer(person, seen, len(photos), passed_over, weights, bars, asked.strict), asked)
    if stopped:
        raise KeyboardInterrupt
    if len(seen.failed) == len(photos):
        click.get_current_context().exit(USAGE)


def _person(asked: SimpleNamespace, written: Collection[Path]) -> tuple[Verifier, Person, Sequence[Path]]:
    """Load the weights, and read the references; return where to look, too."""
    if asked.model is None:
        runtime, owner = default_runtime(), None
    else:
        from flaskapp.personal import load_model

        runtime, owner = load_model(asked.model)
    verifier = Verifier(runtime)
    if owner:
        name = f"{len(owner.templates)} templates of {shown(asked.model)}"
        return verifier, Person(name, owner.templates, counts=owner.verdict_counts("match")), asked.paths
    place, *places = asked.paths
    if not places:
        raise click.UsageError("Name a photo of the person, or a folder of such photos, and then where to look.")
    return verifier, _read_person(verifier, place, written), places


def _read_person(verifier: Verifier, place: Path, written: Collection[Path]) -> Person:
    """Read one person's photos; those that cannot be used are told, and of the others the surest serve."""

    def read(photo: Path) -> tuple[FaceInPhoto, np.ndarray] | str:
        try:
            return verifier.embed(photo)
        except SeveralFacesError as error:
            return error.message  # it advises to choose one, which find has no option for
        except (PhotoError, NotEnoughMemoryError) as error:
            return str(error)

    photos, _ = _photos([place], written)
    answers = map_in_order(read, photos, photos_at_once(), progress_bar("Reading references", "photos"))
    read_ones = [(photo, answer) for photo, answer in zip(photos, answers, strict=True) if not isinstance(answer, str)]
    left_out = {str(photo): answer for photo, answer in zip(photos, answers, strict=True) if isinstance(answer, str)}
    report_left_out(left_out, "reference left out")
    if not read_ones:
        raise DataError(
            f"There is no photo in {shown(place)} by which to know the person.",
            "Name a photo that shows one face, or a folder of such photos.",
        )
    templates = np.stack([embedding for _, (_, embedding) in read_ones])
    chosen = surest(templates)
    if len(chosen) < len(templates):
        click.echo(f"Of {len(templates)} references the {len(chosen)} serve that show the face best.", err=True)
    faces = {str(read_ones[number][0]): read_ones[number][1][0] for number in chosen}
    odd = [list(faces)[number] for number in verifier.runtime.odd_ones(templates[chosen])]
    report_left_out(dict.fromkeys(odd, "It does not look like the others. Is it the same person?"), "reference")
    name = f"{photo_count(len(faces))} in {shown(place)}" if place.is_dir() else shown(place)
    return Person(name, templates[chosen], faces, odd, [photo for photo, _ in read_ones])


def _photos(
    places: Iterable[Path], written: Collection[Path], references: Collection[Path] = (), copies: Path | None = None
) -> tuple[list[Path], dict[str, str]]:
    """List the photos in files and folders, each once, and what is passed over with the reason; none is overwritten."""
    found: dict[Path, Path] = {}
    passed_over: dict[str, str] = {}
    for place in places:
        photos: Sequence[Path] = (place,)
        if place.is_dir():
            content = look_through(place)
            photos = content.photos
            passed_over |= {str(place / name): reason for name, reason in content.passed_over.items()}
        for photo in photos:
            found.setdefault(photo.resolve(), photo)
    refuse_overwriting(written, found)
    for real, photo in found.items():
        if real in references:
            passed_over[str(photo)] = IS_REFERENCE
        elif copies and real.is_relative_to(copies.resolve()):
            passed_over[str(photo)] = IS_COPY
    return [photo for photo in found.values() if str(photo) not in passed_over], passed_over


def tell(answer: Answer, asked: SimpleNamespace) -> None:
    """Write what was asked for, and print the answer: last, as its reader may have gone."""
    try:
        _write(answer, asked)
    finally:
        _print(answer, asked)


def _print(answer: Answer, asked: SimpleNamespace) -> None:
    if asked.as_json:
        click.echo(json.dumps(answer.to_json(), indent=2))
    else:
        table = [report.as_text([Section("", (), answer.table())])] if answer.found else []
        left = len(answer.of("inconclusive")) - MOST_INCONCLUSIVE
        table += [f"  … and {left:,} more inconclusive; --json and --csv list them all."] * (left > 0)
        click.echo("\n".join([*table, *[""] * bool(table), *answer.sentences()]))
    report_left_out({name: error.message for name, error in answer.seen.failed.items()}, "cannot be used", MORE)


def _write(answer: Answer, asked: SimpleNamespace) -> None:
    if asked.csv_file:
        _write_csv(answer, asked.csv_file)
    if asked.copy_to:
        copied = [_copied(one.photo, asked.copy_to) for one in answer.of("match")]
        there = f"; {copied.count(False):,} already there" * (False in copied)
        click.echo(f"Copied: {photo_count(copied.count(True))} into {shown(asked.copy_to)}{there}", err=True)
    if asked.plot:
        _draw(answer, asked.plot)
        click.echo(f"Drawn: {shown(asked.plot)}", err=True)


def _write_csv(answer: Answer, path: Path) -> None:
    with new_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for told in (one.to_json() for one in answer.found):
            told |= {"quality": told["quality"]["grade"], "reasons": " ".join(told["quality"]["reasons"])}
            told |= {name: " ".join(map(str, told[name])) for name in ("also_match", "box_xyxy")}
            writer.writerow(told[name] for name in COLUMNS)


def _copied(photo: Path, folder: Path) -> bool:
    """Copy a photo into a folder, under another name where its own is taken; not where it lies there already."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        data = read_photo(photo)
    except PhotoError as error:
        raise error.for_photo(shown(photo)) from None
    for number in count(1):
        target = folder / (photo.name if number == 1 else f"{photo.stem}-{number}{photo.suffix}")
        try:
            file = target.open("xb")
        except FileExistsError:
            if target.is_file() and target.read_bytes() == data:
                return False
            continue
        try:
            with file:
                file.write(data)
            shutil.copystat(photo, target)
        except BaseException as error:
            target.unlink()  # a part of a photo is none
            if isinstance(error, OSError):
                error.filename = str(target)
            raise
        return True
    raise AssertionError  # numbers have no end


def _draw(answer: Answer, path: Path) -> None:
    """Show the faces, on a page or in a picture."""
    title = f"Faces compared with {answer.person.name}"
    if path.suffix.lower() in FIGURE_SUFFIXES:
        from flaskapp import plots

        drawn = list(_faces(answer.found[:MOST_IN_FIGURE]))
        best = f"The best {len(drawn)} are shown." * (len(drawn) < len(answer.found))
        notes = [*answer.sentences()[:3], f"{best} {SHOWS_FACES}".strip()]
        plots.save(plots.plot_faces(drawn, title, notes), path)
        return
    references = [
        report.face(one.aligned, f"Reference {shown(Path(name))}", (shown(Path(Path(name).name)), str(one.quality)))
        for name, one in answer.person.faces.items()
    ]
    sections = [Section("Who was looked for", faces=references)] if references else []
    for decision in ("match", "inconclusive"):
        chosen = answer.of(decision)
        faces = [report.face(pixels, " ".join(caption), caption) for pixels, caption in _faces(chosen)]
        left = f"{len(chosen) - len(faces):,} more, not shown; --json and --csv list them all."
        words = [left] * (len(faces) < len(chosen))
        sections.append(Section(f"{decision.capitalize()}: {len(chosen):,}", words, faces=faces))
    sections.append(Section("What was looked at", answer.sentences()))
    if answer.seen.failed:
        rows = [(shown(Path(name)), error.message) for name, error in answer.seen.failed.items()]
        sections.append(Section("Cannot be used", (), Table(("photo", "why"), rows)))
    with new_file(path) as file:
        file.write(report.page(title, SHOWS_FACES, sections))


def _faces(found: Iterable[Found]) -> Iterator[tuple[np.ndarray, tuple[str, ...]]]:
    """Return the best faces whose pixels were kept, with lines about each."""
    for one in found:
        photo, place, decision, score, quality = one.row()
        if (pixels := one.best.aligned) is not None:
            yield pixels, (Path(photo).name, f"face {place}" * (one.faces > 1), f"{decision} {score}", quality)
