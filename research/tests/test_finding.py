"""Whom to look for where, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from weights_files import write_weights_files

from flaskapp.verifier import Verifier
from flaskapp.weights.runtime import Runtime
from research.measure.finding import Album, look_for, plan, read_album, rows_of
from tests.conftest import PORTRAITS


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Return a folder of people, who have four to seven photos, and one of others; the photos are none."""
    for person in range(4):
        for number in range(4 + person):
            (tmp_path / "people" / str(person)).mkdir(parents=True, exist_ok=True)
            (tmp_path / "people" / str(person) / f"{number}.jpg").touch()
    (tmp_path / "others").mkdir()
    for number in range(5):
        (tmp_path / "others" / f"{number}.jpg").touch()
    return tmp_path / "people", tmp_path / "others"


def test_no_reference_lies_in_the_album(folders):
    planned = plan(*folders, sought=2, each=3, more=4, seed=0)
    assert planned.references.keys() == planned.hers.keys() == {"2", "3"}, "those who have most photos"
    assert {name: len(photos) for name, photos in planned.references.items()} == {"2": 3, "3": 4}
    album = set(planned.album)
    assert len(album) == len(planned.album) == 5 + 2 * 3 + 4
    for name, references in planned.references.items():
        assert not album & set(references)
        assert planned.hers[name] <= album
        assert {photo.parent.name for photo in [*references, *planned.hers[name]]} == {name}
    assert plan(*folders, sought=2, each=3, more=4, seed=0) == planned
    assert plan(*folders, sought=2, each=3, more=4, seed=1) != planned


@pytest.fixture(scope="module")
def verifier(tmp_path_factory) -> Verifier:
    return Verifier(Runtime(write_weights_files(tmp_path_factory.mktemp("weights"), band=(0.715, 0.8))))


def test_an_album_is_read_and_searched_as_find_does(verifier):
    photos = [PORTRAITS / "eileen_collins.jpg", PORTRAITS / "none.jpg", PORTRAITS / "grace_hopper.jpg"]
    album = read_album(verifier, photos)
    assert album.photo.tolist() == [0, 2]
    template = verifier.embed(photos[2])[1][None]
    findings = [*verifier.find(template, [photos[0], photos[2]])]
    scores = [one.compared[0].similarity_score for one in findings]
    assert verifier.runtime.person_scores(template, album.embeddings) == pytest.approx(scores, abs=1e-12)


def test_photos_are_found_missed_or_wrong(verifier):
    rng = np.random.default_rng(0)
    faces = rng.normal(0, 1 / 64, (6, 4096)).astype(np.float32)
    photos = [Path("a/1.jpg"), Path("a/2.jpg"), Path("b/3.jpg"), Path("b/4.jpg"), Path("b/5.jpg")]
    # Photo 1 shows her among others, photo 2 somebody else, photo 3 her again, though it should not; photo 5 nobody.
    faces[[1, 4]] = faces[0]
    album = Album(photos, faces[1:], np.array([0, 0, 1, 2, 3]))
    runtime = verifier.runtime
    outcome = look_for(runtime, album, "her", faces[:1], set(photos[:2]), strict=False)
    assert (outcome.hers, outcome.found, outcome.others, outcome.wrong) == (2, 1, 3, ["b/3.jpg"])
    assert outcome.expected == pytest.approx(5 / 1000)
    row = rows_of([outcome, replace(outcome, person="him", wrong=[])])[2]
    assert [cell.strip() for cell in row.strip("|").split("|")][:8] == ["1", "band", "4", "2", "0", "2", "1", "6"]
