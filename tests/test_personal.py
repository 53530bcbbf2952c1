"""Personal models: what they do not know, how they replace each other, how they are forgotten."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from personal_models import ONLY_THE_VERY_PHOTO, write_model

from flaskapp import personal
from flaskapp.cli import main
from flaskapp.errors import WeightsError
from flaskapp.personal import Owner, forget, install, load_model, new_folder, work_folder
from flaskapp.runtime import Runtime
from flaskapp.verifier import OUT_OF_SCOPE, Verifier
from tests.conftest import PORTRAITS

HOPPER, COLLINS = PORTRAITS / "grace_hopper.jpg", PORTRAITS / "eileen_collins.jpg"


def compare(reference: Path, probe: Path, model: Path, *more: str):
    return CliRunner().invoke(main, ["compare", str(reference), str(probe), "--model", str(model), *more])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "my_model", ONLY_THE_VERY_PHOTO)


class TestScope:
    def test_of_two_strangers_it_says_that_it_knows_neither(self, model):
        done = compare(COLLINS, COLLINS, model)
        assert done.exit_code == 4
        assert "neither photo is the person this model knows" in done.output
        assert "similarity score 0" not in done.output
        assert "of 12 pairs of one person 2 got this verdict" in done.output

    def test_no_score_is_dressed_up_as_an_answer(self, model):
        answer = json.loads(compare(COLLINS, COLLINS, model, "--json").output)
        assert answer["decision"] == "out_of_scope"
        assert answer["similarity_score"] is None
        assert answer["model"].startswith("my_model@")

    @pytest.mark.parametrize("pair", [(HOPPER, COLLINS), (COLLINS, HOPPER), (HOPPER, HOPPER)])
    def test_one_photo_of_the_owner_is_enough_for_an_answer(self, model, pair):
        done = compare(*pair, model)
        assert done.exit_code in (0, 1, 3)
        assert "similarity score" in done.output

    def test_other_weights_than_a_personal_model_know_no_scope(self, model):
        assert compare(COLLINS, COLLINS, model / "model.h5").exit_code == 0

    def test_nothing_is_drawn_out_of_scope(self, model, tmp_path):
        done = compare(COLLINS, COLLINS, model, "--plot", str(tmp_path / "answer.png"))
        assert done.exit_code == 4
        assert not (tmp_path / "answer.png").exists()
        assert "Nothing is drawn" in done.stderr

    def test_the_verifier_says_it_too(self, model, hopper, collins):
        runtime, owner = load_model(model)
        verifier = Verifier(runtime, owner=owner)
        assert verifier.verify(collins, collins).decision == OUT_OF_SCOPE
        assert verifier.verify(collins, hopper).decision != OUT_OF_SCOPE

    def test_nearness_is_the_mean_over_all_templates(self, model):
        runtime = Runtime(model / "model.h5")
        rng = np.random.default_rng(0)
        templates = rng.normal(size=(4, 4096)).astype(np.float32)
        templates /= np.linalg.norm(templates, axis=1, keepdims=True)
        odds = np.mean([runtime.log_odds(template, templates[0]) for template in templates])
        nearness = 1 / (1 + np.exp(-odds))
        assert Owner(templates, nearness * 0.999).is_in(runtime, templates[0])
        assert not Owner(templates, min(1.0, nearness * 1.001)).is_in(runtime, templates[0])


class TestLoading:
    @pytest.mark.parametrize("name", ["model.h5", "templates.npz"])
    def test_one_changed_byte_is_refused(self, tmp_path, name):
        model = write_model(tmp_path / "m")
        content = bytearray((model / name).read_bytes())
        content[-20] ^= 1
        (model / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name):
            load_model(model)

    @pytest.mark.parametrize("name", ["model.json", "templates.npz"])
    def test_a_missing_part_is_named(self, tmp_path, name):
        model = write_model(tmp_path / "m")
        (model / name).unlink()
        with pytest.raises(WeightsError, match=name):
            load_model(model)

    def test_templates_of_somebody_else_are_refused(self, tmp_path):
        model = write_model(tmp_path / "m")
        np.savez(model / "templates.npz", templates=np.zeros((2, 4096), np.float32))
        with pytest.raises(WeightsError, match="does not belong to its weights"):
            load_model(model)

    def test_weights_without_an_owner_are_no_personal_model(self, tmp_path):
        model = write_model(tmp_path / "m")
        note = json.loads((model / "model.json").read_text(encoding="utf-8"))
        del note["personal"]
        (model / "model.json").write_text(json.dumps(note), encoding="utf-8")
        with pytest.raises(WeightsError, match="names no owner"):
            load_model(model)

    def test_a_model_that_is_not_there_is_named(self, tmp_path):
        done = compare(HOPPER, COLLINS, tmp_path / "nothing")
        assert done.exit_code == 2
        assert "model.json" in done.stderr


class TestReplacing:
    def test_the_new_model_takes_the_place_and_nothing_else_is_left(self, tmp_path):
        model = write_model(tmp_path / "m", seed=1)
        write_model(new_folder(model), seed=2)
        work_folder(model).mkdir()
        newer = (new_folder(model) / "model.h5").read_bytes()
        install(model)
        assert (model / "model.h5").read_bytes() == newer
        assert [path.name for path in tmp_path.iterdir()] == ["m"]

    @pytest.mark.parametrize("renames", [0, 1])
    def test_a_crash_between_the_renames_leaves_a_model_that_serves(self, tmp_path, monkeypatch, renames):
        model = write_model(tmp_path / "m", seed=1)
        older = (model / "model.h5").read_bytes()
        write_model(new_folder(model), seed=2)
        real, done = Path.rename, []

        def rename(path, target):
            if len(done) == renames:
                raise KeyboardInterrupt
            done.append(target)
            return real(path, target)

        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt):
            install(model)
        runtime, _ = load_model(model)
        assert runtime.info.sha256 == hashlib.sha256(older).hexdigest()


class TestForgetting:
    def test_every_trace_goes_and_is_listed(self, tmp_path):
        model = write_model(tmp_path / "m")
        (model / "tensorboard").mkdir()
        (model / "tensorboard" / "events").touch()
        for folder in (work_folder(model), new_folder(model), model.with_name("m.old")):
            folder.mkdir()
            (folder / "state.npz").touch()
        other = write_model(tmp_path / "mine_too")
        done = CliRunner().invoke(main, ["forget", str(model)])
        assert done.exit_code == 0, done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["mine_too"]
        assert personal.is_personal(other)
        for name in ("m/model.h5", "m/templates.npz", "m/report.html", "m.training/state.npz", "m/tensorboard/events"):
            assert f"removed: {tmp_path / name}" in done.output
        assert "13 files and folders removed" in done.output

    def test_a_stopped_training_is_forgotten_too(self, tmp_path):
        work_folder(tmp_path / "m").mkdir()
        (work_folder(tmp_path / "m") / "state.npz").touch()
        assert len(forget(tmp_path / "m")) == 2
        assert not list(tmp_path.iterdir())

    def test_a_folder_that_is_something_else_stays(self, tmp_path):
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "me.jpg").touch()
        for name in ("photos", "nothing"):
            done = CliRunner().invoke(main, ["forget", str(tmp_path / name)])
            assert done.exit_code == 2
            assert "nothing was removed" in done.stderr
        assert (tmp_path / "photos" / "me.jpg").exists()
