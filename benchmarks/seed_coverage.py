"""How often do intervals over images and seeds contain the truth, and does a plan have the power that it states?

    python benchmarks/seed_coverage.py            # 4,000 repetitions; minutes
    python benchmarks/seed_coverage.py --write    # also store the table in benchmarks/results/seed_coverage.txt

Draws scores as image + noise (nested) or image + seed + noise (crossed), the images from normal, skewed and
heavy-tailed populations, and counts the intervals of a mean and of a paired difference that contain the
true mean; a fair 95 % interval does so in 95 % of the repetitions, within two standard errors of the count. Then plans
samples for an effect and counts how often Student's test finds it.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy import stats
from tabulate import tabulate

from brushbench.reports.evidence.hierarchical import difference_over_seeds, mean_over_seeds
from brushbench.reports.evidence.plan import needed, spread_of

KEPT = Path(__file__).parent / "results" / "seed_coverage.txt"
Draw = Callable[[np.random.Generator, int], Float64[ndarray, " _"]]
POPULATIONS: dict[str, Draw] = {
    "normal": lambda random, count: random.normal(size=count),
    "lognormal, skew 6.2": lambda random, count: (random.lognormal(size=count) - np.exp(0.5)) / 2.16,
    "t with 4 degrees": lambda random, count: random.standard_t(4, size=count) / np.sqrt(2),
}
"""Effects of images with mean 0 and a standard deviation of about 1."""
POWER = ("effect", "seeds", "planned images", "found")
DESIGNS = ((30, 3), (200, 5))
NOISE, SEED_EFFECT = 0.7, 0.2
"""Standard deviations within an image and of a seed, where that between images is 1."""


def scores(
    random: np.random.Generator, draw: Draw, images: int, seeds: int, *, crossed: bool
) -> Float64[ndarray, "images seeds"]:
    """Return scores with a true mean of 0."""
    common = random.normal(0, SEED_EFFECT, (1, seeds)) if crossed else np.zeros((1, seeds))
    return draw(random, images)[:, None] + common + random.normal(0, NOISE, (images, seeds))


def coverage(repetitions: int) -> Iterator[Sequence[str]]:
    """Yield a row for each population and design."""
    for name, draw in POPULATIONS.items():
        for images, seeds in DESIGNS:
            for crossed in (False, True):
                random = np.random.default_rng(1)
                means, differences = 0, 0
                for _ in range(repetitions):
                    own = scores(random, draw, images, seeds, crossed=crossed)
                    mean = mean_over_seeds(own, crossed=crossed)
                    means += mean.low <= 0 <= mean.high
                    # Of two methods on the same images, whose differences are skewed as the images are.
                    _, difference = difference_over_seeds(own, crossed=crossed, draws=499)
                    differences += difference.low <= 0 <= difference.high
                shares = [f"{100 * count / repetitions:.1f} %" for count in (means, differences)]
                yield name, "paper" if crossed else "strict", str(images), str(seeds), *shares


def power(repetitions: int) -> Iterator[Sequence[str]]:
    """Yield a row for each effect: the planned images, and how often the effect is found."""
    for effect in (0.5, 0.2):
        for seeds in (1, 4):
            random = np.random.default_rng(2)
            pilot = scores(random, POPULATIONS["normal"], 2000, 3, crossed=False)
            plan = needed(spread_of(pilot, crossed=False), effect, power=0.8, alpha=0.05, seeds=seeds)
            assert plan.images
            drawn = (
                scores(random, POPULATIONS["normal"], plan.images, seeds, crossed=False).mean(axis=1) + effect
                for _ in range(repetitions)
            )
            found = sum(stats.ttest_1samp(own, 0).pvalue < 0.05 for own in drawn)
            yield f"{effect}", str(seeds), str(plan.images), f"{100 * found / repetitions:.1f} %"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--write", action="store_true", help=f"store the tables in {KEPT.name}")
    arguments = parser.parse_args()
    heads = ("images", "protocol", "n", "seeds", "interval of a mean", "of a difference")
    text = "\n\n".join(
        [
            f"$ python benchmarks/seed_coverage.py --repetitions {arguments.repetitions}",
            "how often a 95 % interval contains the truth",
            tabulate(list(coverage(arguments.repetitions)), heads, disable_numparse=True),
            "how often a planned sample finds the effect, planned for 80 %",
            tabulate(
                list(power(arguments.repetitions)),
                ("effect", "seeds", "planned images", "found"),
                disable_numparse=True,
            ),
        ]
    )
    print(text)
    if arguments.write:
        KEPT.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
