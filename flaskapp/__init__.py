"""Compare two photos of faces: same person, different people, or not sure.

Importing this package loads nothing else. The parts are imported by name, for example
``from flaskapp.verifier import Verifier``, and each loads its weights when first used.
"""

__version__ = "0.1.0"
