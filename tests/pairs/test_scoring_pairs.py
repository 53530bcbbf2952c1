from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from weights_files import write_weights_files

from flaskapp.errors import DataError
from flaskapp.pairs.lists import PhotoPair
from flaskapp.pairs.scoring import score_pairs
from flaskapp.verifier import Verifier
from flaskapp.weights.runtime import Runtime


class CountingRuntime(Runtime):
    """Counts the faces that it embeds."""

    embedded = 0

    def embed(self, faces: np.ndarray) -> np.ndarray:
        self.embedded += len(faces)
        return super().embed(faces)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_weights_files(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def runtime(weights) -> CountingRuntime:
    return CountingRuntime(weights)


@pytest.fixture
def root(tmp_path, hopper, collins) -> Path:
    (tmp_path / "hopper").mkdir()
    (tmp_path / "hopper" / "1.jpg").write_bytes(hopper)
    (tmp_path / "hopper" / "2.jpg").write_bytes(hopper)
    (tmp_path / "collins.jpg").write_bytes(collins)
    (tmp_path / "broken.jpg").write_bytes(collins[:2000])
    return tmp_path


PAIRS = [
    PhotoPair("hopper/1.jpg", "hopper/2.jpg", same=True),
    PhotoPair("hopper/1.jpg", "collins.jpg", same=False),
    PhotoPair("broken.jpg", "hopper/2.jpg", same=False),
]


def test_pairs_get_the_score_of_a_comparison(root, runtime, hopper, collins):
    scores, _ = score_pairs(PAIRS, root, runtime)
    assert scores[1] == Verifier(runtime).verify(hopper, collins).similarity_score
    assert scores[0] > scores[1]


def test_a_photo_that_cannot_be_used_is_a_failure_to_acquire(root, runtime):
    scores, failures = score_pairs(PAIRS, root, runtime)
    assert np.isnan(scores).tolist() == [False, False, True]
    assert list(failures) == ["broken.jpg"]
    assert "missing" in failures["broken.jpg"]


def test_each_photo_is_embedded_once(root, runtime):
    score_pairs(PAIRS * 5, root, runtime)
    assert runtime.embedded == 3


def test_progress_goes_over_the_photos(root, runtime):
    seen = []
    score_pairs(PAIRS, root, runtime, progress=lambda photos: (seen.append(photo) or photo for photo in photos))
    assert seen == ["hopper/1.jpg", "hopper/2.jpg", "collins.jpg", "broken.jpg"]


def test_missing_photos_are_noticed_before_anything_is_embedded(root, runtime):
    pairs = [*PAIRS, PhotoPair("collins.jpg", "nobody.jpg", same=True), PhotoPair("no.jpg", "one.jpg", same=False)]
    with pytest.raises(DataError, match=r"3 of 7 photos in the list do not exist; the first is nobody\.jpg"):
        score_pairs(pairs, root, runtime)
    assert runtime.embedded == 0


def test_which_of_several_faces_counts_is_the_callers_choice(root, runtime, hopper_pixels, collins_pixels):
    from PIL import Image

    Image.fromarray(np.hstack([hopper_pixels[:512], collins_pixels])).save(root / "both.png")
    pairs = [PhotoPair("both.png", "collins.jpg", same=True)]
    scores, _ = score_pairs(pairs, root, runtime, choice="largest")
    assert np.isfinite(scores).all()
    scores, failures = score_pairs(pairs, root, runtime, choice="refuse")
    assert np.isnan(scores).all()
    assert "2 faces" in failures["both.png"]


def test_an_interruption_does_not_wait_for_the_other_photos(root, runtime):
    def stopped(photos):
        yield next(iter(photos))
        raise KeyboardInterrupt

    many = [PhotoPair("hopper/1.jpg", f"{number}.jpg", same=True) for number in range(60)]
    for pair in many:
        (root / pair.probe).write_bytes((root / "collins.jpg").read_bytes())
    with pytest.raises(KeyboardInterrupt):
        score_pairs(many, root, runtime, progress=stopped)
    assert runtime.embedded < 30
