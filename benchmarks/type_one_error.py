"""Measure on real scores how often `compare` and `report --significant` find a difference that doesn't exist.

    python benchmarks/type_one_error.py [--repeats 10000] [--tables 4000] [--seed 0]    # four minutes on one core

Populations: per-sample scores of four methods on the 200 scenes of PaperCut (`results/papercut_scores.csv`, made by
`papercut_scores.py`). For every pair of methods and every metric, the 200 differences on the scale of the test are
centred, so that no true difference is left, and n of them are drawn with replacement. They keep their skewness, which
the differences of two equal distributions would not have. The table shows how often the test finds a difference at 5 %,
uncorrected, among the repeats with a verdict. A second table shows this for the marks, with equally good methods.

The exit code is 1 if a share is outside its limits.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from scipy import special, stats

from brushbench.core.metric_info import MetricInfo
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.reports.multiple_comparisons import beaten
from brushbench.reports.resampling import resampled
from brushbench.reports.statistics import ALPHA, bootstrap_test, smallest_p
from brushbench.reports.verdicts import MOST_SKEWED, fewest_of, no_verdict, on_test_scale

FILE = Path(__file__).parent / "results" / "papercut_scores.csv"
COUNTS = (10, 30, 200)
LIMITS, MARK_LIMITS = (0.03, 0.07), (0.03, 0.06)
DRAWS, AT_ONCE = 999, 250
Table = Float64[np.ndarray, "repeats samples"]


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a test errs for one metric, pair and number of samples."""

    verdicts: float
    """Share of the repeats with a verdict."""
    of_verdicts: float
    """Share of the repeats with a verdict in which a difference is found; NaN if no repeat has a verdict."""
    of_all: float
    """Share of all repeats in which a difference is found, with or without a verdict."""
    student: float
    """Share of all repeats in which Student's t finds a difference, for comparison."""


def read_scores(file: Path = FILE, *, tested: bool = True) -> dict[str, pd.DataFrame]:
    """Read the scores by metric, with a column per method; on the scale of the test, or unchanged."""
    table = pd.read_csv(file, comment="#", dtype={"id": str})
    found = {}
    for metric in table.columns[2:]:
        wide = table.pivot_table(index="id", columns="method", values=metric, sort=False)
        if tested:
            wide = wide.apply(lambda column, name=metric: on_test_scale(column.to_numpy(), info_of(name), "strict"))
        found[metric] = wide
    return found


def info_of(metric: str) -> MetricInfo:
    """Return the suite's facts about a metric, whatever its region."""
    return CATALOGUE[metric.partition("@")[0]]


def p_values(differences: Table, draws: int = DRAWS, seed: int = 0) -> Float64[np.ndarray, " repeats"]:
    """Return the p-values of `statistics.bootstrap_test` row by row, with shared draws."""
    count = differences.shape[1]
    means = differences.mean(axis=1)
    centred = differences - means[:, None]
    squares = centred**2
    observed = means**2 / squares.mean(axis=1) * (1 - 2e-9)
    reached = np.zeros(len(differences))
    for times in resampled(count, seed, draws):
        # |t| of the draw >= |t| observed, with t^2 = shift^2 / (squares - shift^2), multiplied by the denominator.
        shift = (times @ centred.T / count) ** 2
        reached += (shift * (1 + observed) >= times @ squares.T * (observed / count)).sum(axis=0)
    return np.maximum((1 + reached) / (1 + draws), smallest_p(count, draws))


def rates(population: Float64[np.ndarray, " n"], count: int, info: MetricInfo, repeats: int, seed: int) -> Rates:
    """Measure the rates for samples of a centred population."""
    found = np.zeros(4)
    drawn = np.random.default_rng(seed).integers(0, len(population), (repeats, count))
    for start in range(0, repeats, AT_ONCE):
        differences = population[drawn[start : start + AT_ONCE]]
        # Draws shared by all repeats would err in the same direction everywhere.
        p = p_values(differences, seed=start)
        given, rejected = _given(differences, info, p), p <= ALPHA
        t = differences.mean(axis=1) / stats.sem(differences, axis=1)
        student = 2 * special.stdtr(count - 1, -np.abs(t)) <= ALPHA
        found += given.sum(), (given & rejected).sum(), rejected.sum(), student.sum()
    verdicts = float(found[0])
    return Rates(
        verdicts / repeats, found[1] / verdicts if verdicts else np.nan, found[2] / repeats, found[3] / repeats
    )


def _given(differences: Table, info: MetricInfo, p: Float64[np.ndarray, " repeats"]) -> Bool[np.ndarray, " repeats"]:
    """Tell row by row whether the suite gives a verdict."""
    repeats, count = differences.shape
    if count < fewest_of(info):
        return np.zeros(repeats, dtype=bool)
    given = np.abs(stats.skew(differences, axis=1)) / count**0.5 <= MOST_SKEWED
    for row in np.flatnonzero(~given):
        given[row] = not no_verdict(differences[row], None, info, float(p[row]))
    return given


def check(scores: dict[str, pd.DataFrame]) -> None:
    """Check that the vectorised test agrees with the suite's."""
    for table in scores.values():
        differences = (table.iloc[:, 0] - table.iloc[:, 1]).to_numpy()
        rows = np.stack([differences[start : start + 12] - differences.mean() for start in range(0, 100, 12)])
        expected = [bootstrap_test(row, draws=DRAWS) for row in rows]
        assert np.allclose(p_values(rows), expected), (p_values(rows), expected)


