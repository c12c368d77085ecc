"""Means, differences and tests, as pure functions of float64 arrays. Nothing here reads a global generator.

A *cluster* is a set of samples that share a source image: its inside and its outside mask are two samples of one
picture, and what is hard about the picture is hard in both. Every function takes `clusters`, one name or number per
value. If it is None, every value is a cluster of its own, and the results are the textbook ones for independent values.

The choices, and the reasons for them (measured by `benchmarks/interval_coverage.py`):

* Standard errors are cluster-robust with the CR2 correction, and the degrees of freedom are Bell and McCaffrey's
  (Survey Methodology 28, 2002), which are the number of clusters less one if all have the same size. A plain
  cluster-robust interval with the normal quantile is too short for few or unequal clusters.
* The interval of a mean is corrected for skewness by Hall's transformation (J. R. Statist. Soc. B 54, 1992, 221-228)
  with Student's quantile, because LPIPS and squared errors are skewed to the right, where Student's own interval covers
  too rarely. It agrees with a studentised bootstrap, and needs no random draws.
* A paired difference gets its test and its interval by a pairs bootstrap-t: whole clusters are drawn with replacement,
  and the studentised mean is compared with how far those of the draws lie from the mean that they were drawn from
  (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 12.5; Hall, The Bootstrap and Edgeworth Expansion,
  1992, for the symmetric interval). Differences of real scores are skewed, even between two equally good methods, and
  then Student's t and random signs find too much (`benchmarks/type_one_error.py`).
* `difference_interval` is Student's, for reruns and margins, where differences are small and symmetric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Shaped
from scipy import special

from brushbench.reports.resampling import distances

LEVEL, ALPHA, POWER = 0.95, 0.05, 0.8
DRAWS = 9999
"""Fewest draws of a bootstrap, whose smallest p-value is 1 / (draws + 1)."""
PER_TEST = 200
"""Draws for each test of a family, so that the smallest corrected p-value is a tenth of 5 %."""
ROUNDING = 1e-12
"""Relative standard errors below it are those of equal values."""
Values = Float64[np.ndarray, " n"]
Clusters = Shaped[np.ndarray, " n"]
Verdict = Literal["better", "not worse", "undecided", "worse"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval. What too few clusters cannot tell is NaN, never a guess."""

    mean: float
    """The mean; NaN without values."""
    low: float
    """Lower end of the interval; NaN for fewer than two clusters, as are `high`, `standard_error` and `freedom`."""
    high: float
    standard_error: float
    """The standard error of the mean, cluster-robust."""
    freedom: float
    """Degrees of freedom of the standard error."""
    count: int
    """Number of values."""
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
    """One-sided bound that the mean is above, at the requested level. NaN for fewer than two clusters."""
    high: float
    """One-sided bound that the mean is below, at the same level. NaN for fewer than two clusters."""
    margin: float


def mean_interval(values: Values, clusters: Clusters | None = None, level: float = LEVEL) -> Estimate:
    """Return the mean of scores, its interval corrected for skewness (Hall 1992, eq. 3.1, with Student's quantile)."""
    parts = _Parts.of(values, clusters)
    upper, lower = skewed_ends(parts.freedom, parts.skewness, level)
    return parts.estimate(parts.mean - upper * parts.error, parts.mean - lower * parts.error)


