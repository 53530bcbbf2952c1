"""What the commands that measure do: pairs, strangers and worse photos in; figures, pages and pictures out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure

from flaskapp import evaluation, plots, report
from flaskapp.cli.measuring import (
    MORE,
    Listed,
    Measured,
    check,
    impostors_in_words,
    list_pairs,
    measure_photos,
    measure_scores,
    tell,
    write_json,
)
from flaskapp.cli.options import refuse_overwriting
from flaskapp.cli.progress import progress_bar, report_left_out
from flaskapp.pairs import photos_of, read_labels, sources_of
from flaskapp.preprocess import crop_photo
from flaskapp.preprocess.files import read_photo
from flaskapp.report import Section, Table
from flaskapp.report.rows import interval_text, percent
from flaskapp.weights.runtime import Runtime, default_runtime
from research.measure.beside import BESIDE_HEAD, Beside, beside_rows, compare, peer_scores
from research.measure.degrading import KINDS
from research.measure.roles import pairs_of_role
from research.measure.strangers import Fairness, Operating, Rate, measure_strangers
from research.measure.worse_photos import Robustness, Step, measure_robustness
from research.plots.hardest import HardPair, plot_hardest
from research.plots.strangers import plot_strangers
from research.plots.worse_photos import plot_robustness
from research.sets.table import ROLE_NAMES, load_faces, read_sets

PROGRAM = "python -m research"
HARDEST = 8

PEER = (
    "Both systems saw the same pairs, and every interval draws the same people for both. The peer's accuracy is at the "
    "threshold that is most accurate for it on these very pairs, which flatters it; ours came with the weights."
)
STRANGERS = (
    "No two photos show one person, so every match is a false one. Rates count pairs of photos with usable faces; "
    "photos without one are counted apart, by group. Intervals draw photos again, and a pair counts as often as both "
    "of its photos were drawn. Pairs are those of the labels as given: whoever labelled the photos judged by looks. "
    "Were one person in two photos after all, a true match would be counted as a false one."
)
WORSE = (
    "Only the probe was changed, before any face was looked for; the reference is as it was. The same pairs went "
    "through every step. A photo in which no face is found any more is a failure to acquire and counts as non-match. "
    "Match, inconclusive and non-match are the verdicts on genuine pairs by the band that came with the weights. "
    "FMR counts each changed probe against the references of all other people."
)
RATE_HEAD = ("", "rate", "95 % interval", "of")
STEP_HEAD = (
    *("step", "FNMR", "95 % interval", "of", "failed", "match", "inconcl.", "non-match"),
    *("FMR", "95 % interval", "of"),
)


@dataclass(frozen=True)
class Sets:
    """People of a sets file.

    Attributes:
        file: the sets file; None where the pairs come from elsewhere.
        role: whose pairs.
    """

    file: Path | None
    role: str

    @classmethod
    def of(cls, file: Path | None, role: str | None) -> Sets:
        """Check that both are given, or neither."""
        if (file is None) != (role is None):
            raise click.UsageError("--sets needs --role." if file else "--role goes with --sets.")
        return cls(file.resolve() if file else None, role or "")

    def list_pairs(self, options: SimpleNamespace) -> Listed:
        """Return the pairs of these people, or those that the options name where there is no sets file."""
        if self.file is None:
            return list_pairs(options)
        table = load_faces(*read_sets(self.file))
        report_left_out(table.passed_over)
        root, role = self.file.parent, ROLE_NAMES.index(self.role)
        pairs = pairs_of_role(table, role, root, options.impostors, options.seed)
        pairs_told = f"all genuine pairs, {impostors_in_words(options)}"
        return Listed(pairs, root, f"{self.role.capitalize()} people of {self.file.name}: {pairs_told}")


def evaluate(options: SimpleNamespace, sets: Sets, peer: Path | None, hardest: Path | None) -> None:
    """Measure, and tell what was asked for.

    Args:
        options: as of the product's command.
        sets: whose pairs.
        peer: whose scores to set beside ours.
        hardest: the picture of the hardest pairs.
    """
    check(options, sets=sets.file)
    program = f"{PROGRAM} evaluate"
    if options.scores_from:
        if peer or hardest:
            raise click.UsageError("--beside and --hardest go with photos.")
        tell(measure_scores(options), options, program)
        return
    listed = sets.list_pairs(options)
    theirs = peer_scores(peer, listed.pairs) if peer else None
    measured = measure_photos(listed, options, [hardest] if hardest else [])
    if theirs is not None:
        measured = _with_peer(measured, theirs, options.seed)
    tell(measured, options, program)
    if hardest:
        _draw_hardest(hardest, measured, listed.root, options)


def _with_peer(measured: Measured, theirs: np.ndarray, seed: int) -> Measured:
    """Set a peer beside us, at the threshold that is best for it on these very pairs: it is given every chance."""
    same, result = np.array(measured.same), measured.result
    stated = tuple(key for key, value in result.fnmr_at_fmr.items() if value is not None)
    best = evaluation.choose_threshold(theirs, same)
    figures: dict[str, Beside] = compare(
        measured.scores, theirs, same, result.threshold, best, sources_of(measured.pairs), stated_fmrs=stated, seed=seed
    )
    section = Section("Beside a peer", (PEER,), Table(BESIDE_HEAD, beside_rows(figures)))
    told = {name: figure.to_json() for name, figure in figures.items()}
    return replace(measured, sections=(section,), more={"beside": told})


def _draw_hardest(path: Path, measured: Measured, root: Path, options: SimpleNamespace) -> None:
    rows = hardest_pairs(measured.scores, measured.same)
    if not sum(map(len, rows)):
        click.echo("No pair has a score, so none is hardest.", err=True)
        return

    def pair(index: int) -> HardPair:
        names = measured.pairs[index].reference, measured.pairs[index].probe
        crops = [crop_photo(read_photo(root / name), choice=options.face) for name in names]
        return HardPair(crops[0], crops[1], float(measured.scores[index]), names)

    plots.save(plot_hardest(*([pair(int(index)) for index in part] for part in rows)), path)
    click.echo(f"Drawn: {path}. It shows faces: handle it like the photos themselves.", err=True)


def runtime_of(weights: Path | None) -> Runtime:
    """Return the weights that are asked for, or the shipped ones."""
    return Runtime(weights) if weights else default_runtime()


def hardest_pairs(scores: np.ndarray, same: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the genuine pairs of lowest and the impostor pairs of highest score."""
    kinds = np.array(same, bool)
    order = np.argsort(scores, kind="stable")
    order = order[~np.isnan(scores[order])]
    return order[kinds[order]][:HARDEST], order[~kinds[order]][::-1][:HARDEST]


