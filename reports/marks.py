"""Which cells of a column are the best, and which the second best."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from reports.layout import Column, Mark
from reports.statistics import ALPHA, balanced, holm, student_test
from reports.summary import STRATUM


def by_rank(means: Mapping[str, float], column: Column) -> dict[str, Mark]:
    """By what is printed, so that equal numbers have equal marks; none where all are equal, or there is only one."""
    printed = {method: float(column.printed(mean)) for method, mean in means.items() if not np.isnan(mean)}
    order = sorted(set(printed.values()), reverse=column.info.higher_is_better)
    if len(order) < 2:
        return {}
    marks: dict[float, Mark] = {order[0]: "best", order[1]: "second"}
    return {method: marks[value] for method, value in printed.items() if value in marks}


def by_significance(means: Mapping[str, float], column: Column, scores: pd.DataFrame) -> dict[str, Mark]:
    """`best` for the best mean and for every method that isn't significantly worse than it.

    Cluster-robust t tests of the differences to the best on the samples that both have, corrected by Holm for their
    number, at 5 %. `scores` are the rows of the tidy frame that the column is made of.
    """
    known = {method: mean for method, mean in means.items() if not np.isnan(mean)}
    if not known:
        return {}
    best = (max if column.info.higher_is_better else min)(known, key=lambda method: known[method])
    wide = scores.pivot_table(index=["sample", STRATUM], columns="method", values="value", sort=False)
    others = [method for method in known if method != best]
    p_values = holm([_p_value(wide[[best, method]].dropna()) for method in others])
    marks: dict[str, Mark] = {best: "best"}
    return marks | {method: "best" for method, p in zip(others, p_values, strict=True) if p > ALPHA}


def _p_value(pairs: pd.DataFrame) -> float:
    if pairs.empty:
        return 1.0
    differences = (pairs.iloc[:, 0] - pairs.iloc[:, 1]).to_numpy(np.float64)
    samples, splits = (pairs.index.get_level_values(level).to_numpy(str) for level in (0, 1))
    return student_test(balanced(differences, splits), samples)
