from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from weights_files import random_arrays, write_h5, write_note, write_weights_files

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
    scores = score_pairs(PAIRS, root, runtime).scores
    assert scores[1] == Verifier(runtime).verify(hopper, collins).similarity_score
    assert scores[0] > scores[1]


def test_how_sure_the_network_is_of_both_photos_is_handed_on(root, tmp_path_factory, hopper, collins):
    arrays = random_arrays()
    arrays["embedding/kernel"] *= np.float32(0.02)  # shorter than 1
    runtime = Runtime(write_note(write_h5(tmp_path_factory.mktemp("unsure") / "random.h5", arrays)))
    found = Verifier(runtime).verify(hopper, collins)
    sure = [face.quality.certainty for face in (found.reference, found.probe)]
    assert 0 < sure[0] < 1 and sure[0] != sure[1]
    np.testing.assert_array_equal(
        score_pairs(PAIRS, root, runtime).certainties, [[sure[0], sure[0]], sure, [np.nan, sure[0]]]
    )


def test_a_photo_that_cannot_be_used_is_a_failure_to_acquire(root, runtime):
    scores, _, failures = score_pairs(PAIRS, root, runtime)
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


def test_a_list_in_another_encoding_is_told_how_to_save_it(root, runtime):
    pairs = [PhotoPair("collins.jpg", os.fsdecode(b"M\xe9tis.jpg"), same=True)]
    with pytest.raises(DataError, match=r"1 of 2 photos in the list do not exist.*as CSV in UTF-8, with commas"):
        score_pairs(pairs, root, runtime)


def test_which_of_several_faces_counts_is_the_callers_choice(root, runtime, hopper_pixels, collins_pixels):
    from PIL import Image

    Image.fromarray(np.hstack([hopper_pixels[:512], collins_pixels])).save(root / "both.png")
    pairs = [PhotoPair("both.png", "collins.jpg", same=True)]
    scores = score_pairs(pairs, root, runtime, choice="largest").scores
    assert np.isfinite(scores).all()
    scores, _, failures = score_pairs(pairs, root, runtime, choice="refuse")
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