def strangers(photos: Path, labels_file: Path, options: SimpleNamespace) -> None:
    """Measure strangers, and tell what was asked for.

    Args:
        photos: folder that the labels' paths start from.
        labels_file: photos with their groups.
        options: as of the product's command.
    """
    labels = read_labels(labels_file, options.by)
    _spare(options, "fairness", photos, list(labels.of_photo))
    found = measure_strangers(
        labels,
        photos,
        runtime_of(options.weights),
        seed=options.seed,
        choice=options.face,
        reading=progress_bar("Reading photos", "photos"),
        comparing=progress_bar("Comparing", "rows"),
    )
    title = f"Strangers of {photos.resolve().name}, by {', '.join(labels.columns)}"
    failures = {} if options.without_names else found.failures
    told = {
        "measured": title,
        "weights": found.weights,
        **found.strangers.to_json(),
        "photos_failed": len(found.failures),
        "failed_photos": failures,
    }
    sections = _sections_of_strangers(found)
    _tell("strangers", sections, told, options)
    report_left_out(failures, "failure to acquire", MORE)
    if options.plots or options.report:
        picture = "False match rates across and within groups, and failures to acquire, with intervals."
        across = [
            Section(f"Across {found.strangers.columns[0]}, {point.name}", (), _across(point))
            for point in found.strangers.operating
        ]
        figure = plot_strangers(found.strangers.to_json())
        _draw(title, "strangers", "fairness", figure, picture, [*sections, *across], STRANGERS, options)


def _sections_of_strangers(found: Fairness) -> list[Section]:
    told, failed = found.strangers, len(found.failures)
    usable = told.photos - failed
    settings = [
        ("weights", found.weights),
        ("photos", f"{told.photos:,}, of which {usable:,} usable"),
        ("pairs of strangers", f"{usable * (usable - 1) // 2:,}"),
    ]
    failures = [*_by_value(told.failures), *_rate_rows(told.failures_of_cells)]
    sections = [
        Section("What was measured", (), Table(("", ""), settings)),
        Section("Failures to acquire", (), Table(RATE_HEAD, failures)),
    ]
    for point in told.operating:
        parts = {"all pairs": point.everybody, "alike in all labels": point.alike, "unlike in all labels": point.unlike}
        rows = [*_rate_rows(parts), *_by_value(point.within, "within "), *_rate_rows(point.cells, "within ")]
        title = f"False matches, {point.name} ({point.threshold:.4f})"
        sections.append(Section(title, (), Table(RATE_HEAD, rows + _spreads(point))))
    return sections


def _by_value(rates: Mapping[str, Mapping[str, Rate]], prefix: str = "") -> list[tuple[str, ...]]:
    of_values = {f"{column}={value}": rate for column, part in rates.items() for value, rate in part.items()}
    return _rate_rows(of_values, prefix)


def _rate_rows(rates: Mapping[str, Rate], prefix: str = "") -> list[tuple[str, ...]]:
    return [
        (prefix + name, _share(rate), interval_text(rate.interval), f"{rate.errors:,} of {rate.trials:,}")
        for name, rate in rates.items()
    ]


def _share(rate: Rate) -> str:
    return "—" if rate.share is None else percent(rate.share)


