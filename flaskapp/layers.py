"""Layers of our own: a face with its mirror image, what both say, how distinct it is, and the L1 distance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from flaskapp.weights.shape import CENTRES, SHARPNESS, SHORTEST, VIEWS


@keras.saving.register_keras_serializable(package="flaskapp")
class WithMirrorImage(keras.layers.Layer):
    """Put the mirror image of each face into the batch too, behind all faces.

    Input shape: ``(batch, height, width, channels)``.
    Output shape: ``(2 · batch, height, width, channels)``.
    """

    def call(self, inputs: Any) -> Any:
        """Return all faces, then all mirror images."""
        return ops.concatenate([inputs, ops.flip(inputs, axis=2)], axis=0)


@keras.saving.register_keras_serializable(package="flaskapp")
class MeanOfViews(keras.layers.Layer):
    """Return the mean of what is said of a face and of its mirror image.

    Both show one person, so what a network says of them differs by its own errors, and the
    mean has smaller ones. Where they disagree the mean is shorter: the network is less sure.
    Behind ``WithMirrorImage``.

    Input shape: ``(2 · batch, features)``.
    Output shape: ``(batch, features)``.
    """

    def call(self, inputs: Any) -> Any:
        """Return the mean of the first half of the batch and the second."""
        return ops.mean(ops.reshape(inputs, (VIEWS, -1, inputs.shape[-1])), axis=0)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape with one row for each face; by itself Keras may try odd batches."""
        batch, features = input_shape
        return (None if batch is None else batch // VIEWS, features)


@keras.saving.register_keras_serializable(package="flaskapp")
class WithDistinctness(keras.layers.Layer):
    """Add one number to each vector: how far the face lies from the faces around it.

    Two small children look alike to the network whoever they are, and so do two people of whose like it has seen few:
    their vectors lie in a crowd. All faces have this number in common, so it makes any two alike. A face in a crowd
    has less of it, and so is less like every other. That says what a likelihood ratio does by its denominator: how
    alike two people are counts for less where many are.

    For a vector of unit length u it is ``1 − softmax(SHARPNESS · c) · c`` with ``c = u · centresᵀ``. Each centre
    is the mean of many people's vectors of unit length, so c says how alike the face is to them on average. The centres
    are the layer's only weights. With all of them zero, as in a new network, every face is as distinct. The vector and
    its number together keep the vector's length, which says how sure the network is.

    Input shape: ``(batch, features)``.
    Output shape: ``(batch, features + 1)``.
    """

    def build(self, input_shape: Any) -> None:
        """Make room for the centres."""
        shape = (CENTRES, input_shape[-1])
        self.centres = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="centres")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return the vectors with that number behind them."""
        length = ops.norm(inputs, axis=-1, keepdims=True)
        unit = inputs / ops.maximum(length, SHORTEST)
        cosines = ops.matmul(unit, ops.transpose(self.centres))
        typical = ops.sum(ops.softmax(SHARPNESS * cosines, axis=-1) * cosines, axis=-1, keepdims=True)
        both = ops.concatenate([unit, 1 - typical], axis=-1)
        return both * (length / ops.norm(both, axis=-1, keepdims=True))


@keras.saving.register_keras_serializable(package="flaskapp")
class L1Distance(keras.layers.Layer):
    """Element-wise L1 distance ``|reference - probe|`` of two embeddings.

    The layer keeps one number per dimension, so that the Dense sigmoid behind it can
    weigh each dimension (Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for
    One-shot Image Recognition", 2015, equation for the prediction vector).

    Input shapes: two tensors of the same shape, ``(batch, dimensions)``.
    Output shape: ``(batch, dimensions)``; every value is at least 0.

    Example:
        >>> L1Distance()([[[1.0, 5.0]], [[4.0, 3.0]]])  # doctest: +SKIP
        [[3.0, 2.0]]
    """

    def build(self, input_shape: Any) -> None:
        """Check that there are exactly two inputs of one shape.

        Raises:
            ValueError: the layer was given one tensor, more than two, or two shapes.
        """
        if len(input_shape) != 2 or not all(isinstance(shape, (tuple, list)) for shape in input_shape):
            raise ValueError(f"L1Distance expects a list of two embeddings. Received: input_shape={input_shape}")
        reference, probe = (tuple(shape) for shape in input_shape)
        if reference[1:] != probe[1:]:
            raise ValueError(f"L1Distance expects two embeddings of one shape. Received: {reference} and {probe}")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Return ``|reference - probe|`` for ``inputs = [reference, probe]``."""
        reference, probe = inputs
        return ops.absolute(ops.subtract(reference, probe))
