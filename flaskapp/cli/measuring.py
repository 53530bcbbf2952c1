"""What ``evaluate`` does: pairs and scores in; figures, pages and pictures out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from flaskapp import evaluation, report
from flaskapp.cli.left_out import report_left_out
from flaskapp.cli.options import is_output, refuse_overwriting
from flaskapp.cli.progress import progress_bar
from flaskapp.evaluation import Evaluation
from flaskapp.pairs import (
    PhotoPair,
    group_masks,
    photos_of,
    read_labels,
    read_pairs,
    read_scores,
    sources_of,
    write_scores_csv,
)
from flaskapp.pairs.people import pairs_of_people
from flaskapp.pairs.scoring import score_pairs
from flaskapp.preprocess.selection import Choice
from flaskapp.report import Section, Table
from flaskapp.weights.runtime import Runtime, default_runtime

MOST_FAILURES_SHOWN = 20

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
PICTURES = {
    "roc": "ROC: true match rate over false match rate, on a logarithmic scale.",
    "det": "DET: false non-match rate over false match rate, on axes of normal deviates.",
    "scores": "Histograms of the scores of genuine and impostor pairs, with band and threshold.",
    "reliability": "Reliability curve: share of genuine pairs over the score, and how many pairs lie in each bin.",
}


@dataclass(frozen=True)
class Options:
    """What was asked for; the command's help says what each means."""

    pairs: Path | None = None
    root: Path | None = None
    people: Path | None = None
    impostors: int | None = None
    seed: int = 0
    scores_from: Path | None = None
    threshold: float | None = None
    band: tuple[float, float] | None = None
    labels: Path | None = None
    by: tuple[str, ...] = ()
    face: Choice = "centre"
    weights: Path | None = None
    scores: Path | None = None
    json_file: Path | None = None
    without_names: bool = False
    plots: Path | None = None
    report: Path | None = None

    def check(self, **more: Path | None) -> None:
        """Refuse options that do not belong together, by click.UsageError.

        Args:
            **more: other sources of photos, by the names of their options.
        """
        photos = {"pairs": self.pairs, "people": self.people, **more}
        sources = {**photos, "scores_from": self.scores_from}
        given = [name for name, source in sources.items() if source is not None]
        if len(given) != 1:
            raise click.UsageError(f"Give one of {', '.join(map(_option, sources))}.")
        goes_with = {"root": ["pairs"], "impostors": ["people", *more], "weights": photos, "scores": photos}
        goes_with |= {"threshold": ["scores_from"], "band": ["scores_from"]}
        for name, those in goes_with.items():
            if getattr(self, name) is not None and given[0] not in those:
                raise click.UsageError(f"{_option(name)} goes with {' or '.join(map(_option, those))}.")
        if self.by and self.labels is None:
            raise click.UsageError("--by goes with --labels.")
        if self.band:
            low, high = self.band
            if self.threshold is None:
                raise click.UsageError("--band goes with --threshold, which lies within it.")
            if not low <= self.threshold <= high:
                raise click.UsageError(f"--band expects LOW ≤ threshold ≤ HIGH. Received: {low} and {high}.")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Listed:
    """Pairs of photos to be scored, the folder that their paths start from, and what to call them."""

    pairs: list[PhotoPair]
    root: Path
    title: str


@dataclass(frozen=True)
class Measured:
    """Everything that there is to tell.

    Attributes:
        title: what was measured, in a few words.
        pairs: N pairs.
        scores: float64 (N,), NaN = failure to acquire.
        result: the figures; groups: those of groups of pairs, by name.
        failures: why a photo failed, by its path; empty where names are left out.
        failed: how many photos failed.
        sections, more: what else is told, and what else the JSON holds.
    """

    title: str
    pairs: Sequence[PhotoPair]
    scores: np.ndarray
    result: Evaluation
    groups: dict[str, Evaluation]
    failures: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    sections: tuple[Section, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)

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
        }


def measure(options: Options) -> Measured:
    """Score the pairs that are asked for, or read a peer's scores, and evaluate the scores."""
    if options.scores_from:
        return measure_scores(options.scores_from, options)
    return measure_photos(list_pairs(options), options)


def list_pairs(options: Options) -> Listed:
    """Read or make the pairs of photos."""
    folder = options.people
    if folder is not None:
        pairs = pairs_of_people(folder, options.impostors, options.seed, report_left_out)
        title = f"People of {folder.resolve().name}: all genuine pairs, {impostors_in_words(options)}"
        return Listed(pairs, folder, title)
    if options.pairs is None or options.root is None:
        raise click.UsageError("--pairs needs --root, the folder that its paths start from.")
    return Listed(read_pairs(options.pairs), options.root, f"Pairs of {options.pairs.name}")


def impostors_in_words(options: Options) -> str:
    """Say how many impostor pairs were asked for."""
    if options.impostors is None:
        return "all impostor pairs"
    return f"{options.impostors:,} impostor pairs by chance, seed {options.seed}"


