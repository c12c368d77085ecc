"""How often the intervals of reports/statistics.py hold the truth, and how often its tests find what isn't there.

    python benchmarks/interval_coverage.py [--repeats 20000] [--draws 999]

Simulated samples, as scores are: normal, bounded, heavy-tailed, and skewed to the right like LPIPS and squared errors
(lognormal; the number is the standard deviation of the logarithm). `clustered` has two samples per image with a
correlation of the underlying normal of 0.5. Of paired differences, both methods share two thirds of the variance of the
underlying normal, and have one distribution: there is no difference to find. Printed as a Markdown table.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import stats

from reports.statistics import bootstrap_test, difference_interval, mean_interval, student_test, wilcoxon_test

COUNTS = (30, 240, 600)
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


@dataclass(frozen=True, slots=True)
class Design:
    """So many samples of a distribution; `clustered`: two for every image."""

    distribution: Distribution
    count: int
    clustered: bool

    @property
    def clusters(self) -> np.ndarray | None:
        """The image of every sample, None if each has its own."""
        return np.repeat(np.arange(self.count // 2), 2) if self.clustered else None

    def normals(self, generator: np.random.Generator) -> Normals:
        """One standard normal variable per sample, correlated within an image."""
        if not self.clustered:
            return generator.standard_normal(self.count)
        shared = np.repeat(generator.standard_normal(self.count // 2), 2)
        own = generator.standard_normal(self.count)
        return SHARED_BY_IMAGE**0.5 * shared + (1 - SHARED_BY_IMAGE) ** 0.5 * own

    def scores(self, generator: np.random.Generator) -> Normals:
        """Of one method."""
        return self.distribution.of(self.normals(generator))

    def differences(self, generator: np.random.Generator) -> Normals:
        """Of two methods that are equally good."""
        shared = SHARED_BY_METHODS**0.5 * self.normals(generator)
        first, second = (
            self.distribution.of(shared + (1 - SHARED_BY_METHODS) ** 0.5 * self.normals(generator)) for _ in range(2)
        )
        return first - second


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of the repeats: of intervals of a difference that hold 0, and of tests that reject at 5 %."""

    covered: float
    student: float
    bootstrap: float
    wilcoxon: float


def coverage(design: Design, repeats: int, seed: int) -> float:
    """Share of the intervals of a mean that hold it."""
    generator = np.random.default_rng(seed)
    held = 0
    for _ in range(repeats):
        found = mean_interval(design.scores(generator), design.clusters)
        held += found.low <= design.distribution.mean <= found.high
    return held / repeats


def rejections(design: Design, repeats: int, draws: int, seed: int) -> Rates:
    """The same for differences, with the errors of the first kind of the three tests."""
    generator = np.random.default_rng(seed)
    found = np.zeros(4)
    for repeat in range(repeats):
        differences, clusters = design.differences(generator), design.clusters
        interval = difference_interval(differences, clusters)
        found += (
            interval.low <= 0 <= interval.high,
            student_test(differences, clusters) <= 0.05,
            bootstrap_test(differences, clusters, seed=repeat, draws=draws) <= 0.05,
            wilcoxon_test(differences, clusters) <= 0.05,
        )
    return Rates(*(found / repeats))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20_000)
    parser.add_argument("--draws", type=int, default=999)
    arguments = parser.parse_args()
    columns = "mean covered", "difference covered", "t test", "bootstrap test", "Wilcoxon test"
    print("| scores | skewness | samples | images | " + " | ".join(columns) + " |")
    print("|---" * 9 + "|")
    for name, distribution in DISTRIBUTIONS.items():
        for count in COUNTS:
            for clustered in (False, True):
                design = Design(distribution, count, clustered)
                mean = coverage(design, arguments.repeats, seed=1)
                rates = rejections(design, arguments.repeats, arguments.draws, seed=2)
                shares = mean, rates.covered, rates.student, rates.bootstrap, rates.wilcoxon
                images = count // 2 if clustered else count
                cells = " | ".join(f"{share:.1%}" for share in shares)
                print(f"| {name} | {distribution.skewness:.1f} | {count} | {images} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
