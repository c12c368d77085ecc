"""Mark the best and the second best cells of a column."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from brushbench.reports.counting import Values, counted
from brushbench.reports.layout import Column, Mark
from brushbench.reports.multiple_comparisons import beaten
from brushbench.reports.seeds import STRATUM
from brushbench.reports.statistics import ALPHA
from brushbench.reports.verdicts import on_test_scale


def by_rank(means: Mapping[str, float], column: Column) -> dict[str, Mark]:
    """Rank by printed numbers, so that equal ones have equal marks; none if all are equal or there is only one."""
    printed = {method: float(column.printed(mean)) for method, mean in means.items() if not np.isnan(mean)}
    order = sorted(set(printed.values()), reverse=column.info.higher_is_better)
    if len(order) < 2:
        return {}
    marks: dict[float, Mark] = {order[0]: "best", order[1]: "second"}
    return {method: marks[value] for method, value in printed.items() if value in marks}


def by_significance(means: Mapping[str, float], column: Column, scores: pd.DataFrame) -> dict[str, Mark]:
    """Mark as `best` the best mean, and every method that no other is significantly better than.

    The test is max-t over joint sign flips of all pairs of the methods in `means` (`multiple_comparisons.beaten`), each
    on the samples that both have, at 5 %, on the scale on which the metric is tested; a sample counts once, however
    many seeds it has. With fewer than six images no method loses its mark. `scores` are the rows of the tidy frame that
    the column is made of.
    """
    known = {method: mean for method, mean in means.items() if not np.isnan(mean)}
    if not known:
        return {}
    best = (max if column.info.higher_is_better else min)(known, key=lambda method: known[method])
    tested = scores.assign(value=_tested(scores, column))
    wide = tested.pivot_table(index=["sample", STRATUM], columns="method", values="value", sort=False)
    wide = wide.reindex(columns=list(known))
    samples, splits = (wide.index.get_level_values(level).to_numpy(str) for level in (0, 1))
    p_values = beaten(wide.to_numpy(np.float64), samples, splits)
    return {method: "best" for method, p in zip(known, p_values, strict=True) if method == best or p > ALPHA}


def _tested(scores: pd.DataFrame, column: Column) -> Values:
    """Return the scores on the scale of the test, higher is better."""
    values, info = scores["value"].to_numpy(np.float64, na_value=np.nan), column.info
    protocol = str(scores["protocol"].iloc[0])
    found = on_test_scale(counted(values, scores["status"].to_numpy(str), info, protocol), info, protocol)
    return found if info.higher_is_better else -found
