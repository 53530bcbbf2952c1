"""Training on one's own face from beginning to end, on drawn patterns in place of faces."""

from __future__ import annotations

import errno
import html
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from personal_models import stand_in_note
from weights_files import unsigned_note

from flaskapp import preprocess
from flaskapp.cli.train import describe
from flaskapp.errors import DataError, LeakError, MissingExtraError
from flaskapp.personal import is_personal, load_model, split, work_folder
from flaskapp.personal.album import Album, join
from flaskapp.personal.data import Doubt
from flaskapp.personal.folder import UnwritableError
from flaskapp.weights.runtime import Runtime

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
TENSORBOARD = bool(importlib.util.find_spec("tensorboard"))


def drawn_album(person: str, photos: int, seed: int) -> Album:
    """Return somebody's photos: soft patches, different each time, in the person's own tint."""
    rng = np.random.default_rng(seed)
    tint = rng.uniform(0.3, 1.0, 3)
    faces = [
        cv2.resize(
            (rng.uniform(60, 255, (5, 5, 1)) * tint).astype(np.uint8), (100, 100), interpolation=cv2.INTER_LINEAR
        )
        for _ in range(photos)
    ]
    names = tuple(f"{person}/{number}.png" for number in range(photos))
    return Album(names, (person,) * photos, np.stack(faces), names)


def my_album() -> Album:
    return drawn_album("me", 12, 100)


def others_album() -> Album:
    return join(*(drawn_album(f"p{number}", 3, number) for number in range(8)))


def small_recipe(**changes):
    from flaskapp.personal.loop import OwnRecipe

    return OwnRecipe(**{"minutes": 10, "epochs": 2, "steps": 3, "batch_size": 8, "rate": 1e-3, **changes})


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """Small weights that know nothing, as Keras writes them, with a stand-in beside them."""
    import keras

    from flaskapp.model import build_embedding_network, build_siamese_network, set_score, write_weights

    keras.utils.set_random_seed(1)
    siamese = build_siamese_network(build_embedding_network((0, 0, 0, 1)))
    set_score(siamese, 600.0, 4.0)
    weights = tmp_path_factory.mktemp("base") / "base.h5"
    write_weights(siamese, weights, unsigned_note())
    details = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    details["stand_in"] = stand_in_note(details["sha256"])
    weights.with_suffix(".json").write_text(json.dumps(details), encoding="utf-8")
    return weights


def train(out: Path, base: Path, recipe=None, others: Album | None = None, tell=lambda _: None, learned=True):
    """Train; what was learned decides if it is wanted."""
    from flaskapp.personal import loop, train
    from flaskapp.personal.train import OwnReporter, train_own_face

    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        # Each epoch counts as the best, so that what it learned is kept.
        patch.setattr(loop, "tail_error", lambda *_: -time.time())
        # To weights that know nothing all faces are nearly one; the perceptual hash still tells.
        patch.setattr(split, "LEAST_COSINE", 2.0)
        patch.setattr(train, "tells_better", lambda *_: learned)
        reporter = OwnReporter(said.append, tell)
        result = train_own_face(my_album(), others, out, recipe or small_recipe(), reporter, base=base)
    return result, said


def epoch(**changes):
    from flaskapp.personal.loop import Epoch

    return Epoch(**{"epoch": 0, "loss": 0.5, "validation_loss": 0.5, "tail_error": 0.1, "auc": 0.9, "spread": 0.3,
                    "seconds": 1.0, **changes})  # fmt: skip


@pytest.fixture
def learns_nothing(monkeypatch):
    """Let the network be, which takes no time: all else is done with what it knew before."""
    monkeypatch.setattr("flaskapp.personal.train.fit", lambda *_: [epoch()])


@pytest.fixture(scope="module")
def trained(base, tmp_path_factory):
    """A model trained with others' photos: its folder, the result, and what was said."""
    out = tmp_path_factory.mktemp("trained") / "my_model"
    return out, *train(out, base, small_recipe(seed=7, tensorboard=TENSORBOARD), others_album())


@pytest.fixture(scope="module")
def by_the_stand_in(base, tmp_path_factory):
    """A model trained without photos of others, which learned nothing better: its folder, the result, what was said."""
    out = tmp_path_factory.mktemp("stand_in") / "my_model"
    return out, *train(out, base, learned=False)


