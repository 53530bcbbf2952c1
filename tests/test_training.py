"""Training from beginning to end, on a few drawn patterns in place of faces."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from flaskapp import preprocess
from flaskapp.errors import DataError

pytestmark = pytest.mark.needs_tensorflow

ROOT = Path(__file__).resolve().parent.parent


def pattern(seed: int) -> np.ndarray:
    """Return a picture uint8 (100, 100, 3) of soft patches: somebody's face."""
    patches = np.random.default_rng(seed).integers(20, 236, (5, 5, 3), np.uint8)
    return cv2.resize(patches, (100, 100), interpolation=cv2.INTER_LINEAR)


@pytest.mark.slow
def test_a_network_learns_sixteen_pairs_by_heart():
    import keras

    from flaskapp.model import UNIT_LENGTH, build_embedding_network, build_siamese_network, set_score

    keras.utils.set_random_seed(1)
    # From nothing, as --from-scratch builds it: lengths that mean nothing yet would only slow it down.
    twin = build_embedding_network(residual_units=(0, 0, 0, 0), certainty=UNIT_LENGTH)
    for layer in twin.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.7  # so that what is used has caught up with what is learned
    network = build_siamese_network(twin)
    set_score(network, 600.0, 2.0)
    # Every face is in one pair only, and the labels follow no rule: only memory can help.
    faces = preprocess.to_model_input(np.stack([pattern(seed) for seed in range(32)]))
    same = np.random.default_rng(0).permutation(np.repeat([0.0, 1.0], 8))[:, None]
    network.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    pairs = [faces[:16], faces[16:]]
    losses = [float(network.train_on_batch(pairs, same))]
    while losses[-1] > 0.2 and len(losses) < 60:
        losses.append(float(network.train_on_batch(pairs, same)))
    assert losses[-1] <= 0.2 < losses[0]
    assert ((network.predict(pairs, verbose=0) > 0.5) == (same > 0.5)).all(), losses


PEOPLE = {"training": 10, "validation": 2, "calibration": 2, "reporting": 2}
PHOTOS = 6


