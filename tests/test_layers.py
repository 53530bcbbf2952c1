from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def layer():
    from flaskapp.layers import L1Distance

    return L1Distance(name="distance")


def distances(layer, reference, probe) -> np.ndarray:
    from keras import ops

    return ops.convert_to_numpy(layer([np.float32(reference), np.float32(probe)]))


def test_it_is_the_absolute_difference_of_each_dimension(layer):
    rng = np.random.default_rng(0)
    reference, probe = rng.normal(0, 50, (2, 7, 33)).astype(np.float32)
    np.testing.assert_array_equal(distances(layer, reference, probe), np.abs(reference - probe))


def test_it_is_symmetric(layer):
    reference, probe = np.random.default_rng(1).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(distances(layer, reference, probe), distances(layer, probe, reference))


def test_one_embedding_has_no_distance_to_itself(layer):
    embedding = np.random.default_rng(2).normal(size=(3, 4))
    assert not distances(layer, embedding, embedding).any()


def test_an_empty_batch_stays_empty(layer):
    assert distances(layer, np.empty((0, 4)), np.empty((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("count", [1, 3])
def test_it_takes_two_embeddings(layer, count):
    with pytest.raises(ValueError, match="two embeddings"):
        layer([np.zeros((1, 4), np.float32)] * count)


def test_it_takes_a_list(layer):
    with pytest.raises(ValueError, match="two embeddings"):
        layer(np.zeros((2, 4), np.float32))


def test_both_embeddings_have_one_shape(layer):
    with pytest.raises(ValueError, match=r"one shape.*\(1, 4\) and \(1, 5\)"):
        layer([np.zeros((1, 4), np.float32), np.zeros((1, 5), np.float32)])


def test_its_configuration_makes_it_again(layer):
    again = type(layer).from_config(layer.get_config())
    assert (again.name, again.get_config()) == (layer.name, layer.get_config())


def test_it_is_registered_under_the_package(layer):
    import keras

    assert keras.saving.get_registered_name(type(layer)) == "flaskapp>L1Distance"


def test_a_saved_network_is_loaded_by_that_name(tmp_path, layer):
    import keras

    inputs = [keras.Input((2,)), keras.Input((2,))]
    total = keras.layers.Dense(1, kernel_initializer="ones")(layer(inputs))
    keras.Model(inputs, total).save(tmp_path / "network.h5")
    again = keras.models.load_model(tmp_path / "network.h5")
    assert float(again([np.float32([[1, 5]]), np.float32([[4, 3]])])[0, 0]) == 5.0


class TestViews:
    def apply(self, layer, values) -> np.ndarray:
        from keras import ops

        return ops.convert_to_numpy(layer(np.float32(values)))

    def test_behind_faces_stand_their_mirror_images(self):
        from flaskapp.layers import WithMirrorImage

        faces = np.random.default_rng(5).random((3, 6, 5, 3), np.float32)
        np.testing.assert_array_equal(self.apply(WithMirrorImage(), faces), np.concatenate([faces, faces[:, :, ::-1]]))

    def test_each_face_gets_the_mean_of_both(self):
        from flaskapp.layers import MeanOfViews

        said = np.random.default_rng(6).normal(size=(2, 3, 8)).astype(np.float32)
        np.testing.assert_allclose(self.apply(MeanOfViews(), np.concatenate(said)), said.mean(axis=0), atol=1e-6)

    def test_their_shapes_are_known_without_computing(self):
        import keras

        from flaskapp.layers import MeanOfViews, WithMirrorImage

        for batch, views in ((None, None), (5, 10)):
            assert WithMirrorImage()(keras.Input(batch_shape=(batch, 9, 8, 3))).shape == (views, 9, 8, 3)
            assert MeanOfViews()(keras.Input(batch_shape=(views, 7))).shape == (batch, 7)


class TestDistinctness:
    def told(self, vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
        from keras import ops

        from flaskapp.layers import WithDistinctness

        layer = WithDistinctness()
        layer.build(vectors.shape)
        layer.set_weights([centres])
        return ops.convert_to_numpy(layer(vectors))

    def vectors_and_centres(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(7)
        return rng.normal(size=(5, 16)).astype(np.float32), rng.normal(0, 0.2, (256, 16)).astype(np.float32)

    def test_it_is_how_far_a_face_lies_from_the_centres_around_it(self):
        vectors, centres = self.vectors_and_centres()
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = vectors / length @ centres.T
        near = np.exp(20 * cosines) / np.exp(20 * cosines).sum(axis=1, keepdims=True)
        both = np.concatenate([vectors / length, 1 - (near * cosines).sum(axis=1, keepdims=True)], axis=1)
        expected = length * both / np.linalg.norm(both, axis=1, keepdims=True)
        np.testing.assert_allclose(self.told(vectors, centres), expected, atol=1e-5)

    def test_the_length_stays(self):
        vectors, centres = self.vectors_and_centres()
        lengths = np.linalg.norm(self.told(vectors, centres), axis=1)
        np.testing.assert_allclose(lengths, np.linalg.norm(vectors, axis=1), rtol=1e-5)

    def test_faces_in_a_crowd_are_less_alike_than_as_close_ones_elsewhere(self):
        centres = np.zeros((256, 16), np.float32)
        centres[:, 0] = 0.6
        pair = np.array([[0.8, 0.6], [0.8, -0.6]], np.float32)
        crowd, elsewhere = np.zeros((2, 16), np.float32), np.zeros((2, 16), np.float32)
        crowd[:, [0, 1]], elsewhere[:, [2, 3]] = pair, pair
        alike = [float(np.dot(*self.told(faces, centres))) for faces in (crowd, elsewhere)]
        assert alike[0] < alike[1] - 0.1

    def test_without_centres_all_faces_are_as_distinct(self):
        vectors, centres = self.vectors_and_centres()
        told = self.told(vectors, 0 * centres)
        np.testing.assert_allclose(told[:, -1], np.linalg.norm(vectors, axis=1) / np.sqrt(2), rtol=1e-5)

    def test_nothing_becomes_of_nothing(self):
        vectors, centres = self.vectors_and_centres()
        assert not self.told(0 * vectors, centres).any()

    def test_its_shape_is_known_without_computing(self):
        import keras

        from flaskapp.layers import WithDistinctness

        assert WithDistinctness()(keras.Input(batch_shape=(None, 7))).shape == (None, 8)
