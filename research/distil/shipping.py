"""Weights ready to ship: calibrated, measured, written with what belongs to them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from flaskapp import preprocess
from flaskapp.allowance import allowed_cores
from flaskapp.errors import DataError
from flaskapp.evaluation.calibration import Trust
from flaskapp.evaluation.decisions import DECISIONS, Band, count_verdicts, decide_all
from flaskapp.evaluation.quality import score_quality
from flaskapp.model import build_embedding_network, build_siamese_network, set_score, write_weights
from flaskapp.onnx_session import open_session
from flaskapp.parallel import map_in_order
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.quality import GRADES
from flaskapp.weights.graph import embedding_graph
from flaskapp.weights.shape import EMBEDDING_SIZE, FEATURES
from research.distil.bands import (
    MOST_MATCH,
    UNSURE,
    WORST_MATCH,
    WORST_NON_MATCH,
    BandChoice,
    choose_band,
    choose_threshold_within,
    limits,
    reachable_rate,
)
from research.distil.calibration import NO_MATTER, Calibration, fit_calibration
from research.distil.centring import centre_rows, centres_of_people
from research.distil.mixture import Embed, Mixture, mix
from research.distil.network import random_projection, unfolded
from research.distil.ranges import tensor_ranges
from research.distil.references import Photos, fit_references
from research.distil.searching import measure
from research.distil.train import embedder
from research.sets.crops import crops_as_served
from research.sets.labelled import labelled
from research.sets.roles import CALIBRATION, REPORTING, ROLE_NAMES, VALIDATION
from research.sets.table import FaceTable

__all__ = ["ship", "siamese_of"]

TERMS = "Use them only as the photos and networks that they were learned from allow. The code has other terms."
# Of each kind. Half of the pairs may then err before an error rate is shown by ten errors: enough to
# try things out, too few for weights worth keeping.
FEWEST_PAIRS = 20
# So many photos need no counting of their millions of pairs.
MANY_PHOTOS = 10_000
# For a mean of 128 numbers, or a median length: twice as many change nothing.
ENOUGH_PHOTOS = 1_000
MOST_VALIDATING = 3_000
# Of validation people, by whose photos the tensors' ranges are known.
RANGE_FACES = 300
AT_ONCE = 64
# Certainties below which a photo is poor, and from which it is good, by how many of calibration people's lie below.
POOR_AND_GOOD = (0.01, 0.1)
STRANGERS_FITTED = 120_000
# ``Trust`` to choose from; the first changes nothing (notes/certainty.md).
MATCH_LINES = (0.5, 0.8), (0.55, 0.8), (0.6, 0.8)
DOUBTS = 20.0, 25.0, 30.0, 40.0
LEAST = 0.4, 0.5, 0.6
TRUSTS = NO_MATTER, *itertools.starmap(Trust, itertools.product(MATCH_LINES, DOUBTS, LEAST))
# What listening to certainty may cost photos as they come, of their FNMR at an FMR of 1 and of 0.1 %.
MOST_LOST = 0.025
LARGEST_ECE = 0.03
REPLICATES = 1_000


def siamese_of(
    arrays: Mapping[str, np.ndarray], residual_units: Sequence[int], table: FaceTable, crops: np.ndarray
) -> keras.Model:
    """Return the Siamese network that says what trained arrays say; its score is not fitted yet.

    The vectors' mean over the sets named as centre becomes zero: what all faces have in common tells
    nobody from anybody. Then validation people's embeddings get a median length of 1: the certainty.

    Args:
        arrays: by ``layer/variable``, folded, of ``network.build_student``.
        residual_units: of the four blocks.
        table: the photos.
        crops: uint8 (N, 100, 100, 3).

    Raises:
        DataError: there are no validation people.
    """
    trained = unfolded(arrays, residual_units)
    twin = build_embedding_network(residual_units)
    for layer in trained.layers:
        if layer.get_weights():
            twin.get_layer(layer.name).set_weights(layer.get_weights())

    def some(rows: np.ndarray) -> np.ndarray:
        return crops[np.sort(rows[np.random.default_rng(0).permutation(len(rows))[:ENOUGH_PHOTOS]])]

    if len(rows := centre_rows(table)):
        vectors = embedder(keras.Model(twin.input, twin.get_layer("mean_of_views").output))(some(rows))
        kernel, bias = twin.get_layer("vector").get_weights()
        twin.get_layer("vector").set_weights([kernel, bias - vectors.mean(axis=0)])
    if not len(rows := labelled(table, VALIDATION).rows):
        raise DataError("Weights expect validation people, whose photos say how long an embedding is. Received: none.")
    twin.get_layer("with_distinctness").set_weights([centres_of_people(table)])
    spread, nothing = random_projection(FEATURES), np.zeros(EMBEDDING_SIZE, np.float32)
    twin.get_layer("embedding").set_weights([spread, nothing])
    length = np.median(np.linalg.norm(embedder(twin)(some(rows)), axis=1))
    twin.get_layer("embedding").set_weights([spread / length, nothing])
    return build_siamese_network(twin)


def ship(
    siamese: keras.Model,
    table: FaceTable,
    crops: np.ndarray,
    out: Path,
    training: Mapping[str, Any],
    workers: int = 2,
) -> None:
    """Calibrate on calibration people, count verdicts on reporting people, write both files.

    Args:
        siamese: the network; its score's two numbers are set here.
        table: the photos.
        crops: uint8 (N, 100, 100, 3).
        out: the ``.h5``.
        training: what is recorded of how the weights were made.
        workers: processes that find faces.

    Raises:
        DataError: there are too few people to calibrate with or to report on.
    """
    for role in (CALIBRATION, REPORTING):
        _check_people(table, role)
    twin = siamese.get_layer("embedding_network")
    ranges = tensor_ranges(arrays_of(twin), crops[_some(labelled(table, VALIDATION).rows)])
    embed = served(twin, ranges)
    pairs = _mixture(embed, table, crops, CALIBRATION, workers)
    calibration, choice, threshold = calibrate(pairs)
    set_score(siamese, -calibration.scale, calibration.offset)
    bounds = np.quantile(pairs.certainty[pairs.as_they_come], POOR_AND_GOOD).tolist()
    reported = _mixture(embed, table, crops, REPORTING, workers)
    validating = _validating(embed, table, crops)
    several = fit_references(pairs.photos, reported.photos, validating, calibration, choice.band, threshold, bounds[0])
    note: dict[str, Any] = {
        "name": out.stem,
        "created": datetime.now(UTC).date().isoformat(),
        "crop_geometry": CROP_GEOMETRY,
        "inconclusive_band": list(choice.band),
        "threshold": threshold,
        "band_choice": choice.to_json(),
        "calibration": calibration.to_json(),
        "trust": asdict(calibration.trust),
        "grade_bounds": bounds,
        "tensor_ranges": ranges,
        **counted(_scores(calibration, reported), reported, choice.band, bounds),
        **({"references": several} if several else {}),
        "data": _data(table),
        "training": dict(training),
        "parameters": siamese.count_params(),
        "keras": keras.__version__,
        "terms": TERMS,
    }
    note["searching"] = measure(pairs.photos, reported.photos, calibration, note)
    write_weights(siamese, out, note)


def calibrate(pairs: Mixture) -> tuple[Calibration, BandChoice, float]:
    """Fit score, trust, band and threshold on calibration people's pairs.

    The band is chosen on photos as they come, where most is decided; then it is widened until strangers read match no
    more often than ``MOST_MATCH`` there, and than ``WORST_MATCH`` in any other condition, and people themselves
    non_match than ``WORST_NON_MATCH``. Trust may cost photos as they come little (``MOST_LOST``), and the score's ECE
    on all pairs is to keep ``LARGEST_ECE``; of what does, that is taken which leaves the fewest pairs of photos as they
    come without an answer.
    """
    clean = pairs.as_they_come
    found: list[tuple[bool, bool, float, Calibration, BandChoice]] = []
    same = pairs.same[clean]
    missed_at_most = np.empty(0)
    # Strangers are many: a part of them, drawn evenly, says the same of two numbers and one ``Trust``.
    few = pairs.same | (np.random.default_rng(0).random(len(pairs.same)) < STRANGERS_FITTED / np.sum(~pairs.same))
    for trust in TRUSTS:
        calibration = fit_calibration(
            pairs.distance[few],
            pairs.same[few],
            trust=trust,
            certainty=pairs.certainty[few],
            other=pairs.other[few],
            counts_for=pairs.counts_for[few],
        )
        scores = _scores(calibration, pairs)
        wrong_match = max(
            _worst(scores, ~pairs.same & clean, pairs, MOST_MATCH),
            _worst(scores, ~pairs.same & ~clean, pairs, WORST_MATCH),
        )
        wrong_non_match = _worst(-scores, pairs.same & ~clean, pairs, WORST_NON_MATCH)
        unsure = min(UNSURE[0], -wrong_non_match), max(UNSURE[1], wrong_match)
        choice = choose_band(scores[clean], same, *limits(same), around=unsure)
        missed = _missed(scores[clean], same)
        if not found:
            missed_at_most = missed * (1 + MOST_LOST)
        unanswered = choice.inconclusive_genuine / choice.genuine + choice.inconclusive_impostor / choice.impostor
        ece = score_quality(scores, pairs.same, pairs.counts_for).ece
        found.append((bool(np.any(missed > missed_at_most)), ece > LARGEST_ECE, unanswered, calibration, choice))
    *_, calibration, choice = min(found, key=lambda tried: tried[:3])
    scores = _scores(calibration, pairs)
    return calibration, choice, choose_threshold_within(scores, pairs.same, choice.band, 0.5, pairs.counts_for)


def _missed(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the FNMR where one stranger in a hundred passes, and where one in a thousand."""
    return np.array([np.mean(scores[same] < cut) for cut in np.quantile(scores[~same], (0.99, 0.999))])


