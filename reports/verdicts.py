"""On which scale a metric is tested, in which family, and when its test can be believed.

What is here was chosen by `benchmarks/type_one_error.py`: on resampled scores of real methods, centred so that there is
nothing to find, each metric's test finds something in 3 to 7 % of the comparisons, or gives no verdict.
"""

import numpy as np

from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import dataset_info
from brushbench.reports.counting import Values
from brushbench.reports.layout import Column
from brushbench.reports.statistics import ALPHA, Clusters, asymmetry, student_test

PRIMARY = ("image-reward", "hps", "aesthetic", "psnr", "mse", "lpips", "clip")
"""The family of tests: the paper's metrics, whether or not they are scored. Others are tested outside of it."""
FEWEST = {"psnr": 15, "mse": 15, "seam": 100}
"""Images, by the metric without its region: with fewer there is no verdict. Differences of border steps are skewed the
most; a PSNR is a logarithm, and so is the scale on which squared errors are compared."""
FEWEST_OF_ANY = 30
"""The fewest images for a verdict on any other metric."""
MOST_SKEWED = 0.5
"""Skewness of the differences / square root of their number: above it, one image may decide what is found."""
SMALLEST_ERROR = 1e-6
"""A mean squared error counts as at least this: 60 dB, the ceiling of PSNR, so that both say the same of a sample."""


def primary(dataset: str) -> tuple[str, ...]:
    """The metrics that a comparison on a data set is made for: declared beforehand, so that all have one family."""
    return dataset_info(dataset.partition("@")[0]).primary or PRIMARY


def on_test_scale(values: Values, info: MetricInfo, protocol: str) -> Values:
    """Scores as they are tested: the logarithm where methods are compared by a ratio, else as they count.

    The logarithm is of at least `floor_of`: identical images have an error of 0, whose logarithm has no end.
    """
    if info.compared != "ratio":
        return values
    found: Values = np.log(np.maximum(values, floor_of(info, protocol)))
    return found


def floor_of(info: MetricInfo, protocol: str) -> float:
    """The smallest value that counts in a ratio: for MSE that of the ceiling of PSNR, else the last printed digit."""
    if _base(info) == "mse":
        # The official MSE of the same pictures is three times as large.
        return SMALLEST_ERROR * (3 if protocol == "paper" else 1)
    return last_digit(info)


def last_digit(info: MetricInfo) -> float:
    """What a one in the last digit that tables print is, not scaled."""
    return float(10.0 ** -Column("", "", info).digits / info.scale)


def no_verdict(differences: Values, clusters: Clusters | None, info: MetricInfo, p_value: float) -> str:
    """Why these differences, on the scale of the test, allow no verdict; empty where they do.

    Too few images for a metric as skewed as this one is; or differences so skewed that one image decides. It doesn't
    where a difference is found (`p_value`) that the other images show by themselves, more surely than is asked for.
    """
    images = np.arange(len(differences)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count = int(images.max()) + 1 if len(images) else 0
    if count < (fewest := fewest_of(info)):
        return f"{count} images, fewer than {fewest}"
    skewed = abs(asymmetry(differences, images))
    if skewed > MOST_SKEWED and not (p_value <= ALPHA and _clear_without_one(differences, images)):
        return f"one of {count} images decides (skewness / root of their number: {skewed:.2f}, above {MOST_SKEWED})"
    return ""


def _clear_without_one(differences: Values, images: Clusters) -> bool:
    """Whether there is a difference also without the image that is farthest from the mean, in the same direction."""
    sums, sizes = np.bincount(images, differences), np.bincount(images)
    rest = images != np.argmax(np.abs(sums - sizes * differences.mean()))
    clear = all(student_test(differences[part], images[part]) <= ALPHA / 10 for part in (rest, rest | True))
    return clear and bool(differences.mean() * differences[rest].mean() > 0)


def fewest_of(info: MetricInfo) -> int:
    """How many images a verdict on a metric needs."""
    return FEWEST.get(_base(info), FEWEST_OF_ANY)


def _base(info: MetricInfo) -> str:
    return info.name.partition("@")[0]
