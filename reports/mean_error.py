"""Compute the PSNR of the mean MSE, which, unlike the mean PSNR, no single perfect sample can raise."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from brushbench.core.metric_info import MetricInfo
from brushbench.reports.counting import ceiling_of

NAME = "psnr-of-mean-mse"
PSNR, MSE = "psnr", "mse"
OFFICIAL = 1000.0
"""The official script's PSNR of an image without error, in dB, which is the ceiling under `paper`."""


def is_derived(metric: str) -> bool:
    """Tell whether a column is computed from another column's mean, so that no sample has a score in it."""
    return metric.partition("@")[0] == NAME


def with_psnr_of_mean(
    rows: pd.DataFrame, metrics: Mapping[str, MetricInfo]
) -> tuple[pd.DataFrame, dict[str, MetricInfo]]:
    """Add the PSNR of the mean MSE to rows and metrics of a summary, after every PSNR whose region also has an MSE.

    It is 10 log10(1 / mean MSE), with the MSE of the same protocol; the ends of its interval are those of the mean MSE.
    Like the PSNR of a sample it is capped at the metric's ceiling, as an error of 0 has no finite PSNR.
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
    """Return the rows of the MSE on splits that also have the PSNR."""
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
