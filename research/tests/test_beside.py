"""A peer beside us: the same draws for both, pair by pair, and every way to name its scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from made_up_sets import touch, unit, write_teacher
from scored_pairs import random_pairs, sources_for
from weights_files import write_note, write_weights_files

from flaskapp.errors import DataError
from flaskapp.evaluation import auc, confusion_at, eer, error_curve
from flaskapp.evaluation.intervals import resampled_weights
from flaskapp.pairs.lists import PhotoPair
from research.__main__ import main
from research.measure.beside import beside_rows, compare, peer_scores


@pytest.fixture(scope="module")
def two():
    """Return scores of two systems that err on much the same pairs, the second less often."""
    scores, same = random_pairs(600, apart=1.2)
    helped = np.where(same, 0.1, -0.1) + np.random.default_rng(1).normal(0, 0.05, 600)
    return scores, 5 * (scores + helped), same


def test_both_see_the_same_draws(two):
    ours, theirs, same = two
    sources = sources_for(same, people=90)
    found = compare(ours, theirs, same, 0.5, 2.5, sources, stated_fmrs=("0.1",), replicates=40, seed=9)
    [weights] = resampled_weights(sources, 40, seed=9)
    drawn = {"accuracy": [], "eer": [], "auc": [], "fnmr_at_fmr.0.1": []}
    share = same.mean()
    for row in weights.astype(int):
        kinds, figures = np.repeat(same, row), []
        for values, cut in ((ours, 0.5), (theirs, 2.5)):
            again = np.repeat(values, row)
            seen, curve = confusion_at(again, kinds, cut).figures(), error_curve(again, kinds)
            fnmr = curve.fnmr[np.argmax(curve.fmr <= 0.1 * (1 + 1e-12))]
            figures.append((1 - share * seen["fnmr"] - (1 - share) * seen["fmr"], eer(curve), auc(curve), fnmr))
        for name, first, second in zip(drawn, *figures, strict=True):
            drawn[name].append((first, second))
    for name, pairs in drawn.items():
        first, second = np.array(pairs).T
        ends = (found[name].low, found[name].high)
        assert ends == pytest.approx(np.quantile(first - second, [0.025, 0.975]), abs=1e-12)
    first, second = np.array(drawn["fnmr_at_fmr.0.1"]).T
    ratios = first / second
    ends = found["fnmr_at_fmr.0.1"].ratio_low, found["fnmr_at_fmr.0.1"].ratio_high
    assert ends == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=1e-12)


def test_the_figures_are_those_of_each_system(two):
    ours, theirs, same = two
    found = compare(ours, theirs, same, 0.5, 2.5, sources_for(same), replicates=20)
    assert found["accuracy"].ours == confusion_at(ours, same, 0.5).accuracy
    assert found["accuracy"].theirs == confusion_at(theirs, same, 2.5).accuracy
    assert found["eer"].difference == eer(error_curve(ours, same)) - eer(error_curve(theirs, same)) > 0
    assert found["accuracy"].ratio is None


def test_a_system_beside_itself_differs_by_nothing(two):
    ours, _, same = two
    for figure in compare(ours, ours, same, 0.5, 0.5, sources_for(same), replicates=20).values():
        assert (figure.difference, figure.low, figure.high) == (0, 0, 0)


def test_the_difference_is_surer_than_two_intervals_side_by_side(two):
    ours, theirs, same = two
    sources = sources_for(same, people=90)
    paired = compare(ours, theirs, same, 0.5, 2.5, sources, replicates=300)["auc"]
    apart = [
        compare(values, np.where(same, 1.0, 0.0), same, 0.5, 0.5, sources, replicates=300)["auc"]
        for values in (ours, theirs)
    ]
    assert paired.high - paired.low < sum(figure.high - figure.low for figure in apart)


def test_rows_in_words(two):
    ours, theirs, same = two
    found = compare(ours, theirs, same, 0.5, 2.5, sources_for(same), stated_fmrs=("0.1",), replicates=20)
    rows = {row[0]: row for row in beside_rows(found)}
    assert rows["accuracy"][3] == f"{100 * found['accuracy'].difference:+.2f}"
    assert rows["accuracy"][5:] == ("", "")
    assert rows["FNMR at FMR 10 %"][5] == f"{found['fnmr_at_fmr.0.1'].ratio:.2f}"


def test_a_ratio_to_nothing_is_not_told(two):
    ours, _, same = two
    perfect = np.where(same, 1.0, 0.0) + np.random.default_rng(4).normal(0, 0.01, 600)
    found = compare(ours, perfect, same, 0.5, 0.5, sources_for(same), stated_fmrs=("0.1",), replicates=20)
    assert found["fnmr_at_fmr.0.1"].ratio is None
    nearly = np.where(np.arange(600) == np.flatnonzero(same)[0], -1.0, perfect)
    found = compare(ours, nearly, same, 0.5, 0.5, sources_for(same), stated_fmrs=("0.1",), replicates=200)
    assert found["fnmr_at_fmr.0.1"].ratio > 1
    assert found["fnmr_at_fmr.0.1"].ratio_high is None
    assert beside_rows(found)[-1][-1] == "unknown"


def test_what_a_peers_ties_cannot_show_is_left_out(two):
    ours, _, same = two
    tied = np.where(same, 1.0, 0.0)
    found = compare(ours, tied, same, 0.5, 0.5, sources_for(same), stated_fmrs=("0.1",), replicates=20)
    assert found.keys() == {"accuracy", "eer", "auc"}


def test_one_kind_or_one_person_is_refused(two):
    ours, theirs, same = two
    with pytest.raises(DataError, match="genuine and impostor pairs"):
        compare(ours[same], theirs[same], same[same], 0.5, 2.5, sources_for(same[same]))


class TestPeerScores:
    PAIRS = (PhotoPair("a/1.jpg", "a/2.jpg", True), PhotoPair("a/1.jpg", "b/1.jpg", False))

    def test_a_list_in_whatever_order_and_direction(self, tmp_path):
        (tmp_path / "p.csv").write_text(
            "reference,probe,same,similarity_score\nb/1.jpg,a/1.jpg,0,-3\nx,y,1,9\na/1.jpg,a/2.jpg,1,\n"
        )
        np.testing.assert_array_equal(peer_scores(tmp_path / "p.csv", self.PAIRS), [np.nan, -3])

    def test_cosines_of_a_teacher(self, tmp_path):
        path = write_teacher(tmp_path / "t.npz", ["b/1.jpg", "a/1.jpg", "a/2.jpg"], unit([1, 1], [1], [0, 1]) * 7)
        np.testing.assert_allclose(peer_scores(path, self.PAIRS), [0, np.sqrt(0.5)], atol=1e-6)

    def test_of_several_views_the_first_is_the_photo_as_it_is(self, tmp_path):
        names = ["a/1.jpg", "a/2.jpg", "a/1.jpg", "a/2.jpg"]
        path = write_teacher(tmp_path / "t.npz", names, unit([1], [1], [1], [0, 1]))
        np.testing.assert_allclose(peer_scores(path, self.PAIRS[:1]), [1], atol=1e-6)

    def test_cosines_of_a_sets_file(self, tmp_path):
        write_teacher(tmp_path / "t.npz", ["1.jpg", "2.jpg"], unit([1], [0.6, 0.8]))
        touch(tmp_path / "a", "1.jpg")
        (tmp_path / "s.toml").write_text('[[set]]\nname="a"\nfolder="a"\nteacher="t.npz"\n')
        np.testing.assert_allclose(peer_scores(tmp_path / "s.toml", self.PAIRS[:1]), [0.6], atol=1e-6)

    def test_what_is_missing_is_named(self, tmp_path):
        (tmp_path / "p.csv").write_text("reference,probe,same,similarity_score\na/1.jpg,a/2.jpg,1,1\n")
        with pytest.raises(DataError, match=r"p\.csv lacks 1 of 2 pairs, the first is a/1\.jpg and b/1\.jpg"):
            peer_scores(tmp_path / "p.csv", self.PAIRS)
        path = write_teacher(tmp_path / "t.npz", ["a/1.jpg", "a/2.jpg"], unit([1], [0, 1]))
        with pytest.raises(DataError, match=r"t\.npz lacks 1 photos, the first is b/1\.jpg"):
            peer_scores(path, self.PAIRS)


def test_the_command_sets_a_peer_beside_us(tmp_path, hopper, collins):
    pytest.importorskip("matplotlib")
    weights = write_note(write_weights_files(tmp_path), (0.4, 0.6))
    for name, photo in (("h/1", hopper), ("h/2", hopper), ("c/1", collins), ("c/2", collins)):
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / f"{name}.jpg").write_bytes(photo)
    names = ["h/1.jpg", "h/2.jpg", "c/1.jpg", "c/2.jpg"]
    write_teacher(tmp_path / "t.npz", names, unit([1], [1, 0.1], [0, 1], [0.1, 1]))
    told = CliRunner().invoke(main, [str(part) for part in (
        "evaluate", "--people", tmp_path / "p", "--weights", weights, "--beside", tmp_path / "t.npz",
        "--json", tmp_path / "a.json", "--report", tmp_path / "a.html",
    )])  # fmt: skip
    assert told.exit_code == 0, told.output
    figures = json.loads((tmp_path / "a.json").read_text())["beside"]
    assert figures["accuracy"]["theirs"] == 1
    assert "difference" in told.stdout
    assert "Beside a peer" in (tmp_path / "a.html").read_text(encoding="utf-8")