class TestModel:
    def test_the_folder_holds_what_a_model_is_and_nothing_else_stays(self, trained):
        out, _, _ = trained
        assert {path.name for path in out.iterdir()} == {
            "model.h5",
            "model.json",
            "templates.npz",
            "report.html",
            *(["tensorboard"] if TENSORBOARD else []),
        }
        assert list(out.parent.iterdir()) == [out]
        assert not TENSORBOARD or list((out / "tensorboard").iterdir())

    def test_what_serves_scores_as_what_was_measured(self, trained):
        out, result, _ = trained
        runtime, owner = load_model(out)
        assert owner is not None and len(owner.templates) == result.photos == 12
        album = others_album()
        embeddings = runtime.embed(preprocess.to_model_input(album.faces))
        served = dict(zip(album.names, runtime.person_scores(owner.templates, embeddings), strict=True))
        strangers = result.personal.scores[~result.personal.same]
        assert all(np.isclose(score, list(served.values()), atol=1e-4).any() for score in strangers)
        for photo in (photo for photo in result.hardest if not photo.same):
            assert photo.score == pytest.approx(served[photo.name.removeprefix("others/")], abs=1e-4)
        assert owner.verdict_counts("match").impostor_pairs == len(strangers)

    def test_pairs_of_two_photos_are_counted_by_what_is_answered_to_them(self, trained):
        _, result, said = trained
        assert any("training: 8 of mine" in line for line in said)
        assert result.scope.owner_pairs == 1
        strangers = result.personal.evaluation.confusion.impostor
        assert sum(result.verdicts["impostor"].values()) == 12 * strangers
        assert sum(result.verdicts["genuine"].values()) == 2 * 10 + 1, "one of both is new"

    def test_the_note_says_everything_that_compare_needs_and_the_report_no_more_than_it_may(self, trained):
        out, result, _ = trained
        note = json.loads((out / "model.json").read_text(encoding="utf-8"))
        assert note["name"] == "my_model"
        assert "may not generalise" in note["personal"]["warning"]
        assert note["error_counts"] == result.verdicts
        assert note["figures"]["personal"]["f1"] == result.personal.evaluation.figures()["f1"]
        out_of_scope = load_model(out)[0].info.verdict_counts("out_of_scope")
        assert list(vars(out_of_scope).values())[:4] == list(vars(result.scope).values())
        report = (out / "report.html").read_text(encoding="utf-8")
        for wanted in (
            "Confusion matrix",
            "EER",
            "FNMR",
            "ROC",
            "DET",
            "Training curves",
            "Hardest photos",
            "out_of_scope",
        ):
            assert wanted in report
        assert all(words in html.unescape(report) for words in result.in_words())
        assert report.count("<img") == 4
        assert "<script" not in report and "http:" not in report


