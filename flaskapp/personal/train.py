"""From photos to a personal model: split, train, choose, score once, write, take the old one's place."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from flaskapp import preprocess
from flaskapp.detection import Face
from flaskapp.errors import DataError, MissingExtraError
from flaskapp.layers import L1Distance
from flaskapp.model import DROPOUT_RATE, features_of, write_weights
from flaskapp.personal import folder as folders
from flaskapp.personal.album import Album
from flaskapp.personal.data import Doubt, Embed, OwnData, doubt_of_one_person, own_among_others, prepare_data
from flaskapp.personal.loop import Epoch, FacePairs, FeaturePairs, OwnRecipe, best_of, fit
from flaskapp.personal.result import OwnResult, measure, own_face_page
from flaskapp.personal.scoring import Network, Seen, excess_of, look, tells_better
from flaskapp.personal.stand_in import Drawn, stand_in_of
from flaskapp.preprocess import CROP_GEOMETRY
from flaskapp.quality import assess
from flaskapp.weights.info import WeightsInfo, default_weights_path
from flaskapp.weights.runtime import Runtime, certainties, surest

# Below this AUC, or with scores that differ less than this, nothing was learned.
LEAST_AUC, LEAST_SPREAD = 0.65, 0.001
# Of an aligned face; how small or turned it was in the photo, no crop tells.
IN_CROP = Face((0.0, 0.0, preprocess.CROP_SIZE, preprocess.CROP_SIZE), preprocess.TEMPLATE, 1.0)
TERMS = "Those of the weights that it started from, and of the photos."
# What the scores count for: that of the weights that it started from.
KEPT = ("inconclusive_band", "threshold", "trust", "grade_bounds", "references")
OF_TRUNK = ("tensor_ranges",)  # kept where the trunk is
WARNING = "Optimised for its owner: it may not generalise, and knows nobody else."


@dataclass(frozen=True)
class OwnReporter:
    """Who is told how a training goes; by default only a reader of printed lines."""

    say: Callable[[str], Any] = print  # gets a line now and then
    learning: Callable[[float], Any] = lambda _: None  # gets the share of the way that is gone, 0 to 1
    doubted: Callable[[Doubt], Any] | None = None  # gets photos that look like somebody else; None = ``say`` does


PRINTED = OwnReporter()


def train_own_face(
    mine: Album, others: Album | None, out: Path, recipe: OwnRecipe, reporter: OwnReporter = PRINTED, **more: Any
) -> OwnResult:
    """Train a personal model by ``make_own_model`` and put it in its place; the one there before serves until then."""
    result = make_own_model(mine, others, out, recipe, reporter, **more)
    with folders.writing(out):
        folders.install(folders.named(out))
    reporter.say(f"Written: {out}")
    return result


def make_own_model(
    mine: Album,
    others: Album | None,
    out: Path,
    recipe: OwnRecipe,
    reporter: OwnReporter = PRINTED,
    base: Path | None = None,
) -> OwnResult:
    """Train a personal model in the folder beside its place from which it is installed.

    Stopped at any moment, the same call goes on from the last checkpoint. Without ``others`` the stand-in that
    belongs to the weights serves. ``base`` are weights to start from, and to compare with; None = the shipped ones.

    Raises:
        DataError: too few photos or people, something leaked, the training collapsed, or the disk is full.
        WeightsError: the weights to start from cannot be used.
    """
    folders.check_out(out)
    check_recipe(recipe, others is not None)
    out, base = folders.named(out), base or default_weights_path()
    runtime = Runtime(base)
    data = _data(mine, others, runtime, recipe, reporter)
    for part, counts in data.counts().items():
        kind = ", drawn from the stand-in" if isinstance(data.others[part], Drawn) else ""
        people = f"{counts['others']} of others ({counts['people']} people{kind})"
        reporter.say(f"  {part}: {counts['mine']} of mine, {people}")
    digests = "".join([*mine.digests, "|", *(others.digests if others else ())])
    photos = hashlib.sha256(digests.encode()).hexdigest()
    description = {"recipe": asdict(recipe), "base": runtime.info.sha256, "photos": photos}
    work = folders.work_folder(out)
    with folders.writing(out), folders.claimed(work, description) as going_on:
        if going_on:
            reporter.say("Going on where an earlier run was stopped.")
        keras.utils.set_random_seed(recipe.seed)
        siamese = keras.models.load_model(base, custom_objects={"L1Distance": L1Distance}, compile=False)
        # What it says now is known for good; by the head recipe it stays so.
        cached = _Cached(lambda faces: runtime.features(preprocess.to_model_input(faces)))
        untrained, shipped = siamese.get_weights(), network_of(siamese, cached, runtime.info)
        for album in (*data.mine.values(), *data.others.values()):
            shipped.embed(album)
        trunk = trunk_of(siamese) if recipe.kind == "whole" else cached
        log = learn(siamese, trunk, runtime.info, data, recipe, work, reporter.learning)
        if fault := collapse(log):
            folders.remove(work)  # to go on from there would end the same way
            raise fault
        excess = excess_of(network_of(siamese, trunk, runtime.info), shipped, data)
        score = siamese.get_layer("similarity_score")
        score.set_weights([weight / excess for weight in score.get_weights()])
        network = network_of(siamese, trunk, runtime.info)
        if not tells_better(network, shipped, data):
            network = shipped
            siamese.set_weights(untrained)
        result = measure(data, network, shipped, log)
        _write(siamese, network, data, out, recipe, result)
        return result


def check_recipe(recipe: OwnRecipe, has_others: bool) -> None:
    """Refuse, before any photo is read, what the recipe asks for and is not there: TensorBoard, or others' photos.

    Raises:
        DataError: there are no photos of others, and the recipe takes them.
        MissingExtraError: TensorBoard is not installed.
    """
    if recipe.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise MissingExtraError(
            "TensorBoard's log needs tensorboard, which is not installed.", "Try: pip install tensorboard"
        )
    if recipe.kind == "whole" and not has_others:
        raise DataError(
            "The stand-in for other people has no photos, so only the head can be trained with it.",
            "Give photos of other people with --others, or use --recipe head.",
        )


def _data(mine: Album, others: Album | None, base: Runtime, recipe: OwnRecipe, reporter: OwnReporter) -> OwnData:
    embed = _Cached(lambda faces: base.embed(preprocess.to_model_input(faces)))
    own = doubt_of_one_person(mine, embed(mine.faces), base)
    among = own_among_others(others, embed(others.faces), embed(mine.faces), base) if others and mine else None
    doubts = [doubt for doubt in (own, among) if doubt]
    for doubt in doubts:
        if reporter.doubted and doubt is own:
            reporter.doubted(doubt)
        else:
            reporter.say(f"Warning: {doubt.words} {doubt.advice}")
    for name, crop, certainty in zip(mine.names, mine.faces, certainties(embed(mine.faces)).tolist(), strict=True):
        quality = assess(crop, IN_CROP, certainty, base.info.grade_bounds)
        if quality.grade == "poor":
            reporter.say(f"Warning: {name} is {quality}.")
    everybody = stand_in_of(base.info.details, base.info.sha256) if others is None else others
    data = prepare_data(mine, everybody, embed, recipe.seed)
    return replace(data, doubts=tuple(doubt.words for doubt in doubts))


class _Cached:
    """Asks the trunk about the same faces only once."""

    def __init__(self, trunk: Embed) -> None:
        self._trunk, self._known = trunk, dict[bytes, np.ndarray]()

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(np.ascontiguousarray(faces).tobytes()).digest()
        if key not in self._known:
            self._known[key] = self._trunk(faces)
        return self._known[key]


def learn(
    siamese: keras.Model,
    trunk: Embed,
    info: WeightsInfo,
    data: OwnData,
    recipe: OwnRecipe,
    work: Path,
    tell: Callable[[float], Any],
) -> list[Epoch]:
    """Train by either recipe, and return the epochs; the network ends with the best one's weights."""

    def validate() -> Seen:
        return look(network_of(siamese, trunk, info), data)

    others = data.others["training"]
    if recipe.kind == "whole" and isinstance(others, Album):
        for layer in siamese.get_layer("embedding_network").layers:
            # A few pairs of one person and others have other statistics than faces.
            layer.trainable = not isinstance(layer, layers.BatchNormalization)
        return fit(work, siamese, FacePairs(data.mine["training"].faces, others.faces, recipe), validate, tell)
    pairs = FeaturePairs(data.my_versions(trunk), data.others_versions(trunk), recipe)
    return fit(work, head_of(siamese, pairs.mine.shape[-1]), pairs, validate, tell)


