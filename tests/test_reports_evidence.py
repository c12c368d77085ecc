"""Evidence over images and seeds: intervals, ranks, pairs, tails, best of n, plans; against enumeration and scipy."""

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_runs import Made, info_of
from scipy import stats

from brushbench.core.errors import UserError
from brushbench.reports.commands.report import EVIDENCE
from brushbench.reports.evidence.best_of import best_of, weights
from brushbench.reports.evidence.grids import ScoreGrid
from brushbench.reports.evidence.hierarchical import difference_over_seeds, mean_over_seeds, seed_part
from brushbench.reports.evidence.pairs import effect_size, pairs_of, wilson, win_rate
from brushbench.reports.evidence.plan import Spread, cheapest, needed, spread_of
from brushbench.reports.evidence.ranks import ranks_of
from brushbench.reports.evidence.tables import KINDS
from brushbench.reports.evidence.tails import tail_of, threshold

RANDOM = np.random.default_rng(7)
SCORES = RANDOM.normal(20, 3, (12, 1)) + RANDOM.normal(0, 1, (12, 4))


def grid(methods: dict[str, np.ndarray], metric: str = "psnr", protocol: str = "strict") -> ScoreGrid:
    frames = {
        name: pd.DataFrame(scores, [f"{place:03d}" for place in range(len(scores))], range(1, scores.shape[1] + 1))
        for name, scores in methods.items()
    }
    return ScoreGrid("brushbench", "inside", protocol, info_of(metric), frames, dict.fromkeys(methods, "contender"))


def test_nested_seeds_are_averaged_within_an_image() -> None:
    """The interval of a difference is Student's or the bootstrap's over the images' means, however many seeds."""
    found = mean_over_seeds(SCORES, crossed=False)
    means = SCORES.mean(axis=1)
    assert math.isclose(found.mean, means.mean())
    assert math.isclose(found.standard_error, stats.sem(means))
    missing = SCORES.copy()
    missing[0, 1:], missing[1] = np.nan, np.nan
    assert math.isclose(mean_over_seeds(missing, crossed=False).mean, np.array([SCORES[0, 0], *means[2:]]).mean())


def test_crossed_seeds_add_what_they_have_in_common() -> None:
    """Against the mean squares of the two-way analysis of variance, written out."""
    images, seeds = SCORES.shape
    total = sum((SCORES[i, k] - SCORES.mean()) ** 2 for i in range(images) for k in range(seeds))
    of_images = seeds * ((SCORES.mean(axis=1) - SCORES.mean()) ** 2).sum()
    of_seeds = images * ((SCORES.mean(axis=0) - SCORES.mean()) ** 2).sum()
    rest = (total - of_images - of_seeds) / (images - 1) / (seeds - 1)
    common = max(0.0, (of_seeds / (seeds - 1) - rest) / (images * seeds))
    assert math.isclose(seed_part(SCORES).variance, common, abs_tol=1e-12)
    shifted = SCORES + np.array([0.0, 3.0, -3.0, 1.0])
    nested, crossed = (mean_over_seeds(shifted, crossed=each) for each in (False, True))
    assert crossed.mean == nested.mean
    expected = math.sqrt(stats.sem(shifted.mean(axis=1)) ** 2 + seed_part(shifted).variance)
    assert math.isclose(crossed.standard_error, expected)
    assert crossed.high - crossed.low > 2 * (nested.high - nested.low)
    # Without an effect of the seeds it is Student's test of the images' means.
    flat = SCORES - SCORES.mean(axis=0) + SCORES.mean()
    p, estimate = difference_over_seeds(flat - 20, crossed=True)
    known = stats.ttest_1samp((flat - 20).mean(axis=1), 0)
    assert math.isclose(p, known.pvalue, rel_tol=1e-9)
    assert np.allclose((estimate.low, estimate.high), known.confidence_interval(0.95))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("higher", [True, False])
def test_the_best_of_n_is_the_mean_over_all_subsets(count: int, higher: bool) -> None:
    best = max if higher else min
    expected = np.mean([[best(own) for own in combinations(row, count)] for row in SCORES])
    curve = best_of(SCORES, higher_is_better=higher)
    assert math.isclose(curve[count - 1].best.mean, expected)
    assert math.isclose(weights(4, count).sum(), 1)
    assert curve[count - 1].mean == SCORES.mean()


def test_the_error_of_a_mean_of_n_falls_to_that_of_the_images() -> None:
    """With all K seeds it is the standard error of the images' means; with missing scores there is none."""
    curve = best_of(SCORES, higher_is_better=True)
    assert math.isclose(curve[-1].error, stats.sem(SCORES.mean(axis=1)))
    assert sorted((one.error for one in curve), reverse=True) == [one.error for one in curve]
    missing = np.full((3, 2), np.nan)
    assert best_of(missing, higher_is_better=True) == []


