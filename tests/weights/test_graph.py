"""The graph that answers beside the network of Keras that it is made from: they are one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from weights_files import unsigned_note

from flaskapp.weights import graph as serving_graph
from flaskapp.weights.runtime import Runtime

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    """Return three pictures of large coloured squares: what has learned nothing tells them apart."""
    rng = np.random.default_rng(0)
    squares = [rng.random((count, count, 3), np.float32) for count in (2, 4, 5)]
    return np.stack([np.kron(square, np.ones((100 // len(square),) * 2 + (1,), np.float32)) for square in squares])


def unlike_new(network):
    """Move a network's normalisations and centres away from where they start, and give it a score."""
    from flaskapp.model import set_score

    rng = np.random.default_rng(3)
    for weight in network.weights:
        if "_norm/" in weight.path or weight.path.endswith("/centres"):
            weight.assign(weight + np.abs(rng.normal(0, 0.2, weight.shape)).astype(np.float32))
    set_score(network, 6000.0, 2.0)
    return network


@pytest.fixture(scope="module")
def siamese():
    """Return a network of Keras's own."""
    import keras

    from flaskapp.model import build_siamese_network

    keras.utils.set_random_seed(3)
    return unlike_new(build_siamese_network())


@pytest.fixture(scope="module")
def keras_file(siamese, tmp_path_factory) -> Path:
    """Return what training writes of that network."""
    from flaskapp.model import write_weights

    out = tmp_path_factory.mktemp("keras") / "keras.h5"
    write_weights(siamese, out, unsigned_note())
    return out


def test_embeddings_and_scores_are_those_of_keras(siamese, keras_file, faces):
    served = Runtime(keras_file)
    embeddings = served.embed(faces)
    expected = siamese.get_layer("embedding_network").predict(faces, verbose=0)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)
    scores = [served.similarity(embeddings[0], other) for other in embeddings]
    expected_scores = siamese.predict([faces[[0, 0, 0]], faces], verbose=0)[:, 0]
    np.testing.assert_allclose(scores, expected_scores, atol=1e-4)
    assert 0.05 < scores[1] < 0.85, "the comparison would say nothing at either end"


def test_the_file_is_small_enough_to_ship(keras_file):
    assert keras_file.stat().st_size < 30_000_000


def test_a_face_and_its_mirror_image_have_one_embedding_as_served(keras_file, faces):
    served = Runtime(keras_file)
    mirrored = served.embed(np.ascontiguousarray(faces[:, :, ::-1]))
    np.testing.assert_allclose(mirrored, served.embed(faces), atol=1e-6)


def test_the_layers_of_our_own_are_called_as_the_model_calls_them():
    import keras

    from flaskapp import layers

    ours = [layers.L1Distance, layers.MeanOfViews, layers.WithDistinctness, layers.WithMirrorImage]
    assert {keras.saving.get_registered_name(layer) for layer in ours} == serving_graph.OWN_LAYERS


def test_no_half_written_file_is_left(keras_file):
    assert sorted(path.name for path in keras_file.parent.iterdir()) == ["keras.h5", "keras.json"]


def test_weights_that_are_not_finite_are_not_written(siamese, tmp_path):
    from flaskapp.errors import DataError
    from flaskapp.model import write_weights

    before = siamese.get_layer("similarity_score").get_weights()
    siamese.get_layer("similarity_score").set_weights([before[0], np.array([np.nan])])
    try:
        with pytest.raises(DataError, match="not finite"):
            write_weights(siamese, tmp_path / "bad.h5", {})
    finally:
        siamese.get_layer("similarity_score").set_weights(before)
    assert not list(tmp_path.iterdir())
