"""Layers of our own: a face with other views of it, the mean of what all say, an embedding's length, a distance."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from flaskapp.weights.shape import MOVED_PIXELS, VIEWS


@keras.saving.register_keras_serializable(package="flaskapp")
class WithOtherViews(keras.layers.Layer):
    """Put other views of each face into the batch too: its mirror image, and both moved down a little.

    First all faces as they are, then all mirror images, then both again, moved down by
    ``MOVED_PIXELS``; their topmost row is repeated above them.

    Input shape: ``(batch, height, width, channels)``.
    Output shape: ``(4 · batch, height, width, channels)``.
    """

    def call(self, inputs: Any) -> Any:
        """Return the four views of every face, view after view."""
        upright = ops.concatenate([inputs, ops.flip(inputs, axis=2)], axis=0)
        moved = ops.concatenate([*[upright[:, :1]] * MOVED_PIXELS, upright[:, :-MOVED_PIXELS]], axis=1)
        return ops.concatenate([upright, moved], axis=0)


@keras.saving.register_keras_serializable(package="flaskapp")
class MeanOfViews(keras.layers.Layer):
    """Return the mean of what is said of all views of a face.

    They show one person, so what a network says of them differs by its own errors, and the
    mean has smaller ones. Behind ``WithOtherViews``.

    Args:
        views: of each face.

    Input shape: ``(views · batch, features)``.
    Output shape: ``(batch, features)``.
    """

    def __init__(self, views: int = VIEWS, **settings: Any) -> None:
        super().__init__(**settings)
        self.views = views

    def call(self, inputs: Any) -> Any:
        """Return the mean over the parts, of one view each, that the batch consists of."""
        return ops.mean(ops.reshape(inputs, (self.views, -1, inputs.shape[-1])), axis=0)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape with one row for each face; by itself Keras may try batches that no view count divides."""
        batch, features = input_shape
        return (None if batch is None else batch // self.views, features)

    def get_config(self) -> dict[str, Any]:
        """Return how the layer is made again."""
        return {**super().get_config(), "views": self.views}


@keras.saving.register_keras_serializable(package="flaskapp")
class CertaintyLength(keras.layers.Layer):
    """Give each vector a length that says a little of how sure the network is of it.

    What was learned by regression comes out shorter where the face does not tell: the mean of what
    it could be is shorter than any of it, and views that disagree shorten their mean further.
    Unit length throws that away, and then pairs of one person with an unclear photo count as far
    apart; the whole of it lets unclear strangers count as near. A small power of it serves both.

    Args:
        exponent: vectors come out as long as ``(length / full) ** exponent``; 0 = all of unit length.
        full: the length of a vector that is sure.

    Input and output shape: ``(batch, dimensions)``; zeros stay zeros.
    """

    def __init__(self, exponent: float, full: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.exponent, self.full = exponent, full

    def call(self, inputs: Any) -> Any:
        """Return the vectors in their new lengths."""
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(inputs), axis=-1, keepdims=True), 1e-24))
        return inputs / length * (length / self.full) ** self.exponent

    def get_config(self) -> dict[str, Any]:
        """Return how the layer is made again."""
        return {**super().get_config(), "exponent": self.exponent, "full": self.full}


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
