"""Layers of our own: a face with its mirror image, the mean of what both say, and the L1 distance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from flaskapp.weights.shape import VIEWS


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