def _worst(scores: np.ndarray, chosen: np.ndarray, pairs: Mixture, share: float) -> float:
    """Return the score that at most a share of the chosen pairs, or ten of few, lie above in any condition."""
    order = np.argsort(pairs.condition[chosen], kind="stable")
    parts = np.split(scores[chosen][order], np.cumsum(np.bincount(pairs.condition[chosen]))[:-1])
    shares = [(part, min(max(share, reachable_rate(part.size)), 1.0)) for part in parts if part.size]
    return max(float(np.quantile(part, 1 - above, method="higher")) for part, above in shares)


def _scores(calibration: Calibration, pairs: Mixture) -> np.ndarray:
    return calibration.score(pairs.distance, pairs.certainty, pairs.other)


def counted(scores: np.ndarray, pairs: Mixture, band: Band, bounds: Sequence[float]) -> dict[str, Any]:
    """Count verdicts on people never seen: of photos as they come, and by grades of all photos, spoiled ones too."""
    clean = pairs.as_they_come
    grades = [np.digitize(certainty, bounds) for certainty in (pairs.certainty, pairs.other)]
    lower, upper = np.minimum(*grades), np.maximum(*grades)
    by_grades = {}
    # GRADES go from good to poor; digitize counts from poor to good.
    for one, two in itertools.combinations_with_replacement(range(len(GRADES)), 2):
        chosen = (upper == len(GRADES) - 1 - one) & (lower == len(GRADES) - 1 - two)
        if pairs.same[chosen].any() and not pairs.same[chosen].all():
            counts = _verdicts(scores[chosen], pairs.same[chosen], band)
            counts["intervals"] = _intervals(scores[chosen], pairs.same[chosen], pairs.people[chosen], band)
            by_grades[f"{GRADES[one]} and {GRADES[two]}"] = counts
    return {"error_counts": _verdicts(scores[clean], pairs.same[clean], band), "counts_by_grades": by_grades}


