from __future__ import annotations

import numpy as np
import pytest

from flaskapp.detection import boxes


def plain_overlap(a: np.ndarray, b: np.ndarray, of_smaller: bool) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return common / (min(areas) if of_smaller else sum(areas) - common)


def test_suppression_of_nothing():
    assert boxes.suppress(np.empty((0, 4)), np.empty(0), 0.5).tolist() == []


def test_a_suppressed_box_suppresses_nobody():
    chain = np.array([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)], float)
    assert boxes.suppress(chain, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]


def test_a_box_inside_another_goes_only_when_the_smaller_counts():
    nested = np.array([(0, 0, 100, 100), (40, 40, 60, 60)], float)
    scores = np.array([0.9, 0.8])
    assert boxes.suppress(nested, scores, 0.7).tolist() == [0, 1]
    assert boxes.suppress(nested, scores, 0.7, of_smaller=True).tolist() == [0]


def test_equal_scores_are_settled_by_order():
    twins = np.array([(0, 0, 10, 10)] * 3, float)
    assert boxes.suppress(twins, np.ones(3), 0.5).tolist() == [0]


@pytest.mark.parametrize("of_smaller", [False, True])
def test_suppression_equals_its_plain_twin(of_smaller):
    dice = np.random.default_rng(2)
    corners = dice.uniform(0, 200, (3 * boxes.AT_ONCE, 2))
    many = np.hstack([corners, corners + dice.uniform(5, 40, corners.shape)])
    scores = dice.uniform(size=len(many))
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(plain_overlap(many[index], many[other], of_smaller) <= 0.4 for other in kept):
            kept.append(int(index))
    assert boxes.suppress(many, scores, 0.4, of_smaller=of_smaller).tolist() == kept


def test_boxes_without_area_overlap_nothing():
    point = np.array([5.0, 5, 5, 5])
    assert boxes.overlaps(point[None], np.array([point, (0, 0, 10, 10)])).tolist() == [[0, 0]]


def test_squares_grow_about_their_centres():
    squares = boxes.square_boxes(np.array([(0, 0, 10, 20), (5, 5, 9, 7)], float))
    assert squares.tolist() == [[-5, 0, 15, 20], [5, 4, 9, 8]]


def test_offsets_are_parts_of_the_sides():
    box, offsets = np.array([(0.0, 0, 9, 19)]), np.array([(0.1, -0.1, 0, 0.5)])
    assert boxes.shift_boxes(box, offsets)[0] == pytest.approx([0.9, -1.9, 9, 28.5])
    assert boxes.shift_boxes(box, offsets, count_ends=True)[0] == pytest.approx([1, -2, 9, 29])


def test_mirroring_twice_is_nothing():
    box = np.array([(1.0, 2, 5, 9)])
    assert boxes.mirror_boxes(box).tolist() == [[-5, 2, -1, 9]]
    assert np.array_equal(boxes.mirror_boxes(boxes.mirror_boxes(box)), box)


@pytest.mark.parametrize("quarters", range(4))
def test_points_of_a_turned_photo_go_back_to_where_they_were(quarters):
    photo = np.zeros((7, 5), int)
    photo[2, 4] = 1
    ((row, column),) = np.argwhere(np.rot90(photo, quarters))
    back = boxes.turn_back(np.array([(column + 0.5, row + 0.5)]), quarters, (5, 7))
    assert back.tolist() == [[4.5, 2.5]]


class TestLimits:
    @pytest.mark.parametrize("count", [0, 2])
    def test_few_boxes_are_all_kept(self, count):
        limits, few = boxes.Limits(), np.array([(0, 0, 40, 40), (0, 0, 300, 300)], float)[:count]
        assert limits.keep(few, np.array([0.7, 0.9])[:count], 2).tolist() == list(range(count))
        assert not limits.reached

    @pytest.mark.parametrize(("many", "one"), [(40, 300), (300, 40)])
    def test_a_box_of_another_size_stays_among_many_better_ones(self, many, one):
        limits, squares = boxes.Limits(), np.array([(0, 0, many, many)] * 9 + [(0, 0, one, one)], float)
        assert limits.keep(squares, np.array([0.9] * 9 + [0.7]), 3).tolist() == [0, 1, 9]
        assert limits.reached

    def test_of_one_size_the_best_are_kept_in_their_order(self):
        squares = np.array([(0, 0, 40, 40)] * 4, float)
        assert boxes.Limits().keep(squares, np.array([0.7, 0.9, 0.6, 0.8]), 2).tolist() == [1, 3]

    def test_three_more_looks_cost_no_more_than_one(self):
        squares, scores = np.tile((0.0, 0, 40, 40), (90, 1)), np.ones(90)
        third, whole = (boxes.Limits(share).keep(squares, scores, 60) for share in (1 / 3, 1))
        assert 3 * len(third) == len(whole)
