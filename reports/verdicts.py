"""Decide on which scale a metric is tested, in which family, and when its test can be trusted.

These choices come from `benchmarks/type_one_error.py`: on resampled scores of real methods, centred so that there is
nothing to find, each metric's test finds something in 3 to 7 % of the comparisons, or gives no verdict.
"""

import numpy as np

from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import dataset_info
from brushbench.reports.counting import Values
from brushbench.reports.layout import Column
from brushbench.reports.statistics import ALPHA, Clusters, asymmetry, student_test

PRIMARY = ("image-reward", "hps", "aesthetic", "psnr", "mse", "lpips", "clip")
"""The family of tests: the paper's metrics, whether or not they are scored. Others are tested outside the family."""
FEWEST = {"psnr": 15, "mse": 15, "seam": 100}
"""Fewest images for a verdict, by the metric without its region. Differences of border steps are skewed the most; PSNR
is a logarithm, and so is the scale on which squared errors are compared."""
FEWEST_OF_ANY = 30
"""Fewest images for a verdict on any other metric."""
MOST_SKEWED = 0.5
"""Largest skewness of the differences / square root of their number; above it, one image may decide the result."""
SMALLEST_ERROR = 1e-6
"""Least that a mean squared error counts as: 60 dB, PSNR's ceiling, so that both metrics agree on a sample."""


def primary(dataset: str) -> tuple[str, ...]:
    """Return the metrics that comparisons on a data set are about, declared beforehand so that all share one family."""
    return dataset_info(dataset.partition("@")[0]).primary or PRIMARY


def on_test_scale(values: Values, info: MetricInfo, protocol: str) -> Values:
    """Return scores on the scale of the test: the logarithm if methods are compared by a ratio, else as they count.

    The logarithm is that of at least `floor_of`, as identical images have an error of 0, whose logarithm is infinite.
    """
    if info.compared != "ratio":
        return values
    found: Values = np.log(np.maximum(values, floor_of(info, protocol)))
    return found


def floor_of(info: MetricInfo, protocol: str) -> float:
    """Return the least that a score counts as in a ratio: MSE at PSNR's ceiling, else a unit of the last digit."""
    if _base(info) == "mse":
        # The official MSE of the same pictures is three times as large.
        return SMALLEST_ERROR * (3 if protocol == "paper" else 1)
    return last_digit(info)


def last_digit(info: MetricInfo) -> float:
    """Return the value of one unit in the last digit that tables print, not scaled."""
    return float(10.0 ** -Column("", "", info).digits / info.scale)


def no_verdict(differences: Values, clusters: Clusters | None, info: MetricInfo, p_value: float) -> str:
    """Say why these differences, on the scale of the test, allow no verdict; empty if they allow one.

    There may be too few images for a metric as skewed as this one, or the differences may be so skewed that one image
    decides. It does not decide if a difference is found (`p_value`) that the other images show by themselves, more
    clearly than required.
    """
    images = np.arange(len(differences)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count = int(images.max()) + 1 if len(images) else 0
    if count < (fewest := fewest_of(info)):
        return f"{count} images, fewer than {fewest}"
    skewed = abs(asymmetry(differences, images))
    if skewed > MOST_SKEWED and not (p_value <= ALPHA and _clear_without_one(differences, images)):
        return f"one of {count} images decides (skewness / sqrt({count}) is {skewed:.2f}, above {MOST_SKEWED})"
    return ""


def _clear_without_one(differences: Values, images: Clusters) -> bool:
    """Tell whether the image farthest from the mean can be left out without losing the difference or its sign."""
    sums, sizes = np.bincount(images, differences), np.bincount(images)
    rest = images != np.argmax(np.abs(sums - sizes * differences.mean()))
    clear = all(student_test(differences[part], images[part]) <= ALPHA / 10 for part in (rest, rest | True))
    return clear and bool(differences.mean() * differences[rest].mean() > 0)


def fewest_of(info: MetricInfo) -> int:
    """Return how many images a verdict on a metric needs."""
    return FEWEST.get(_base(info), FEWEST_OF_ANY)


def _base(info: MetricInfo) -> str:
    return info.name.partition("@")[0]
