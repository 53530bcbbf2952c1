"""What ``evaluate`` does: pairs and scores in; figures, pages and pictures out."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import click
import numpy as np

from flaskapp import evaluation, report
from flaskapp.cli.options import is_output, refuse_overwriting
from flaskapp.cli.progress import progress_bar, report_left_out
from flaskapp.evaluation import Evaluation
from flaskapp.evaluation.curves import check_folds
from flaskapp.pairs.labels import group_masks, read_labels
from flaskapp.pairs.lists import PhotoPair, photos_of, read_pairs, read_scores, sources_of, write_scores_csv
from flaskapp.pairs.people import pairs_of_people
from flaskapp.pairs.scoring import score_pairs
from flaskapp.parallel import new_file
from flaskapp.quality import GRADES, grades_of
from flaskapp.report import Section, Table, rows
from flaskapp.weights.runtime import Runtime, default_runtime

MORE = "more; --json lists them all."
METHOD = (
    "Intervals are 95 % intervals by bootstrap. It draws people, not pairs; a pair counts as often as both of its "
    "people were drawn. Figures that need more pairs, errors or people are not claimed: an FMR of x takes 10/x "
    "impostor pairs, 10 observed errors and 500 people. A photo without a usable face is a failure to acquire. Its "
    "pairs count as non-match in every rate, and take no part in the figures on calibration."
)
CALIBRATION = (
    "A score claims to be the chance of “same person” among as many genuine as impostor pairs. Where that is right, "
    "the points lie on the diagonal. ECE is their mean distance from it. Cllr counts, in bits, what the scores leave "
    "unsaid; a better scale would save Cllr − minCllr of it."
)
FEWEST = 200  # an ECE over 15 bins would else be mostly noise
GRADED = (
    "A photo is good, fair or poor by how sure the network is of its face; without a usable face it has no grade. "
    f"The ECE by the worse photo of each pair takes {FEWEST} genuine and as many impostor pairs."
)
PICTURES = {
    "roc": "ROC: true match rate over false match rate, on a logarithmic scale.",
    "det": "DET: false non-match rate over false match rate, on axes of normal deviates.",
    "scores": "Histograms of the scores of genuine and impostor pairs, with band and threshold.",
    "reliability": "Reliability curve: share of genuine pairs over the score, and how many pairs lie in each bin.",
}


def check(asked: SimpleNamespace, **more: Path | None) -> None:
    """Refuse options that do not belong together, by click.UsageError.

    Args:
        asked: the command's options, or some of them, by their names; its help says what each means.
        **more: other sources of photos, by the names of their options.
    """
    given = vars(asked) | more
    photos = ["pairs", "people", *more]
    sources = [*photos, "scores_from"] if "scores_from" in given else photos
    source, *others = [name for name in sources if given[name] is not None] or [""]
    if others or not source:
        raise click.UsageError(f"Give one of {_options(sources, ', ')}.")
    goes_with = {"root": ["pairs"], "impostors": ["people", *more], "weights": photos, "scores": photos}
    goes_with |= {"threshold": ["scores_from"], "band": ["scores_from"]}
    for name, those in goes_with.items():
        if given.get(name) is not None and source not in those:
            raise click.UsageError(f"{_options([name])} goes with {_options(those, ' or ')}.")
    if given.get("by") and not given["labels"]:
        raise click.UsageError("--by goes with --labels.")
    if given.get("band"):
        (low, high), threshold = asked.band, asked.threshold
        if threshold is None:
            raise click.UsageError("--band goes with --threshold, which lies within it.")
        if not low <= threshold <= high:
            raise click.UsageError(f"--band expects LOW ≤ threshold ≤ HIGH. Received: {low} and {high}.")


def _options(names: Iterable[str], between: str = "") -> str:
    return between.join(f"--{name.replace('_', '-')}" for name in names)


class Listed(NamedTuple):
    """Pairs of photos to be scored, the folder that their paths start from, and what to call them."""

    pairs: list[PhotoPair]
    root: Path
    title: str


@dataclass(frozen=True)
class Measured:
    """Everything that there is to tell."""

    title: str  # what was measured, in a few words
    pairs: Sequence[PhotoPair]  # N pairs
    scores: np.ndarray  # float64 (N,), NaN = failure to acquire
    result: Evaluation
    groups: dict[str, Evaluation]  # of groups of pairs, by name
    by_grades: dict[str, Evaluation] = field(default_factory=dict)  # by "good and fair", say, where grades are known
    by_worse: dict[str, Evaluation] = field(default_factory=dict)  # by the worse grade, where enough for an ECE
    failures: dict[str, str] = field(default_factory=dict)  # why a photo failed, by its path; empty without names
    failed: int = 0  # how many photos failed
    sections: tuple[Section, ...] = ()  # what else is told
    more: dict[str, Any] = field(default_factory=dict)  # what else the JSON holds

    @property
    def same(self) -> list[bool]:
        """Whether each pair is genuine."""
        return [pair.same for pair in self.pairs]

    def to_json(self) -> dict[str, Any]:
        """Return every figure in JSON's types."""
        return {
            "measured": self.title,
            **self.result.to_json(),
            "photos": len(photos_of(self.pairs)),
            "photos_failed": self.failed,
            "failed_photos": self.failures,
            **self.more,
            "groups": {name: result.to_json() for name, result in self.groups.items()},
            "by_grades": {name: result.to_json() for name, result in self.by_grades.items()},
            "by_worse_grade": {name: result.to_json() for name, result in self.by_worse.items()},
        }