class TestRecipes:
    def test_the_stand_in_serves_somebody_without_photos_of_others(self, by_the_stand_in):
        out, result, said = by_the_stand_in
        assert any("stand-in" in line for line in said)
        assert result.personal.evaluation.confusion.genuine == 12
        assert "do not exist" in (out / "report.html").read_text(encoding="utf-8")

    def test_by_the_head_recipe_the_trunk_holds_still(self, base, trained):
        assert trained[1].kept == 2
        assert changed(base, trained[0]) == {
            "embedding/kernel",
            "embedding/bias",
            "similarity_score/kernel",
            "similarity_score/bias",
        }

    def test_every_weight_learns_by_the_original_recipe(self, base, trained, tmp_path):
        recipe = small_recipe(kind="whole", batch_size=4, steps=2, epochs=1, seed=7)
        result, _ = train(tmp_path / "m", base, recipe, others_album())
        np.testing.assert_allclose(result.shipped.scores, trained[1].shipped.scores, atol=1e-5)  # as before training
        assert result.kept == 1
        names = changed(base, tmp_path / "m")
        assert {"block1_conv/kernel", "block4_unit1_2_conv/kernel", "embedding/kernel"} <= names
        # A few pairs of one person have other statistics than faces: normalisation is left as it was.
        assert not {name for name in names if "norm" in name}

    @pytest.mark.usefixtures("learns_nothing")
    def test_what_is_doubtful_is_said_first_and_stays_in_report_and_model(self, base, tmp_path, monkeypatch):
        """Two people in one album: what helps to tell them from others is no gain for either."""
        words = "do not match most of the others: me/0.png.", "of the others' photos 1 match yours: p0/0.png."
        for name, told in zip(("doubt_of_one_person", "own_among_others"), words, strict=True):
            monkeypatch.setattr(f"flaskapp.personal.train.{name}", lambda *_, told=told: Doubt((0,), told, "Stop."))
        result, said = train(tmp_path / "m", base, others=others_album())
        note = json.loads((tmp_path / "m" / "model.json").read_text(encoding="utf-8"))
        report = html.unescape((tmp_path / "m" / "report.html").read_text(encoding="utf-8"))
        assert said[:2] == [f"Warning: {told} Stop." for told in words]
        assert note["personal"]["doubts"] == list(words)
        for told in words:
            assert all(told in text for text in (report, " ".join(result.in_words()), describe(result)))

    @pytest.mark.usefixtures("learns_nothing")
    def test_poor_photos_are_named_before_training(self, base, tmp_path, monkeypatch):
        weights = shutil.copy(base, tmp_path / "base.h5")
        note = json.loads(base.with_suffix(".json").read_text(encoding="utf-8")) | {"grade_bounds": [0.3, 0.8]}
        weights.with_suffix(".json").write_text(json.dumps(note), encoding="utf-8")
        monkeypatch.setattr("flaskapp.personal.train.certainties", lambda _: np.array([0.9] * 2 + [0.1] + [0.5] * 9))
        _, said = train(tmp_path / "m", weights, others=others_album())
        warned = [line for line in said if line.startswith("Warning: me/")]
        assert len(warned) == 1
        assert re.fullmatch(r"Warning: me/2\.png is poor: .*blurred.*\.", warned[0])
        assert said.index(warned[0]) < said.index(next(line for line in said if "training:" in line))

    @pytest.mark.skipif(TENSORBOARD, reason="TensorBoard is installed")
    def test_without_tensorboard_it_says_so_before_the_work(self, base, tmp_path):
        with pytest.raises(MissingExtraError, match="tensorboard"):
            train(tmp_path / "m", base, small_recipe(tensorboard=True))
        assert not list(tmp_path.iterdir())

    def test_photos_are_needed_for_more_than_the_head(self, base, tmp_path):
        with pytest.raises(DataError, match="only the head"):
            train(tmp_path / "m", base, small_recipe(kind="whole"))

    def test_a_training_collapses_when_scores_tell_nothing_or_are_all_alike(self):
        from flaskapp.personal.train import collapse

        assert collapse([epoch()]) is None
        assert collapse([epoch(), epoch(auc=0.5)]) is None, "the first one is kept"
        assert collapse([epoch(auc=0.5)]) and collapse([epoch(spread=0.0)])

    def test_a_collapsed_training_is_a_failure_that_says_what_to_do(self, base, tmp_path, monkeypatch):
        monkeypatch.setattr("flaskapp.personal.train.fit", lambda *_: [epoch(auc=0.5)])
        with pytest.raises(DataError, match=r"collapsed.*AUC is 0\.500.*No model was written.*more minutes"):
            train(tmp_path / "m", base)
        assert not list(tmp_path.iterdir()), "nothing of the person is left, a checkpoint neither"

    @pytest.mark.usefixtures("learns_nothing")
    @pytest.mark.parametrize("writer", ["folder.replacing", "train.write_weights"])
    def test_a_disk_that_is_full_is_told_by_the_model_that_it_does_not_take(self, base, tmp_path, monkeypatch, writer):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(f"flaskapp.personal.{writer}", full)
        with pytest.raises(
            UnwritableError, match=r"^my_model cannot be written: No space left on device\. Free some space"
        ):
            train(tmp_path / "my_model", base)

    def test_a_folder_that_is_no_model_is_not_written_over(self, base, tmp_path):
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "thesis.txt").touch()
        with pytest.raises(DataError, match="not a personal model"):
            train(tmp_path / "m", base)

    def test_a_photo_of_mine_among_the_others_stops_it(self, base, tmp_path):
        mine = my_album()
        hidden = replace(mine.take(np.array([3])), people=("p1",))
        with pytest.raises(LeakError, match=r"me/3\.png"):
            train(tmp_path / "m", base, others=join(others_album(), hidden))

    def test_a_head_too_sure_of_its_owner_is_scaled_back(self, base, tmp_path, monkeypatch):
        from flaskapp.weights.graph import read_arrays
        from flaskapp.weights.info import read_info

        heads = []
        for excess in (1.0, 4.0):
            monkeypatch.setattr("flaskapp.personal.train.excess_of", lambda *_, told=excess: told)
            train(tmp_path / str(excess), base)
            weights = tmp_path / str(excess) / "model.h5"
            heads.append(read_arrays(weights, read_info(weights).sha256))
        for name in ("similarity_score/kernel", "similarity_score/bias"):
            np.testing.assert_allclose(heads[1][name], heads[0][name] / 4, rtol=1e-6)
        np.testing.assert_array_equal(heads[1]["embedding/kernel"], heads[0]["embedding/kernel"])


