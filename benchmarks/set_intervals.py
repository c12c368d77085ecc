"""Simulate how often the intervals of set metrics contain the expected value, and print a Markdown table.

    python benchmarks/set_intervals.py

Features of sources are drawn from a Gaussian whose directions differ in their spread, and those of images are the
sources plus a shift and noise: pairs, as in inpainting. The expected value is the mean over many other sets of the same
size. The bootstrap is that of the reports, and so are its functions. It takes a few minutes on one CPU core. The table
is in results/set_intervals.txt.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tabulate import tabulate

from brushbench.metrics.distances import DISTANCES, Features, distance_between
from brushbench.reports.resampling import resampled
from brushbench.reports.set_values import bootstrap_interval

FILE = Path(__file__).parent / "results" / "set_intervals.txt"
CASES = ((200, 16), (200, 104), (60, 104))
"""Numbers of images and of features."""
SHIFTS = (0.1, 0.5)
"""How far the images' features are shifted, in units of the first direction's spread."""
METRICS = ("fid", "kid", "cmmd")


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=200, help="simulated sets of each case")
    parser.add_argument("--draws", type=int, default=150, help="draws of the bootstrap")
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    rows = [
        [metric, count, width, shift, *cells(metric, count, width, shift, arguments.sets, arguments.draws)]
        for metric in METRICS
        for count, width in CASES
        for shift in SHIFTS
    ]
    headings = ["metric", "images", "features", "shift", "expected", "95 % interval covers, %"]
    told = str(tabulate(rows, headings, tablefmt="pipe", disable_numparse=True))
    print(told)
    arguments.output.write_text(told + "\n", encoding="utf-8")


def cells(metric: str, count: int, width: int, shift: float, sets: int, draws: int) -> list[str]:
    """The expected value, and the share of intervals that contain it."""
    expected = float(
        np.mean([distance_between(DISTANCES[metric], *pair) for pair in drawn(count, width, shift, sets, 1)])
    )
    found = [
        covers(metric, pair, expected, draws, seed) for seed, pair in enumerate(drawn(count, width, shift, sets, 2))
    ]
    return [f"{expected:.4g}", f"{100 * np.mean(found):.1f}"]


def covers(metric: str, pair: tuple[Features, Features], expected: float, draws: int, seed: int) -> bool:
    """Whether the interval of one simulated set contains the expected value."""
    weighted = DISTANCES[metric](*pair)
    every = np.ones(len(pair[0]))
    values = [weighted(counts, counts) for block in resampled(len(every), seed, draws) for counts in block]
    low, high = bootstrap_interval(weighted(every, every), np.array(values))
    return low <= expected <= high


def drawn(count: int, width: int, shift: float, sets: int, seed: int) -> Iterator[tuple[Features, Features]]:
    """Yield simulated sets of features: of the sources, and of the images."""
    spread = 1 / np.sqrt(1 + np.arange(width))
    for number in range(sets):
        draw = np.random.default_rng([seed, number])
        sources = draw.normal(size=(count, width)) * spread
        noise = draw.normal(size=(count, width)) * spread * 0.3
        moved = np.where(np.arange(width) == 0, shift, 0.0)
        yield sources, sources + noise + moved


if __name__ == "__main__":
    main()
