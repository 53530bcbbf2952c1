"""What the commands that measure do: pairs, strangers and worse photos in; figures, pages and pictures out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
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
from flaskapp.evaluation import Interval
from flaskapp.pairs.labels import read_labels
from flaskapp.pairs.lists import photos_of, sources_of
from flaskapp.preprocess import crop_photo
from flaskapp.preprocess.files import read_photo
from flaskapp.report import Section, Table
from flaskapp.report.rows import interval_text, percent
from flaskapp.weights.runtime import Runtime, default_runtime
from research.measure.beside import BESIDE_HEAD, Beside, beside_rows, compare, peer_scores
from research.measure.groups import Groups, count_verdicts
from research.measure.roles import pairs_of_role
from research.measure.strangers import Fairness, Operating, Rate, measure_strangers
from research.measure.worse_photos import (
    ERRORS,
    LABELS,
    VERDICTS,
    WAYS,
    Shares,
    Step,
    WorsePhotos,
    draw_trials,
    measure_worse_photos,
)
from research.plots.hardest import HardPair, plot_hardest
from research.plots.strangers import plot_strangers
from research.plots.worse_photos import plot_worse_photos
from research.sets.table import ROLE_NAMES, FaceTable, load_faces, read_sets

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
    "Photos were changed before any face was looked for: the probe, the reference, both alike, or both, each in "
    "another kind of the same step. The same pairs went through every step. A photo in which no usable face is found "
    "any more is a failure to acquire, neither match nor non-match. Shares are of all pairs, verdicts by the band that "
    "came with the weights. Photos that are poor alike share what was drawn (direction, place, colour); noise is each "
    "photo's own."
)
RATE_HEAD = ("", "rate", "95 % interval", "of")
STEP_HEAD = ("", "match: probe", *WAYS[1:], "non-match: probe", *WAYS[1:], "no face")
WAY_HEAD = ("", "pairs", *(part for name in VERDICTS for part in (name.replace("_", "-"), "95 % interval")))


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
        root, (table, role) = self.file.parent, self.read()
        pairs = pairs_of_role(table, role, root, options.impostors, options.seed)
        return Listed(pairs, root, f"{self}: all genuine pairs, {impostors_in_words(options)}")

    def read(self) -> tuple[FaceTable, int]:
        """Return the photos, and the number of the role."""
        if self.file is None:
            raise click.UsageError("Give --sets and --role.")
        table = load_faces(*read_sets(self.file))
        report_left_out(table.passed_over)
        return table, ROLE_NAMES.index(self.role)

    def __str__(self) -> str:
        return f"{self.role.capitalize()} people of {self.file.name}" if self.file else ""


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


def count_groups(command: str, grouped: Callable[[Path, int], Groups], photos: Path, options: SimpleNamespace) -> None:
    """Count the verdicts on groups of pairs, and tell what was asked for.

    Args:
        command: its name.
        grouped: folder and seed → the pairs.
        photos: the folder.
        options: as of the product's command.
    """
    groups = grouped(photos, options.seed)
    if options.labels:
        groups = groups.split(read_labels(options.labels, options.by))
    refuse_overwriting(filter(None, [options.json_file]), (photos / name for name in groups.trials.photos))
    runtime, bar = runtime_of(options.weights), progress_bar("Reading photos", "photos")
    found = count_verdicts(groups, photos, runtime, seed=options.seed, choice=options.face, progress=bar)
    told = {"measured": f"{command.capitalize()} of {photos.resolve().name}", **found.to_json()}
    drawn = told["interval_method"]
    settings = [
        ("weights", found.info.weights_id),
        ("photos", f"{told['photos']:,}, of which {told['photos_failed']:,} show no usable face"),
        ("intervals", f"95 %, {drawn['replicates']:,} draws of {drawn['count']:,} by {drawn['drawn']}"),
    ]
    rows = [_verdict_row(name, shares) for name, shares in found.shares.items()]
    sections = [
        Section("What was measured", (), Table(("", ""), settings)),
        Section("Verdicts", (), Table(WAY_HEAD, rows)),
    ]
    _tell(command, sections, told, options)
    report_left_out(found.failures, "failure to acquire")


def mixture(options: SimpleNamespace, sets: Sets) -> None:
    """Measure scores as probabilities on the mixture, and tell what was asked for."""
    from research.measure.mixture import measure_mixture  # loads Keras

    found = measure_mixture(*sets.read(), runtime_of(options.weights))
    told = {"measured": f"{sets}: the mixture that calibrates", **found}
    parts = {"all": found} | found["by_worse_grade"]
    settings = [("weights", found["weights"]), ("photos", f"{found['photos']:,}, {found['photos_failed']:,} failed")]
    rows = [
        (name, f"{part['ece']:.4f}", interval_text(Interval(**part["intervals"]["ece"]), plain=True),
         f"{part['genuine']:,} genuine and {part['impostor']:,} impostor pairs")
        for name, part in parts.items()
    ]  # fmt: skip
    sections = [
        Section("What was measured", (), Table(("", ""), settings)),
        Section("Calibration", (), Table(("worse photo", "ECE", "95 % interval", "of"), rows)),
    ]
    _tell("mixture", sections, told, options)


def several(people: Path, options: SimpleNamespace) -> None:
    """Measure what several photos of one person are worth, and tell what was asked for."""
    from research.measure.card import REFERENCE_HEAD, reference_rows
    from research.measure.several import measure_several

    runtime, bar = runtime_of(options.weights), progress_bar("Reading photos", "photos")
    found = measure_several(people, runtime, options.seed, progress=bar)
    told = {"measured": f"Several photos of one person, {people.resolve().name}", **found.to_json()}
    settings = [("weights", found.weights), ("photos", f"{found.photos:,}; {len(found.failures):,} cannot be used")]
    sections = [
        Section("What was measured", (), Table(("", ""), settings)),
        Section("Figures", (), Table(REFERENCE_HEAD, reference_rows(found.rows))),
    ]
    _tell("several", sections, told, options)
    report_left_out(found.failures, "failure to acquire")


def worse_photos(options: SimpleNamespace, sets: Sets, photos: int, pairs_a_step: int) -> None:
    """Measure photos made worse, and tell what was asked for.

    Args:
        options: as of the product's command.
        sets: whose pairs.
        photos: at most so many photos.
        pairs_a_step: at most so many pairs of strangers.
    """
    check(options, sets=sets.file)
    listed = sets.list_pairs(SimpleNamespace(**vars(options) | {"impostors": 0}))
    _spare(options, "worse-photos", listed.root, photos_of(listed.pairs))
    trials = draw_trials(listed.pairs, photos, pairs_a_step, options.seed)
    runtime, bar = runtime_of(options.weights), progress_bar("Making photos worse", "photos")
    found = measure_worse_photos(trials, listed.root, runtime, seed=options.seed, choice=options.face, progress=bar)
    title = f"Worse photos: {listed.title.partition(':')[0]}"
    told = {"measured": title, **found.to_json()}
    sections = _sections_of_steps(found)
    _tell("worse-photos", sections, told, options)
    if options.plots or options.report:
        picture = "Strangers who read match and genuine pairs that read non-match, step by step in each kind."
        details = [
            Section(f"{kind}: {LABELS[kind]}", (), Table(WAY_HEAD, [row for step in steps for row in _way_rows(step)]))
            for kind, steps in found.kinds.items()
        ]
        figure = plot_worse_photos(told)
        _draw(title, "worse-photos", "worse-photos", figure, picture, [*sections, *details], WORSE, options)


def _sections_of_steps(found: WorsePhotos) -> list[Section]:
    pairs = {of: shares.pairs for of, shares in found.unchanged.ways["unchanged"].items()}
    sources, failed = found.trials.sources, found.unchanged.failed
    people = f"{sources.count:,} {'people' if sources.unit == 'person' else 'photos'}"
    settings = [
        ("weights", found.info.weights_id),
        ("photos", f"{len(found.trials.photos):,}, of which {failed:,} show no usable face as they are"),
        ("pairs a step", f"{pairs['genuine']:,} genuine, {pairs['impostor']:,} of strangers, of {people}"),
        ("yaw unknown", f"{found.without_yaw:,} genuine pairs, a photo of which shows no usable face"),
        *((f"worst {error.replace('_', '-')}", _worst_in_words(found.worst(of), of)) for of, error in ERRORS.items()),
    ]
    steps = [found.unchanged, *(step for part in found.kinds.values() for step in part)]
    title = "Strangers reading match, genuine pairs reading non-match (* = worst), photos without a usable face"
    return [
        Section("What was measured", (), Table(("", ""), settings)),
        Section(title, (), Table(STEP_HEAD, [_step_row(step) for step in steps])),
    ]


def _worst_in_words(step: Step, of: str) -> str:
    way, shares = step.worst(of)
    pairs, error = "pairs of strangers" if of == "impostor" else "genuine pairs", ERRORS[of]
    interval = interval_text(shares.intervals.get(error))
    return f"{_percent(shares, error)} ({interval}) of {shares.pairs:,} {pairs}: {step.kind} {step.label}, {way}"


def _step_row(step: Step) -> tuple[str, ...]:
    cells: list[str] = []
    for of, error in ERRORS.items():
        worst, shares = step.worst(of)
        marked = worst if len(step.ways) > 1 and shares.counts[error] else None
        told = {way: _percent(cell[of], error) + " *" * (way == marked) for way, cell in step.ways.items()}
        cells += [told.get(way) or told["unchanged"] for way in WAYS]
    return f"{step.kind} {step.label}".strip(), *cells, f"{step.failed:,}"


def _way_rows(step: Step) -> list[tuple[str, ...]]:
    return [
        _verdict_row(f"{step.label}, {way}, {'strangers' if of == 'impostor' else of}", shares)
        for way, cell in step.ways.items()
        for of, shares in cell.items()
    ]


def _verdict_row(name: str, shares: Shares) -> tuple[str, ...]:
    both = [(_percent(shares, verdict), interval_text(shares.intervals.get(verdict))) for verdict in VERDICTS]
    return name, f"{shares.pairs:,}", *itertools.chain.from_iterable(both)


def _percent(shares: Shares, name: str) -> str:
    share = shares.share(name)
    return "—" if share is None else percent(share)


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