def test_ranks_are_certain_where_methods_are_apart_and_shared_where_they_are_not() -> None:
    far = ranks_of(grid({"a": SCORES, "b": SCORES - 9, "c": SCORES + 9}), draws=200)
    assert {name: (own.low, own.high, own.shares) for name, own in far.items()} == {
        "a": (2, 2, (0, 1, 0)),
        "b": (3, 3, (0, 0, 1)),
        "c": (1, 1, (1, 0, 0)),
    }
    lower = ranks_of(grid({"a": SCORES, "b": SCORES - 9}, "mse"), draws=50)
    assert lower["b"].shares == (1, 0)
    other = SCORES[:, ::-1] + RANDOM.normal(0, 0.01, SCORES.shape)
    close = ranks_of(grid({"a": SCORES, "b": other}), draws=2000)
    # The same images with their seeds in another order: each is first about as often.
    assert 0.4 < close["a"].shares[0] < 0.6
    assert (close["a"].low, close["a"].high) == (1, 2)
    assert ranks_of(grid({"a": SCORES})) == {}
    assert ranks_of(grid({"a": SCORES, "b": SCORES[:, :1] + 9}), draws=50)["b"].shares == (1, 0)


def test_crossed_seeds_are_drawn_for_all_images_at_once() -> None:
    """A seed that helps a method on every image makes ranks uncertain if all images share it; else it averages out."""
    lucky = np.tile(np.array([30.0, 10.0, 10.0, 10.0]), (40, 1))
    steady = np.full((40, 4), 13.0)
    nested = ranks_of(grid({"lucky": lucky, "steady": steady}), draws=400)
    crossed = ranks_of(grid({"lucky": lucky, "steady": steady}, protocol="paper"), draws=400)
    assert nested["lucky"].shares[0] > 0.9
    # No lucky seed among four draws of four: (3/4)^4.
    assert math.isclose(crossed["steady"].shares[0], 0.75**4, abs_tol=0.08)


def test_pairs_against_scipy() -> None:
    other = SCORES + RANDOM.normal(0.5, 1, SCORES.shape)
    (pair,) = pairs_of(grid({"a": SCORES, "b": other}, "mse"))
    means = (other - SCORES).mean(axis=1)
    assert math.isclose(pair.difference.mean, means.mean())
    assert math.isclose(pair.effect, means.mean() / means.std(ddof=1))
    assert math.isclose(pair.wins.value, (other > SCORES).mean())
    assert (pair.images, pair.seeds) == (12, 4)
    assert math.isnan(effect_size(np.ones(4)))


@pytest.mark.parametrize(("wins", "count"), [(0, 10), (3, 10), (10, 10), (217, 600)])
def test_a_win_rate_of_single_seeds_has_wilson_s_interval(wins: int, count: int) -> None:
    known = stats.binomtest(wins, count).proportion_ci(method="wilson")
    found = wilson(wins / count, count)
    assert np.allclose((found.low, found.high), (known.low, known.high))
    one_seed = win_rate(np.array([[1.0]] * wins + [[-1.0]] * (count - wins)))
    assert np.allclose((one_seed.low, one_seed.high), (known.low, known.high), atol=0.04)


def test_seeds_that_agree_tell_no_more_than_one() -> None:
    agree = np.tile(np.array([[1.0], [-1.0]] * 20), (1, 5))
    apart = np.array([[1.0, -1.0, 1.0, -1.0, 1.0], [-1.0, 1.0, -1.0, 1.0, -1.0]] * 20)
    one, five, other = win_rate(agree[:, :1]), win_rate(agree), win_rate(apart)
    assert (one.low, one.high) == (five.low, five.high)
    assert other.high - other.low < (five.high - five.low) / 2
    assert win_rate(np.zeros((4, 2))).value == 0.5


def test_tails() -> None:
    scores = np.arange(100.0).reshape(50, 2)
    found = tail_of(scores, 9.5, higher_is_better=True)
    assert found is not None
    assert (found.worst, found.scored, found.failed) == (2.0, 100, 0)
    assert math.isclose(found.catastrophic.value, 0.1)
    scores[0] = np.nan
    found = tail_of(scores, 89.5, higher_is_better=False)
    assert found is not None
    assert (found.worst, found.failed) == (97.0, 2)
    assert math.isclose(found.catastrophic.value, 0.12)
    assert tail_of(np.full((3, 1), np.nan), 0.0, higher_is_better=True) is None
    both = grid({"a": SCORES, "b": SCORES + 1})
    pooled = np.concatenate([SCORES, SCORES + 1]).ravel()
    limit = np.median(pooled) - 5 * stats.median_abs_deviation(pooled, scale="normal")
    assert math.isclose(threshold(both), limit, rel_tol=1e-4)


