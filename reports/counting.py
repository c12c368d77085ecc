"""The rule for how scores count in means, comparisons, marks, figures and the gate."""

import numpy as np
from jaxtyping import Bool, Float64, Shaped

from brushbench.core.metric_info import IDENTICAL, MetricInfo

Values = Float64[np.ndarray, " n"]
Statuses = Shaped[np.ndarray, " n"]


def ceiling_of(info: MetricInfo, protocol: str) -> float | None:
    """Return the most that a score can count as. None under `paper`, which keeps the official numbers."""
    return None if protocol == "paper" else info.ceiling


def counted(values: Values, statuses: Statuses, info: MetricInfo, protocol: str) -> Values:
    """Cap the scores at the metric's ceiling, which `identical` counts as too; NaN where there is no score."""
    ceiling = ceiling_of(info, protocol)
    if ceiling is None:
        return values
    found: Values = np.where(statuses == IDENTICAL, ceiling, np.minimum(values, ceiling))
    return found


def is_capped(values: Values, statuses: Statuses, info: MetricInfo, protocol: str) -> Bool[np.ndarray, " n"]:
    """Tell which samples count as the ceiling."""
    ceiling = ceiling_of(info, protocol)
    if ceiling is None:
        return np.zeros(len(values), dtype=bool)
    found: Bool[np.ndarray, " n"] = (statuses == IDENTICAL) | (values >= ceiling)
    return found