def collapse(log: list[Epoch]) -> DataError | None:
    """Return what is told of a training that learned nothing, or None."""
    best = log[best_of(log)]
    if best.spread >= LEAST_SPREAD and best.auc >= LEAST_AUC:
        return None
    return DataError(
        f"The training collapsed: after {len(log) - 1} epochs the validation pairs' AUC is {best.auc:.3f} and "
        f"their scores differ by {best.spread:.4f} (one standard deviation). No model was written.",
        "Give it more minutes, photos and people.",
    )


def _write(
    siamese: keras.Model, network: Network, data: OwnData, out: Path, recipe: OwnRecipe, result: OwnResult
) -> None:
    """Write everything that makes a model to the new folder."""
    folder, base = folders.new_folder(out), network.info
    folders.remove(folder)
    folder.mkdir(parents=True)
    templates = np.concatenate([network.embed(album) for album in data.mine.values()])
    templates = templates[surest(templates)]
    np.savez(folder / folders.TEMPLATES, templates=templates.astype(np.float32))
    log = [asdict(epoch) for epoch in result.log]
    kept = KEPT if recipe.kind == "whole" and result.learned else (*KEPT, *OF_TRUNK)
    note = {
        "name": out.name,
        "created": datetime.now(UTC).date().isoformat(),
        "crop_geometry": CROP_GEOMETRY,
        **{name: base.details[name] for name in kept if name in base.details},
        "error_counts": result.verdicts,
        "personal": {
            "templates_sha256": hashlib.sha256((folder / folders.TEMPLATES).read_bytes()).hexdigest(),
            "counts": {kind: asdict(count) for kind, count in result.personal.evaluation.decisions.items()},
            "learned": result.learned,
            "warning": WARNING,
            "doubts": list(data.doubts),
        },
        "figures": result.to_json(),
        "training": {
            "recipe": asdict(recipe),
            "photos": data.counts(),
            "others": "stand-in" if isinstance(data.others["training"], Drawn) else "photos",
            "log": [{name: None if math.isnan(value) else value for name, value in row.items()} for row in log],
        },
        "keras": keras.__version__,
        "terms": TERMS,
    }
    write_weights(siamese, folder / folders.WEIGHTS, note)
    (folder / folders.REPORT).write_text(own_face_page(result, note), encoding="utf-8")
    tensorboard = folders.work_folder(out) / folders.TENSORBOARD
    if tensorboard.exists():
        shutil.copytree(tensorboard, folder / folders.TENSORBOARD)