def compare_table(scores: dict[str, pd.DataFrame], repeats: int, seed: int) -> Iterator[tuple[str, bool]]:
    """Yield the lines of the table, each with whether all its rates are within the limits."""
    yield "| metric | skewness | " + " | ".join(f"n = {n}: verdicts (all) | Student's t" for n in COUNTS) + " |", True
    yield "|---" * (2 + 2 * len(COUNTS)) + "|", True
    for metric, table in scores.items():
        info = info_of(metric)
        pairs = [(table[a] - table[b]).dropna().to_numpy() for a, b in combinations(table.columns, 2)]
        populations = [pair - pair.mean() for pair in pairs]
        cells, within = [], True
        for count in COUNTS:
            found = [rates(own, count, info, repeats, seed + place) for place, own in enumerate(populations)]
            student = _span([one.student for one in found])
            if count < fewest_of(info):
                cells.append(f"no verdict ({_span([one.of_all for one in found])}) | {student}")
                continue
            given = [one.of_verdicts for one in found]
            within &= all(LIMITS[0] <= rate <= LIMITS[1] for rate in given)
            least = min(one.verdicts for one in found)
            without = f", none in up to {1 - least:.1%}" if least < 1 else ""
            cells.append(f"**{_span(given)}** ({_span([one.of_all for one in found])}{without}) | {student}")
        skewness = [abs(stats.skew(own)) for own in populations]
        yield f"| {metric} | {min(skewness):.1f} to {max(skewness):.1f} | " + " | ".join(cells) + " |", within


def _span(shares: list[float]) -> str:
    low, high = (f"{100 * end(shares):.1f}" for end in (min, max))
    return f"{low} %" if low == high else f"{low} to {high} %"


def mark_table(scores: dict[str, pd.DataFrame], tables: int, seed: int) -> Iterator[tuple[str, bool]]:
    """Yield the lines on how often one of k equally good methods loses its mark, each with whether it is in limits."""

    def skewed(generator: np.random.Generator, n: int, k: int) -> Float64[np.ndarray, "n k"]:
        return np.exp(0.8 * generator.standard_normal((n, 1)) + 0.6 * generator.standard_normal((n, k)))

    def normal(generator: np.random.Generator, n: int, k: int) -> Float64[np.ndarray, "n k"]:
        return generator.standard_normal((n, 1)) + 0.7 * generator.standard_normal((n, k))

    def rare(generator: np.random.Generator, n: int, k: int) -> Float64[np.ndarray, "n k"]:
        return 0.3 * generator.standard_normal((n, k)) - 3 * (generator.random((n, k)) < 0.05)

    yield "| scores | n | " + " | ".join(f"k = {k}" for k in (2, 3, 4, 6, 10)) + " |", True
    yield "|---" * 7 + "|", True
    laws = {"normal": normal, "lognormal": skewed, "one image in 20 fails": rare}
    for name, law in laws.items():
        for count in (20, 60):
            shares = {k: lost_marks(law, count, k, tables, seed) for k in (2, 3, 6, 10)}
            cells = " | ".join(f"{shares[k]:.1%}" if k in shares else "" for k in (2, 3, 4, 6, 10))
            within = all(MARK_LIMITS[0] <= share <= MARK_LIMITS[1] for share in shares.values())
            yield f"| {name} | {count} | {cells} |", within
    for metric, table in scores.items():
        centred = (table - table.mean()).dropna().to_numpy()

        def drawn(generator: np.random.Generator, n: int, k: int, own: np.ndarray = centred) -> np.ndarray:
            chosen = generator.permutation(own.shape[1])[:k]
            return own[generator.integers(0, len(own), n)][:, chosen]

        # Equally good, but differently distributed, for which sign flips are not exact.
        count = max(60, fewest_of(info_of(metric)))
        shares = {k: lost_marks(drawn, count, k, tables, seed) for k in (2, 4)}
        cells = " | ".join(f"{shares[k]:.1%}" if k in shares else "" for k in (2, 3, 4, 6, 10))
        yield f"| real: {metric} | {count} | {cells} |", True


def lost_marks(law: Callable[..., np.ndarray], count: int, methods: int, tables: int, seed: int) -> float:
    """Return the share of the tables in which a method is found to be worse than another one."""
    generator = np.random.default_rng(seed)
    images, strata = np.arange(count), np.zeros(count)
    lost = 0
    for _ in range(tables):
        lost += bool((beaten(law(generator, count, methods), images, strata, draws=DRAWS) <= ALPHA).any())
    return lost / tables


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10_000)
    parser.add_argument("--tables", type=int, default=4_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    scores = read_scores()
    check(scores)
    outside = False
    print(f"compare: {arguments.repeats} repeats, seed {arguments.seed}, {DRAWS} draws; least and most of six pairs\n")
    for line, within in compare_table(scores, arguments.repeats, arguments.seed):
        print(line + ("" if within else " outside of 3 to 7 %"), flush=True)
        outside |= not within
    print(f"\nmarks: {arguments.tables} tables, seed {arguments.seed}, {DRAWS} draws\n")
    for line, within in mark_table(scores, arguments.tables, arguments.seed):
        print(line + ("" if within else " outside of 3 to 6 %"), flush=True)
        outside |= not within
    return int(outside)


if __name__ == "__main__":
    raise SystemExit(main())
