"""Several photos of one person, of made-up people whose embeddings scatter around a direction each."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from flaskapp.errors import DataError
from flaskapp.evaluation.calibration import Trust
from flaskapp.weights.info import WeightsInfo
from research.distil.calibration import Calibration
from research.measure import several
from research.measure.several import listed, measure_several

TRUST = Trust((0.0, 0.0), 0.0)
COUNTS = {kind: dict.fromkeys(("match", "inconclusive", "non_match"), 1) for kind in ("genuine", "impostor")}
FITTED = {"scale": 1.0, "offset": -1.0, "threshold": 0.5, "inconclusive_band": [0.4, 0.6], "error_counts": COUNTS}


@pytest.fixture
def runtime() -> SimpleNamespace:
    head = Calibration(-2250.0, 33.2, 0.1, 1, 1, 0.5, TRUST)
    info = WeightsInfo(
        *("made-up", "0" * 64, 0.5, (0.4, 0.6)),
        error_counts=COUNTS,
        trust=TRUST,
        grade_bounds=(0.0, 0.0),
        by_references=dict.fromkeys((2, 4, 8), FITTED),
        details={"calibration": asdict(head)},
    )
    return SimpleNamespace(info=info)


def write_people(folder: Path, photos: dict[str, int]) -> Path:
    for person, count in photos.items():
        (folder / person).mkdir(parents=True)
        for number in range(count):
            (folder / person / f"{number}.jpg").touch()
    return folder


@pytest.fixture
def made_up(monkeypatch):
    """Embed without looking: photos that are called 0.jpg fail."""

    def embed(photos, root, runtime, progress):
        rng = np.random.default_rng(0)
        of = {person: rng.normal(size=24) for person in sorted({photo.split("/")[0] for photo in photos})}
        projection = rng.normal(size=(24, 4096))
        found = {}
        for photo in photos:
            vector = (of[photo.split("/")[0]] + 0.8 * rng.normal(size=24)) @ projection
            found[photo] = (vector / np.linalg.norm(vector)).astype(np.float32)
        return {n: e for n, e in found.items() if not n.endswith("/0.jpg")}, {
            n: "No face." for n in photos if n.endswith("/0.jpg")
        }

    monkeypatch.setattr(several, "embed_photos", embed)


def test_of_people_with_few_photos_one_is_a_strangers(tmp_path):
    photos, whose = listed(write_people(tmp_path, {"anna": 8, "ben": 9, "cleo": 40}), seed=1)
    assert np.bincount(whose).tolist() == [1, 9, 20]
    assert len(set(photos)) == 30
    assert photos[1].startswith("ben/")


def test_each_number_is_measured_with_the_same_people_and_photos(tmp_path, runtime, made_up):
    folder = write_people(tmp_path, {f"p{number}": 14 for number in range(12)} | {"few": 9, "one": 2})
    found = measure_several(folder, runtime, replicates=20)
    told = found.to_json()
    assert told["weights"] == runtime.info.weights_id
    assert [row["references"] for row in told["figures"]] == [1, 2, 4, 8]
    # 13 photos that can be used, 8 are references at most; "few" has 8 left, and is only a stranger.
    assert {(row["people"], row["genuine"]) for row in told["figures"]} == {(12, 12 * 3 * 5)}
    assert told["photos"] + told["photos_failed"] == len(listed(folder, 2026)[0])
    assert told["figures"][3]["eer"] < told["figures"][0]["eer"]


@pytest.mark.parametrize("photos", [{"anna": 12}, {"anna": 5, "ben": 5}])
def test_people_who_show_nothing_are_refused(tmp_path, runtime, made_up, photos):
    with pytest.raises(DataError, match="shows nobody"):
        measure_several(write_people(tmp_path, photos), runtime)