def changed(base: Path, model: Path) -> set[str]:
    """Return which arrays of a model's weights are not those that it started from."""
    from flaskapp.weights.graph import read_arrays
    from flaskapp.weights.info import read_info

    before, after = (read_arrays(h5, read_info(h5).sha256) for h5 in (base, model / "model.h5"))
    return {name for name in before if not np.array_equal(before[name], after[name])}


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {shared!r}]
from test_train import small_recipe, train, others_album

def tell(share, told=[]):
    told.append(share)
    if len(told) == 4:  # the first epoch is saved, the second half done
        os.kill(os.getpid(), signal.SIGKILL)

train(Path({out!r}), Path({base!r}), small_recipe(seed=7), others_album(), tell=tell)
"""


def test_a_killed_training_goes_on_and_the_model_before_serves_all_along(base, trained, by_the_stand_in, tmp_path):
    out = shutil.copytree(by_the_stand_in[0], tmp_path / "my_model")
    older = load_model(out)[0].info
    assert older.details["training"]["others"] != "photos"
    code = KILLED.format(tests=str(Path(__file__).parent), shared=str(ROOT / "tests"), out=str(out), base=str(base))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert load_model(out)[0].info == older
    assert (work_folder(out) / "backup" / "latest.weights.h5").exists()
    steps: list[float] = []
    resumed, said = train(out, base, small_recipe(seed=7), others_album(), tell=steps.append)
    assert "Going on where an earlier run was stopped." in said
    assert len(steps) == 3, "the epoch that was saved is not run again"
    _, through, _ = trained
    assert [epoch.validation_loss for epoch in resumed.log] == pytest.approx(
        [e.validation_loss for e in through.log], rel=0.02
    )
    assert resumed.personal.scores == pytest.approx(through.personal.scores, abs=0.02)
    assert load_model(out)[0].info.details["training"]["others"] == "photos"
    assert is_personal(out) and not work_folder(out).exists()


class TestPairs:
    def test_half_is_genuine_and_no_photo_meets_itself(self):
        from flaskapp.personal.loop import FeaturePairs

        mine = np.arange(6, dtype=np.float32)[:, None, None] + np.zeros((6, 10, 4), np.float32)
        pairs = FeaturePairs(mine, mine[:, :2] + 100, small_recipe(batch_size=64))
        (first, second), same = pairs[2]
        assert len(pairs) == 3
        assert same.shape == (64, 1) and same.sum() == 32
        genuine = same[:, 0] == 1
        assert (first < 100).all()
        assert (second[genuine] < 100).all() and (second[~genuine] >= 100).all()
        assert (first[genuine, 0] != second[genuine, 0]).all()

    def test_a_batch_is_the_same_whenever_it_is_asked_for(self):
        from flaskapp.personal.loop import FacePairs

        crops = np.random.default_rng(0).integers(0, 255, (5, 100, 100, 3)).astype(np.uint8)
        pairs = FacePairs(crops, crops[:2], small_recipe(batch_size=4))
        once, again = pairs[2], pairs[2]
        pairs.epoch = 1
        assert all(np.array_equal(*sides) for sides in zip(once[0], again[0], strict=True))
        assert not np.array_equal(once[0][0], pairs[2][0][0])
        assert once[0][0].min() >= 0 and once[0][0].max() <= 1


class TestDeciding:
    """Whether what was learned decides, and what is told of it."""

    def test_where_nothing_was_learned_the_shipped_weights_serve_with_all_photos(self, base, by_the_stand_in):
        out, result, _ = by_the_stand_in
        assert changed(base, out) == set()
        assert not result.learned and result.photos == 12
        runtime, owner = load_model(out)
        assert not runtime.info.details["personal"]["learned"]
        shipped = Runtime(base)
        embeddings = shipped.embed(preprocess.to_model_input(np.concatenate([my_album().faces, others_album().faces])))
        scores = runtime.person_scores(owner.templates, embeddings[12:])
        np.testing.assert_allclose(scores, shipped.person_scores(embeddings[:12], embeddings[12:]), atol=1e-5)

    def test_to_the_shipped_weights_all_photos_are_new(self, by_the_stand_in):
        me = by_the_stand_in[1]
        for system in (me.personal, me.shipped):
            assert system.evaluation.confusion.genuine == 12
            assert system.evaluation.confusion.impostor == 10_000
        assert me.alone.evaluation.confusion.genuine == 12 * 11 / 2
        np.testing.assert_array_equal(me.personal.scores, me.shipped.scores)

    def test_to_what_was_learned_only_those_kept_back_are(self, trained):
        me = trained[1]
        assert me.learned
        assert me.personal.evaluation.confusion.genuine == 2
        assert me.personal.evaluation.confusion.impostor == trained[1].to_json()["shipped"]["impostor"] < 24
        assert me.alone.evaluation.confusion.impostor == me.personal.evaluation.confusion.impostor

    def test_the_band_is_that_of_the_weights_it_started_from(self, base, trained, by_the_stand_in):
        for out in (trained[0], by_the_stand_in[0]):
            info, before = load_model(out)[0].info, Runtime(base).info
            assert (info.threshold, info.inconclusive_band) == (before.threshold, before.inconclusive_band)
            assert (info.trust, info.by_references) == (before.trust, before.by_references)


class TestWords:
    """What people read first."""

    def result(self, mine: int, strangers: int, *, learned: bool = False, new: int = 15):
        from flaskapp.evaluation import evaluate
        from flaskapp.personal.result import Answers, OwnResult, Scope

        def answers(mine: int, strangers: int) -> Answers:
            same = np.arange(new + 10_000) < new
            scores = np.where(same, np.arange(new + 10_000) < mine, np.arange(new + 10_000) < new + strangers)
            return Answers(scores, same, evaluate(scores, same, threshold=0.5, band=(0.5, 0.5)))

        three = answers(mine, strangers), answers(mine - 1, 7), answers(0, 0)
        return OwnResult(15, learned, *three, Scope(1, 1, 1, 0), {}, [], [], ("one looks like somebody else.",))

    def test_how_often_it_knew_its_owner_and_took_strangers_comes_first(self):
        first, surely, decides, doubt = self.result(14, 6).in_words()
        assert first == (
            "It knew you in 14 of 15 photos it had not seen. Of 10,000 faces of strangers it took 6 for you."
        )
        assert "fail to know up to 32;" in surely and "take 2 to 14 for you" in surely
        assert "shipped weights" in decides and "15 photos" in decides
        assert doubt == "But one looks like somebody else."

    def test_where_none_was_wrong_it_is_bounded(self):
        surely = self.result(15, 0).in_words()[1]
        assert "up to 19;" in surely and "take up to 3 for you" in surely

    def test_what_was_learned_stands_beside_what_there_was_before(self):
        decides = self.result(3, 6, learned=True, new=3).in_words()[2]
        assert "learned decides" in decides and "known you in 2, and taken 7 of the strangers" in decides

    def test_figures_are_as_if_owner_and_strangers_came_equally_often(self):
        figures = self.result(3, 1000, new=4).even_figures()
        assert figures["recall"]["personal"] == pytest.approx(0.75)
        assert figures["precision"]["personal"] == pytest.approx(0.75 / 0.85)
        assert figures["accuracy"]["personal"] == pytest.approx((0.75 + 0.9) / 2)
        assert figures["f1"]["personal"] == pytest.approx(1.5 / (1.5 + 0.1 + 0.25))
        assert figures["recall"]["shipped"] == pytest.approx(0.5)
        assert figures["precision"]["alone"] is None, "nobody was taken for the owner"
