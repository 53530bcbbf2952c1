"""Puts the weights, which lie at the root of the repository, inside the built package.

Everything else about the package stands in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
WEIGHTS = ("siamese_model_final.h5", "siamese_model_final.json")


class BuildWithWeights(build_py):
    """Copies the weights into ``flaskapp``, where the program looks for them first.

    An editable install copies nothing: it reads them where they lie, so there is only
    ever one copy that could go stale.
    """

    def run(self) -> None:
        """Build the modules, then lay the weights beside them."""
        super().run()
        if not self.editable_mode:
            self.copy_weights(Path(self.build_lib) / "flaskapp")

    @staticmethod
    def copy_weights(folder: Path) -> None:
        """Copy both files of the weights; a package without them would compare nothing."""
        for name in WEIGHTS:
            shutil.copyfile(ROOT / name, folder / name)


setup(cmdclass={"build_py": BuildWithWeights})
