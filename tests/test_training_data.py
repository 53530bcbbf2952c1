"""What training feeds on: batches and their augmentation, pairs, the scores of all pairs."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from flaskapp.dataset.sets import CALIBRATION, TRAINING, UNKNOWN_PERSON, FaceTable
from flaskapp.training.batches import Batches, Jitter

SHARP = Jitter(coarsened=0, compressed=0, blurred=0)


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """Return 40 faces (100, 100, 3) of large soft patches, as unlike each other as may be."""
    import cv2

    patches = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3), np.uint8)
    return np.stack([cv2.resize(patch, (100, 100), interpolation=cv2.INTER_CUBIC) for patch in patches])


class TestJitter:
    def test_one_seed_gives_one_picture(self, crops):
        first, second, other = (Jitter().apply(crops[:5], np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)

    def test_faces_stay_faces(self, crops):
        changed = Jitter().apply(crops, np.random.default_rng(0))
        assert (changed.shape, changed.dtype) == (crops.shape, np.uint8)

    def test_nothing_is_changed_in_place(self, crops):
        before = crops.copy()
        Jitter().apply(crops, np.random.default_rng(0))
        np.testing.assert_array_equal(crops, before)

    def test_without_any_range_only_mirroring_is_left(self, crops):
        still = dataclasses.replace(SHARP, shift=0, turn=0, zoom=0, brightness=0, contrast=0)
        changed = still.apply(crops, np.random.default_rng(3)).astype(int)
        plain = np.abs(changed - crops).max(axis=(1, 2, 3)) <= 1
        mirrored = np.abs(changed - crops[:, :, ::-1]).max(axis=(1, 2, 3)) <= 1
        assert (plain ^ mirrored).all()
        assert 10 <= mirrored.sum() <= 30

    def test_brightness_and_contrast_stay_in_their_range(self):
        grey = np.full((200, 100, 100, 3), 120, np.uint8)
        levels = SHARP.apply(grey, np.random.default_rng(4)).mean(axis=(1, 2, 3))
        assert 120 * 0.8 - 1 <= levels.min() < 100
        assert 140 < levels.max() <= 120 * 1.2 + 1

    def test_light_is_clipped_not_wrapped(self):
        white = np.full((50, 100, 100, 3), 255, np.uint8)
        assert SHARP.apply(white, np.random.default_rng(5)).min() >= 255 * 0.8 - 1

    def test_a_face_moves_by_a_few_pixels_only(self):
        dot = np.zeros((200, 100, 100, 3), np.uint8)
        dot[:, 48:52, 48:52] = 255
        moved = (
            dataclasses.replace(SHARP, brightness=0, contrast=0)
            .apply(dot, np.random.default_rng(6))[..., 0]
            .astype(float)
        )
        rows, columns = np.indices((100, 100))
        centres = np.array([[(face * axis).sum() / face.sum() for axis in (rows, columns)] for face in moved])
        # Turning and zooming keep the middle of the picture, 49.5, where it is.
        assert np.abs(centres - 49.5).max() <= 2.1
        assert np.abs(centres - 49.5).max() > 1

    @pytest.mark.parametrize("fault", ["coarsened", "compressed", "blurred"])
    def test_about_as_many_faces_lose_detail_as_were_asked_for(self, crops, fault):
        noisy = np.clip(crops + np.random.default_rng(1).normal(0, 12, crops.shape), 0, 255).astype(np.uint8)
        still = dataclasses.replace(SHARP, shift=0, turn=0, zoom=0, brightness=0, contrast=0)
        changed = dataclasses.replace(still, **{fault: 0.5}).apply(noisy, np.random.default_rng(2)).astype(int)
        sharp = [np.abs(changed - view).max(axis=(1, 2, 3)) <= 1 for view in (noisy, noisy[:, :, ::-1])]
        lost = changed[~np.logical_or(*sharp)]
        assert 10 <= len(lost) <= 30
        roughness = [float(np.abs(np.diff(faces.astype(float), axis=2)).mean()) for faces in (noisy, lost)]
        assert roughness[1] < 0.9 * roughness[0], "fine detail is what goes"
        assert np.abs(lost.mean() - noisy.mean()) < 5, "light and colour stay"

    def test_about_as_many_faces_are_partly_covered_as_were_asked_for(self, crops):
        still = dataclasses.replace(SHARP, shift=0, turn=0, zoom=0, brightness=0, contrast=0, covered=0.5)
        changed = still.apply(np.repeat(crops, 5, axis=0), np.random.default_rng(2)).astype(int)
        views = (np.repeat(faces, 5, axis=0) for faces in (crops, crops[:, :, ::-1]))
        other = np.minimum(*((np.abs(changed - view).max(axis=3) > 1).mean(axis=(1, 2)) for view in views))
        covered = other[other > 0.01]
        assert 0.4 < len(covered) / len(other) < 0.6
        assert covered.max() <= 0.25
        assert covered.mean() > 0.08

    def test_the_nine_transformations_can_be_asked_for(self, crops):
        still = dataclasses.replace(SHARP, shift=0, turn=0, zoom=0, brightness=0, contrast=0)
        changed = dataclasses.replace(still, transformed=1.0).apply(crops, np.random.default_rng(2)).astype(int)
        views = (np.abs(changed - view).max(axis=(1, 2, 3)) <= 1 for view in (crops, crops[:, :, ::-1]))
        # One of ten leaves a face as it is, one only mirrors it.
        assert 0.5 < np.mean(~np.logical_or(*views)) < 1


class TestBatches:
    @pytest.fixture
    def batches(self, crops) -> Batches:
        targets = np.arange(40, dtype=np.float32)[:, None]
        return Batches(crops, targets, np.arange(3, 40), size=8, jitter=Jitter(), seed=7)

    def test_a_batch_is_input_and_targets(self, batches):
        faces, targets = batches.batch(0)
        assert (faces.shape, faces.dtype) == ((8, 100, 100, 3), np.float32)
        assert 0 <= faces.min() < faces.max() <= 1
        assert targets.shape == (8, 1)

    def test_any_step_can_be_the_first(self, batches):
        stream = [batches.batch(step) for step in range(10)]
        again = Batches(**vars(batches))
        for step in (9, 4, 0):
            for before, after in zip(stream[step], again.batch(step), strict=True):
                np.testing.assert_array_equal(before, after)

    def test_batches_made_ahead_are_those_of_their_steps(self, batches):
        ahead = batches.ahead(3)
        for step in (3, 4, 5):
            for expected, found in zip(batches.batch(step), next(ahead), strict=True):
                np.testing.assert_array_equal(found, expected)
        ahead.close()

    def test_an_epoch_shows_each_face_at_most_once(self, batches):
        assert batches.per_epoch == 37 // 8
        for epoch in range(3):
            steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
            rows = np.concatenate([batches.batch(step)[1][:, 0] for step in steps])
            assert len(set(rows)) == len(rows) == 32
            assert rows.min() >= 3

    def test_every_epoch_has_its_own_order_and_augmentation(self, batches):
        first, second = (batches.batch(step) for step in (0, batches.per_epoch))
        assert not np.array_equal(first[1], second[1])

    def test_faces_belong_to_their_targets(self, crops):
        still = dataclasses.replace(SHARP, shift=0, turn=0, zoom=0, brightness=0, contrast=0)
        batches = Batches(crops, crops.mean(axis=(1, 2)), np.arange(40), size=8, jitter=still, seed=0)
        faces, means = batches.batch(2)
        np.testing.assert_allclose(faces.mean(axis=(1, 2)) * 255, means, atol=1)


@pytest.mark.needs_tensorflow
class TestPairs:
    @pytest.fixture
    def features(self):
        from flaskapp.training.head import LabelledFeatures

        person = np.array([5, 5, 9, 9, 9, 2, 7, 7, 7, 7])
        return LabelledFeatures(np.zeros((10, 4), np.float32), person)

    def test_half_of_the_pairs_are_of_one_person(self, features):
        anchors, others, same = features.pairs(1000, np.random.default_rng(0))
        assert same.sum() == 500
        np.testing.assert_array_equal(features.person[anchors] == features.person[others], same.astype(bool))

    def test_no_photo_meets_itself(self, features):
        anchors, others, _ = features.pairs(1000, np.random.default_rng(1))
        assert (anchors != others).all()

    def test_people_count_alike_however_many_photos_they_have(self, features):
        anchors, _, _ = features.pairs(6000, np.random.default_rng(2))
        people, counts = np.unique(features.person[anchors], return_counts=True)
        assert people.tolist() == [5, 7, 9], "who has one photo makes no genuine pair"
        np.testing.assert_allclose(counts / 6000, 1 / 3, atol=0.03)

    def test_one_seed_gives_one_list(self, features):
        first, second = (features.pairs(50, np.random.default_rng(3)) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.needs_tensorflow
class TestAllPairs:
    @pytest.fixture
    def table(self) -> FaceTable:
        return FaceTable(
            set_names=("a", "b"),
            paths=(),
            set_index=np.array([0, 0, 0, 0, 1, 1, 1, 0, 0]),
            person=np.array([1, 1, 2, 2, 1, 3, 3, UNKNOWN_PERSON, 4]),
            role=np.array([CALIBRATION] * 9),
            landmarks=np.empty((9, 5, 2)),
            teacher=np.empty((9, 128)),
        )

    def test_people_with_two_photos_in_a_set_take_part(self, table):
        from flaskapp.training.scores import labelled

        people = labelled(table, CALIBRATION)
        assert people.rows.tolist() == [0, 1, 2, 3, 5, 6]
        assert people.person.tolist() == [1, 1, 2, 2, 3, 3]
        assert len(labelled(table, TRAINING).rows) == 0

    def test_pairs_stay_within_a_set(self, table):
        from flaskapp.training.scores import labelled

        first, second, same = labelled(table, CALIBRATION).pairs()
        assert list(zip(first.tolist(), second.tolist(), same.tolist(), strict=True)) == [
            (0, 1, True),
            (0, 2, False),
            (0, 3, False),
            (1, 2, False),
            (1, 3, False),
            (2, 3, True),
            (4, 5, True),
        ]

    def test_log_odds_are_the_weighted_l1_distance(self):
        from flaskapp.training.scores import log_odds

        rng = np.random.default_rng(4)
        embeddings, kernel = rng.normal(size=(120, 64)).astype(np.float32), rng.normal(size=64)
        first, second = map(np.array, zip(*itertools.combinations(range(120), 2), strict=True))
        expected = np.abs(embeddings[first].astype(np.float64) - embeddings[second]) @ kernel
        np.testing.assert_allclose(log_odds(embeddings, kernel, first, second), expected, atol=1e-4)
        assert len(first) > 4096, "more than one portion"
        assert log_odds(embeddings, kernel, first[:0], second[:0]).shape == (0,)
