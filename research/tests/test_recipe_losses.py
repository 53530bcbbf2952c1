from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

RNG = np.random.default_rng(3)


def numpy(tensor) -> np.ndarray:
    from keras import ops

    return ops.convert_to_numpy(tensor)


def tensors(*arrays):
    from keras import ops

    return [ops.convert_to_tensor(array) for array in arrays]


def unit(*shape: int) -> np.ndarray:
    vectors = RNG.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_the_margin_is_taken_off_ones_own_cosine_and_strangers_cost_nothing():
    from research.experiments.recipe_losses import MARGIN, SCALE, margin_softmax

    person, cosines = np.array([2, -1, 0], np.float32), RNG.uniform(-1, 1, (3, 4)).astype(np.float32)
    found = numpy(margin_softmax(*tensors(person, cosines)))
    logits = SCALE * cosines.astype(np.float64)
    for row, own in ((0, 2), (2, 0)):
        logits[row, own] -= SCALE * MARGIN
        assert found[row] == pytest.approx(np.log(np.exp(logits[row]).sum()) - logits[row, own], rel=1e-4)
    assert found[1] == 0


def test_genuine_and_impostor_pairs_weigh_alike():
    from research.experiments.recipe_losses import pair_cross_entropy

    person, odds = np.array([0, 0, 1, 1, 2], np.float32), RNG.normal(size=(5, 5)).astype(np.float32)
    odds = (odds + odds.T) / 2
    same = (person[:, None] == person) & ~np.eye(5, dtype=bool)
    impostor = person[:, None] != person
    expected = (np.log1p(np.exp(-odds[same])).mean() + np.log1p(np.exp(odds[impostor])).mean()) / 2
    assert numpy(pair_cross_entropy(*tensors(person, odds))).mean() == pytest.approx(expected, rel=1e-4)


def test_cosines_and_log_odds_stand_behind_the_vector():
    from research.experiments.recipe_losses import FIRST_OFFSET, FIRST_SCALE, PairScores, PersonCosines

    vectors, centres = 3 * unit(4, 128), unit(6, 128)
    cosines = numpy(PersonCosines(centres)(*tensors(vectors)))
    np.testing.assert_array_equal(cosines[:, :128], vectors)
    np.testing.assert_allclose(cosines[:, 128:], vectors @ centres.T / 3, atol=1e-5)
    odds = numpy(PairScores()(*tensors(vectors)))[:, 128:]
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=-1) / 3
    np.testing.assert_allclose(odds, FIRST_OFFSET - FIRST_SCALE * distances, atol=0.02)


def test_every_person_of_a_batch_of_pairs_stands_in_it_twice():
    from research.experiments.recipes import SEED, STILL, BatchesOfPairs, with_people

    person = np.array([7, 7, 7, 9, 9, -1, 11, 4, 4])
    rows = np.arange(9)
    told, centres = with_people(unit(9, 128), person, rows)
    assert told[5, 128] == -1
    assert len(centres) == 4
    batches = BatchesOfPairs(np.zeros((9, 100, 100, 3), np.uint8), told, rows, 4, STILL, SEED)
    for step in range(5):
        _, targets = batches.batch(step)
        numbers, counts = np.unique(targets[:, 128], return_counts=True)
        assert set(counts) == {2}
        assert set(numbers) <= {0, 1, 2}  # 4, 7 and 9; of 11 there is one photo


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["margin softmax on people too", "margin softmax on people alone", "BCE on pairs alone"]
)
def test_a_recipe_learns_a_few_faces(name):
    from research.experiments.recipes import VARIANTS, taught, with_people

    targets, faces = unit(8, 128), RNG.random((8, 100, 100, 3), np.float32)
    told, centres = with_people(targets, np.arange(8) // 2, np.arange(8))
    variant = replace(VARIANTS[name], residual_units=(0, 0, 0, 0))
    student = variant.student()
    model = taught(variant, student, targets, centres)
    losses = [float(model.train_on_batch(faces, told)) for _ in range(6)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_every_photo_is_spoiled_and_the_same_way_for_all_recipes():
    from research.experiments.recipes import SPOILED, spoiled_figures

    faces = np.random.default_rng(3).integers(0, 256, (12, 100, 100, 3), np.uint8)
    for jitter in SPOILED.values():
        spoiled = jitter.apply(faces, np.random.default_rng(1)).astype(int)
        same = [np.abs(spoiled - view).max(axis=(1, 2, 3)) <= 1 for view in (faces, faces[:, :, ::-1])]
        assert np.logical_or(*same).sum() <= 1  # a small photo may be as large as it was

    class Student:
        def predict(self, faces: np.ndarray, **_: object) -> np.ndarray:
            return faces.mean(axis=(1, 2)) + 0.1

    first, again = (spoiled_figures(Student(), faces, np.arange(12) // 2) for _ in range(2))
    assert first == again
    assert list(first) == list(SPOILED)
