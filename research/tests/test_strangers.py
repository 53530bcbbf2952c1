"""False matches between groups: every rate beside counting pair by pair, and what is told of it."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from click.testing import CliRunner
from PIL import Image
from weights_files import write_note, write_weights_files

from flaskapp import plots
from flaskapp.errors import DataError
from flaskapp.evaluation import no_errors_bound
from flaskapp.pairs.labels import read_labels
from flaskapp.weights.runtime import Runtime
from research.__main__ import main
from research.measure.strangers import evaluate_strangers, measure_strangers
from research.plots.strangers import plot_strangers

PHOTOS = 60
RACES, GENDERS = np.array(["x", "y", "z"]), np.array(["f", "m"])


@pytest.fixture(scope="module")
def made_up():
    """Return labels, scores of every two photos and usable photos; pairs of one group score higher."""
    generator = np.random.default_rng(6)
    labels = np.stack((RACES[generator.integers(0, 3, PHOTOS)], GENDERS[generator.integers(0, 2, PHOTOS)]), axis=1)
    acquired = generator.random(PHOTOS) > 0.15
    pairs = [pair for pair in combinations(range(PHOTOS), 2) if acquired[list(pair)].all()]
    alike = np.array([np.sum(labels[a] == labels[b]) for a, b in pairs])
    scores = np.clip(generator.normal(0.2 + 0.15 * alike, 0.2), 0, 1)
    return labels, acquired, np.array(pairs), scores


def measured(made_up, threshold=0.5, least=0.3, **settings):
    labels, acquired, pairs, scores = made_up
    kept = scores >= least
    first, second = pairs[kept].T
    return evaluate_strangers(
        first, second, scores[kept], ("race", "gender"), labels, acquired, {"here": threshold}, **settings
    )


class TestRates:
    def counted(self, made_up, belongs):
        labels, _, pairs, scores = made_up
        chosen = np.array([belongs(labels[a], labels[b]) for a, b in pairs])
        return int(np.sum(scores[chosen] >= 0.5)), int(chosen.sum())

    def test_each_rate_is_what_pairs_say_one_by_one(self, made_up):
        [found] = measured(made_up, replicates=20).operating

        def check(rate, belongs):
            assert (rate.errors, rate.trials) == self.counted(made_up, belongs)

        check(found.everybody, lambda *_: True)
        check(found.alike, lambda a, b: (a == b).all())
        check(found.unlike, lambda a, b: (a != b).all())
        for race in "xyz":
            check(found.within["race"][race], lambda a, b, race=race: a[0] == b[0] == race)
        for gender in "fm":
            check(found.within["gender"][gender], lambda a, b, gender=gender: a[1] == b[1] == gender)
        assert len(found.across) == 6
        for pair, rate in found.across.items():
            check(rate, lambda a, b, pair=pair: sorted((a[0], b[0])) == sorted(pair))
        for name, rate in found.cells.items():
            check(rate, lambda a, b, name=name: ", ".join(a) == ", ".join(b) == name)

    def test_failures_are_counted_by_group(self, made_up):
        labels, acquired, _, _ = made_up
        found = measured(made_up, replicates=20)
        for race, rate in found.failures["race"].items():
            chosen = labels[:, 0] == race
            assert (rate.errors, rate.trials) == (np.sum(chosen & ~acquired), chosen.sum())
        assert sum(rate.trials for rate in found.failures_of_cells.values()) == PHOTOS == found.photos

    def test_pairs_below_the_threshold_need_not_be_told(self, made_up):
        assert measured(made_up, least=0.5, replicates=20) == measured(made_up, least=0.0, replicates=20)

    def test_intervals_draw_photos(self, made_up):
        labels, acquired, pairs, scores = made_up
        [found] = measured(made_up, replicates=40, seed=5).operating
        shares = []
        for drawn in np.random.default_rng(5).multinomial(PHOTOS, np.full(PHOTOS, 1 / PHOTOS), size=40):
            weights = drawn[pairs[:, 0]] * drawn[pairs[:, 1]]
            within = (labels[pairs] == "x")[:, :, 0].all(axis=1)
            shares.append(np.sum(weights * within * (scores >= 0.5)) / np.sum(weights * within))
        interval = found.within["race"]["x"].interval
        assert (interval.low, interval.high) == pytest.approx(np.quantile(shares, [0.025, 0.975]), abs=1e-12)
        assert acquired.any()

    def test_no_error_is_a_bound(self, made_up):
        [found] = measured(made_up, threshold=2.0, replicates=20).operating
        assert found.everybody.share == 0
        assert found.everybody.interval.high == no_errors_bound(found.everybody.trials)

    def test_the_spread_is_the_worst_over_the_geometric_mean(self, made_up):
        [found] = measured(made_up, replicates=20).operating
        shares = [rate.share for rate in found.within["race"].values()]
        assert found.spread["race"] == pytest.approx(max(shares) / np.prod(shares) ** (1 / 3))
        [few] = measured(made_up, threshold=0.95, replicates=20).operating
        assert few.spread["race"] is None

    def test_what_is_not_stated_is_a_group_of_its_own(self, made_up):
        labels, acquired, pairs, scores = made_up
        labels = labels.copy()
        labels[0] = ""
        found = evaluate_strangers(*pairs.T, scores, ("race", "gender"), labels, acquired, {"here": 0.5}, replicates=5)
        assert found.failures["race"]["not stated"].trials == 1

    def test_too_many_combinations_or_no_usable_photo_are_refused(self, made_up):
        _, acquired, pairs, scores = made_up
        names = np.array([[str(number)] for number in range(PHOTOS)])
        with pytest.raises(DataError, match="two usable photos"):
            evaluate_strangers(*pairs.T, scores, ("n",), names, np.zeros(PHOTOS, bool), {"here": 0.5})
        many = np.array([[str(number)] for number in range(201)])
        with pytest.raises(DataError, match="at most 200 combinations"):
            evaluate_strangers(*pairs.T, scores, ("n",), many, np.ones(201, bool), {"here": 0.5})
        assert acquired.any()

    def test_it_is_drawn_and_written(self, made_up, tmp_path):
        found = measured(made_up, replicates=20)
        assert json.loads(json.dumps(found.to_json(), allow_nan=False)) == found.to_json()
        figure = plot_strangers(found.to_json())
        heat, rates, failures = figure.axes
        assert [label.get_text() for label in heat.get_xticklabels()] == ["x", "y", "z"]
        cells = found.operating[0].cells
        assert sorted(bar.get_width() for bar in rates.patches) == sorted(rate.share for rate in cells.values())
        assert len(failures.patches) == len(cells)
        plots.save(figure, tmp_path / "a.png")

    def test_ages_are_drawn_in_order_of_years(self, made_up):
        labels, acquired, pairs, scores = made_up
        ages = np.array([["10-19"], ["3-9"], ["more than 70"]])[np.arange(len(labels)) % 3]
        found = evaluate_strangers(*pairs.T, scores, ("age",), ages, acquired, {"here": 0.5}, replicates=5)
        heat, rates, _ = plot_strangers(found.to_json()).axes
        for labels in (heat.get_xticklabels(), rates.get_yticklabels()):
            assert [label.get_text() for label in labels] == ["3-9", "10-19", "more than 70"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_note(write_weights_files(tmp_path_factory.mktemp("weights")), (0.4, 0.6))


@pytest.fixture
def faces(tmp_path, hopper, collins):
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "1.jpg").write_bytes(hopper)
    (tmp_path / "val" / "2.jpg").write_bytes(collins)
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "val" / "3.jpg")
    Image.open(tmp_path / "val" / "2.jpg").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "val" / "4.jpg")
    (tmp_path / "labels.csv").write_text(
        "file,age,race,gender\nval/1.jpg,1,w,f\nval/2.jpg,2,w,f\nval/3.jpg,3,w,m\nval/4.jpg,4,w,f\n"
    )
    return tmp_path


class TestCommand:
    def run(self, *arguments, code=0):
        told = CliRunner().invoke(main, ["strangers", *map(str, arguments)])
        assert told.exit_code == code, told.output
        return told

    def test_every_two_photos_are_compared_once(self, faces, weights):
        found = measure_strangers(read_labels(faces / "labels.csv", ["race"]), faces, Runtime(weights))
        assert list(found.failures) == ["val/3.jpg"]
        point = found.strangers.operating[0]
        assert (point.name, point.threshold, point.everybody.trials) == ("at the threshold", 0.5, 3)
        assert [point.name for point in found.strangers.operating] == ["at the threshold", "read match"]

    def test_it_tells_rates_and_failures_by_group(self, faces, weights, tmp_path):
        told = self.run(
            *(faces, "--labels", faces / "labels.csv", "--by", "race", "--by", "gender"),
            *(
                "--weights",
                weights,
                "--json",
                tmp_path / "a.json",
                "--report",
                tmp_path / "a.html",
                "--plots",
                tmp_path,
            ),
        )
        assert "4, of which 3 usable" in told.stdout
        assert "gender=m" in told.stdout
        assert told.stderr.startswith("  failure to acquire: val/3.jpg")
        figures = json.loads((tmp_path / "a.json").read_text())
        assert figures["failures_to_acquire"]["gender"]["m"]["errors"] == 1
        assert figures["operating_points"][0]["within"]["gender"]["f"]["trials"] == 3
        assert "<script" not in (tmp_path / "a.html").read_text()
        assert (tmp_path / "fairness.png").exists()

    def test_groups_are_needed(self, tmp_path):
        assert "strangers needs --labels" in self.run(tmp_path, code=2).stderr

    def test_missing_photos_are_one_clean_line(self, faces):
        (faces / "val" / "2.jpg").unlink()
        told = self.run(faces, "--labels", faces / "labels.csv", "--by", "race", code=2)
        assert "1 of 4 photos in the list do not exist; the first is val/2.jpg" in told.stderr
