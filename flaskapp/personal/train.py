"""From photos to a personal model: split, train, choose, score once, write, take the old one's place."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from flaskapp import preprocess
from flaskapp.errors import DataError, MissingExtraError
from flaskapp.evaluation.curves import auc, error_curve
from flaskapp.layers import CertaintyLength, L1Distance
from flaskapp.model import DROPOUT_RATE, certainty_of, features_of, write_weights
from flaskapp.personal import folder as folders
from flaskapp.personal.album import Album
from flaskapp.personal.data import (
    Doubt,
    Embed,
    Others,
    OwnAmongOthers,
    OwnData,
    PeopleWithPhotos,
    doubt_of_one_person,
    own_among_others,
    prepare_data,
)
from flaskapp.personal.loop import (
    Epoch,
    FacePairs,
    FeaturePairs,
    Figures,
    OwnRecipe,
    best_of,
    claim_folder,
    fit,
    log_loss,
    spread_of,
)
from flaskapp.personal.report import own_face_page
from flaskapp.personal.result import OwnResult, measure
from flaskapp.personal.scoring import Choice, Head, choose, tail_error, validation_pairs
from flaskapp.personal.split import Shares
from flaskapp.personal.stand_in import stand_in_of
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.weights.info import default_weights_path
from flaskapp.weights.runtime import Runtime
from flaskapp.weights.shape import EMBEDDING_SIZE

# Below this AUC, or with scores that differ less than this, nothing was learned.
LEAST_AUC, LEAST_SPREAD = 0.65, 0.001
TERMS = "Those of the weights that it started from, and of the photos."
WARNING = "Optimised for its owner: it may not generalise, and knows nobody else."


@dataclass(frozen=True)
class OwnReporter:
    """Who is told how a training goes; by default only a reader of printed lines.

    Attributes:
        say: gets a line now and then.
        learning: gets the share of the training's way that is gone, 0 to 1, now and then.
        doubt: gets the photos that look like somebody else, if there are any; None = ``say`` gets them in words.
    """

    say: Callable[[str], Any] = print
    learning: Callable[[float], Any] = lambda _: None
    doubt: Callable[[Doubt], Any] | None = None

    def doubted(self, doubt: Doubt) -> None:
        """Tell of photos that look like somebody else."""
        if self.doubt:
            self.doubt(doubt)
        else:
            self.say(_warning(doubt))


def _warning(doubt: Doubt | OwnAmongOthers) -> str:
    return f"Warning: {doubt.in_words()} {doubt.advice}"


@dataclass(frozen=True)
class OwnRun:
    """Where a training reads and writes.

    Attributes:
        out: the model's folder.
        base: weights to start from, and to compare with.
        tensorboard: whether to write TensorBoard's log into the model's folder.
        shares: how much is tested and validated.
        strangers: with whose test part the model is scored; None = that of the others. For an
            experiment: a model trained with the stand-in, scored with photos.
    """

    out: Path
    base: Path = field(default_factory=default_weights_path)
    tensorboard: bool = False
    shares: Shares | None = None
    strangers: Others | None = None


def train_own_face(
    mine: Album, others: Album | None, run: OwnRun, recipe: OwnRecipe, reporter: OwnReporter | None = None
) -> OwnResult:
    """Train a personal model and put it into its place; the one that stood there serves until then."""
    reporter = reporter or OwnReporter()
    result = make_own_model(mine, others, run, recipe, reporter)
    with folders.writing(run.out):
        folders.install(folders.named(run.out))
    reporter.say(f"Written: {run.out}")
    return result


def make_own_model(
    mine: Album, others: Album | None, run: OwnRun, recipe: OwnRecipe, reporter: OwnReporter | None = None
) -> OwnResult:
    """Train a personal model in the folder beside its place from which it is installed.

    Stopped at any moment, the same call goes on from the last checkpoint.

    Args:
        mine: the owner's photos.
        others: other people's; None = the stand-in that belongs to the weights.
        run: where.
        recipe: how.
        reporter: who is told.

    Raises:
        DataError: too few photos or people, something leaked, the training collapsed, or the disk is full.
        WeightsError: the weights to start from cannot be used.
    """
    reporter = reporter or OwnReporter()
    folders.check_out(run.out)
    run = replace(run, out=folders.named(run.out))
    if run.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise MissingExtraError(
            "TensorBoard's log needs tensorboard, which is not installed.", "Try: pip install tensorboard"
        )
    base = Runtime(run.base)
    data = _data(mine, others, base, run, recipe, reporter)
    say_counts(data, reporter.say)
    work = folders.work_folder(run.out)
    description = {"recipe": recipe.to_json(), "base": base.info.sha256, "photos": _fingerprint(data)}
    with folders.writing(run.out):
        goes_on = claim_folder(work, description)
    if goes_on:
        reporter.say("Going on where an earlier run was stopped.")
    before = load_siamese(run.base)  # a network of its own: what is trained does not stay what it was
    shipped = head_of(before), trunk_of(before)
    keras.utils.set_random_seed(recipe.seed)
    siamese = load_siamese(run.base)
    tensorboard = work / folders.TENSORBOARD if run.tensorboard else None
    with folders.writing(run.out):
        log = _learn(siamese, data, recipe, work, reporter.learning, tensorboard)
    try:
        _check_not_collapsed(log)
    except DataError:
        folders.remove(work)  # to go on from there would end the same way
        raise
    with folders.writing(run.out):
        return _finish(siamese, shipped, data, run, recipe, log)


def say_counts(data: OwnData, say: Callable[[str], Any]) -> None:
    """Say what is learned from and what is kept back."""
    for part, counts in data.counts().items():
        kind = "" if data.others.kind == "photos" else ", drawn from the stand-in"
        say(f"  {part}: {counts['mine']} of mine, {counts['others']} of others ({counts['people']} people{kind})")


def _data(
    mine: Album, others: Album | None, base: Runtime, run: OwnRun, recipe: OwnRecipe, reporter: OwnReporter
) -> OwnData:
    if others is None and recipe.kind == "whole":
        raise DataError(
            "The stand-in for other people has no photos, so only the head can be trained with it.",
            "Give photos of other people with --others, or use --recipe head.",
        )
    info, embed = base.info, _Cached(lambda faces: base.embed(preprocess.to_model_input(faces)))
    doubts = []
    if doubt := doubt_of_one_person(mine, embed(mine.faces), base):
        reporter.doubted(doubt)
        doubts.append(doubt.in_words())
    if others is not None and (among := own_among_others(others, embed(others.faces), embed(mine.faces), base)):
        reporter.say(_warning(among))
        doubts.append(among.in_words())
    data = prepare_data(
        mine,
        stand_in_of(info.details, info.sha256) if others is None else others,
        embed,
        recipe.seed,
        run.shares,
    )
    return replace(data, doubts=tuple(doubts))


def _fingerprint(data: OwnData) -> str:
    others = data.others.album.digests if isinstance(data.others, PeopleWithPhotos) else ()
    digests = [*data.mine.digests, "|", *others]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _learn(
    siamese: keras.Model,
    data: OwnData,
    recipe: OwnRecipe,
    work: Path,
    tell: Callable[[float], Any],
    tensorboard: Path | None,
) -> list[Epoch]:
    """Train by either recipe; the Siamese network ends with the best epoch's weights."""
    trunk = trunk_of(siamese)
    if isinstance(data.others, PeopleWithPhotos) and recipe.kind == "whole":
        hold_normalization(siamese)
        pairs = FacePairs(data.my_faces("training"), data.others.faces("training"), recipe.batch_size, recipe.seed)

        def figures(network: keras.Model) -> Figures:
            return _validation(head_of(network), data, trunk_of(network))

        return fit(work, siamese, pairs, figures, recipe, tell, tensorboard)
    features = FeaturePairs(
        data.my_versions(trunk), data.others.to_learn_from(trunk, recipe.seed), recipe.batch_size, recipe.seed
    )
    embedding_network = siamese.get_layer("embedding_network")
    head = build_head(features.mine.shape[-1], certainty_of(embedding_network))
    copy_head(embedding_network, siamese, head.get_layer("twin"), head)
    cached = _Cached(trunk)

    def head_figures(network: keras.Model) -> Figures:
        return _validation(head_of(network, "twin"), data, cached)

    log = fit(work, head, features, head_figures, recipe, tell, tensorboard)
    copy_head(head.get_layer("twin"), head, embedding_network, siamese)
    return log