def list_pairs(asked: SimpleNamespace) -> Listed:
    """Read or make the pairs of photos."""
    if asked.people:
        pairs = pairs_of_people(asked.people, asked.impostors, asked.seed, report_left_out)
        title = f"People of {asked.people.resolve().name}: all genuine pairs, {impostors_in_words(asked)}"
        return Listed(pairs, asked.people, title)
    if asked.root is None:
        raise click.UsageError("--pairs needs --root, the folder that its paths start from.")
    return Listed(read_pairs(asked.pairs), asked.root, f"Pairs of {asked.pairs.name}")


def impostors_in_words(asked: SimpleNamespace) -> str:
    """Say how many impostor pairs were asked for."""
    if asked.impostors is None:
        return "all impostor pairs"
    return f"{asked.impostors:,} impostor pairs by chance, seed {asked.seed}"


def measure_photos(listed: Listed, asked: SimpleNamespace, written: Sequence[Path] = ()) -> Measured:
    """Score the pairs, and evaluate the scores; ``written`` will be written too, and must be no photo."""
    runtime = Runtime(asked.weights) if asked.weights else default_runtime()
    plots = [asked.plots / f"{name}.png" for name in PICTURES] if asked.plots else []
    files = [file for file in (asked.scores, asked.json_file, asked.report, *plots, *written) if file]
    refuse_overwriting(files, (listed.root / photo for photo in photos_of(listed.pairs)))
    _check_folds(listed.pairs)
    masks, bar = _masks(listed.pairs, asked), progress_bar("Reading photos", "photos")
    scores, certainties, failed = score_pairs(listed.pairs, listed.root, runtime, asked.face, bar)
    info = runtime.info
    grades = np.where(np.isnan(scores)[:, None], -1, grades_of(certainties, info.grade_bounds))
    by_grades, by_worse = _grade_masks(grades, np.array([pair.same for pair in listed.pairs]))
    settings = {"threshold": info.threshold, "band": info.inconclusive_band, "weights": info.weights_id}
    whole, parts = _figures(listed.pairs, scores, masks | by_grades | by_worse, seed=asked.seed, **settings)
    groups, graded, worse = (
        {name: part for name, part in parts.items() if name in kind} for kind in (masks, by_grades, by_worse)
    )
    told = {} if asked.without_names else failed
    return Measured(listed.title, listed.pairs, scores, whole, groups, graded, worse, told, len(failed))


def measure_scores(asked: SimpleNamespace) -> Measured:
    """Read a peer's scores, and evaluate them."""
    pairs, scores = read_scores(asked.scores_from)
    _check_folds(pairs)
    masks = _masks(pairs, asked)
    threshold, chosen_here = asked.threshold, asked.threshold is None
    if chosen_here:
        threshold = evaluation.choose_threshold(scores, [pair.same for pair in pairs])
    settings = {"threshold": threshold, "band": asked.band or (threshold, threshold)}
    figures = _figures(pairs, scores, masks, seed=asked.seed, threshold_chosen_here=chosen_here, **settings)
    return Measured(f"Scores of {asked.scores_from.name}", pairs, scores, *figures)


