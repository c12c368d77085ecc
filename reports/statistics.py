"""Means, differences and tests, as pure functions of float64 arrays. Nothing here reads a global generator.

A *cluster* is a set of samples that share a source image: its inside and its outside mask are two samples of one
picture, and what is hard about the picture is hard in both. Every function takes `clusters`, one name or number per
value; None: every value is a cluster of its own, and the results are the textbook ones for independent values.

What was chosen, and why (measured by `benchmarks/interval_coverage.py`):

* Standard errors are cluster-robust with the CR2 correction, and the degrees of freedom are Bell and McCaffrey's
  (Survey Methodology 28, 2002), which are the number of clusters less one when all are of one size. A plain
  cluster-robust interval with the normal quantile is too short for few or unequal clusters.
* The interval of a mean is corrected for skewness by Hall's transformation (J. R. Statist. Soc. B 54, 1992, 221-228)
  with Student's quantile, because LPIPS and squared errors are skewed to the right, where Student's own interval covers
  too rarely. It agrees with a studentised bootstrap, and needs no random draws.
* A paired difference is tested, and has its interval, by a pairs bootstrap-t: whole clusters are drawn with
  replacement, and the studentised mean is compared with how far those of the draws lie from the mean that they were
  drawn from (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 12.5; Hall, The Bootstrap and Edgeworth
  Expansion, 1992, for the symmetric interval). Differences of real scores are skewed, even between two methods that
  are equally good; there Student's t and random signs find too much (`benchmarks/type_one_error.py`).
* `difference_interval` is Student's, for reruns and margins, where differences are small and symmetric.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Shaped
from scipy import special

LEVEL, ALPHA, POWER = 0.95, 0.05, 0.8
DRAWS = 9999
"""The fewest draws of a bootstrap: its smallest p-value is 1 / (draws + 1)."""
PER_TEST = 200
"""Draws for each test of a family: so many that the smallest p-value, corrected, is a tenth of 5 %."""
AT_ONCE = 1 << 22
"""Numbers drawn at once."""
ROUNDING = 1e-12
"""Relative: standard errors below it are those of equal values."""
Values = Float64[np.ndarray, " n"]
Clusters = Shaped[np.ndarray, " n"]
Verdict = Literal["better", "not worse", "undecided", "worse"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval. What can't be had from so few clusters is NaN, never a guess."""

    mean: float
    """NaN for no value."""
    low: float
    """End of the interval; like `high`, `standard_error` and `freedom` NaN for fewer than two clusters."""
    high: float
    standard_error: float
    """The standard error of the mean, cluster-robust."""
    freedom: float
    """Degrees of freedom of the standard error."""
    count: int
    """Values."""
    clusters: int


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether a change is proven not to be worse by more than a margin."""

    verdict: Verdict
    """`better`: the whole interval is above 0. `not worse`: it is above -margin. `worse`: it is below -margin.
    `undecided`: -margin is in it, or there are fewer than two clusters."""
    mean: float
    """The mean of the differences; positive is better."""
    low: float
    """One-sided bound: the mean is above it with the level asked for. NaN for fewer than two clusters."""
    high: float
    """One-sided bound: the mean is below it, likewise."""
    margin: float


def mean_interval(values: Values, clusters: Clusters | None = None, level: float = LEVEL) -> Estimate:
    """The mean of scores, its interval corrected for skewness (Hall 1992, equation 3.1, with Student's quantile)."""
    parts = _Parts.of(values, clusters)
    quantile = _quantile(parts.freedom, (1 + level) / 2)
    upper, lower = (_hall(sign * quantile, parts.skewness) for sign in (1, -1))
    return parts.estimate(parts.mean - upper * parts.error, parts.mean - lower * parts.error)


def difference_interval(differences: Values, clusters: Clusters | None = None, level: float = LEVEL) -> Estimate:
    """The mean of paired differences with Student's interval."""
    parts = _Parts.of(differences, clusters)
    half = _quantile(parts.freedom, (1 + level) / 2) * parts.error
    return parts.estimate(parts.mean - half, parts.mean + half)


def balanced(values: Values, strata: Clusters) -> Values:
    """Values whose mean is the mean of the means of the strata, with the deviations that it has from them.

    For the mean of the inside and the outside row when one of them has more scores: the mean of all scores would count
    that one for more. Where the strata are of one size nothing but the difference between their means is removed.
    """
    if not len(values):
        return values
    names, places, counts = np.unique(strata, return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=values) / counts
    share = len(values) / (len(names) * counts)
    result: Values = means.mean() + (values - means[places]) * share[places]
    return result


def student_test(differences: Values, clusters: Clusters | None = None) -> float:
    """Two-sided p-value of the mean difference being 0, by the cluster-robust t; 1 for fewer than two clusters."""
    parts = _Parts.of(differences, clusters)
    if parts.undetermined:
        return 1.0
    return 0.0 if parts.error == 0 else float(2 * special.stdtr(parts.freedom, -abs(parts.mean) / parts.error))


def bootstrap_test(
    differences: Values, clusters: Clusters | None = None, *, seed: int = 0, draws: int = DRAWS
) -> float:
    """Two-sided p-value of the mean difference being 0: that of `paired_bootstrap`."""
    return paired_bootstrap(differences, clusters, seed=seed, draws=draws)[0]


def paired_bootstrap(
    differences: Values,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> tuple[float, Estimate]:
    """Two-sided p-value of the mean difference being 0, and the mean with its interval, by a pairs bootstrap-t.

    (1 + draws at least as far from their centre) / (1 + draws), but never below `smallest_p`; 1 for fewer than two
    clusters. The interval is that of all means that the test doesn't reject, so it holds 0 exactly if the p-value is
    above 1 - level; its ends are NaN where no p-value could be that small. Equal seeds give equal results.
    """
    parts = _Parts.of(differences, clusters)
    smallest = smallest_p(len(parts.sums), draws)
    unknown = parts.estimate(float("nan"), float("nan"))
    bounded = smallest <= 1 - level
    if parts.undetermined or parts.error == 0:
        return 1.0 if parts.undetermined else smallest, parts.estimate(parts.mean, parts.mean) if bounded else unknown
    # Both studentised alike; the correction of the variance for the number of clusters would cancel out.
    deviations = parts.sums - parts.sizes * parts.mean
    error = float(np.sqrt(np.sum(deviations**2)) / parts.sizes.sum())
    drawn = np.concatenate(list(_studentised(deviations, parts.sizes, seed, draws)))
    p_value = (1 + int(np.sum(drawn >= abs(parts.mean) / error * (1 - 1e-9)))) / (1 + draws)
    if not bounded:
        return max(p_value, smallest), unknown
    # The t above which a p-value is at most 1 - level.
    place = max(int(np.floor((1 - level) * (draws + 1) + 1e-9)) - 1, 0)
    half = float(np.partition(drawn, draws - 1 - place)[draws - 1 - place]) * error
    return max(p_value, smallest), parts.estimate(parts.mean - half, parts.mean + half)


def smallest_p(clusters: int, draws: int = DRAWS) -> float:
    """The smallest p-value that a paired test may give, whatever the differences.

    If they are symmetric around 0, the signs of so few clusters are all equal with this probability.
    """
    return max(2.0 ** (1 - clusters), 1 / (draws + 1))


def draws_for(tests: int) -> int:
    """Draws with which one of so many tests can still be significant after the correction for their number."""
    return max(DRAWS, PER_TEST * tests - 1)


def resampled(count: int, seed: int, draws: int) -> Iterator[Float64[np.ndarray, "draws clusters"]]:
    """How often each of so many clusters is in each draw with replacement, some draws at once."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, step := max(1, AT_ONCE // count)):
        rows = min(step, draws - start)
        chosen = generator.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        yield np.bincount(chosen.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def _studentised(
    deviations: Float64[np.ndarray, " clusters"], sizes: Float64[np.ndarray, " clusters"], seed: int, draws: int
) -> Iterator[Float64[np.ndarray, " draws"]]:
    """|t| of clusters drawn with replacement; infinite where a draw is of nothing but equal clusters."""
    columns = np.stack([deviations, sizes, deviations**2, deviations * sizes, sizes**2], axis=1)
    tiny = 1e-12 * float(np.mean(deviations**2))
    for times in resampled(len(deviations), seed, draws):
        moved, total, squares, mixed, square_sizes = (times @ columns).T
        shift = moved / total
        # Sum of (deviation - size * shift)^2, multiplied out: both are small, so that nothing cancels.
        spread = squares - 2 * shift * mixed + shift**2 * square_sizes
        flat = spread <= tiny
        error = np.sqrt(np.where(flat, 1.0, spread)) / total
        yield np.where(flat, np.where(np.abs(shift) > 0, np.inf, 0.0), np.abs(shift) / error)


def asymmetry(values: Values, clusters: Clusters | None = None) -> float:
    """Skewness of the clusters' sums, divided by the root of their number: by so much a mean of them is skewed.

    0 where all are equal, or there are fewer than two.
    """
    return _Parts.of(values, clusters).skewness


def wilcoxon_test(differences: Values, clusters: Clusters | None = None) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test on the mean differences of the clusters, zeros as by Pratt.

    Its hypothesis is that the differences are symmetric around 0, which is more than a mean of 0. 1 where every
    difference is 0.
    """
    # Costs a second, which the tables don't need.
    from scipy import stats

    parts = _Parts.of(differences, clusters)
    means = parts.sums / parts.sizes
    if not np.any(means):
        return 1.0
    return float(stats.wilcoxon(means, zero_method="pratt").pvalue)


def holm(p_values: Sequence[float] | Float64[np.ndarray, " tests"], family: int = 0) -> Float64[np.ndarray, " tests"]:
    """p-values corrected for their number, in their order (Holm, Scand. J. Statist. 6, 1979).

    `family`: how many tests there are in all, if that is more; of the others nothing is known, they count as 1.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    factors = max(family, len(given)) - np.arange(len(given))
    corrected = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    found = np.empty_like(given)
    found[order] = corrected
    return found


def wins_ties_losses(differences: Values, tie: float = 0.0) -> tuple[int, int, int]:
    """How many differences, positive is better, are above `tie`, within it, and below it."""
    return int(np.sum(differences > tie)), int(np.sum(np.abs(differences) <= tie)), int(np.sum(differences < -tie))


def detectable_difference(estimate: Estimate, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest true mean difference that a two-sided test finds with this power, by the noncentral t.

    From the standard error that was observed. NaN for fewer than two clusters.
    """
    if np.isnan(estimate.standard_error):
        return float("nan")
    critical = _quantile(estimate.freedom, 1 - alpha / 2)
    # Finding a difference of the wrong sign is left out: with a power worth asking for, it has no weight.
    return float(special.nctdtrinc(estimate.freedom, 1 - power, critical)) * estimate.standard_error


def non_inferiority(
    differences: Values, margin: float, clusters: Clusters | None = None, alpha: float = ALPHA
) -> NonInferiority:
    """Decide by one-sided bounds of the paired differences, positive is better, whether they are worse by `margin`.

    `not worse` is a proof at the level 1 - alpha, not a lack of proof of the opposite: with too few samples the verdict
    is `undecided`. Differences that are all 0 are `not worse` by any margin. Raises `ValueError` for a negative margin.
    (Piaggio et al., JAMA 308, 2012: CONSORT for non-inferiority.)
    """
    if margin < 0:
        raise ValueError(f"margin={margin}: valid is 0 or more")
    found = difference_interval(differences, clusters, 1 - 2 * alpha)
    verdict: Verdict = "undecided"
    if found.low > 0:
        verdict = "better"
    elif found.low >= -margin:
        verdict = "not worse"
    elif found.high < -margin:
        verdict = "worse"
    return NonInferiority(verdict, found.mean, found.low, found.high, margin)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What all of the above is made of: per cluster its sum and size, and the mean with its error."""

    mean: float
    error: float
    freedom: float
    skewness: float
    """The skewness of the clusters' deviations over the root of their number: what Hall's transformation takes."""
    sums: Float64[np.ndarray, " clusters"]
    sizes: Float64[np.ndarray, " clusters"]
    weights: Float64[np.ndarray, " clusters"]
    """CR2: 1 / (1 - share of the values)."""

    @property
    def undetermined(self) -> bool:
        """Too few clusters for any statement but the mean; or nothing differs from 0."""
        return len(self.sums) < 2 or (self.mean == 0 and self.error == 0)

    @staticmethod
    def of(values: Values, clusters: Clusters | None) -> "_Parts":
        """Raises `ValueError` for values that aren't finite, or for another number of clusters than of values."""
        if not np.all(np.isfinite(values)):
            raise ValueError("values: valid are finite numbers; leave out what isn't scored, on both sides of a pair")
        if clusters is not None and len(clusters) != len(values):
            raise ValueError(f"clusters: {len(clusters)} for {len(values)} values; valid is one per value")
        if clusters is None:
            sums, sizes = values, np.ones(len(values))
        else:
            _, places = np.unique(clusters, return_inverse=True)
            sums = np.bincount(places, weights=values).astype(np.float64)
            sizes = np.bincount(places).astype(np.float64)
        if len(sums) < 2:
            none = float("nan")
            return _Parts(float(values.mean()) if len(values) else none, none, none, 0.0, sums, sizes, sizes)
        total = sizes.sum()
        mean = float(sums.sum() / total)
        deviations = sums - sizes * mean
        weights = 1 / (1 - sizes / total)
        error = float(np.sqrt(weights @ deviations**2)) / float(total)
        if error <= ROUNDING * float(np.abs(values).max()):
            return _Parts(mean, 0.0, len(sums) - 1.0, 0.0, sums, sizes, weights)
        skewness = float(np.mean(deviations**3) / np.mean(deviations**2) ** 1.5) / len(sums) ** 0.5
        return _Parts(mean, error, _freedom(sizes, weights), skewness, sums, sizes, weights)

    def estimate(self, low: float, high: float) -> Estimate:
        return Estimate(self.mean, low, high, self.error, self.freedom, int(self.sizes.sum()), len(self.sizes))


def _freedom(sizes: Float64[np.ndarray, " clusters"], weights: Float64[np.ndarray, " clusters"]) -> float:
    """Bell and McCaffrey's for a mean: trace(M)^2 / trace(M M), M = diag(w m) - (a m)(a m)' / n, a^2 = w.

    w are the CR2 weights, m the sizes and n their sum; trace(M) is then n.
    """
    total = sizes.sum()
    squares = (
        np.sum(weights**2 * sizes**2)
        - 2 * np.sum(weights**2 * sizes**3) / total
        + np.sum(weights * sizes**2) ** 2 / total**2
    )
    return float(total**2 / squares)


def _quantile(freedom: float, probability: float) -> float:
    return float(special.stdtrit(freedom, probability))


def _hall(quantile: float, skewness: float) -> float:
    """The t at which Hall's transformation t + k t^2 / 3 + k^2 t^3 / 27 + k / 6 is `quantile`; k is the skewness."""
    if abs(skewness) < 1e-6:
        return quantile - skewness / 6 - skewness * quantile**2 / 3
    return float(3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))
