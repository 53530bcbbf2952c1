"""From trained arrays to weights that serve, on a few drawn patterns in place of faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from flaskapp import preprocess
from flaskapp.finding import bars_of
from flaskapp.layers import WithMirrorImage
from flaskapp.weights.runtime import Runtime
from research.__main__ import main
from research.distil.faces import Batches, Changes, training_faces
from research.distil.network import build_student
from research.distil.shipping import served, siamese_of
from research.distil.train import Recipe, Run, Schedule, embedder
from research.sets.labelled import labelled
from research.sets.prepare import prepare
from research.sets.roles import TRAINING, VALIDATION

UNITS = (0, 1, 0, 0)


def pattern(seed: int) -> np.ndarray:
    """Return a picture uint8 (100, 100, 3) of soft patches: somebody's face."""
    patches = np.random.default_rng(seed).integers(20, 236, (5, 5, 3), np.uint8)
    return cv2.resize(patches, (100, 100), interpolation=cv2.INTER_LINEAR)


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


def arguments(people: Path, command: str, *others: str) -> list[str]:
    units = ",".join(map(str, UNITS))
    network = ["--units", units] if command != "stand-in" else []
    return [command, str(people / "sets.toml"), "--crops", str(people / "crops"), *network, *others]


@pytest.fixture(scope="module")
def average(people) -> Path:
    """Return the average of a short run on the drawn people."""
    table, faces = prepare(people / "sets.toml", people / "crops", say=str, workers=1)
    keras.utils.set_random_seed(3)
    rows, targets = training_faces(table)
    recipe = Recipe(16, Changes(0, 0), 4)
    batches = Batches(faces, targets, rows, 16, recipe.changes, recipe.seed)
    compile_step, torch.compile = torch.compile, lambda function: function
    try:
        run = Run(people / "run", build_student(UNITS), table, batches, Schedule(0.02, until=480), recipe)
    finally:
        torch.compile = compile_step
    run.learn(lambda *_: None, 10_000)
    return people / "run" / "average.npz"


@pytest.mark.slow
def test_folders_of_people_become_weights_that_serve(people, average, tmp_path):
    out = tmp_path / "own.h5"
    told = CliRunner().invoke(main, arguments(people, "ship", str(average), str(out)))
    assert told.exit_code == 0, told.output
    assert "at least 128 people" in told.stderr, "ten people make no stand-in, and that is no reason to ship nothing"

    served = Runtime(out)
    note = served.info.details
    assert note["data"] == {
        "drawn": {
            "photos": {"training": 60, "validation": 12, "calibration": 12, "reporting": 12, "left out": 0},
            "terms": "drawn for this test",
        }
    }
    assert note["training"]["faces"] == 480
    counted = {kind: sum(verdicts.values()) for kind, verdicts in note["error_counts"].items()}
    assert counted == {"genuine": 30, "impostor": 36}
    assert note["trust"] == note["calibration"]["trust"]
    poor, good = note["grade_bounds"]
    assert 0 < poor <= good <= 1
    assert 0 <= served.info.trust.match[0] <= served.info.trust.match[1] <= 1
    for name, counts in note["counts_by_grades"].items():
        assert set(name.split(" and ")) <= {"good", "fair", "poor"}
        for verdict, told in counts["intervals"].items():
            for kind, (low, high) in told.items():
                share = counts[kind][verdict] / sum(counts[kind].values())
                assert 0 <= low <= high <= 1
                assert low - 0.05 <= share <= high + 0.05
    assert set(note["references"]["by_number"]) == {"2"}, "of two people with six photos each"
    assert served.info.for_references(3).verdict_counts("match").references == 2
    assert [row["references"] for row in note["references"]["figures"]] == [1, 2]
    assert note["searching"].keys() == {"1", "2"}
    for number, bars in note["searching"].items():
        told = note if number == "1" else note["references"]["by_number"][number]
        assert bars[0]["score"] == told["inconclusive_band"][1]
    assert [bar.references for bar in bars_of(served.info, ["good"] * 3)][:1] == [2]
    assert note["band_choice"]["max_fnmr"] == pytest.approx(10 / 30), "so few pairs show no lower rate"

    faces = np.stack([pattern(1000 + sum(PEOPLE.values()) - 1), pattern(1000), pattern(1000)])
    embeddings = served.embed(preprocess.to_model_input(faces))
    assert served.similarity(embeddings[1], embeddings[2]) > served.similarity(embeddings[0], embeddings[1])


def test_what_is_shipped_says_what_was_trained(people):
    table, faces = prepare(people / "sets.toml", people / "crops", say=str, workers=1)
    keras.utils.set_random_seed(4)
    student = build_student(UNITS)
    arrays = {variable.path: np.asarray(variable.value.detach()) for variable in student.variables}
    twin = siamese_of(arrays, UNITS, table, faces).get_layer("embedding_network")
    views = WithMirrorImage()(preprocess.to_model_input(faces[:4])).cpu().numpy()
    vectors = embedder(student)((views * 255).round().astype(np.uint8)).reshape(2, -1, 128).mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    embeddings = served(twin, {})(faces[:4])
    np.testing.assert_allclose(twin.predict(preprocess.to_model_input(faces[:4]), verbose=0), embeddings, atol=1e-4)
    known = served(twin, {})(faces[labelled(table, VALIDATION).rows])
    assert np.median(np.linalg.norm(known, axis=1)) == pytest.approx(1, abs=0.02)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    # So few people have no centres: one number is the same for all.
    np.testing.assert_allclose(embeddings @ embeddings.T, (vectors @ vectors.T + 1) / 2, atol=0.05)


def test_what_a_set_named_as_centre_has_in_common_is_taken_off(people):
    text = (people / "sets.toml").read_text().replace('name = "drawn"', 'name = "drawn"\ncentre = true')
    (people / "centred.toml").write_text(text)
    table, faces = prepare(people / "centred.toml", people / "crops", say=str, workers=1)
    keras.utils.set_random_seed(4)
    arrays = {v.path: np.asarray(v.value.detach()) for v in build_student(UNITS).variables}
    twin = siamese_of(arrays, UNITS, table, faces).get_layer("embedding_network")
    views = keras.Model(twin.input, twin.get_layer("mean_of_views").output)
    vectors = views.predict(preprocess.to_model_input(faces[table.role == TRAINING]), verbose=0)
    assert np.linalg.norm(vectors.mean(axis=0)) < 0.05 * np.linalg.norm(vectors, axis=1).mean()


def test_sets_without_people_to_choose_with_are_refused(people, average, tmp_path):
    text = (people / "sets.toml").read_text().replace('calibration = "calibration"', 'calibration = "left out"')
    (people / "short.toml").write_text(text)
    words = arguments(people, "ship", str(average), str(tmp_path / "x.h5"))
    told = CliRunner().invoke(main, [word.replace("sets.toml", "short.toml") for word in words])
    assert told.exit_code == 2
    assert "calibration people" in told.stderr
    assert "Received: 0 and 0" in told.stderr
    assert list(tmp_path.iterdir()) == []
