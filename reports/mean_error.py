"""The PSNR of the mean MSE: beside the mean of PSNRs, the one that no single perfect sample can lift."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import ceiling_of

NAME = "psnr-of-mean-mse"
PSNR, MSE = "psnr", "mse"
OFFICIAL = 1000.0
"""dB: what the official script calls the PSNR of no error, `paper`'s ceiling."""


def is_derived(metric: str) -> bool:
    """Whether a column is computed from another one's mean, so that no sample has a score of it."""
    return metric.partition("@")[0] == NAME


def with_psnr_of_mean(
    rows: pd.DataFrame, metrics: Mapping[str, MetricInfo]
) -> tuple[pd.DataFrame, dict[str, MetricInfo]]:
    """The rows of a summary, and its metrics, with this one behind every PSNR whose region has an MSE too.

    10 log10(1 / mean MSE), of the MSE of the same protocol; the ends of its interval are those of the mean MSE. It
    counts as at most the PSNR's ceiling, like the PSNR of a sample: an error of 0 has none.
    """
    pairs = {name: name.replace(PSNR, MSE, 1) for name in metrics if name.partition("@")[0] == PSNR}
    pairs = {psnr: mse for psnr, mse in pairs.items() if mse in metrics}
    found = dict(_inserted(metrics, pairs))
    derived = [_derived(row, found[_name(psnr)]) for psnr, mse in pairs.items() for row in _of_both(rows, psnr, mse)]
    return pd.concat([rows, pd.DataFrame(derived, columns=rows.columns)], ignore_index=True) if derived else rows, found


def _name(psnr: str) -> str:
    return psnr.replace(PSNR, NAME, 1)


def _inserted(metrics: Mapping[str, MetricInfo], pairs: Mapping[str, str]) -> Iterator[tuple[str, MetricInfo]]:
    for name, info in metrics.items():
        yield name, info
        if name in pairs:
            error = metrics[pairs[name]]
            yield _name(name), replace(info, name=_name(name), version=error.version)


# Any row of the frame is a record by its columns.
def _of_both(rows: pd.DataFrame, psnr: str, mse: str) -> list[dict[str, object]]:
    """The rows of the MSE, where the same split has the PSNR."""
    splits = rows.loc[rows["metric"] == psnr, ["dataset", "split", "protocol"]].drop_duplicates()
    errors = rows[rows["metric"] == mse].merge(splits, on=["dataset", "split", "protocol"])
    return [{str(key): value for key, value in row.items()} for row in errors.to_dict("records")]


def _derived(row: Mapping[str, object], info: MetricInfo) -> dict[str, object]:
    ceiling = ceiling_of(info, str(row["protocol"])) or OFFICIAL
    mean, low, high = (_decibels(row[name], ceiling) for name in ("mean", "high", "low"))
    return {
        **row,
        "metric": info.name,
        "mean": mean,
        "low": low,
        "high": high,
        "standard_error": float("nan"),
        "n_capped": row["n_scored"] if mean == ceiling_of(info, str(row["protocol"])) else 0,
    }


def _decibels(error: object, ceiling: float) -> float:
    value = float(str(error))
    if np.isnan(value):
        return value
    return ceiling if value <= 0 else min(ceiling, -10 * float(np.log10(value)))