def _spreads(point: Operating) -> list[tuple[str, ...]]:
    few = "not claimed: a group has fewer than 10 errors"
    return [
        (
            f"highest {column} over their geometric mean",
            *(("—", "", few) if spread is None else (f"{spread:.2f}", "", "")),
        )
        for column, spread in point.spread.items()
    ]


def _across(point: Operating) -> Table:
    """Return the first column's groups against each other."""
    names = list(dict.fromkeys(name for pair in point.across for name in pair))
    rows = [(a, *(_share(point.between(a, b)) for b in names)) for a in names]
    return Table(("", *names), rows)


def worse_photos(options: SimpleNamespace, sets: Sets, pairs_a_step: int) -> None:
    """Measure photos made worse, and tell what was asked for.

    Args:
        options: as of the product's command.
        sets: whose pairs.
        pairs_a_step: at most so many genuine pairs.
    """
    check(options, sets=sets.file)
    listed = sets.list_pairs(SimpleNamespace(**vars(options), impostors=0))
    _spare(options, "robustness", listed.root, photos_of(listed.pairs))
    robustness = measure_robustness(
        listed.pairs,
        listed.root,
        runtime_of(options.weights),
        pairs_a_step,
        seed=options.seed,
        choice=options.face,
        progress=progress_bar("Making photos worse", "photos", each=1 + len(KINDS) * len(KINDS[0].values)),
    )
    title = f"Worse photos: {listed.title.partition(':')[0]}"
    sections = _sections_of_steps(robustness)
    _tell("worse-photos", sections, {"measured": title, **robustness.to_json()}, options)
    if options.plots or options.report:
        picture = "FNMR, FMR and failures to acquire over the steps of each way of getting worse, with intervals."
        _draw(
            title,
            "worse-photos",
            "robustness",
            plot_robustness(robustness.to_json()),
            picture,
            sections,
            WORSE,
            options,
        )


def _sections_of_steps(robustness: Robustness) -> list[Section]:
    unchanged = robustness.unchanged
    pairs, population = unchanged.confusion, unchanged.population
    people = f" of {population.count:,} {'people' if population.drawn == 'person' else 'photos'}" if population else ""
    settings = [
        ("weights", unchanged.weights or "not named"),
        ("pairs a step", f"{pairs.genuine:,} genuine, {pairs.impostor:,} impostor{people}"),
        ("threshold", f"{unchanged.threshold:.4f}"),
        ("yaw unknown", f"{robustness.without_yaw:,} genuine pairs, a photo of which shows no usable face"),
    ]
    as_they_are = [_step_row(Step("", 0, "as they are", unchanged))]
    return [
        Section("What was measured", (), Table(("", ""), settings)),
        Section("unchanged: the photos as they are", (), Table(STEP_HEAD, as_they_are)),
        *(
            Section(f"{kind}: {label}", (), Table(STEP_HEAD, [_step_row(step) for step in robustness.of(kind)]))
            for kind, label in robustness.labels.items()
        ),
    ]


def _step_row(step: Step) -> tuple[str, ...]:
    result = step.result
    confusion, verdicts = result.confusion, result.decisions["genuine"]
    fnmr, fmr = (
        "—" if rate is None else percent(rate) for rate in (result.figures()[name] for name in ("fnmr", "fmr"))
    )
    fnmr_interval, fmr_interval = (interval_text(result.intervals.get(name)) for name in ("fnmr", "fmr"))
    counts = (verdicts.match, verdicts.inconclusive, verdicts.non_match)
    shares = [percent(count / confusion.genuine) if confusion.genuine else "—" for count in counts]
    missed = f"{confusion.false_non_matches:,} of {confusion.genuine:,}"
    let_in = f"{confusion.false_matches:,} of {confusion.impostor:,}"
    failed = f"{result.failures['genuine']:,}"
    return step.label, fnmr, fnmr_interval, missed, failed, *shares, fmr, fmr_interval, let_in


def _spare(options: SimpleNamespace, plot: str, root: Path, photos: Sequence[str]) -> None:
    """End, before any work, where what is to be written would take the place of a photo that is read."""
    drawn = options.plots / f"{plot}.png" if options.plots else None
    files = [file for file in (options.json_file, options.report, drawn) if file]
    refuse_overwriting(files, (root / photo for photo in photos))


def _tell(command: str, sections: list[Section], told: dict[str, Any], options: SimpleNamespace) -> None:
    settings, *rest = sections
    click.echo(report.as_text([settings]) + "\n\n" + report.as_text(rest, titled=True))
    if options.json_file:
        write_json(options.json_file, told, f"{PROGRAM} {command}")


def _draw(
    title: str,
    command: str,
    name: str,
    figure: Figure,
    text: str,
    sections: Sequence[Section],
    method: str,
    options: SimpleNamespace,
) -> None:
    """Write the plot, and the page with it behind what was measured."""
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        plots.save(figure, options.plots / f"{name}.png")
    if options.report:
        settings, *rest = sections
        first = replace(settings, paragraphs=(method,), pictures=[report.picture(figure, text)])
        options.report.write_text(
            report.page(title, f"Measured by {PROGRAM} {command}.", [first, *rest]), encoding="utf-8"
        )