def _verdicts(scores: np.ndarray, same: np.ndarray, band: Band) -> dict[str, Any]:
    return {kind: asdict(verdicts) for kind, verdicts in count_verdicts(scores, same, band).items()}


def _intervals(scores: np.ndarray, same: np.ndarray, people: np.ndarray, band: Band) -> dict[str, Any]:
    """Return, by verdict and kind of pair, 95 % of its share when people are drawn anew.

    A pair weighs as often as both its people are drawn: the bootstrap for pairs of Bolle, Ratha and Pankanti
    ("Error analysis of pattern recognition systems", 2004) over subsets of people.
    """
    names, who = np.unique(people, return_inverse=True)
    first, second = who.reshape(people.shape).T
    decisions = np.array(decide_all(scores, band))
    rng, shares = np.random.default_rng(0), {}
    for kind, rows in (("impostor", np.flatnonzero(~same)), ("genuine", np.flatnonzero(same))):
        drawn = []
        for _ in range(REPLICATES):
            times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))
            # A person drawn once pairs with themselves as they do in truth.
            weight = times[first[rows]] * (times[second[rows]] if kind == "impostor" else 1)
            drawn.append([weight[decisions[rows] == verdict].sum() / max(weight.sum(), 1) for verdict in DECISIONS])
        shares[kind] = np.quantile(drawn, (0.025, 0.975), axis=0)
    return {
        verdict: {kind: shares[kind][:, number].tolist() for kind in shares} for number, verdict in enumerate(DECISIONS)
    }


