"""Intervals of means: where they end, how they are printed, and when there are none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from brushbench.metrics.catalogue import CATALOGUE
from brushbench.reports.intervals import printed_interval, table_interval
from brushbench.reports.statistics import mean_interval

PSNR, SSIM, LPIPS = (CATALOGUE[name] for name in ("psnr", "ssim", "lpips"))


def two_digits(value: float) -> str:
    return f"{value:.2f}"


def test_an_interval_ends_where_the_metric_does() -> None:
    nearly_one = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9])
    assert mean_interval(nearly_one).high > 1
    assert table_interval(nearly_one, None, SSIM).high == 1.0
    small = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9])
    assert mean_interval(small).low < 0
    found = table_interval(small, None, LPIPS)
    assert (found.low, found.high) == (0.0, mean_interval(small).high)
    assert (found.mean, found.standard_error) == (mean_interval(small).mean, mean_interval(small).standard_error)


def test_the_interval_of_a_capped_mean_ends_at_the_cap() -> None:
    capped = np.array([60.0] * 9 + [40.0])
    assert mean_interval(capped).high > 60
    assert table_interval(capped, None, PSNR).high == 60.0
    # The official numbers have no ceiling.
    assert table_interval(capped, None, PSNR, "paper").high == mean_interval(capped).high
    assert table_interval(capped, None, replace(PSNR, ceiling=None)).high == mean_interval(capped).high


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_below_six_samples_there_is_no_interval(count: int) -> None:
    found = table_interval(np.arange(float(count)), None, PSNR)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.count == count
    # Ten masks of five images are five images.
    paired = table_interval(np.arange(2.0 * count), np.repeat(np.arange(count), 2), PSNR)
    assert math.isnan(paired.low)
    assert paired.clusters == count


def test_six_samples_have_one() -> None:
    values = np.array([20.0, 21.0, 22.0, 23.0, 24.0, 25.0])
    half = 2.570581835636314 * math.sqrt(3.5 / 6)
    found = table_interval(values, None, PSNR)
    assert (found.low, found.high) == pytest.approx((22.5 - half, 22.5 + half))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (30.6, 31.4, "± 0.40"),
        (30.604, 31.398, "± 0.40"),
        (24.1, 42.9, "[24.10, 42.90]"),
        (30.6, 31.41, "[30.60, 31.41]"),
        (31.0, 31.0, "± 0.00"),
        (31.0, 35.0, "[31.00, 35.00]"),
        (math.nan, math.nan, ""),
    ],
)
def test_only_what_is_even_is_printed_with_one_side(low: float, high: float, expected: str) -> None:
    assert printed_interval(31.0, low, high, two_digits) == expected
