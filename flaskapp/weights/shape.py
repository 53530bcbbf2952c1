"""The network's shape, for Keras that trains it and for ONNX Runtime that serves it."""

from flaskapp.preprocess import CROP_SIZE

INPUT_SHAPE = (CROP_SIZE, CROP_SIZE, 3)
FILTERS = (64, 128, 128, 256)
"""Of the four blocks."""
NECK_FILTERS = 512
VECTOR_SIZE = 128
"""Of the grown network: the 1×1 convolution, and the teacher's own space."""
EMBEDDING_SIZE = 4096
VIEWS = 4
"""The face, its mirror image, and both moved down by so many pixels:"""
MOVED_PIXELS = 2