def _check_people(table: FaceTable, role: int) -> None:
    people = labelled(table, role)
    if len(people.rows) > MANY_PHOTOS:
        return
    _, _, same = people.pairs()
    genuine, impostor = int(np.sum(same)), int(np.sum(~same))
    if min(genuine, impostor) < FEWEST_PAIRS:
        raise DataError(
            f"Weights expect {ROLE_NAMES[role]} people with {FEWEST_PAIRS} pairs of photos of one person and as many "
            f"of two, both photos from one set. Received: {genuine} and {impostor}.",
            "Give sets of labelled people a part in this.",
        )


def _data(table: FaceTable) -> dict[str, Any]:
    """Say what was learned from and measured with: photos by role, and terms, of each set."""
    terms = table.set_terms or ("not stated",) * len(table.set_names)
    counts = table.counts()
    return {
        name: {"photos": counts[name], "terms": set_terms}
        for name, set_terms in zip(table.set_names, terms, strict=True)
    }


def _mixture(embed: Embed, table: FaceTable, crops: np.ndarray, role: int, workers: int) -> Mixture:
    """Return pairs of one role's people, photos as they come and spoiled.

    Their faces are found and cut by the program's own detection, as a user's are: its
    landmarks scatter less than those of the training files, so that scores come out higher,
    and a threshold chosen on the latter would be too low.
    """
    people = labelled(table, role)
    faces = crops_as_served([table.paths[row] for row in people.rows], crops[people.rows], workers)
    return mix(embed, faces, people.person, people.set_index)


def _validating(embed: Embed, table: FaceTable, crops: np.ndarray) -> Photos:
    """Return photos, as the training files cut them, of the validation people of whom there are most."""
    people = labelled(table, VALIDATION)
    _, groups, counts = np.unique(
        np.stack([people.set_index, people.person]), axis=1, return_inverse=True, return_counts=True
    )
    most = np.argsort(-counts[groups.reshape(-1)], kind="stable")[:MOST_VALIDATING]
    return Photos(embed(crops[people.rows[most]]), people.person[most], people.set_index[most])


def _some(rows: np.ndarray) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(rows)[:RANGE_FACES])


def arrays_of(twin: keras.Model) -> dict[str, np.ndarray]:
    """Return the numbers of an embedding network, by ``layer/variable``."""
    return {"/".join(one.path.split("/")[-2:]): keras.ops.convert_to_numpy(one) for one in twin.variables}


def served(twin: keras.Model, ranges: Mapping[str, Sequence[float]]) -> Embed:
    """Return what embeds faces uint8 (N, 100, 100, 3) as the program will: by ONNX Runtime, rounded within ranges."""
    graph, constants = embedding_graph(arrays_of(twin), {name: (low, high) for name, (low, high) in ranges.items()})
    session = open_session(graph, constants)

    def embed(faces: np.ndarray) -> np.ndarray:
        parts = np.array_split(faces, max(1, len(faces) // AT_ONCE))
        answers = map_in_order(
            lambda part: session.run(None, {"face": preprocess.to_model_input(part)})[0], parts, allowed_cores()
        )
        return np.concatenate(list(answers))

    return embed
