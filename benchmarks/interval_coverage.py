"""Measure how often the intervals of reports/statistics.py contain the truth, and how often its tests err.

    python benchmarks/interval_coverage.py [--repeats 4000] [--draws 999] [--seed 1]    # four minutes on one core

Three tables, in Markdown:

* Equal distributions: two methods that share two thirds of the variance and have one distribution: normal, bounded,
  heavy-tailed, or skewed to the right like LPIPS and squared errors (lognormal; the number is the standard deviation of
  the logarithm). With fewer images than samples, two samples of an image are correlated by 0.5. However skewed the
  scores are, the differences are symmetric.
* Asymmetric differences with a mean of 0, as of a method that is a little better on most images and much worse on a
  few.
* PaperCut's real scores (`results/papercut_scores.csv`), resampled: the mean of BrushNet's scores, and the differences
  between two methods on the scale of the test, centred.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import special, stats
from type_one_error import AT_ONCE, p_values, read_scores

from brushbench.reports.statistics import ALPHA, mean_interval

COUNTS, REAL_COUNTS = (30, 240, 600), (10, 30, 200)
METHODS = ("sd-inpainting", "brushnet")
SHARED_BY_IMAGE, SHARED_BY_METHODS = 0.5, 2 / 3
Normals = Float64[np.ndarray, "..."]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Scores as a function of a standard normal variable, which makes correlated scores easy."""

    of: Callable[[Normals], Normals]
    mean: float
    skewness: float


def _lognormal(spread: float) -> Distribution:
    law = stats.lognorm(spread)
    return Distribution(lambda normal: np.exp(spread * normal), float(law.mean()), float(law.stats("s")))


# Any: a frozen distribution of scipy.
def _quantiles_of(law: object) -> Distribution:
    inverse = law.ppf
    return Distribution(lambda normal: inverse(stats.norm.cdf(normal)), float(law.mean()), float(law.stats("s")))


DISTRIBUTIONS = {
    "normal": Distribution(lambda normal: normal, 0.0, 0.0),
    "beta(8, 2)": _quantiles_of(stats.beta(8, 2)),
    "t, 5 degrees": _quantiles_of(stats.t(5)),
    "lognormal 0.5": _lognormal(0.5),
    "exponential": _quantiles_of(stats.expon()),
    "lognormal 1": _lognormal(1.0),
}


def population(values: Float64[np.ndarray, " n"]) -> Distribution:
    """Return the distribution of real scores or differences, all equally probable."""
    ordered = np.sort(values)
    last = len(ordered) - 1

    def drawn(normal: Normals) -> Normals:
        return ordered[np.minimum((stats.norm.cdf(normal) * len(ordered)).astype(np.int64), last)]

    return Distribution(drawn, float(ordered.mean()), float(stats.skew(ordered)))


def _rare(normal: Normals) -> Normals:
    """Make scores that are a little better on most images, and much worse on one in twenty."""
    return np.where(normal < stats.norm.ppf(0.05), -5.0, 0.2 * normal)


def _asymmetric() -> dict[str, Distribution]:
    rare = _rare(stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000))
    return {
        "lognormal 0.5": _lognormal(0.5),
        "exponential": DISTRIBUTIONS["exponential"],
        "lognormal 1": _lognormal(1.0),
        "one image in 20 goes wrong": Distribution(_rare, float(rare.mean()), float(stats.skew(rare))),
    }


