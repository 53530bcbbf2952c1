"""The network's shape, for Keras that trains it and for ONNX Runtime that serves it."""

from flaskapp.preprocess import CROP_SIZE

INPUT_SHAPE = (CROP_SIZE, CROP_SIZE, 3)
FILTERS = (64, 128, 128, 256)  # of the four blocks
RESIDUAL_UNITS = (0, 2, 4, 3)
"""Behind the first convolution of each block. Early layers work on large maps and cost most, late ones
hold most of the weights."""
NECK_FILTERS = 512  # of the 1×1 convolution behind the blocks
VECTOR_SIZE = 128  # of the teacher's own space, which the network learned; a vector's length says how sure it is
EMBEDDING_SIZE = 4096
VIEWS = 2  # the face and its mirror image
FEATURES = VECTOR_SIZE + 1  # the vector, and how far it lies from those around it: what the embedding is made of
CENTRES, SHARPNESS = 256, 20.0
"""Of ``layers.WithDistinctness``: how many means of faces it knows, and how fast they count for less as they lie
farther off. research/notes/distinctness.md has what else was tried."""
SHORTEST = 1e-6  # length of a vector that is divided by: no network gives zeros, and whoever does is told so
