"""Muon for convolution kernels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from flaskapp.training.precision import quicker_dtype


@keras.saving.register_keras_serializable(package="flaskapp")
class ConvolutionMuon(keras.optimizers.Muon):
    """Keras's Muon, which orthogonalises matrices only, extended to convolution kernels.

    A kernel (height, width, in, out) is updated as the matrix (height · width · in, out)
    (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024).
    Depthwise kernels, Dense layers, scales and offsets take AdamW steps.

    Args:
        learning_rate: for the kernels: the spectral norm of one step.
        adam_learning_rate: for everything else.
        **arguments: of ``keras.optimizers.Muon``.
    """

    def __init__(self, learning_rate: float = 0.035, adam_learning_rate: float = 0.0012, **arguments: Any) -> None:
        arguments = {"ns_steps": 4, "rms_rate": None, "weight_decay": None, "global_clipnorm": 1.0} | arguments
        super().__init__(learning_rate, adam_lr_ratio=adam_learning_rate / learning_rate, **arguments)
        self.matrix_dtype = quicker_dtype()

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this optimizer again."""
        config = super().get_config()
        # A later change of the rate scales AdamW's along with it: the ratio is what stays.
        config["adam_learning_rate"] = config.pop("adam_lr_ratio") * config["learning_rate"]
        return config

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 4 or "depthwise" in variable.path

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Orthogonalise a kernel as a matrix, in bfloat16 where that is quicker: three digits do.

        As Keras's own, but a·X + (b·A + c·A²)·X is computed as (a·I + b·A + c·A²)·X, with A = X·Xᵀ:
        what is added up is then small.
        """
        a, b, c = self.muon_a, self.muon_b, self.muon_c
        matrix = ops.reshape(x, (-1, x.shape[-1]))
        tall = matrix.shape[0] > matrix.shape[1]
        matrix = ops.transpose(matrix) if tall else matrix
        matrix = ops.cast(matrix / (ops.norm(matrix) + 1e-7), self.matrix_dtype)
        identity = a * ops.eye(matrix.shape[0], dtype=self.matrix_dtype)
        for _ in range(steps):
            gram = ops.matmul(matrix, ops.transpose(matrix))
            matrix = ops.matmul(identity + b * gram + c * ops.matmul(gram, gram), matrix)
        matrix = ops.transpose(matrix) if tall else matrix
        return ops.cast(ops.reshape(matrix, x.shape), x.dtype)