def measure_photos(listed: Listed, options: Options, written: Sequence[Path] = ()) -> Measured:
    """Score the pairs, and evaluate the scores; ``written`` will be written too, and must be no photo."""
    runtime = runtime_of(options.weights)
    plots = [options.plots / f"{name}.png" for name in PICTURES] if options.plots else []
    files = [file for file in (options.scores, options.json_file, options.report, *plots, *written) if file]
    refuse_overwriting(files, (listed.root / photo for photo in photos_of(listed.pairs)))
    masks = _masks(listed.pairs, options)
    bar = progress_bar("Reading photos", "photos")
    scores, failed = score_pairs(listed.pairs, listed.root, runtime, options.face, bar)
    info = runtime.info
    settings = {"threshold": info.threshold, "band": info.inconclusive_band, "weights": info.weights_id}
    figures = _figures(listed.pairs, scores, masks, options.seed, settings)
    return Measured(listed.title, listed.pairs, scores, *figures, {} if options.without_names else failed, len(failed))


def measure_scores(file: Path, options: Options) -> Measured:
    """Read a peer's scores, and evaluate them."""
    pairs, scores = read_scores(file)
    masks = _masks(pairs, options)
    threshold = options.threshold
    if threshold is None:
        threshold = evaluation.choose_threshold(scores, [pair.same for pair in pairs])
    settings = {
        "threshold": threshold,
        "band": options.band or (threshold, threshold),
        "threshold_chosen_here": options.threshold is None,
    }
    figures = _figures(pairs, scores, masks, options.seed, settings)
    return Measured(f"Scores of {file.name}", pairs, scores, *figures)


def runtime_of(weights: Path | None) -> Runtime:
    """Return the weights that are asked for, or the shipped ones."""
    return Runtime(weights) if weights else default_runtime()


def _masks(pairs: Sequence[PhotoPair], options: Options) -> dict[str, np.ndarray]:
    return group_masks(pairs, read_labels(options.labels, options.by)) if options.labels else {}


def _figures(
    pairs: Sequence[PhotoPair], scores: np.ndarray, masks: dict[str, np.ndarray], seed: int, settings: dict[str, Any]
) -> tuple[Evaluation, dict[str, Evaluation]]:
    """Return the figures of all pairs, and of each group."""
    same = np.array([pair.same for pair in pairs])
    folds = [pair.fold for pair in pairs]
    sources = sources_of(pairs)

    def figures(rows: np.ndarray, **more: Any) -> Evaluation:
        return evaluation.evaluate(scores[rows], same[rows], sources=sources.taken(rows), seed=seed, **settings, **more)

    result = figures(np.arange(len(pairs)), folds=None if None in folds else folds)
    return result, {name: figures(np.flatnonzero(mask)) for name, mask in masks.items() if mask.any()}


def tell(measured: Measured, options: Options, program: str = "facial-recognition evaluate") -> None:
    """Print the figures, and write what was asked for."""
    sections = _sections(measured)
    click.echo(report.as_text(sections))
    report_failures(measured.failures)
    if options.scores:
        write_scores_csv(options.scores, measured.pairs, measured.scores, measured.result.band)
    if options.json_file:
        write_json(options.json_file, measured.to_json(), program)
    if options.plots or options.report:
        _draw(measured, sections, options, program)


def _sections(measured: Measured) -> list[Section]:
    result = measured.result
    figures = [*report.fold_rows(result), *report.figure_rows(result)]
    sections = [
        Section("What was measured", (), Table(("", ""), [row[:2] for row in report.setting_rows(result)])),
        Section("Figures", (METHOD,), Table(("", "value", "95 % interval", "counts"), figures)),
        Section("Verdicts", (), Table(report.VERDICT_HEAD, report.verdict_rows(result))),
    ]
    if measured.groups:
        sections.append(Section("By group", (), Table(report.GROUP_HEAD, report.group_rows(measured.groups))))
    return [*sections, *measured.sections]


def report_failures(failures: dict[str, str]) -> None:
    """Say which photos failed, the first of many."""
    for photo, reason in list(failures.items())[:MOST_FAILURES_SHOWN]:
        click.echo(f"  failure to acquire: {photo}: {reason}", err=True)
    if len(failures) > MOST_FAILURES_SHOWN:
        click.echo(f"  … and {len(failures) - MOST_FAILURES_SHOWN:,} more; --json lists them all.", err=True)


def write_json(path: Path, told: dict[str, Any], program: str) -> None:
    """Write figures, with the command that measured them behind their title."""
    told = {"measured": told["measured"], "command": command_line(program), **told}
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


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


def _draw(measured: Measured, sections: list[Section], options: Options, program: str) -> None:
    """Draw the plots that were asked for, and the page."""
    from flaskapp import plots

    figures = plots.plot_evaluation(measured.scores, measured.same, measured.result)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            plots.save(figure, options.plots / f"{name}.png")
    if options.report:
        pictures = {name: report.picture(figures[name], text) for name, text in PICTURES.items() if name in figures}
        reliability = pictures.pop("reliability", None)
        drawn = [Section("Curves", pictures=list(pictures.values()))]
        if reliability:
            drawn.append(Section("Calibration", (CALIBRATION,), None, [reliability]))
        if measured.failures:
            failures = Table(("photo", "why"), list(measured.failures.items()))
            drawn.append(Section("Failures to acquire", (), failures))
        page = report.page(measured.title, f"Measured by {program}.", [*sections, *drawn])
        options.report.write_text(page, encoding="utf-8")
