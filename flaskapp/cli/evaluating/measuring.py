"""What evaluate does before it tells: pairs and scores in, figures out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flaskapp import evaluation
from flaskapp.cli.evaluating.peers import peer_scores
from flaskapp.cli.left_out import report_left_out
from flaskapp.cli.options import refuse_overwriting
from flaskapp.cli.progress import progress_bar
from flaskapp.dataset.sets import ROLE_NAMES, load_faces, read_sets
from flaskapp.evaluation import Beside, Evaluation
from flaskapp.evaluation.decisions import Band
from flaskapp.pairs.labels import group_masks, read_labels
from flaskapp.pairs.lists import PhotoPair, photos_of, read_pairs, read_scores, sources_of
from flaskapp.pairs.people import pairs_of_people, pairs_of_role
from flaskapp.pairs.scoring import score_pairs
from flaskapp.runtime import Runtime, default_runtime

PLOTS = ("scores", "roc", "det", "reliability", "robustness", "fairness")
"""Names of what --plots may hold."""


@dataclass(frozen=True)
class Decided:
    """Where a two-way decision falls, and who says so."""

    threshold: float
    band: Band
    weights: str | None = None
    chosen_here: bool = False


@dataclass(frozen=True)
class Measured:
    """Everything that there is to tell.

    Attributes:
        title: what was measured, in a few words.
        pairs: N pairs.
        scores: float64 (N,), NaN = failure to acquire.
        result: the figures.
        groups: figures of groups of pairs, by name.
        failures: why a photo failed, by its path.
        root: folder of the photos; None without photos.
        failed: how many photos failed.
        command: what measured it, paths by their last names only.
        beside: figures of a peer beside ours, by name; its accuracy is at its most accurate threshold.
    """

    title: str
    pairs: Sequence[PhotoPair]
    scores: np.ndarray
    result: Evaluation
    groups: dict[str, Evaluation]
    failures: dict[str, str] = field(default_factory=dict)
    root: Path | None = None
    failed: int = 0
    command: str = ""
    beside: dict[str, Beside] = field(default_factory=dict)

    @property
    def same(self) -> list[bool]:
        """Whether each pair is genuine."""
        return [pair.same for pair in self.pairs]

    def to_json(self) -> dict[str, Any]:
        """Return every figure in JSON's types."""
        return {
            "measured": self.title,
            "command": self.command,
            **self.result.to_json(),
            "photos": len(photos_of(self.pairs)),
            "photos_failed": self.failed,
            "failed_photos": self.failures,
            "beside": {name: figure.to_json() for name, figure in self.beside.items()},
            "groups": {name: result.to_json() for name, result in self.groups.items()},
        }


def measure(options: dict[str, Any]) -> Measured:
    """Read or compute the scores, and evaluate them."""
    if options["scores_from"]:
        return _measure_scores(options)
    runtime = runtime_of(options)
    pairs, root, title = list_pairs(options)
    spare_photos(photos_of(pairs), root, options)
    masks = _masks(pairs, options)
    theirs = peer_scores(options["beside"], pairs) if options["beside"] else None
    scored = score_pairs(pairs, root, runtime, options["face"], progress_bar("Reading photos", "photos"))
    failures = {} if options["without_names"] else scored.failures
    decided = Decided(runtime.info.threshold, runtime.info.inconclusive_band, runtime.info.weights_id)
    figures = _evaluate(pairs, scored.scores, decided, masks, options["seed"])
    compared = _beside(pairs, scored.scores, theirs, figures[0], options["seed"])
    return Measured(
        title, pairs, scored.scores, *figures, failures, root, len(scored.failures), command_line(options), compared
    )


def spare_photos(photos: Sequence[str], root: Path, options: dict[str, Any]) -> None:
    """End, before any work, where what is to be written would take the place of a photo that is read."""
    files = [options[name] for name in ("scores", "json_file", "report", "hardest") if options[name]]
    drawn = [options["plots"] / f"{name}.png" for name in PLOTS] if options["plots"] else []
    refuse_overwriting([*files, *drawn], (root / photo for photo in photos))


