"""Compare two photos of faces: same person, different people, or not sure.

Importing this package loads nothing else. The parts are imported by name, for example
``from flaskapp.verifier import Verifier``, and each loads its weights when first used.
"""

import os

# NumPy starts a thread a core as it is imported, and each looks for work for a moment before it sleeps, again
# and again: a fourth of the processor time of a comparison in the terminal. It must be told before.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2⁴ turns of the processor, the fewest it takes

__version__ = "0.1.0"