@dataclass(frozen=True, slots=True)
class Design:
    """A number of samples of a distribution; `clustered`: two for every image."""

    distribution: Distribution
    count: int
    clustered: bool = False
    asymmetric: bool = False
    """Whether the distribution is that of the centred differences themselves, not of each method's scores."""

    @property
    def clusters(self) -> np.ndarray | None:
        """The image of every sample; None if each has its own."""
        return np.repeat(np.arange(self.count // 2), 2) if self.clustered else None

    def normals(self, generator: np.random.Generator) -> Normals:
        """Draw a standard normal variable per sample, correlated within an image."""
        if not self.clustered:
            return generator.standard_normal(self.count)
        shared = np.repeat(generator.standard_normal(self.count // 2), 2)
        own = generator.standard_normal(self.count)
        return SHARED_BY_IMAGE**0.5 * shared + (1 - SHARED_BY_IMAGE) ** 0.5 * own

    def scores(self, generator: np.random.Generator) -> Normals:
        """Draw the scores of one method."""
        return self.distribution.of(self.normals(generator))

    def differences(self, generator: np.random.Generator) -> Normals:
        """Draw the differences of two methods that are equally good."""
        if self.asymmetric:
            return self.scores(generator) - self.distribution.mean
        shared = SHARED_BY_METHODS**0.5 * self.normals(generator)
        first, second = (
            self.distribution.of(shared + (1 - SHARED_BY_METHODS) ** 0.5 * self.normals(generator)) for _ in range(2)
        )
        return first - second


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of the repeats in which the interval of a difference contains 0, and in which tests reject at 5 %."""

    covered: float
    student: float
    bootstrap: float
    wilcoxon: float


def coverage(design: Design, repeats: int, seed: int) -> float:
    """Return the share of the intervals of a mean that contain it."""
    generator = np.random.default_rng(seed)
    held = 0
    for _ in range(repeats):
        found = mean_interval(design.scores(generator), design.clusters)
        held += found.low <= design.distribution.mean <= found.high
    return held / repeats


def rejections(design: Design, repeats: int, draws: int, seed: int) -> Rates:
    """Measure how often the three tests reject although the methods are equally good."""
    generator = np.random.default_rng(seed)
    found = np.zeros(3)
    for start in range(0, repeats, AT_ONCE):
        rows = np.stack([design.differences(generator) for _ in range(min(AT_ONCE, repeats - start))])
        # Clusters of equal size can be replaced by their means.
        means = rows.reshape(len(rows), -1, 2).mean(axis=2) if design.clustered else rows
        t = np.abs(means.mean(axis=1)) / stats.sem(means, axis=1)
        # For few values with ties, scipy would count all permutations, which takes a thousand times as long.
        tied = means.shape[1] < 14 and any(len(np.unique(one)) < len(one) for one in means)
        tests = (
            2 * special.stdtr(means.shape[1] - 1, -t),
            p_values(means, draws, seed=start),
            stats.wilcoxon(means, axis=1, zero_method="pratt", method="asymptotic" if tied else "auto").pvalue,
        )
        found += [np.sum(test <= ALPHA) for test in tests]
    student, bootstrap, wilcoxon = found / repeats
    return Rates(1 - bootstrap, student, bootstrap, wilcoxon)


def row(name: str, mean: Design, differences: Design, arguments: argparse.Namespace) -> str:
    """Format a line of a table."""
    covered = coverage(mean, arguments.repeats, arguments.seed)
    rates = rejections(differences, arguments.repeats, arguments.draws, arguments.seed + 1)
    images = mean.count // 2 if mean.clustered else mean.count
    shares = " | ".join(f"{share:.1%}" for share in (covered, rates.bootstrap, rates.student, rates.wilcoxon))
    skewness = differences.distribution.skewness
    return f"| {name} | {skewness:.1f} | {mean.count} | {images} | {shares} |"


def rows(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the three tables."""
    heading = "samples | images | mean covered | bootstrap-t | Student's t | Wilcoxon |\n" + "|---" * 8 + "|"
    yield f"| equal distributions | skewness | {heading}"
    for name, distribution in DISTRIBUTIONS.items():
        for count in COUNTS:
            for clustered in (False, True):
                design = Design(distribution, count, clustered)
                yield row(name, design, design, arguments)
    yield f"\n| asymmetric differences | skewness | {heading}"
    for name, distribution in _asymmetric().items():
        for count in (*REAL_COUNTS, 600):
            design = Design(distribution, count, asymmetric=True)
            yield row(name, design, design, arguments)
    yield f"\n| PaperCut's scores | skewness of differences | {heading}"
    tested, plain = read_scores(), read_scores(tested=False)
    for metric, table in tested.items():
        differences = population((table[METHODS[0]] - table[METHODS[1]]).dropna().to_numpy())
        scores = population(plain[metric][METHODS[1]].dropna().to_numpy())
        for count in REAL_COUNTS:
            yield row(metric, Design(scores, count), Design(differences, count, asymmetric=True), arguments)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4_000)
    parser.add_argument("--draws", type=int, default=999)
    parser.add_argument("--seed", type=int, default=1)
    for line in rows(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
