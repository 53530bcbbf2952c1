"""Personal models: what they do not know, how they replace each other, how they are forgotten."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from personal_models import COUNTS, ONLY_THE_VERY_PHOTO, write_model, write_run
from PIL import Image
from weights_files import write_weights_files

from flaskapp import personal
from flaskapp.cli.program import main
from flaskapp.errors import DataError, WeightsError
from flaskapp.personal import Owner, forget, install, load_model, new_folder, work_folder
from flaskapp.personal.folder import UnwritableError, check_out, claimed, in_the_way, writing
from flaskapp.verifier import OUT_OF_SCOPE, Verifier
from flaskapp.weights.runtime import surest
from tests.conftest import PORTRAITS

HOPPER, COLLINS = PORTRAITS / "grace_hopper.jpg", PORTRAITS / "eileen_collins.jpg"


def compare(*photos_and_model: Path | str):
    *photos, model = (one for one in photos_and_model if isinstance(one, Path))
    more = [one for one in photos_and_model if isinstance(one, str)]
    return CliRunner().invoke(main, ["compare", *map(str, photos), "--model", str(model), *more])


def change_note(model: Path, **changes) -> Path:
    note = json.loads((model / "model.json").read_text(encoding="utf-8"))
    (model / "model.json").write_text(json.dumps(note | changes), encoding="utf-8")
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "my_model", ONLY_THE_VERY_PHOTO)


class TestScope:
    def test_of_two_strangers_it_says_that_it_knows_neither(self, model):
        done = compare(COLLINS, COLLINS, model)
        assert done.exit_code == 4
        assert "neither photo shows the person this model knows" in done.output
        assert "similarity score 0" not in done.output
        assert "pairs of its owner (2 of 12)" in done.output

    def test_its_counts_are_those_of_pairs_of_two_strangers(self, tmp_path):
        model = write_model(tmp_path / "m", ONLY_THE_VERY_PHOTO)
        scope = {"stranger_pairs": 20000, "strangers_out": 19990, "owner_pairs": 21, "owner_out": 1}
        change_note(model, figures={"scope": scope})
        told = compare(COLLINS, COLLINS, model).output
        assert "99.95 % of pairs of two strangers (19,990 of 20,000)" in told
        assert "pairs of its owner (1 of 21)" in told
        counts = json.loads(compare(COLLINS, COLLINS, model, "--json").output)["error_counts"]
        assert list(counts.values()) == [
            20000,
            19990,
            21,
            1,
            None,
            None,
            None,
            "two strangers",
            "its owner",
            counts["sentence"],
        ]
        assert "pairs of its owner and somebody else" in compare(HOPPER, COLLINS, model).output

    @pytest.mark.parametrize("scope", [{"stranger_pairs": 1}, "much", {"stranger_pairs": []}, 3])
    def test_damaged_counts_are_noticed_when_it_is_loaded(self, tmp_path, scope):
        model = change_note(write_model(tmp_path / "m"), figures={"scope": scope})
        with pytest.raises(WeightsError, match=r"model\.json is damaged .*Train it again"):
            load_model(model)

    @pytest.mark.parametrize("low", [0.4, 0.6])
    def test_a_closed_band_has_no_middle(self, tmp_path, low):
        model = write_model(tmp_path / "m")
        references = json.loads((model / "model.json").read_text(encoding="utf-8"))["references"]
        references["by_number"]["3"] |= {"inconclusive_band": [low, 0.6], "threshold": 0.6}
        change_note(model, references=references)
        told = compare(HOPPER, HOPPER, model).output
        assert ("(match from 0.6000, else non-match)" in told) == (low == 0.6)
        assert ("inconclusive in between" in told) == (low < 0.6)

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

    def test_other_weights_than_a_personal_model_know_no_scope(self, tmp_path):
        assert compare(COLLINS, COLLINS, write_weights_files(tmp_path)).exit_code == 0

    def test_nothing_is_drawn_out_of_scope(self, model, tmp_path):
        pytest.importorskip("matplotlib")
        done = compare(COLLINS, COLLINS, model, "--plot", str(tmp_path / "answer.png"))
        assert done.exit_code == 4
        assert not (tmp_path / "answer.png").exists()
        assert "Nothing was drawn" in done.stderr

    def test_the_verifier_says_it_too(self, model, hopper, collins):
        runtime, owner = load_model(model)
        verifier = Verifier(runtime, owner=owner)
        assert verifier.verify(collins, collins).decision == OUT_OF_SCOPE
        assert verifier.verify(collins, hopper).decision != OUT_OF_SCOPE


class TestIsItMe:
    """One photo and a personal model."""

    @pytest.mark.parametrize(
        ("photo", "code", "words"),
        [(HOPPER, 0, "match: the face is alike enough to your"), (COLLINS, 1, "non-match: the face is too different")],
    )
    def test_one_photo_is_enough(self, model, photo, code, words):
        done = compare(photo, model)
        assert done.exit_code == code
        assert done.output.startswith(words)
        assert "compared with 3 photos of you" in done.output
        assert "photos of strangers" in done.output and "photos of its owner" in done.output

    def test_json_has_no_reference(self, model):
        told = json.loads(compare(HOPPER, model, "--json").output)
        assert (told["faces"]["reference"], told["known_photos"]) == (None, 3)
        assert told["error_counts"]["impostor_pairs"] == 10_000

    def test_it_is_drawn(self, model, tmp_path):
        pytest.importorskip("matplotlib")
        assert compare(HOPPER, model, "--plot", str(tmp_path / "answer.png")).exit_code == 0
        assert (tmp_path / "answer.png").stat().st_size > 10_000

    def test_which_face_is_meant_can_be_chosen(self, model, tmp_path):
        both = tmp_path / "both.png"
        Image.fromarray(np.hstack([np.asarray(Image.open(one))[:512, :, :3] for one in (HOPPER, COLLINS)])).save(both)
        asked = compare(both, model)
        assert asked.exit_code == 2
        assert f"compare {both} --probe-face 1 --model {model}" in asked.stderr
        assert compare(both, model, "--probe-face", "2").exit_code == 1

    def test_without_a_model_it_takes_another_photo(self, model, tmp_path):
        alone = CliRunner().invoke(main, ["compare", str(HOPPER)])
        assert alone.exit_code == 2 and "--model" in alone.stderr
        nobodys = compare(HOPPER, write_weights_files(tmp_path))
        assert nobodys.exit_code == 2 and "knows nobody" in nobodys.stderr
        assert compare(HOPPER, model, "--reference-face", "1").exit_code == 2


class TestOwner:
    """Whom a model knows."""

    def test_what_was_counted_is_told_of_photos(self, model):
        _, owner = load_model(model)
        assert str(owner.verdict_counts("match")) == (
            "In testing, this verdict was given to 0.06 % of photos of strangers (6 of 10,000) "
            "and to 93.3 % of photos of its owner (14 of 15)."
        )

    def test_of_many_photos_the_surest_stand_for_a_person_in_their_order(self):
        lengths = np.arange(25) % 5 / 5 + 0.1
        embeddings = np.repeat(lengths[:, None], 4096, axis=1).astype(np.float32) / 64
        assert surest(embeddings[:20]).tolist() == list(range(20))
        assert surest(embeddings).tolist() == [place for place in range(25) if place % 5]

    @pytest.mark.parametrize("shape", [(0, 4096), (21, 4096), (3, 64)])
    def test_it_has_one_to_twenty_templates(self, shape):
        with pytest.raises(ValueError, match="templates"):
            Owner(np.ones(shape, np.float32), COUNTS)

    @pytest.mark.parametrize("counts", [{}, {"genuine": {}, "impostor": {}}, "many"])
    def test_damaged_counts_of_photos_are_noticed_when_it_is_loaded(self, tmp_path, counts):
        model = write_model(tmp_path / "m")
        note = json.loads((model / "model.json").read_text(encoding="utf-8"))
        change_note(model, personal=note["personal"] | {"counts": counts})
        with pytest.raises(WeightsError, match="Train it again"):
            load_model(model)


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

    def test_its_weights_alone_are_refused_since_their_counts_are_no_strangers(self, tmp_path):
        model = write_model(tmp_path / "m")
        with pytest.raises(WeightsError, match=r"belongs to a personal model.*folder"):
            load_model(model / "model.h5")

    @pytest.mark.parametrize(
        "note", [{"counts": {"genuine": [], "impostor": []}}, {"counts": 3, "templates_sha256": "0"}, {}, []]
    )
    def test_a_damaged_note_of_the_owner_is_told_of_the_note(self, tmp_path, note):
        model = write_model(tmp_path / "m")
        whole = json.loads((model / "model.json").read_text(encoding="utf-8"))["personal"]
        change_note(model, personal=note if not note or "templates_sha256" in note else whole | note)
        with pytest.raises(WeightsError, match=r"^model\.json is damaged"):
            load_model(model)

    def test_templates_that_are_no_numbers_are_refused(self, tmp_path):
        model = write_model(tmp_path / "m")
        np.savez(model / "templates.npz", templates=np.full((2, 4096), np.nan, np.float32))
        digest = hashlib.sha256((model / "templates.npz").read_bytes()).hexdigest()
        change_note(model, personal={"templates_sha256": digest, "counts": COUNTS})
        with pytest.raises(WeightsError, match=r"templates\.npz is damaged"):
            load_model(model)

    def test_weights_without_an_owner_are_no_personal_model(self, tmp_path):
        model = write_model(tmp_path / "m")
        note = json.loads((model / "model.json").read_text(encoding="utf-8"))
        del note["personal"]
        (model / "model.json").write_text(json.dumps(note), encoding="utf-8")
        with pytest.raises(WeightsError, match="names no owner"):
            load_model(model)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("nothing", "nothing is not a personal model: there is no such folder."),
            ("photo.jpg", "photo.jpg is not a personal model: it is a file."),
            ("empty", "empty is not a personal model: it contains no model.json."),
            ("other", "other is not a personal model: its model.json is damaged or names no owner."),
            ("parted", "parted is not a personal model: there is no such folder."),
            ("nothing.h5", "There are no weights nothing.h5."),
        ],
    )
    def test_what_is_no_model_is_named_with_the_reason_and_what_to_try(self, tmp_path, name, words):
        (tmp_path / "photo.jpg").touch()
        for folder in ("empty", "other", "parted.old"):
            (tmp_path / folder).mkdir()
        (tmp_path / "other" / "model.json").write_text('["personal"]', encoding="utf-8")
        done = compare(HOPPER, COLLINS, tmp_path / name)
        assert done.exit_code == 2
        assert f"Error: {words} Name the folder that train wrote" in done.stderr
        assert "install it again" not in done.stderr and str(tmp_path) not in done.stderr

    def test_damaged_weights_of_a_model_are_no_fault_of_the_program(self, tmp_path):
        model = write_model(tmp_path / "m")
        (model / "model.h5").unlink()
        assert compare(HOPPER, COLLINS, model).stderr.endswith("Train it again: facial-recognition train.\n")

    def test_the_folder_that_one_is_in_is_a_model_too(self, tmp_path, monkeypatch):
        monkeypatch.chdir(write_model(tmp_path / "m"))
        assert "weights m@" in compare(HOPPER, COLLINS, Path()).output
        (tmp_path / "m" / "below").mkdir()
        monkeypatch.chdir(tmp_path / "m" / "below")
        assert "weights m@" in compare(HOPPER, COLLINS, Path("..")).output
        assert "root folder" in compare(HOPPER, COLLINS, Path("/")).stderr


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

    def test_what_a_kill_amid_removing_leaves_is_known_as_ours(self, tmp_path, monkeypatch):
        model, real = write_model(tmp_path / "m"), Path.unlink
        for left in (3, 2, 1):

            def unlink(path, left=left):
                if len(list(model.iterdir())) <= left:
                    raise KeyboardInterrupt
                real(path)

            monkeypatch.setattr(Path, "unlink", unlink)
            with pytest.raises(KeyboardInterrupt):
                personal.remove(model)
            assert len(list(model.iterdir())) == left
            assert personal.is_personal(model)

    def test_folders_of_somebodys_own_are_in_the_way(self, tmp_path):
        model = tmp_path / "m"
        write_model(model).rename(tmp_path / "m.old")
        write_run(work_folder(model))
        new_folder(model).mkdir()
        assert in_the_way(model) == []
        (new_folder(model) / "photo.jpg").touch()
        write_model(tmp_path / "n.old")
        (tmp_path / "n.training").symlink_to(tmp_path / "m.training")
        (tmp_path / "n.new").touch()
        assert [path.name for path in in_the_way(model)] == ["m.new"]
        assert [path.name for path in in_the_way(tmp_path / "n")] == ["n.old", "n.new", "n.training"]


class TestClaiming:
    def test_other_photos_or_settings_start_anew(self, tmp_path):
        work = tmp_path / "m.training"

        def goes_on(photos: int) -> bool:
            with claimed(work, {"photos": photos, "base": ""}) as known:
                return known

        assert not goes_on(1)
        assert not goes_on(1), "nothing was measured yet"
        (work / "log.json").touch()
        assert goes_on(1)
        assert (work / "log.json").exists()
        assert not goes_on(2)
        assert [path.name for path in work.iterdir()] == ["run.json"]

    @pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
    def test_a_second_training_is_refused_and_takes_nothing_from_the_first(self, tmp_path):
        work = tmp_path / "m.training"
        with claimed(work, {"photos": 1, "base": ""}):
            (work / "log.json").touch()
            with pytest.raises(DataError, match="Another training is writing m"), claimed(work, {"photos": 2}):
                pass
            assert (work / "log.json").exists()
        with claimed(work, {"photos": 1, "base": ""}) as known:
            assert known


class TestWriting:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (errno.ENOSPC, "my_model cannot be written: No space left on device. Free some space"),
            (errno.EACCES, "my_model cannot be written: Permission denied. Make its folder writable"),
        ],
    )
    def test_what_the_disk_does_not_take_is_named_with_what_to_try(self, tmp_path, code, words):
        with pytest.raises(UnwritableError, match=words), writing(tmp_path / "my_model"):
            raise OSError(code, os.strerror(code))

    def test_a_reader_that_has_gone_is_no_disk(self, tmp_path):
        with pytest.raises(BrokenPipeError), writing(tmp_path / "my_model"):
            raise BrokenPipeError


class TestPlaceToTrain:
    def train(self, tmp_path: Path, out: str) -> str:
        """Return what the command says when it refuses, which it does before it looks for photos."""
        (tmp_path / "photos").mkdir(exist_ok=True)
        done = CliRunner().invoke(main, ["train", "--me", str(tmp_path / "photos"), "--out", out])
        assert done.exit_code == 2
        assert str(tmp_path) not in done.stderr
        return done.stderr

    @pytest.mark.parametrize("ending", ["old", "new", "training"])
    def test_somebodys_own_folder_beside_it_is_named_and_stays(self, tmp_path, ending):
        own = tmp_path / f"m.{ending}" / "thesis.txt"
        own.parent.mkdir()
        own.touch()
        assert f"would replace m.{ending}, which it did not make" in self.train(tmp_path, str(tmp_path / "m"))
        assert own.exists()

    def test_what_its_owner_put_into_a_model_is_named_before_it_is_replaced(self, tmp_path):
        model = write_model(tmp_path / "m")
        (model / "photos").mkdir()
        assert "m would be replaced, but it contains photos, " in self.train(tmp_path, str(model))
        assert (model / "photos").is_dir()

    @pytest.mark.needs_tensorflow
    def test_what_a_stopped_run_left_is_not_in_the_way(self, tmp_path):
        write_model(tmp_path / "m").rename(tmp_path / "m.old")
        write_run(work_folder(tmp_path / "m"))
        new_folder(tmp_path / "m").mkdir()
        personal.check_out(tmp_path / "m")
        assert "no photos in photos" in self.train(tmp_path, str(tmp_path / "m"))

    def test_the_folder_that_one_is_in_is_refused_by_its_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(write_model(tmp_path / "m"))
        for out in (".", "../m"):
            assert "m would be replaced, but you are running this inside it" in self.train(tmp_path, out)
        monkeypatch.chdir(tmp_path / "photos")
        Path("me.jpg").touch()
        assert "photos exists and is not a personal model" in self.train(tmp_path, ".")
        assert Path("me.jpg").exists()

    def test_a_damaged_model_makes_room_for_a_new_one(self, tmp_path):
        model = write_model(tmp_path / "m")
        (model / "model.json").write_text('{"name": "m"', encoding="utf-8")
        with pytest.raises(WeightsError, match="Train it again"):
            load_model(model)
        check_out(model)
        (model / "photo.jpg").touch()
        with pytest.raises(DataError, match=r"m exists"):
            check_out(model)

    def test_a_link_is_refused(self, tmp_path):
        (tmp_path / "link").symlink_to(write_model(tmp_path / "m"), target_is_directory=True)
        assert "link is a link to another folder" in self.train(tmp_path, str(tmp_path / "link"))


class TestForgetting:
    def test_every_trace_goes_and_is_listed(self, tmp_path):
        write_model(tmp_path / "m").rename(tmp_path / "m.old")
        model = write_model(tmp_path / "m")
        (model / "tensorboard").mkdir()
        (model / "tensorboard" / "events").touch()
        write_run(work_folder(model))
        new_folder(model).mkdir()
        (new_folder(model) / "templates.npz").touch()
        other = write_model(tmp_path / "mine_too")
        done = CliRunner().invoke(main, ["forget", str(model)])
        assert done.exit_code == 0, done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["mine_too"]
        assert personal.is_personal(other)
        for name in ("m/model.h5", "m/templates.npz", "m/report.html", "m.training/backup", "m/tensorboard/events"):
            assert f"removed: {tmp_path / name}" in done.output
        assert "19 files and folders removed" in done.output

    def test_what_its_owner_put_into_its_folder_stays(self, tmp_path):
        model = write_model(tmp_path / "m")
        (model / "photos").mkdir()
        (model / "photos" / "a.jpg").touch()
        (model / ".DS_Store").touch()
        done = CliRunner().invoke(main, ["forget", str(model)])
        assert done.exit_code == 0, done.stderr
        assert [path.name for path in model.rglob("*")] == ["photos", "a.jpg"]
        assert done.output.endswith(f" files and folders removed; your own files stay in {model}: photos.\n")
        assert "removed: " + str(model / "photos") not in done.output

    def test_a_run_whose_note_a_full_disk_cut_is_forgotten_too(self, tmp_path):
        write_run(work_folder(tmp_path / "m"))
        (work_folder(tmp_path / "m") / "run.json").write_text("")
        assert in_the_way(tmp_path / "m") == []
        forget(tmp_path / "m")
        assert not list(tmp_path.iterdir())

    def test_a_stopped_training_is_forgotten_too(self, tmp_path):
        write_run(work_folder(tmp_path / "m"))
        assert len(forget(tmp_path / "m")) == 5
        assert not list(tmp_path.iterdir())

    def test_the_folder_that_one_is_in_can_be_forgotten(self, tmp_path, monkeypatch):
        model = write_model(tmp_path / "m")
        write_run(work_folder(model))
        monkeypatch.chdir(model)
        done = CliRunner().invoke(main, ["forget", "."])
        monkeypatch.chdir(tmp_path)
        assert done.exit_code == 0, done.stderr
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("stands", [True, False])
    def test_folders_beside_it_that_are_somebodys_own_stay(self, tmp_path, stands):
        if stands:
            write_model(tmp_path / "m")
        for ending in ("old", "new", "training"):
            (tmp_path / f"m.{ending}").mkdir()
            (tmp_path / f"m.{ending}" / "me.jpg").touch()
        (tmp_path / "m.training" / "run.json").write_text('{"epochs": 3}', encoding="utf-8")
        done = CliRunner().invoke(main, ["forget", str(tmp_path / "m")])
        assert done.exit_code == (0 if stands else 2)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m.new", "m.old", "m.training"]
        assert all((path / "me.jpg").exists() for path in tmp_path.iterdir())

    def test_another_model_whose_name_looks_like_a_left_over_stays(self, tmp_path):
        other = write_model(tmp_path / "m.old")
        forget(write_model(tmp_path / "m"))
        assert list(tmp_path.iterdir()) == [other]

    def test_an_empty_folder_is_no_trace_of_anybody(self, tmp_path):
        (tmp_path / "m").mkdir()
        (tmp_path / "m.old").mkdir()
        with pytest.raises(WeightsError, match="nothing was removed"):
            forget(tmp_path / "m")
        assert len(list(tmp_path.iterdir())) == 2

    def test_what_went_before_the_disk_refused_is_told(self, tmp_path, monkeypatch):
        def refuse(_: Path) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        model = write_model(tmp_path / "m")
        monkeypatch.setattr(Path, "rmdir", refuse)
        done = CliRunner().invoke(main, ["forget", str(model)])
        assert (done.exit_code, list(model.iterdir())) == (2, [])
        assert all(name in done.stderr for name in ("m could not be removed", "model.h5", "templates.npz", "writable"))

    def test_a_link_to_a_model_is_refused_and_both_stay(self, tmp_path):
        model = write_model(tmp_path / "m")
        (tmp_path / "link").symlink_to(model, target_is_directory=True)
        done = CliRunner().invoke(main, ["forget", str(tmp_path / "link")])
        assert done.exit_code == 2
        assert "Error: link is a link to another folder, so nothing was removed. Name the folder" in done.stderr
        assert personal.is_personal(tmp_path / "link")

    def test_a_folder_that_is_something_else_stays(self, tmp_path):
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "me.jpg").touch()
        for name in ("photos", "nothing"):
            done = CliRunner().invoke(main, ["forget", str(tmp_path / name)])
            assert done.exit_code == 2
            assert "nothing was removed" in done.stderr
        assert (tmp_path / "photos" / "me.jpg").exists()
