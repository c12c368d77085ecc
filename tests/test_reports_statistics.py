"""Means, differences and tests: closed forms, scipy, an independent fit of clusters, and small simulations."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from brushbench.reports.statistics import (
    asymmetry,
    balanced,
    bootstrap_test,
    detectable_difference,
    difference_interval,
    draws_for,
    holm,
    mean_interval,
    non_inferiority,
    paired_bootstrap,
    smallest_p,
    student_test,
    wilcoxon_test,
    wins_ties_losses,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from interval_coverage import DISTRIBUTIONS, Design, coverage, rejections

VALUES = arrays.arrays(np.float64, st.integers(2, 40), elements=st.floats(-100, 100, width=32))


def skewed(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 0.7, count)


def test_a_difference_has_students_interval_and_test() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 37)
    found, expected = difference_interval(differences), stats.ttest_1samp(differences, 0)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert student_test(differences) == pytest.approx(expected.pvalue)
    assert (found.count, found.clusters, found.freedom) == (37, 37, pytest.approx(36))


def test_clusters_of_one_size_are_their_means() -> None:
    differences, clusters = skewed(60) - 1.2, np.repeat(np.arange(20), 3)
    means = differences.reshape(20, 3).mean(1)
    found, expected = difference_interval(differences, clusters), difference_interval(means)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))
    assert found.freedom == pytest.approx(19)
    assert wilcoxon_test(differences, clusters) == pytest.approx(stats.wilcoxon(means).pvalue)
    assert mean_interval(differences, clusters).high == pytest.approx(mean_interval(means).high)


def test_unequal_clusters_agree_with_matrices() -> None:
    """CR2 and its degrees of freedom as Bell and McCaffrey write them: with square roots of residual makers."""
    values, clusters = skewed(12, seed=3), np.array(list("aabbbbbcdddd"))
    count, design = len(values), np.ones((len(values), 1))
    maker = np.eye(count) - design @ design.T / count
    meat, columns = 0.0, []
    for name in np.unique(clusters):
        own = np.flatnonzero(clusters == name)
        values_of, vectors = np.linalg.eigh(maker[np.ix_(own, own)])
        root = vectors @ np.diag(values_of**-0.5) @ vectors.T
        adjusted = design[own].T @ root
        meat += float((adjusted @ (maker @ values)[own]).item() ** 2)
        columns.append(maker[:, own] @ adjusted.T / count)
    shape = np.hstack(columns)
    moments = np.linalg.eigvalsh(shape.T @ shape)
    found = difference_interval(values, clusters)
    assert found.standard_error == pytest.approx(meat**0.5 / count)
    assert found.freedom == pytest.approx(moments.sum() ** 2 / (moments**2).sum())


def test_halls_interval_inverts_his_transformation() -> None:
    values = skewed(30)
    found = mean_interval(values)
    skewness = stats.skew(values) / 30**0.5
    for end, sign in ((found.low, 1), (found.high, -1)):
        t = (values.mean() - end) / found.standard_error
        transformed = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
        assert transformed == pytest.approx(sign * stats.t.ppf(0.975, 29))
    assert found.high - found.mean > found.mean - found.low


def test_halls_interval_inverts_it_where_there_is_hardly_any_skewness() -> None:
    """A series replaces the closed form, which would divide by nearly nothing."""
    values = np.concatenate([skewed(15), -skewed(15)])
    values[0] += 1e-5
    found, skewness = mean_interval(values), stats.skew(values) / 30**0.5
    assert 1e-8 < abs(skewness) < 1e-6
    for end, sign in ((found.low, 1), (found.high, -1)):
        t = (values.mean() - end) / found.standard_error
        transformed = t + skewness * t**2 / 3 + skewness**2 * t**3 / 27 + skewness / 6
        assert transformed == pytest.approx(sign * stats.t.ppf(0.975, 29), abs=1e-11)


def test_asymmetry_is_the_skewness_of_a_mean() -> None:
    values = skewed(30)
    assert asymmetry(values) == pytest.approx(stats.skew(values) / 30**0.5)
    assert asymmetry(np.repeat(values, 2), np.repeat(np.arange(30), 2)) == pytest.approx(asymmetry(values))
    assert asymmetry(np.ones(5)) == asymmetry(np.ones(1)) == 0
    assert difference_interval(np.ones(5)).freedom == 4


def test_wilcoxon_ranks_zeros_and_takes_the_means_of_clusters() -> None:
    differences = np.array([0.0, 0.0, 0.0, 0.3, -0.1, 0.5, 0.7, -0.2, 0.9, 1.1, 0.4, 0.6])
    expected = stats.wilcoxon(differences, zero_method="pratt").pvalue
    assert wilcoxon_test(differences) == pytest.approx(expected)
    assert expected != pytest.approx(stats.wilcoxon(differences, zero_method="wilcox").pvalue)
    clusters = np.array(list("aaaaabcdefgh"))
    means = [differences[clusters == name].mean() for name in "abcdefgh"]
    assert wilcoxon_test(differences, clusters) == pytest.approx(stats.wilcoxon(means, zero_method="pratt").pvalue)


def test_halls_interval_agrees_with_the_studentised_bootstrap() -> None:
    values = skewed(200, seed=1)
    generator = np.random.default_rng(0)
    drawn = values[generator.integers(0, 200, (20_000, 200))]
    t = (drawn.mean(1) - values.mean()) / stats.sem(drawn, axis=1)
    upper, lower = np.quantile(t, [0.975, 0.025])
    found, error = mean_interval(values), stats.sem(values)
    assert found.low == pytest.approx(values.mean() - upper * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() - lower * error, abs=0.15 * error)


def test_without_skewness_it_is_students() -> None:
    values = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    assert mean_interval(values) == difference_interval(values)
    nearly = mean_interval(np.array([-3.0, -1.0, 0.0, 1.0, 3.0 + 1e-5]))
    assert nearly.high == pytest.approx(difference_interval(values).high, abs=1e-4)


@given(VALUES, st.floats(-1000, 1000), st.sampled_from([0.001, 0.5, -2.0, 1000.0]))
def test_intervals_follow_shift_and_scale(values: np.ndarray, shift: float, scale: float) -> None:
    for interval in (mean_interval, difference_interval):
        found, moved = interval(values), interval(values * scale + shift)
        ends = sorted((found.low * scale + shift, found.high * scale + shift))
        assert (moved.low, moved.high) == pytest.approx(tuple(ends), rel=1e-6, abs=1e-4 * abs(scale))


@given(VALUES, st.randoms(use_true_random=False))
def test_order_and_names_of_clusters_mean_nothing(values: np.ndarray, random) -> None:
    clusters = np.arange(len(values)) // 2
    order = list(range(len(values)))
    random.shuffle(order)
    renamed = np.array([f"image {cluster}" for cluster in clusters])
    found, other = mean_interval(values, clusters), mean_interval(values[order], renamed[order])
    assert (found.low, found.high) == pytest.approx((other.low, other.high), rel=1e-6, abs=1e-6, nan_ok=True)


def test_the_bootstrap_draws_whole_samples() -> None:
    """For few differences, all possible draws are counted instead."""
    differences = np.array([0.9, 2.1, -0.4, 1.3, 0.2, 1.7])
    drawn = differences[np.array(list(itertools.product(range(6), repeat=6)))]
    errors = np.sqrt(drawn.var(axis=1) / 5)
    with np.errstate(divide="ignore"):
        t = np.abs(drawn.mean(1) - differences.mean()) / errors
    exact = np.mean(t >= np.abs(stats.ttest_1samp(differences, 0).statistic) - 1e-9)
    p_value, interval = paired_bootstrap(differences)
    assert p_value == bootstrap_test(differences) == pytest.approx(exact, abs=0.01)
    half = np.sort(t)[::-1][int(0.05 * len(t))] * stats.sem(differences)
    assert (interval.low, interval.high) == pytest.approx(
        (differences.mean() - half, differences.mean() + half), rel=0.05
    )
    assert bootstrap_test(differences, seed=1) != p_value
    assert bootstrap_test(differences * 1e-3) == p_value


@given(arrays.arrays(np.float64, st.integers(6, 30), elements=st.floats(-3, 4, width=32)), st.integers(0, 3))
def test_the_interval_holds_zero_where_the_test_finds_nothing(differences: np.ndarray, seed: int) -> None:
    p_value, interval = paired_bootstrap(differences, seed=seed, draws=199)
    assert (interval.low <= 0 <= interval.high) == (p_value > 0.05)


@pytest.mark.parametrize("draws", [99, 199, 9999])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_interval_ends_where_the_test_begins_to_reject(draws: int, level: float) -> None:
    differences = skewed(25) - 1.0
    low, high = (getattr(paired_bootstrap(differences, draws=draws, level=level)[1], end) for end in ("low", "high"))
    step = 1e-6 * (high - low)
    for end, inward in ((low, step), (high, -step)):
        assert bootstrap_test(differences - (end + inward), draws=draws) > 1 - level + 1e-9
        assert bootstrap_test(differences - (end - inward), draws=draws) <= 1 - level + 1e-9


def test_three_clusters_are_drawn_in_all_ways_alike() -> None:
    """Against all 27 draws; a draw of one cluster alone is infinitely far away, unless it is the mean itself."""
    deviations = np.array([-1.0, 0.0, 1.0])
    drawn = np.array(list(itertools.product(deviations, repeat=3)))
    shifts, spreads = drawn.mean(axis=1), drawn.std(axis=1) * 3**0.5 / 3
    distances = [abs(a) / b if b else np.inf if a else 0.0 for a, b in zip(shifts, spreads, strict=True)]
    for mean in (0.25, 0.375):  # binary fractions, so that the middle deviation is 0 to the last bit.
        observed = mean / (2**0.5 / 3)
        p_value = bootstrap_test(deviations + mean)
        assert p_value == pytest.approx(np.mean(np.array(distances) >= observed), abs=0.015)
        assert p_value * 10_000 == pytest.approx(round(p_value * 10_000), abs=1e-6)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("spread", [1e-3, 1e-4, 1e-6, 1e-9, 1e-13])
def test_no_p_value_is_below_that_of_equal_signs(count: int, spread: float) -> None:
    """For differences that hardly differ, only the two choices with all signs alike are as extreme."""
    for seed in range(3):
        differences = 1 + spread * np.random.default_rng(seed).normal(size=count)
        p_value, interval = paired_bootstrap(differences)
        assert p_value >= 2 / 2**count
        assert np.isnan(interval.low) == (count < 6)
    assert bootstrap_test(np.ones(count)) == 2 / 2**count
    assert smallest_p(count) == 2 / 2**count


def test_differences_that_hardly_differ_are_found_in_many_samples() -> None:
    for spread in (1e-2, 1e-5, 1e-9):
        differences = 3 + spread * np.random.default_rng(0).normal(size=40)
        p_value, interval = paired_bootstrap(differences)
        assert p_value == 1e-4
        assert interval.low == pytest.approx(3, abs=spread)


def test_the_draws_follow_from_the_tests() -> None:
    """The smallest p-value must still be significant when it is corrected for this many tests."""
    sure = np.random.default_rng(0).normal(3, 1, 40)
    for tests in (1, 8, 600):
        p_value = bootstrap_test(sure, draws=draws_for(tests))
        assert holm([p_value], tests)[0] <= 0.005
    assert draws_for(1) == 9999
    assert draws_for(600) == 119_999
    assert smallest_p(40, draws=99) == 0.01


def test_clusters_of_unequal_sizes_are_drawn_as_they_are() -> None:
    """Means of samples, not of clusters: as in a bootstrap that is written as one says it."""
    differences = np.random.default_rng(1).normal(0.4, 1, 24)
    clusters = np.array([0] * 4 + [1] * 2 + [2] * 3 + list(range(3, 18)))
    groups = [differences[clusters == name] for name in range(18)]
    generator, observed = np.random.default_rng(0), differences.mean()

    def studentised(drawn: list[np.ndarray], centre: float) -> float:
        mean = np.concatenate(drawn).mean()
        return abs(mean - centre) / np.sqrt(sum((np.sum(group - mean)) ** 2 for group in drawn)) * sum(map(len, drawn))

    expected = [studentised([groups[place] for place in generator.integers(0, 18, 18)], observed) for _ in range(4000)]
    p_value = np.mean(np.array(expected) >= studentised(groups, 0.0))
    assert bootstrap_test(differences, clusters) == pytest.approx(p_value, abs=0.02)


def test_the_bootstrap_keeps_clusters_together() -> None:
    differences = np.random.default_rng(5).normal(0.4, 1, 15)
    twice, clusters = np.repeat(differences, 2), np.repeat(np.arange(15), 2)
    assert bootstrap_test(twice, clusters) == pytest.approx(bootstrap_test(differences))
    assert bootstrap_test(twice) < bootstrap_test(twice, clusters) / 2


def test_no_difference_is_no_finding() -> None:
    for test in (student_test, bootstrap_test, wilcoxon_test):
        assert test(np.zeros(10)) == 1
        assert test(np.zeros(0)) == 1
    assert student_test(np.ones(10)) == 0
    assert bootstrap_test(np.ones(20)) == pytest.approx(1e-4, abs=2e-4)


def test_too_few_clusters_have_no_interval() -> None:
    for values, clusters in ((np.array([3.0]), None), (np.array([3.0, 4.0]), np.array(["a", "a"]))):
        found = mean_interval(values, clusters)
        assert found.mean == values.mean()
        assert np.isnan([found.low, found.high, found.standard_error, found.freedom]).all()
        assert student_test(values, clusters) == bootstrap_test(values, clusters) == 1
        assert np.isnan(detectable_difference(found))
        assert non_inferiority(values, 1.0, clusters).verdict == "undecided"
    assert np.isnan(mean_interval(np.zeros(0)).mean)


def test_what_is_no_score_is_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            mean_interval(np.array([1.0, value]))
    with pytest.raises(ValueError, match="margin"):
        non_inferiority(np.zeros(3), -1.0)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert len(holm([])) == 0
    # Of five tests three are unknown.
    assert holm([0.01, 0.02], 5) == pytest.approx([0.05, 0.08])
    assert holm([0.3], 7) == pytest.approx([1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_rejects_step_by_step(p_values: list[float]) -> None:
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[index] * (len(p_values) - step) > 0.05:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p <= 0.05} == rejected


def test_wins_ties_and_losses() -> None:
    differences = np.array([0.5, 0.01, 0.0, -0.01, -2.0, -0.3])
    assert wins_ties_losses(differences) == (2, 1, 3)
    assert wins_ties_losses(differences, tie=0.01) == (1, 3, 2)


def test_a_detectable_difference_is_found_with_its_power() -> None:
    generator = np.random.default_rng(0)
    estimate = difference_interval(generator.normal(0, 1, 25))
    # Noise of exactly the standard error that was observed.
    shift, spread = detectable_difference(estimate), estimate.standard_error * 5
    drawn = generator.normal(shift, spread, (20_000, 25))
    assert np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.01)
    assert detectable_difference(difference_interval(np.zeros(4))) == 0
    few = difference_interval(np.array([0.0, 1.0]))
    assert detectable_difference(few) > 12 * few.standard_error


def test_non_inferiority() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 400)
    noise -= noise.mean()
    half = stats.t.ppf(0.95, 399) * stats.sem(noise)
    found = non_inferiority(noise, margin=0.2)
    assert (found.verdict, found.low, found.high) == ("not worse", pytest.approx(-half), pytest.approx(half))
    assert (found.mean, found.margin) == (pytest.approx(0), 0.2)
    assert non_inferiority(noise, margin=0.01).verdict == "undecided"
    # Surely not better, but the margin is inside of the interval.
    assert non_inferiority(noise - 0.1, margin=0.1).verdict == "undecided"
    assert non_inferiority(noise - 0.5, margin=0.2).verdict == "worse"
    assert non_inferiority(noise + 0.5, margin=0.0).verdict == "better"
    assert non_inferiority(np.zeros(5), margin=0.0).verdict == "not worse"
    assert non_inferiority(np.full(5, -0.1), margin=0.05).verdict == "worse"


def test_a_balanced_mean_is_the_mean_of_the_means() -> None:
    values, splits = skewed(50), np.array(["inside"] * 30 + ["outside"] * 20)
    mean = (values[:30].mean() + values[30:].mean()) / 2
    assert balanced(values, splits).mean() == pytest.approx(mean)
    errors = [stats.sem(part) for part in (values[:30], values[30:])]
    assert mean_interval(balanced(values, splits)).standard_error == pytest.approx(np.hypot(*errors) / 2, rel=0.02)
    assert balanced(values, np.array(["inside"] * 50)) == pytest.approx(values)


@pytest.mark.parametrize("clustered", [False, True], ids=["independent", "clustered"])
def test_intervals_cover_and_tests_err_as_often_as_they_say(clustered: bool) -> None:
    """A small version of benchmarks/interval_coverage.py: 94 to 96 %, 4 to 6 %, and three errors of the simulation."""
    slack = 3 * (0.95 * 0.05 / 1000) ** 0.5
    for name in ("normal", "lognormal 0.5"):
        design = Design(DISTRIBUTIONS[name], 240, clustered)
        assert coverage(design, 1000, seed=1) == pytest.approx(0.95, abs=0.01 + slack)
    rates = rejections(Design(DISTRIBUTIONS["lognormal 0.5"], 30, clustered), 1000, draws=199, seed=2)
    for rate in (rates.student, rates.bootstrap, rates.wilcoxon):
        assert rate == pytest.approx(0.05, abs=0.01 + slack)