def skewed_ends(freedom: float, skewness: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the two t between which a skewed mean is at this level, the upper one first; `skewness` as `asymmetry`."""
    quantile = student_quantile(freedom, (1 + level) / 2)
    return _hall(quantile, skewness), _hall(-quantile, skewness)


def difference_interval(differences: Values, clusters: Clusters | None = None, level: float = LEVEL) -> Estimate:
    """Return the mean of paired differences with Student's interval."""
    parts = _Parts.of(differences, clusters)
    half = student_quantile(parts.freedom, (1 + level) / 2) * parts.error
    return parts.estimate(parts.mean - half, parts.mean + half)


def balanced(values: Values, strata: Clusters) -> Values:
    """Reweight values so that their mean is the mean of the strata's means, and their deviations those behind it.

    This is for the mean of the inside and outside rows if one of them has more scores: the mean of all scores would
    give that one more weight. If the strata have the same size, only the difference between their means is removed.
    """
    if not len(values):
        return values
    names, places, counts = np.unique(strata, return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=values) / counts
    share = len(values) / (len(names) * counts)
    result: Values = means.mean() + (values - means[places]) * share[places]
    return result


def student_test(differences: Values, clusters: Clusters | None = None) -> float:
    """Return the two-sided p-value of a mean difference of 0, by the cluster-robust t; 1 for under two clusters."""
    parts = _Parts.of(differences, clusters)
    if parts.undetermined:
        return 1.0
    return 0.0 if parts.error == 0 else student_p(parts.freedom, parts.mean / parts.error)


def student_p(freedom: float, t: float) -> float:
    """Return the two-sided p-value of Student's t."""
    return float(2 * special.stdtr(freedom, -abs(t)))


def bootstrap_test(
    differences: Values, clusters: Clusters | None = None, *, seed: int = 0, draws: int = DRAWS
) -> float:
    """Return the two-sided p-value of a mean difference of 0, by `paired_bootstrap`."""
    return paired_bootstrap(differences, clusters, seed=seed, draws=draws)[0]


def paired_bootstrap(
    differences: Values,
    clusters: Clusters | None = None,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> tuple[float, Estimate]:
    """Return the two-sided p-value of a mean difference of 0, and the mean with its interval, by a pairs bootstrap-t.

    The p-value is (1 + draws at least as far from their centre) / (1 + draws), but never below `smallest_p`; it is 1
    for fewer than two clusters. The interval consists of all means that the test does not reject, so it contains 0 if
    and only if the p-value is above 1 - level; its ends are NaN if no p-value could be that small. Equal seeds give
    equal results.
    """
    return paired_bootstraps([(differences, clusters)], seed=seed, draws=draws, level=level)[0]


def paired_bootstraps(
    tests: Sequence[tuple[Float64[np.ndarray, " _"], Shaped[np.ndarray, " _"] | None]],
    *,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> list[tuple[float, Estimate]]:
    """Return what `paired_bootstrap` returns for each pair of differences and clusters.

    Tests on the same number of clusters have the same draws, which take most of the time; they are drawn only once.
    """
    each = [_Parts.of(*test) for test in tests]
    varied = [parts for parts in each if not parts.undetermined and parts.error]
    far = distances([(parts.deviations(), parts.sizes) for parts in varied], seed, draws)
    drawn = {id(parts): found for parts, found in zip(varied, far, strict=True)}
    return [_tested(parts, drawn.get(id(parts)), draws, level) for parts in each]


def _tested(
    parts: "_Parts", drawn: Float64[np.ndarray, " draws"] | None, draws: int, level: float
) -> tuple[float, Estimate]:
    """Return p-value and interval, given the |t| of all draws; None if there is nothing to draw from."""
    smallest = smallest_p(len(parts.sums), draws)
    unknown = parts.estimate(float("nan"), float("nan"))
    bounded = smallest <= 1 - level
    if drawn is None:
        return 1.0 if parts.undetermined else smallest, parts.estimate(parts.mean, parts.mean) if bounded else unknown
    # Both are studentised alike, so a correction of the variance for the number of clusters would cancel out.
    error = float(np.sqrt(np.sum(parts.deviations() ** 2)) / parts.sizes.sum())
    p_value = (1 + int(np.sum(drawn >= abs(parts.mean) / error * (1 - 1e-9)))) / (1 + draws)
    if not bounded:
        return max(p_value, smallest), unknown
    # The t above which the p-value is at most 1 - level.
    place = max(int(np.floor((1 - level) * (draws + 1) + 1e-9)) - 1, 0)
    half = float(np.partition(drawn, draws - 1 - place)[draws - 1 - place]) * error
    return max(p_value, smallest), parts.estimate(parts.mean - half, parts.mean + half)


def smallest_p(clusters: int, draws: int = DRAWS) -> float:
    """Return the smallest p-value that a paired test may give, whatever the differences.

    If they are symmetric around 0, all clusters have the same sign with this probability.
    """
    return max(2.0 ** (1 - clusters), 1 / (draws + 1))


def draws_for(tests: int) -> int:
    """Return how many draws one of so many tests needs to be significant after the correction for their number."""
    return max(DRAWS, PER_TEST * tests - 1)


def asymmetry(values: Values, clusters: Clusters | None = None) -> float:
    """Return the skewness of the clusters' sums over the square root of their number, which is that of their mean.

    It is 0 if all are equal, or there are fewer than two.
    """
    return _Parts.of(values, clusters).skewness


def wilcoxon_test(differences: Values, clusters: Clusters | None = None) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test on the clusters' means, with Pratt's zeros.

    Its hypothesis is that the differences are symmetric around 0, which is more than a mean of 0. The p-value is 1 if
    every difference is 0.
    """
    # This import takes a second, which tables need not wait for.
    from scipy import stats

    parts = _Parts.of(differences, clusters)
    means = parts.sums / parts.sizes
    if not np.any(means):
        return 1.0
    return float(stats.wilcoxon(means, zero_method="pratt").pvalue)


def holm(p_values: Sequence[float] | Float64[np.ndarray, " tests"], family: int = 0) -> Float64[np.ndarray, " tests"]:
    """Correct p-values for their number, keeping their order (Holm, Scand. J. Statist. 6, 1979).

    `family` is the number of tests in all, if there are more; the unknown p-values of the others count as 1.
    """
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given, kind="stable")
    factors = max(family, len(given)) - np.arange(len(given))
    corrected = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    found = np.empty_like(given)
    found[order] = corrected
    return found


def wins_ties_losses(differences: Values, tie: float = 0.0) -> tuple[int, int, int]:
    """Count the differences above `tie`, within it, and below it; positive is better."""
    return int(np.sum(differences > tie)), int(np.sum(np.abs(differences) <= tie)), int(np.sum(differences < -tie))


def detectable_difference(estimate: Estimate, alpha: float = ALPHA, power: float = POWER) -> float:
    """Return the smallest true mean difference that a two-sided test finds with this power, by the noncentral t.

    It is computed from the observed standard error. NaN for fewer than two clusters.
    """
    if np.isnan(estimate.standard_error):
        return float("nan")
    critical = student_quantile(estimate.freedom, 1 - alpha / 2)
    # A difference of the wrong sign is neglected: it has no weight at any reasonable power.
    return float(special.nctdtrinc(estimate.freedom, 1 - power, critical)) * estimate.standard_error


def non_inferiority(
    differences: Values, margin: float, clusters: Clusters | None = None, alpha: float = ALPHA
) -> NonInferiority:
    """Decide by one-sided bounds of the paired differences, positive being better, whether they are worse by `margin`.

    `not worse` is a proof at the level 1 - alpha, not a lack of proof of the opposite: with too few samples the verdict
    is `undecided`. Differences that are all 0 are `not worse` by any margin. Raises `ValueError` for a negative margin.
    (Piaggio et al., JAMA 308, 2012: CONSORT for non-inferiority.)
    """
    if margin < 0:
        raise ValueError(f"margin={margin}; valid: 0 or more")
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
    """The quantities behind all of the above: sum and size of each cluster, and the mean with its error."""

    mean: float
    error: float
    freedom: float
    skewness: float
    """Skewness of the clusters' deviations over the square root of their number, as Hall's transformation takes it."""
    sums: Float64[np.ndarray, " clusters"]
    sizes: Float64[np.ndarray, " clusters"]
    weights: Float64[np.ndarray, " clusters"]
    """CR2 weights: 1 / (1 - share of the values)."""

    @property
    def undetermined(self) -> bool:
        """Tell whether there are too few clusters for anything but the mean, or no value differs from 0."""
        return len(self.sums) < 2 or (self.mean == 0 and self.error == 0)

    @staticmethod
    def of(values: Values, clusters: Clusters | None) -> "_Parts":
        """Compute the quantities. Raises `ValueError` for values that are not finite, or not one cluster per value."""
        if not np.all(np.isfinite(values)):
            raise ValueError("values: some aren't finite; leave out what isn't scored, on both sides of a pair")
        if clusters is not None and len(clusters) != len(values):
            raise ValueError(f"clusters: {len(clusters)} for {len(values)} values; valid: one per value")
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

    def deviations(self) -> Float64[np.ndarray, " clusters"]:
        """Return how far the sum of each cluster is from that of as many means."""
        return self.sums - self.sizes * self.mean

    def estimate(self, low: float, high: float) -> Estimate:
        return Estimate(self.mean, low, high, self.error, self.freedom, int(self.sizes.sum()), len(self.sizes))


def _freedom(sizes: Float64[np.ndarray, " clusters"], weights: Float64[np.ndarray, " clusters"]) -> float:
    """Return Bell and McCaffrey's degrees of freedom of a mean.

    They are trace(M)^2 / trace(M M), with M = diag(w m) - (a m)(a m)' / n and a^2 = w, where w are the CR2 weights, m
    the sizes and n their sum; trace(M) is then n.
    """
    total = sizes.sum()
    squares = (
        np.sum(weights**2 * sizes**2)
        - 2 * np.sum(weights**2 * sizes**3) / total
        + np.sum(weights * sizes**2) ** 2 / total**2
    )
    return float(total**2 / squares)


def student_quantile(freedom: float, probability: float) -> float:
    """Return the quantile of Student's t."""
    return float(special.stdtrit(freedom, probability))


def _hall(quantile: float, skewness: float) -> float:
    """Return the t at which Hall's t + k t^2 / 3 + k^2 t^3 / 27 + k / 6, with k the skewness, is `quantile`."""
    if abs(skewness) < 1e-6:
        return quantile - skewness / 6 - skewness * quantile**2 / 3
    return float(3 / skewness * (np.cbrt(1 + skewness * (quantile - skewness / 6)) - 1))