def test_a_plan_is_the_smallest_sample_with_the_power() -> None:
    """Against the noncentral t distribution, within one image: the usual formula adds two quantiles."""
    for deviation, effect in ((1.0, 0.5), (3.0, 0.3), (1.0, 2.0)):
        found = needed(Spread(deviation**2, 0.0, 0.0, 50, 1), effect, power=0.8, alpha=0.05, seeds=1).images
        assert found is not None

        def power(count: int, shift: float = effect / deviation) -> float:
            return float(stats.nct.sf(stats.t.ppf(0.975, count - 1), count - 1, shift * math.sqrt(count)))

        exact = next(count for count in range(2, 10_000) if power(count) >= 0.8)
        assert abs(found - exact) <= 2
    spread = Spread(4.0, 0.0, 4.0, 50, 3)
    rows = [needed(spread, 0.5, power=0.8, alpha=0.05, seeds=count) for count in (1, 2, 4)]
    images = [row.images for row in rows]
    assert images == sorted(images, key=lambda one: -(one or 0))
    assert cheapest(rows) is rows[0]
    # What seeds do to all images alike can't be averaged out by images.
    shared = Spread(4.0, 1.0, 4.0, 50, 3)
    assert needed(shared, 0.5, power=0.8, alpha=0.05, seeds=1).images is None
    assert needed(shared, 0.5, power=0.8, alpha=0.05, seeds=64).images is not None


def test_the_parts_of_a_pilot_s_variance() -> None:
    random = np.random.default_rng(3)
    differences = random.normal(0, 2, (4000, 1)) + random.normal(0, 1, (4000, 3))
    found = spread_of(differences, crossed=False)
    assert math.isclose(found.images, 4, rel_tol=0.1)
    assert math.isclose(found.rest, 1, rel_tol=0.1)
    with pytest.raises(UserError, match="the pilot has 9 images with all scores; valid: 10 or more"):
        spread_of(differences[:9], crossed=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in (1, 2, 3):
        for method, shift in (("brushnet", 1.0), ("sd-inpainting", 0.0)):
            random = np.random.default_rng(seed)
            scores = list(np.random.default_rng(0).normal(25, 2, 20) + shift + random.normal(0, 0.5, 20))
            Made(method, {"psnr": scores, "clip": [26.5] * 19 + [None]}, seed=seed).write(
                tmp_path / "runs" / f"seed={seed}" / method
            )
    Made("telea", {"psnr": [20.0] * 20, "clip": [20.0] * 20}).write(tmp_path / "runs" / "telea")
    return tmp_path / "runs"


@pytest.mark.parametrize("kind", EVIDENCE)
def test_every_table_in_every_format(kind: str, runs: Path, brushbench) -> None:
    assert tuple(KINDS) == EVIDENCE
    for form in ("text", "markdown", "latex", "csv", "json", "html"):
        code, out, told = brushbench(
            "report", runs, "--table", kind, "--format", form, "--rename", "brushnet=Ours & <b>"
        )
        assert (code, told) == (0, "")
        assert "Ours" in out
        assert ("&amp; &lt;b&gt;" in out) == (form in ("html", "markdown"))
        if form == "json":
            rows = json.loads(out)
            assert {"dataset", "protocol", "split", "metric", "unit", "scale"} <= set(rows[0])
    code, _, told = brushbench("report", runs, "--table", kind, "--significant")
    assert (code, told.count("\n")) == (2, 1)


def test_tables_say_what_they_need(runs: Path, brushbench) -> None:
    code, _, told = brushbench("report", runs / "seed=1" / "brushnet", "--table", "ranks")
    assert (code, told) == (2, "brushbench: --table ranks needs two methods that share at least two samples\n")
    code, _, told = brushbench("report", runs / "seed=1", "--table", "best-of-n")
    assert (code, told) == (2, "brushbench: --table best-of-n needs runs of a method under at least two seeds\n")


def test_a_plan_from_runs(runs: Path, brushbench) -> None:
    code, out, _ = brushbench("plan", runs, "--metric", "psnr", "--effect", 0.2, "--format", "json")
    rows = json.loads(out)
    assert code == 0
    assert [row["seeds"] for row in rows] == list(range(1, 9))
    assert (rows[0]["first"], rows[0]["second"], rows[0]["is_cheapest"]) == ("brushnet", "sd-inpainting", True)
    out = brushbench("plan", runs, "--metric", "psnr", "--effect", 0.2)[1]
    assert "pilot on inside: 20 images x 3 seeds" in out
    one = brushbench("plan", runs / "seed=1", "--metric", "psnr", "--effect", 0.2)[1]
    assert "one seed can't tell the seeds' part" in one


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--metric", "lpips", "--effect", 1), "metric 'lpips'"),
        (("--metric", "psnr", "--effect", 0), "effect 0; valid: a positive number"),
        (("--metric", "psnr", "--effect", "nan"), "effect nan; valid: a positive number"),
        (("--metric", "psnr", "--effect", 1, "--method", "brushnet"), "--method and --against belong together"),
        (("--metric", "psnr", "--effect", 1, "--method", "brushnet", "--against", "mine"), "method 'mine'"),
        (("--metric", "psnr", "--effect", 1, "--method", "brushnet", "--against", "brushnet"), "compared with itself"),
        (("--metric", "psnr", "--effect", 1, "--method", "brushnet", "--against", "telea"), "share no seed"),
    ],
)
def test_mistakes_of_a_plan_are_one_line(given: tuple[object, ...], told: str, runs: Path, brushbench) -> None:
    code, out, err = brushbench("plan", runs, *given)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
