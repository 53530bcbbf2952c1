"""Base training that begins with weights in place of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from flaskapp.errors import DataError


@pytest.mark.needs_tensorflow
def test_residual_units_that_weights_lack_begin_by_changing_nothing(tmp_path):
    import keras

    from flaskapp.model import build_embedding_network, build_siamese_network
    from flaskapp.training import base
    from flaskapp.training.distillation import build_student, fast_layout

    keras.utils.set_random_seed(4)
    shallow = build_embedding_network(residual_units=(0, 0, 1, 0))
    build_siamese_network(shallow).save(tmp_path / "earlier.h5")
    with fast_layout("float32"):
        student = build_student()
    base.start_from(student, tmp_path / "earlier.h5")
    faces = np.random.default_rng(0).random((6, 100, 100, 3), np.float32)
    known = keras.Model(shallow.input, shallow.get_layer("mean_of_views").output).predict(faces, verbose=0)
    crops = (faces * 255).round().astype(np.uint8)
    again = base.trunk_features(student, crops, np.arange(6))
    assert np.allclose(again, known, atol=0.02 * np.abs(known).max())


@pytest.mark.needs_tensorflow
def test_weights_with_more_residual_units_are_refused(tmp_path):
    from flaskapp.model import build_embedding_network, build_siamese_network
    from flaskapp.training import base
    from flaskapp.training.distillation import build_student

    build_siamese_network(build_embedding_network(residual_units=(0, 0, 4, 2))).save(tmp_path / "other.h5")
    with pytest.raises(DataError, match=r"other\.h5 is not a Siamese network"):
        base.start_from(build_student(), tmp_path / "other.h5")


@pytest.mark.slow
def test_a_projection_nearer_to_its_targets_than_a_fit_on_few_photos_stays(monkeypatch):
    from flaskapp.training import base
    from flaskapp.training.distillation import build_student

    monkeypatch.setattr(base, "SOME_PHOTOS", 8)
    student = build_student()
    kernel, bias = student.get_layer("projection").get_weights()
    rows, crops = np.arange(16), np.random.default_rng(0).integers(0, 256, (16, 100, 100, 3), np.uint8)
    said = base.trunk_features(student, crops, rows) @ kernel + bias
    base.refit_projection(student, crops, rows, said / np.linalg.norm(said, axis=1, keepdims=True), seed=0)
    assert np.array_equal(student.get_layer("projection").get_weights()[0], kernel)
    base.refit_projection(student, crops, rows, -said / np.linalg.norm(said, axis=1, keepdims=True), seed=0)
    assert not np.array_equal(student.get_layer("projection").get_weights()[0], kernel)


@pytest.mark.needs_tensorflow
def test_weights_that_lack_more_than_residual_units_are_refused(tmp_path):
    import keras

    from flaskapp.model import build_siamese_network
    from flaskapp.training import base
    from flaskapp.training.distillation import build_student

    face = keras.Input((100, 100, 3))
    vector = keras.layers.Dense(4096, name="embedding")(keras.layers.GlobalAveragePooling2D()(face))
    build_siamese_network(keras.Model(face, vector, name="embedding_network")).save(tmp_path / "other.h5")
    with pytest.raises(DataError, match=r"other\.h5 is not a Siamese network"):
        base.start_from(build_student(), tmp_path / "other.h5")