def command_line(options: dict[str, Any]) -> str:
    """Return the command that measures so; paths by their last names, so that no machine's folders are told."""
    told = ["facial-recognition", "evaluate"]
    silent = ("json_file", "scores", "plots", "report", "hardest", "without_names")
    defaults = {"face": "centre", "seed": 0, "pairs_a_step": 200, "by": ()}
    for name, value in options.items():
        if name in silent or value is None or value is False or defaults.get(name) == value:
            continue
        for one in value if name == "by" else (value,):
            told += [f"--{name.replace('_', '-')}", *_words(one)]
    return shlex.join(told)


def _words(value: Any) -> list[str]:
    """Return the value of an option as words of a command; of a flag there are none."""
    if value is True:
        return []
    if isinstance(value, Path):
        return [value.resolve().name]
    return [str(part) for part in (value if isinstance(value, tuple) else (value,))]


def _beside(
    pairs: Sequence[PhotoPair], scores: np.ndarray, theirs: np.ndarray | None, result: Evaluation, seed: int
) -> dict[str, Beside]:
    """Set a peer beside us, at the threshold that is best for it on these very pairs: it is given every chance."""
    if theirs is None:
        return {}
    same = np.array([pair.same for pair in pairs])
    stated = tuple(key for key, value in result.fnmr_at_fmr.items() if value is not None)
    best = evaluation.choose_threshold(theirs, same)
    sources = sources_of(pairs)
    return evaluation.beside(scores, theirs, same, result.threshold, best, sources, stated_fmrs=stated, seed=seed)


def runtime_of(options: dict[str, Any]) -> Runtime:
    """Return the weights that are asked for."""
    return Runtime(options["weights"]) if options["weights"] else default_runtime()


def list_pairs(options: dict[str, Any]) -> tuple[list[PhotoPair], Path, str]:
    """Return the pairs of photos, the folder that their paths start from, and what they are called."""
    count = options["impostors"]
    some = "all impostor pairs" if count is None else f"{count:,} impostor pairs by chance, seed {options['seed']}"
    if options["sets"]:
        sets_file, role = options["sets"].resolve(), options["role"]
        sets, exclude = read_sets(sets_file)
        table = load_faces(sets, exclude)
        report_left_out(table.passed_over)
        pairs = pairs_of_role(table, ROLE_NAMES.index(role), sets_file.parent, count, options["seed"])
        return pairs, sets_file.parent, f"{role.capitalize()} people of {sets_file.name}: all genuine pairs, {some}"
    people = options["people"]
    if people is None:
        return read_pairs(options["pairs"]), options["root"], f"Pairs of {options['pairs'].name}"
    title = f"People of {people.resolve().name}: all genuine pairs, {some}"
    return pairs_of_people(people, count, options["seed"], report_left_out), people, title


def _measure_scores(options: dict[str, Any]) -> Measured:
    pairs, scores = read_scores(options["scores_from"])
    masks = _masks(pairs, options)
    threshold, chosen_here = options["threshold"], options["threshold"] is None
    if chosen_here:
        threshold = evaluation.choose_threshold(scores, [pair.same for pair in pairs])
    band = options["band"] or (threshold, threshold)
    decided = Decided(threshold, band, chosen_here=chosen_here)
    title = f"Scores of {options['scores_from'].name}"
    figures = _evaluate(pairs, scores, decided, masks, options["seed"])
    return Measured(title, pairs, scores, *figures, command=command_line(options))


def _masks(pairs: Sequence[PhotoPair], options: dict[str, Any]) -> dict[str, np.ndarray]:
    if options["labels"] is None:
        return {}
    return group_masks(pairs, read_labels(options["labels"], options["by"]))


def _evaluate(
    pairs: Sequence[PhotoPair], scores: np.ndarray, decided: Decided, masks: dict[str, np.ndarray], seed: int
) -> tuple[Evaluation, dict[str, Evaluation]]:
    same = np.array([pair.same for pair in pairs])
    folds = [pair.fold for pair in pairs if pair.fold is not None]
    sources = sources_of(pairs)

    def figures(chosen: np.ndarray, folds: list[int] | None = None) -> Evaluation:
        return evaluation.evaluate(
            scores[chosen],
            same[chosen],
            threshold=decided.threshold,
            band=decided.band,
            sources=sources.taken(chosen),
            folds=folds,
            weights=decided.weights,
            threshold_chosen_here=decided.chosen_here,
            seed=seed,
        )

    everything = np.arange(len(pairs))
    result = figures(everything, folds if len(folds) == len(pairs) else None)
    groups = {name: figures(np.flatnonzero(mask)) for name, mask in masks.items() if mask.any()}
    return result, groups