def trunk_of(siamese: keras.Model) -> Embed:
    """Return what gives the trunk's features float32 (N, 129) of crops uint8 (N, 100, 100, 3)."""
    trunk = features_of(siamese.get_layer("embedding_network"))
    return lambda faces: np.asarray(trunk.predict(preprocess.to_model_input(faces), batch_size=32, verbose=0))


def network_of(siamese: keras.Model, trunk: Embed, info: WeightsInfo) -> Network:
    """Return a network with its last layers as they are now, in plain numbers."""
    twin = siamese.get_layer("embedding_network")
    kernel, bias = twin.get_layer("embedding").get_weights()
    score_kernel, score_bias = siamese.get_layer("similarity_score").get_weights()
    return Network(trunk, kernel, bias, score_kernel.ravel(), float(score_bias[0]), info)


def head_of(siamese: keras.Model, features: int) -> keras.Model:
    """Return a Siamese network's own last layers: two feature vectors in, a score out; what they learn, it learns."""
    layer_of = siamese.get_layer("embedding_network").get_layer
    vector = keras.Input((features,))
    x = layer_of("embedding")(layers.Dropout(DROPOUT_RATE)(vector))
    twin = keras.Model(vector, siamese.get_layer("unit_length")(x))
    reference, probe = keras.Input((features,)), keras.Input((features,))
    distance = L1Distance()([twin(reference), twin(probe)])
    return keras.Model([reference, probe], siamese.get_layer("similarity_score")(distance))
