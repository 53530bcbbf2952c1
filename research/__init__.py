"""How the weights are made and measured: beside the product, not installed with it.

``python -m research --help`` lists the commands; README.md tells the way.
"""

import os

# Before Keras is imported: the trainer's step is PyTorch's, compiled by it.
os.environ["KERAS_BACKEND"] = "torch"
