"""Give runs that differ only in their seed one row.

The seeds of a sample are repeats of one picture, not new pictures. A sample's scores are therefore averaged over its
seeds first, and means, intervals and tests are over samples, which pair the rows whatever their seeds are.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brushbench.core.errors import UserError, one_line
from brushbench.reports.statistics import Values
from brushbench.reports.style import Seeds

STRATUM, SEED, SEEDS = "stratum", "seed", "seeds"
BEFORE_SEED = f" {SEED}="
"""Between a row's name and its seed, where every seed has a row."""
SEPARATOR = " "
"""Between the seeds of a row, in the column `SEEDS`."""


def with_seed(name: str, seed: int) -> str:
    """Return the name of a row of one seed."""
    return f"{name}{BEFORE_SEED}{seed}"


def is_over_seeds(seeds: Seeds) -> bool:
    """Tell whether a row is the mean over seeds; usually every seed has a row."""
    return seeds == "mean"


def check_distinct(tidy: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raise `UserError` if two runs share a row though they have the same seed."""
    found = tidy[[*keys, SEED, "run"]].drop_duplicates()
    shared = found.duplicated([*keys, SEED])
    if shared.any():
        first = found[shared].iloc[0]
        place = f"{first['method']} on {first['dataset']}/{first['split']}"
        raise UserError(one_line(f"two runs are {place}: one is {first['run']}"))


def sample_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of each sample's scores over the seeds that have one, for a single row and metric.

    The columns are `sample`, `stratum` and `value`; samples without a score are left out.
    """
    known = scores[["sample", STRATUM, "value"]].dropna(subset="value")
    if not known.duplicated(["sample", STRATUM]).any():
        return known
    return known.groupby(["sample", STRATUM], sort=False, observed=True)["value"].mean().reset_index()


def sample_values(scores: pd.DataFrame) -> Values:
    """Return the values of `sample_means`, for less where there is a single seed."""
    if scores[SEED].nunique() > 1:
        return sample_means(scores)["value"].to_numpy(np.float64)
    values: Values = scores["value"].dropna().to_numpy(np.float64)
    return values


def seeds_in(scores: pd.DataFrame) -> str:
    """Return the seeds behind scores as a text: `1 2 3`."""
    return SEPARATOR.join(map(str, sorted(scores[SEED].unique())))


def has_several(rows: pd.DataFrame) -> bool:
    """Tell whether any row of a summary is the mean over several seeds."""
    return bool(rows[SEEDS].str.contains(SEPARATOR).any())