class _Cached:
    """Asks the trunk about the same faces only once."""

    def __init__(self, trunk: Embed) -> None:
        self._trunk, self._known = trunk, dict[bytes, np.ndarray]()

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(np.ascontiguousarray(faces).tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._trunk(faces)
        return self._known[key]


def _validation(head: Head, data: OwnData, trunk: Embed) -> Figures:
    seen = validate(head, data, trunk)
    odds, same = seen.odds, seen.same
    return Figures(log_loss(odds, same), tail_error(odds, same), auc(error_curve(odds, same)), spread_of(odds))


@dataclass(frozen=True, eq=False)
class Validated:
    """What a network says of the validation photos.

    Attributes:
        odds: float (M,), log-odds of the pairs.
        same: bool (M,).
        templates: float32 (N, 4096), embeddings of my training photos.
        mine: float (L,), nearness of my validation photos.
        strangers: float (K,), that of the others'.
    """

    odds: np.ndarray
    same: np.ndarray
    templates: np.ndarray
    mine: np.ndarray
    strangers: np.ndarray

    def choose(self) -> Choice:
        """Choose threshold, band and scope."""
        return choose(self.odds, self.same, self.mine, self.strangers)


def validate(head: Head, data: OwnData, trunk: Embed) -> Validated:
    """Score the validation photos."""
    templates, mine = (head.embed(trunk(data.my_faces(part))) for part in ("training", "validation"))
    others = head.embed(data.others.features("validation", trunk))
    pairs = validation_pairs(len(templates), len(mine), len(others), np.random.default_rng(data.seed))
    odds = head.log_odds(np.concatenate([templates, mine, others]), pairs.first, pairs.second)
    near = head.nearness(templates, mine), head.nearness(templates, others)
    return Validated(odds, pairs.same, templates, *near)


def _check_not_collapsed(log: list[Epoch]) -> None:
    best = log[best_of(log)]
    if best.spread < LEAST_SPREAD or best.auc < LEAST_AUC:
        raise DataError(
            f"The training collapsed: after {len(log) - 1} epochs the validation pairs' AUC is {best.auc:.3f} and "
            f"their scores differ by {best.spread:.4f} (one standard deviation). No model was written.",
            "Give it more minutes, photos and people.",
        )


def _finish(
    siamese: keras.Model,
    shipped: tuple[Head, Embed],
    data: OwnData,
    run: OwnRun,
    recipe: OwnRecipe,
    log: list[Epoch],
) -> OwnResult:
    """Choose on validation, score the test once, write everything to a new folder."""
    head, trunk = head_of(siamese), _Cached(trunk_of(siamese))
    seen = validate(head, data, trunk)
    choice = seen.choose()
    scored = data if run.strangers is None else replace(data, others=run.strangers)
    result = measure(scored, (head, trunk), choice, shipped, validate(shipped[0], data, shipped[1]).choose(), log)
    folder = folders.new_folder(run.out)
    folders.remove(folder)
    folder.mkdir(parents=True)
    np.savez(folder / folders.TEMPLATES, templates=seen.templates.astype(np.float32))
    note = {
        "name": run.out.name,
        "created": datetime.now(UTC).date().isoformat(),
        "crop_geometry": CROP_GEOMETRY,
        "inconclusive_band": list(choice.band),
        "threshold": choice.threshold,
        "error_counts": result.error_counts(),
        "personal": {
            "templates_sha256": hashlib.sha256((folder / folders.TEMPLATES).read_bytes()).hexdigest(),
            "scope": choice.scope,
            "warning": WARNING,
            "doubts": list(data.doubts),
        },
        "figures": result.to_json(),
        "training": {
            "recipe": recipe.to_json(),
            "photos": data.counts(),
            "others": data.others.kind,
            "log": [_finite(epoch) for epoch in log],
        },
        "keras": keras.__version__,
        "terms": TERMS,
    }
    write_weights(siamese, folder / folders.WEIGHTS, note)
    (folder / folders.REPORT).write_text(own_face_page(result, note), encoding="utf-8")
    tensorboard = folders.work_folder(run.out) / folders.TENSORBOARD
    if tensorboard.exists():
        shutil.copytree(tensorboard, folder / folders.TENSORBOARD)
    return result


def _finite(epoch: Epoch) -> dict[str, Any]:
    """Return an epoch in JSON's types, which know no NaN."""
    return {name: None if math.isnan(value) else value for name, value in asdict(epoch).items()}


def load_siamese(weights: Path) -> keras.Model:
    """Load a network of its own from a weights file."""
    return keras.models.load_model(weights, custom_objects={"L1Distance": L1Distance}, compile=False)


def trunk_of(siamese: keras.Model) -> Embed:
    """Return what gives the trunk's features float32 (N, 256) of crops uint8 (N, 100, 100, 3)."""
    twin = siamese.get_layer("embedding_network")
    trunk = features_of(twin)
    return lambda faces: np.asarray(trunk.predict(preprocess.to_model_input(faces), batch_size=32, verbose=0))


def head_of(network: keras.Model, twin: str = "embedding_network") -> Head:
    """Return the last layers in plain numbers."""
    embedding_network = network.get_layer(twin)
    kernel, bias = embedding_network.get_layer("embedding").get_weights()
    score_kernel, score_bias = network.get_layer("similarity_score").get_weights()
    return Head(kernel, bias, score_kernel.reshape(-1), float(score_bias[0]), certainty_of(embedding_network))


def copy_head(from_twin: Any, source: Any, to_twin: Any, target: Any) -> None:
    """Copy the last layers' weights from one network and its twin to another."""
    to_twin.get_layer("embedding").set_weights(from_twin.get_layer("embedding").get_weights())
    target.get_layer("similarity_score").set_weights(source.get_layer("similarity_score").get_weights())


def build_head(features: int, certainty: tuple[float, float]) -> keras.Model:
    """Build the Siamese network without its trunk: two feature vectors in, a score out.

    Args:
        features: how many numbers a vector has.
        certainty: of the network that it is to be the head of, as ``model.certainty_of`` says.
    """
    vector = keras.Input((features,))
    x = layers.Dropout(DROPOUT_RATE)(vector)
    x = CertaintyLength(*certainty, name="certainty_length")(layers.Dense(EMBEDDING_SIZE, name="embedding")(x))
    twin = keras.Model(vector, x, name="twin")
    reference, probe = keras.Input((features,)), keras.Input((features,))
    distance = L1Distance()([twin(reference), twin(probe)])
    score = layers.Dense(1, activation="sigmoid", name="similarity_score")(distance)
    return keras.Model([reference, probe], score, name="head")


def hold_normalization(siamese: keras.Model) -> None:
    """Freeze batch normalisation: a few pairs of one person and others have other statistics than faces."""
    for layer in siamese.get_layer("embedding_network").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
