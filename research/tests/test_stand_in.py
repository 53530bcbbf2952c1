"""The stand-in for other people, of the trunk's features of training people."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from weights_files import write_weights_files

from flaskapp.errors import DataError
from flaskapp.personal.stand_in import stand_in_of
from flaskapp.weights.runtime import Runtime
from research.distil.stand_in import add_stand_in, fit_stand_in, note_of
from research.sets.labelled import Labelled


def pattern(seed: int) -> np.ndarray:
    """Return a picture uint8 (100, 100, 3) of soft patches: somebody's face."""
    patches = np.random.default_rng(seed).integers(20, 236, (5, 5, 3), np.uint8)
    return cv2.resize(patches, (100, 100), interpolation=cv2.INTER_LINEAR)


def test_it_is_put_beside_the_weights(tmp_path, monkeypatch):
    weights = write_weights_files(tmp_path)

    def features(_runtime, faces):
        return faces[:, ::10, ::10].reshape(len(faces), -1)[:, :129]

    monkeypatch.setattr(Runtime, "features", features)
    person = np.repeat(np.arange(150), 3)
    crops = np.stack([pattern(number) for number in person]) // 2 + np.random.default_rng(0).integers(
        0, 100, (450, 1, 1, 1), np.uint8
    )
    add_stand_in(weights, Labelled(np.arange(450), person, np.zeros(450, int)), crops)
    details = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    assert stand_in_of(details, details["sha256"]).count == (150, 450)
    assert not list(tmp_path.glob("*.part*"))


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 1, (400, 20)) @ rng.normal(0, 1, (20, 128)) + 3
    person = np.repeat(np.arange(400), 6)
    return (centres[person] + rng.normal(0, 0.7, (2400, 128))).astype(np.float32), person


@pytest.fixture(scope="module")
def stand_in(features):
    return fit_stand_in(*features)


class TestStandIn:
    def test_drawn_people_are_like_the_real_ones_in_mean_and_spread(self, features, stand_in):
        real, person = features
        made_up = stand_in.draw(400, 6, np.random.default_rng(1))
        drawn, number = made_up.vectors, made_up.people
        assert drawn.shape == real.shape and drawn.dtype == np.float32
        assert np.abs(drawn.mean(0) - real.mean(0)).mean() < 0.4
        for values, group in ((real, person), (drawn, number)):
            centres = values.reshape(400, 6, -1).mean(1)
            assert centres.std(0).mean() == pytest.approx(4.5, rel=0.1)
            assert (values - centres[group]).std() == pytest.approx(0.7 * np.sqrt(5 / 6), rel=0.05)

    def test_nobody_of_the_real_people_is_drawn(self, features, stand_in):
        drawn = stand_in.draw(200, 2, np.random.default_rng(1)).vectors
        nearest = np.sqrt(((features[0][None, ::7] - drawn[::7, None]) ** 2).sum(-1)).min()
        within = np.sqrt(((features[0][:6:2] - features[0][1:6:2]) ** 2).sum(-1)).mean()
        assert nearest > within

    def test_it_survives_its_json(self, stand_in):
        again = stand_in_of({"stand_in": note_of(stand_in, "a" * 64)}, "a" * 64)
        assert np.abs(again.people - stand_in.people).max() < 0.01
        assert again.count == (400, 2400)

    def test_a_few_people_cannot_hide_in_it(self, features):
        with pytest.raises(DataError, match="at least 128 people"):
            fit_stand_in(features[0][:600], features[1][:600])