def _grade_masks(grades: np.ndarray, same: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return which pairs have which two grades, and which have which as the worse one, where they are enough.

    ``grades`` are int (N, 2), places in ``GRADES``, −1 = failure to acquire; ``same`` is bool (N,).
    """
    better, worse = np.sort(grades, axis=1).T
    twos = itertools.combinations_with_replacement(enumerate(GRADES), 2)
    by_grades = {f"{one} and {other}": (better == i) & (worse == j) for (i, one), (j, other) in twos}
    by_worse = {name: (better >= 0) & (worse == place) for place, name in enumerate(GRADES)}
    return by_grades, {
        name: mask for name, mask in by_worse.items() if np.bincount(same[mask], minlength=2).min() >= FEWEST
    }


def _folds_of(pairs: Sequence[PhotoPair]) -> list[int] | None:
    """Return the fold of each pair, or None where not all have one."""
    folds = [pair.fold for pair in pairs if pair.fold is not None]
    return folds if len(folds) == len(pairs) else None


def _check_folds(pairs: Sequence[PhotoPair]) -> None:
    if folds := _folds_of(pairs):
        check_folds([pair.same for pair in pairs], folds)


def _masks(pairs: Sequence[PhotoPair], asked: SimpleNamespace) -> dict[str, np.ndarray]:
    return group_masks(pairs, read_labels(asked.labels, asked.by)) if asked.labels else {}


def _figures(
    pairs: Sequence[PhotoPair], scores: np.ndarray, masks: dict[str, np.ndarray], **settings: Any
) -> tuple[Evaluation, dict[str, Evaluation]]:
    """Return the figures of all pairs, and of each group."""
    same, sources = np.array([pair.same for pair in pairs]), sources_of(pairs)
    whole = evaluation.evaluate(scores, same, sources=sources, folds=_folds_of(pairs), **settings)
    parts = {name: np.flatnonzero(mask) for name, mask in masks.items() if mask.any()}
    return whole, {
        name: evaluation.evaluate(scores[part], same[part], sources=sources.taken(part), **settings)
        for name, part in parts.items()
    }


def tell(measured: Measured, asked: SimpleNamespace, program: str = "facial-recognition evaluate") -> None:
    """Write what was asked for, and print the figures, neither of which is lost where the other fails."""
    sections = _sections(measured)
    try:
        if asked.scores:
            write_scores_csv(asked.scores, measured.pairs, measured.scores, measured.result.band)
        if asked.json_file:
            write_json(asked.json_file, measured.to_json(), program)
        if asked.plots or asked.report:
            _draw(measured, sections, asked, program)
    finally:
        click.echo(report.as_text(sections))
        report_left_out(measured.failures, "failure to acquire", MORE)


def _sections(measured: Measured) -> list[Section]:
    result = measured.result
    figures = [*rows.fold_rows(result), *rows.figure_rows(result)]
    if reason := result.reasons.get("view_2"):
        figures.insert(0, rows.Row("view 2: mean accuracy", "—", "", f"not claimed: {reason}"))
    sections = [
        Section("What was measured", (), Table(("", ""), [row[:2] for row in rows.setting_rows(result)])),
        Section("Figures", (METHOD,), Table(("", "value", "95 % interval", "counts"), figures)),
        Section("Verdicts", (), Table(rows.VERDICT_HEAD, rows.verdict_rows(result))),
    ]
    if measured.by_grades:
        table = Table(("photos", *rows.VERDICT_HEAD), rows.grade_rows(measured.by_grades))
        sections.append(Section("Verdicts by quality", (GRADED,), table))
    if measured.by_worse:
        table = Table(("worse photo", "ECE", "95 % interval", "of"), rows.calibration_rows(measured.by_worse))
        sections.append(Section("Calibration by quality", (), table))
    if measured.groups:
        sections.append(Section("By group", (), Table(rows.GROUP_HEAD, rows.group_rows(measured.groups))))
    return [*sections, *measured.sections]


def write_json(path: Path, told: dict[str, Any], program: str) -> None:
    """Write figures, with the command that measured them behind their title."""
    told = {"measured": told["measured"], "command": command_line(program), **told}
    with new_file(path) as file:
        file.write(json.dumps(told, indent=1) + "\n")


def command_line(program: str) -> str:
    """Return the command that now runs, called ``program``, without what it writes and without defaults.

    Paths stand by their last names, so that no machine's folders are told.
    """
    context = click.get_current_context()
    words = program.split()
    for param in context.command.params:
        value = context.params[param.name or ""]
        if is_output(param) or param.name == "without_names" or value in (None, (), param.get_default(context)):
            continue
        flags = [max(param.opts, key=len)] if isinstance(param, click.Option) else []
        for one in value if flags and param.multiple else (value,):
            parts = one if isinstance(one, tuple) else (one,)
            words += [*flags, *(part.resolve().name if isinstance(part, Path) else str(part) for part in parts)]
    return shlex.join(words)


def _draw(measured: Measured, sections: list[Section], asked: SimpleNamespace, program: str) -> None:
    """Draw the plots that were asked for, and the page."""
    from flaskapp import plots

    by_worse = {f"worse photo {name}": part.quality for name, part in measured.by_worse.items() if part.quality}
    figures = plots.plot_evaluation(measured.scores, measured.same, measured.result, by_worse)
    if asked.plots:
        asked.plots.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            plots.save(figure, asked.plots / f"{name}.png")
    if asked.report:
        pictures = {name: report.picture(figures[name], text) for name, text in PICTURES.items() if name in figures}
        reliability = pictures.pop("reliability", None)
        drawn = [Section("Curves", pictures=list(pictures.values()))]
        if reliability:
            drawn.append(Section("Calibration", (CALIBRATION,), None, [reliability]))
        if measured.failures:
            failures = Table(("photo", "why"), list(measured.failures.items()))
            drawn.append(Section("Failures to acquire", (), failures))
        page = report.page(measured.title, f"Measured by {program}.", [*sections, *drawn])
        with new_file(asked.report) as file:
            file.write(page)
