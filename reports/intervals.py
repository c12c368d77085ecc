"""The interval of a mean, by one rule for tables and figures."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import ceiling_of
from brushbench.reports.statistics import Clusters, Estimate, Values, mean_interval

FEWEST = 6
"""Fewest samples for an interval, or fewest images if an image's masks are together."""


def table_interval(values: Values, clusters: Clusters | None, info: MetricInfo, protocol: str = "strict") -> Estimate:
    """Return the mean with its 95 % interval, clipped to the metric's range; without ends below `FEWEST` clusters.

    `values` are scores as they count (`counting.counted`). No score counts as more than the metric's ceiling, so the
    interval ends there as well.
    """
    found = mean_interval(values, clusters)
    if found.clusters < FEWEST:
        return replace(found, low=float("nan"), high=float("nan"))
    lowest, highest = range_of(info, protocol)
    low, high = (float(np.clip(end, lowest, highest)) for end in (found.low, found.high))
    return replace(found, low=low, high=high)


def range_of(info: MetricInfo, protocol: str) -> tuple[float, float]:
    """Return the smallest and the largest value that a score can count as, infinite if unbounded."""
    lowest = -np.inf if info.lowest is None else info.lowest
    highest = np.inf if info.highest is None else info.highest
    ceiling = ceiling_of(info, protocol)
    return lowest, highest if ceiling is None else min(highest, ceiling)


def printed_interval(mean: float, low: float, high: float, printed: Callable[[float], str]) -> str:
    """Return `± 0.40`, or `[24.10, 42.90]` if the sides differ in the printed digits; empty without an interval."""
    if np.isnan(low) or np.isnan(high):
        return ""
    upper, lower = printed(high - mean), printed(mean - low)
    return f"± {upper}" if upper == lower else f"[{printed(low)}, {printed(high)}]"
