"""The interval of a mean as tables print it and figures draw it: one rule for both."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import ceiling_of
from brushbench.reports.statistics import Clusters, Estimate, Values, mean_interval

FEWEST = 6
"""Samples, or images where the masks of an image are together; of fewer there is no interval."""


def table_interval(values: Values, clusters: Clusters | None, info: MetricInfo, protocol: str = "strict") -> Estimate:
    """The mean with its 95 % interval, clipped to what the metric can be; no ends below `FEWEST` clusters.

    `values` are scores as they count (`counting.counted`). Nothing that counts is above the metric's ceiling, so the
    interval ends there too.
    """
    found = mean_interval(values, clusters)
    if found.clusters < FEWEST:
        return replace(found, low=float("nan"), high=float("nan"))
    lowest, highest = range_of(info, protocol)
    low, high = (float(np.clip(end, lowest, highest)) for end in (found.low, found.high))
    return replace(found, low=low, high=high)


def range_of(info: MetricInfo, protocol: str) -> tuple[float, float]:
    """The smallest and the largest value that a score can count as, infinite where there is no bound."""
    lowest = -np.inf if info.lowest is None else info.lowest
    highest = np.inf if info.highest is None else info.highest
    ceiling = ceiling_of(info, protocol)
    return lowest, highest if ceiling is None else min(highest, ceiling)


def printed_interval(mean: float, low: float, high: float, printed: Callable[[float], str]) -> str:
    """`± 0.40`; `[24.10, 42.90]` where the two sides differ in the printed digits; empty without an interval."""
    if np.isnan(low) or np.isnan(high):
        return ""
    upper, lower = printed(high - mean), printed(mean - low)
    return f"± {upper}" if upper == lower else f"[{printed(low)}, {printed(high)}]"