def draw_people(folder: Path) -> None:
    """Write a folder of photos for each person, a made-up teacher's file, and a sets file."""
    rng = np.random.default_rng(0)
    names, embeddings = [], []
    for person, role in enumerate(role for role, count in PEOPLE.items() for _ in range(count)):
        face, vector = pattern(1000 + person).astype(float), rng.normal(size=128)
        for photo in range(PHOTOS):
            names.append(f"{role}/{person}/{photo}.png")
            embeddings.append(vector + rng.normal(0, 0.2, 128))
            path = folder / "photos" / names[-1]
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = face * rng.uniform(0.9, 1.1) + rng.normal(0, 4, face.shape)
            Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8)).save(path)
    landmarks = np.repeat(np.float16(preprocess.TEMPLATE)[None], len(names), axis=0)
    ok = np.ones(len(names), bool)
    np.savez(folder / "teacher.npz", paths=names, landmarks=landmarks, embedding=np.float16(embeddings), ok=ok)
    roles = ", ".join(f'{role} = "{role}"' for role in PEOPLE)
    (folder / "sets.toml").write_text(
        '[[set]]\nname = "drawn"\nfolder = "photos"\nteacher = "teacher.npz"\nidentities = "folder"\n'
        f'role_of_folder = {{{roles}}}\nterms = "drawn for this test"\n',
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    draw_people(folder)
    return folder


@pytest.fixture
def small(monkeypatch):
    """Make the steps that are the same for any number of people short."""
    from flaskapp.training import base, head

    monkeypatch.setattr(base, "FIRST_PAIRS", 1000)
    monkeypatch.setattr(head, "PAIRS_AN_EPOCH", 256)


@pytest.mark.slow
def test_folders_of_people_become_weights_that_serve(people, tmp_path, small):
    from flaskapp.runtime import Runtime
    from flaskapp.training.base import Recipe, Reporter, distil, prepare, train_base

    said, chunks, shares = [], [], []
    reporter = Reporter(
        said.append,
        cutting=lambda starts: (chunks.append(start) or start for start in starts),
        learning=lambda way: (shares.append(share) or share for share in way),
    )
    recipe = Recipe(epochs=2, batch_size=16)
    work, out = tmp_path / "work", tmp_path / "own.h5"
    train_base(people / "sets.toml", work, out, recipe, reporter, workers=1)

    steps = 2 * (PEOPLE["training"] * PHOTOS // 16)
    assert chunks == [0]
    assert len(shares) == steps
    assert shares == pytest.approx(np.arange(steps) / steps)
    assert said[:2] == [
        "  left out: 0 mislabelled, 0 under two names",
        "  drawn: 60 training, 12 validation, 12 calibration, 12 reporting",
    ]
    assert said[-1] == "Written: own.h5 and own.json"

    served = Runtime(out)
    note = served.info.details
    assert note["data"] == {
        "drawn": {
            "photos": {"training": 60, "validation": 12, "calibration": 12, "reporting": 12, "left out": 0},
            "terms": "drawn for this test",
        }
    }
    assert note["training"]["recipe"] == {
        "epochs": 2,
        "minutes": None,
        "batch_size": 16,
        "rate": 0.035,
        "constant": 0.6,
        "seed": 2026,
        "start": None,
    }
    assert int(note["training"]["distillation"]["step"]) == steps
    counted = {kind: sum(verdicts.values()) for kind, verdicts in note["error_counts"].items()}
    assert counted == {"genuine": 30, "impostor": 36}
    assert note["band_choice"]["max_fnmr"] == pytest.approx(10 / 30), "so few pairs show no lower rate"

    faces = np.stack([pattern(1000 + sum(PEOPLE.values()) - 1), pattern(1000), pattern(1000)])
    embeddings = served.embed(preprocess.to_model_input(faces))
    assert served.similarity(embeddings[1], embeddings[2]) > served.similarity(embeddings[0], embeddings[1])

    # A second call finds everything done: no photo is cut, no batch is learned from.
    chunks.clear()
    shares.clear()
    distil(*prepare(people / "sets.toml", work, reporter, workers=1), work, recipe, reporter.learning)
    assert (chunks, shares) == ([], [])


@pytest.mark.slow
def test_nameless_faces_are_enough_to_learn_from(people, tmp_path, small):
    """As for weights that may learn from one set only, whose people nobody knows."""
    from flaskapp.runtime import Runtime
    from flaskapp.training.base import Recipe, Reporter, train_base

    named = (people / "sets.toml").read_text()
    held_out = ", ".join(f'{role} = "left out"' for role in PEOPLE if role != "training")
    nameless = (
        f'[[set]]\nname = "nameless"\nfolder = "photos"\nteacher = "teacher.npz"\nrole_of_folder = {{ {held_out} }}\n'
    )
    (people / "nameless.toml").write_text(f"{named}trains = false\n{nameless}")
    said = []
    recipe = Recipe(epochs=1, batch_size=16)
    train_base(
        people / "nameless.toml", tmp_path / "work", tmp_path / "open.h5", recipe, Reporter(said.append), workers=1
    )
    assert said[1].startswith("  drawn: 12 validation, 12 calibration, 12 reporting, 60 left out")
    assert said[2].startswith("  nameless: 60 training")
    assert any("stays as it is folded" in line for line in said)
    note = Runtime(tmp_path / "open.h5").info.details
    assert note["training"]["head_validation"] is None
    assert note["data"]["drawn"]["photos"]["training"] == 0


def test_sets_without_people_to_choose_with_are_refused_before_training(people, tmp_path):
    from flaskapp.training.base import Recipe, Reporter, train_base

    text = (people / "sets.toml").read_text().replace('calibration = "calibration"', 'calibration = "left out"')
    (people / "short.toml").write_text(text)
    with pytest.raises(DataError, match=r"calibration people .*Received: 0 and 0"):
        train_base(people / "short.toml", tmp_path, tmp_path / "x.h5", Recipe(), Reporter(say=str), workers=1)
    assert not (tmp_path / "state.npz").exists()


@pytest.mark.slow
def test_a_run_may_go_on_from_the_weights_of_an_earlier_one(people, tmp_path):
    import keras

    from flaskapp.training import base
    from flaskapp.training.distillation import build_student

    keras.utils.set_random_seed(3)
    earlier = build_student()
    base.build_from_student(earlier).save(tmp_path / "earlier.h5")
    recipe = base.Recipe(epochs=1e-9, batch_size=16, rate=1e-12, start=tmp_path / "earlier.h5")
    table, crops = base.prepare(people / "sets.toml", tmp_path / "work", workers=1)
    later = base.distil(table, crops, tmp_path / "work", recipe)  # one batch at no rate worth speaking of
    for before, after in zip(earlier.trainable_variables, later.trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(after), np.asarray(before), atol=1e-4, err_msg=before.path)
    assert len(recipe.to_json()["start"]) == 12, "the record names the file by its hash, not by its path"


@pytest.fixture
def centred(people) -> Path:
    """Return the sets file with the drawn set as the centre."""
    text = (people / "sets.toml").read_text().replace('name = "drawn"', 'name = "drawn"\ncentre = true')
    (people / "centred.toml").write_text(text)
    return people / "centred.toml"


@pytest.mark.slow
def test_what_a_set_named_as_centre_has_in_common_is_taken_off(centred, tmp_path):
    from flaskapp.dataset import sets
    from flaskapp.layers import WithOtherViews
    from flaskapp.training import base
    from flaskapp.training.distillation import build_student

    table, crops = base.prepare(centred, tmp_path, workers=1)
    student = build_student()
    faces = preprocess.to_model_input(crops[table.role == sets.TRAINING])
    views = np.asarray(WithOtherViews()(faces))
    before = np.linalg.norm(student.predict(views, verbose=0).mean(axis=0))
    base.centre(student, table, crops, seed=0)
    after = np.linalg.norm(student.predict(views, verbose=0).mean(axis=0))
    assert after < 0.02 * before  # bfloat16 keeps two to three digits


@pytest.mark.slow
def test_weights_that_learned_other_targets_begin_near_the_new_ones(centred, tmp_path, monkeypatch):
    import keras

    from flaskapp.dataset import sets
    from flaskapp.training import base
    from flaskapp.training.centring import centred_teacher
    from flaskapp.training.distillation import build_student

    keras.utils.set_random_seed(3)
    base.build_from_student(build_student()).save(tmp_path / "earlier.h5")
    table, crops = base.prepare(centred, tmp_path / "work", workers=1)
    recipe = base.Recipe(epochs=1e-9, batch_size=16, rate=1e-12, start=tmp_path / "earlier.h5")
    student = base.distil(table, crops, tmp_path / "work", recipe)
    rows = np.flatnonzero(table.role == sets.TRAINING)
    said = student.predict(preprocess.to_model_input(crops[rows]), verbose=0)
    cosines = np.sum(said * centred_teacher(table)[rows], axis=1) / np.linalg.norm(said, axis=1)
    assert cosines.mean() > 0.2, "of a random trunk; a random projection gives 0"


def test_weights_that_training_cannot_go_on_from_are_named(people, tmp_path):
    from flaskapp.training import base
    from flaskapp.training.distillation import build_student

    (tmp_path / "other.h5").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"other\.h5 is not a Siamese network"):
        base.start_from(build_student(), tmp_path / "other.h5")


@pytest.mark.slow
def test_people_left_out_since_are_not_trained_on_unnoticed(people, tmp_path):
    from flaskapp.training.base import Recipe, distil, prepare

    recipe = Recipe(epochs=1e-9, batch_size=16)
    distil(*prepare(people / "sets.toml", tmp_path, workers=1), tmp_path, recipe)
    distil(*prepare(people / "sets.toml", tmp_path, workers=1), tmp_path, replace(recipe, minutes=9, epochs=1e-8))
    table, crops = prepare(people / "sets.toml", tmp_path, workers=1)
    table.role[np.flatnonzero(table.role == 0)[:1]] = 4
    with pytest.raises(DataError, match="photos, targets differ"):
        distil(table, crops, tmp_path, recipe)


def test_without_a_teacher_there_is_nothing_to_distil(people, tmp_path):
    from flaskapp.training.base import Recipe, distil, prepare

    (people / "alone.toml").write_text('[[set]]\nname = "drawn"\nfolder = "photos/training/0"\n')
    table, crops = prepare(people / "alone.toml", tmp_path, workers=1)
    with pytest.raises(DataError, match="at least 64 training photos"):
        distil(table, crops, tmp_path, Recipe())


class TestFigures:
    def test_fnmr_is_read_at_the_stated_fmr(self):
        from flaskapp.training.base import fnmr_figures

        impostor, genuine = np.arange(1000) / 1000, np.array([0.5, 0.985, 0.9905, 0.9995])
        scores = np.concatenate([impostor, genuine])
        same = np.arange(1004) >= 1000
        # 1 %: the ten highest impostors may match, from 0.99 on; 0.1 %: one, 0.999 itself.
        assert fnmr_figures(scores, same) == {"fnmr_at_fmr_0.01": 0.5, "fnmr_at_fmr_0.001": 0.75}


KILLED_RUN = """
import sys
from pathlib import Path
import numpy as np
from flaskapp.training.batches import Batches, Jitter
from flaskapp.training.distillation import Distillation, Schedule
crops = np.random.default_rng(0).integers(0, 256, (16, 100, 100, 3), np.uint8)
targets = np.eye(128, dtype=np.float32)[:16]
batches = Batches(crops, targets, np.arange(16), 8, Jitter(), 0)
run = Distillation(Path(sys.argv[1]), batches, Schedule(steps=int(sys.argv[2])), lambda student: {"figure": 0.0})
run.run(save_every=1, validate_every=10**9)
print(run.state.step)
"""


def start_run(folder: Path, steps: int) -> subprocess.Popen:
    command = [sys.executable, "-c", KILLED_RUN, str(folder), str(steps)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def step_of(checkpoint: Path) -> int:
    with np.load(checkpoint) as arrays:
        return json.loads(str(arrays["state"]))["step"]


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_checkpoint(tmp_path):
    checkpoint = tmp_path / "state.npz"
    process = start_run(tmp_path, steps=10**6)
    deadline = time.monotonic() + 600
    while not (checkpoint.exists() and step_of(checkpoint) >= 2):
        assert process.poll() is None, "training ended by itself"
        assert time.monotonic() < deadline, "training does not get going"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    killed_at = step_of(checkpoint)
    again = start_run(tmp_path, steps=killed_at + 2)
    output, _ = again.communicate(timeout=600)
    assert again.returncode == 0
    assert int(output) == step_of(checkpoint) == killed_at + 2
    with (tmp_path / "log.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [killed_at + 2]
