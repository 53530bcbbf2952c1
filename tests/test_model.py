from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from flaskapp import preprocess
from flaskapp.weights import shape

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture(scope="module")
def model():
    from flaskapp import model

    return model


@pytest.fixture(scope="module")
def siamese(model):
    import keras

    keras.utils.set_random_seed(0)
    return model.build_siamese_network()


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).random((4, 100, 100, 3), np.float32)


@pytest.fixture(scope="module")
def embeddings(siamese, faces) -> np.ndarray:
    return say(siamese.get_layer("embedding_network"), faces)


def say(network, faces) -> np.ndarray:
    """Return what a network says, without the graph that ``predict`` makes first."""
    return np.asarray(network(faces, training=False))


def trunk_of(model, **settings):
    """Return the convolutional part of the embedding network alone."""
    import keras

    face = keras.Input(shape.INPUT_SHAPE, name="face")
    return keras.Model(face, model.face_features(face, **settings))


def layers_of(network, kind: str) -> list:
    return [layer for layer in network.layers if type(layer).__name__ == kind]


def test_the_twin_has_four_blocks_of_convolution_normalisation_and_pooling(model, siamese):
    twin = siamese.get_layer("embedding_network")
    firsts = [twin.get_layer(f"block{number}_conv") for number in (1, 2, 3, 4)]
    assert tuple(layer.filters for layer in firsts) == shape.FILTERS == (64, 128, 128, 256)
    assert len(layers_of(twin, "MaxPooling2D")) == 4
    assert len(layers_of(twin, "BatchNormalization")) == len(layers_of(twin, "Conv2D")) + 1
    assert [layer.rate for layer in layers_of(twin, "Dropout")] == [0.3]
    assert [layer.units for layer in layers_of(twin, "Dense")] == [128, 4096]


def test_the_network_takes_two_faces_and_gives_one_score(siamese):
    assert [tensor.shape for tensor in siamese.inputs] == [(None, 100, 100, 3)] * 2
    assert [tensor.shape for tensor in siamese.outputs] == [(None, 1)]


def test_what_is_drawn_of_it_are_layers_that_it_has(siamese):
    stages = pytest.importorskip("flaskapp.plots.training").STAGES
    assert stages.keys() <= {layer.name for layer in siamese.get_layer("embedding_network").layers}


def test_the_twins_share_their_weights(siamese):
    twin = siamese.get_layer("embedding_network")
    assert siamese.count_params() == twin.count_params() + 4096 + 1
    assert 5_000_000 < siamese.count_params() < 7_500_000


def test_a_face_and_its_mirror_image_have_one_embedding(siamese, faces, embeddings):
    mirrored = say(siamese.get_layer("embedding_network"), faces[:, :, ::-1])
    np.testing.assert_allclose(mirrored, embeddings, atol=1e-6)
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-4


def test_features_are_the_trunks_vectors_in_the_mean_of_both_views_and_how_distinct_they_are(model, siamese, faces):
    twin, trunk = siamese.get_layer("embedding_network"), trunk_of(model)
    for layer in trunk.layers:
        layer.set_weights(twin.get_layer(layer.name).get_weights())
    kernel, bias = twin.get_layer("vector").get_weights()
    said = [say(trunk, view) @ kernel + bias for view in (faces, faces[:, :, ::-1])]
    features, mean = say(model.features_of(twin), faces), np.mean(said, axis=0)
    # A new network knows no centres: each face is as far from them, by its length.
    np.testing.assert_allclose(features[:, :-1] * np.sqrt(2), mean, atol=1e-4)
    np.testing.assert_allclose(features[:, -1] * np.sqrt(2), np.linalg.norm(mean, axis=1), atol=1e-4)


def unit(embeddings: np.ndarray) -> np.ndarray:
    return embeddings.astype(np.float64) / np.linalg.norm(embeddings, axis=1, keepdims=True)


def test_the_score_is_a_sigmoid_of_the_weighted_l1_distance(siamese, faces, embeddings):
    kernel, offset = siamese.get_layer("similarity_score").get_weights()
    log_odds = np.abs(unit(embeddings[:2]) - unit(embeddings[2:])) @ kernel + offset
    scores = say(siamese, [faces[:2], faces[2:]])
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-log_odds)), atol=1e-5)


def test_the_score_is_symmetric(siamese, faces):
    forth, back = (say(siamese, pair) for pair in ([faces[:2], faces[2:]], [faces[2:], faces[:2]]))
    np.testing.assert_array_equal(forth, back)


def test_the_number_of_residual_units_is_one_for_each_block(model):
    with pytest.raises(ValueError, match=r"4 numbers.*\(1, 2\)"):
        model.build_embedding_network((1, 2))


def test_channels_first_means_the_same_weights(model):
    import keras

    trunk = trunk_of(model)
    keras.config.set_image_data_format("channels_first")
    try:
        other = trunk_of(model)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert other.input_shape == trunk.input_shape
    assert [array.shape for array in other.get_weights()] == [array.shape for array in trunk.get_weights()]


def test_two_numbers_make_the_score(model, siamese, faces, embeddings):
    model.set_score(siamese, scale=700.0, offset=1.5)
    distance = np.abs(unit(embeddings[:2]) - unit(embeddings[2:])).mean(axis=1)
    scores = say(siamese, [faces[:2], faces[2:]])[:, 0]
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(700 * distance - 1.5)), atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_score_falls_with_the_distance(model, siamese, scale):
    with pytest.raises(ValueError, match="above 0"):
        model.set_score(siamese, scale, 0.0)


def test_no_code_travels_with_the_network(siamese):
    configuration = json.dumps(siamese.get_config(), default=str)
    assert "Lambda" not in configuration
    assert "__lambda__" not in configuration


def test_without_normalisation_convolutions_have_a_bias(model):
    trunk = trunk_of(model, normalization=None)
    assert not layers_of(trunk, "BatchNormalization")
    assert all(layer.use_bias for kind in ("Conv2D", "DepthwiseConv2D") for layer in layers_of(trunk, kind))


def pattern(seed: int) -> np.ndarray:
    """Return a picture uint8 (100, 100, 3) of soft patches: somebody's face."""
    patches = np.random.default_rng(seed).integers(20, 236, (5, 5, 3), np.uint8)
    return cv2.resize(patches, (100, 100), interpolation=cv2.INTER_LINEAR)


@pytest.mark.slow
def test_a_network_learns_four_pairs_by_heart():
    import keras

    from flaskapp.model import build_embedding_network, build_siamese_network, set_score

    keras.utils.set_random_seed(1)
    twin = build_embedding_network(residual_units=(0, 0, 0, 0))
    for layer in twin.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.7  # so that what is used has caught up with what is learned
    network = build_siamese_network(twin)
    set_score(network, 600.0, 2.0)
    # Every face is in one pair only, and the labels follow no rule: only memory can help.
    faces = preprocess.to_model_input(np.stack([pattern(seed) for seed in range(8)]))
    same = np.random.default_rng(0).permutation(np.repeat([0.0, 1.0], 2))[:, None]
    network.compile(keras.optimizers.Adam(2e-3), "binary_crossentropy")
    pairs = [faces[:4], faces[4:]]
    losses = [float(network.train_on_batch(pairs, same))]
    while losses[-1] > 0.2 and len(losses) < 60:
        losses.append(float(network.train_on_batch(pairs, same)))
    assert losses[-1] <= 0.2 < losses[0]
    assert ((network.predict(pairs, verbose=0) > 0.5) == (same > 0.5)).all(), losses
