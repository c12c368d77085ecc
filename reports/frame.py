"""Runs to one tidy frame."""

import os
from collections.abc import Sequence

import pandas as pd

from brushbench.metric_info import MetricInfo
from brushbench.score_file import note_column, read_scores, status_column
from brushbench.store import DatasetIdentity, Run, expand

COLUMNS = ("run", "dataset", "split", "protocol", "method", "sample", "metric", "value", "status", "note")


def frame(runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """One row per data set, split, protocol, method, sample and metric.

    `runs` are run folders, or folders that hold some. `value` is missing where a sample isn't scored, and `status` says
    why; it is empty for a score, of which `note` says what a reader must know. A run that isn't scored has no rows.
    Runs of one method on the same samples are told apart by what differs, options, seed, dtype or weights:
    `brushnet scale=0.5`.

    Raises `UserError` for a folder that holds no run, or a run that can't be read.
    """
    return frame_of(expand([runs] if isinstance(runs, str | os.PathLike) else runs))


def frame_of(runs: Sequence[Run]) -> pd.DataFrame:
    """The same, for opened runs."""
    labels = labels_of(runs)
    parts = [_rows(run, label) for run, label in zip(runs, labels, strict=True)]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(COLUMNS))


def metrics_of(runs: Sequence[Run]) -> dict[str, MetricInfo]:
    """What the metrics of these runs are, by column, in the order in which they first occur."""
    infos: dict[str, MetricInfo] = {}
    for run in runs:
        scores = read_scores(run)
        infos |= {name: info for name, info in (scores.metrics if scores else {}).items() if name not in infos}
    return infos


def unscored_of(runs: Sequence[Run]) -> dict[str, str]:
    """Usual metrics that couldn't be computed for one of these runs, and for no other could: each with the reason."""
    scored = metrics_of(runs)
    reasons: dict[str, str] = {}
    for run in runs:
        scores = read_scores(run)
        reasons |= scores.unscored if scores else {}
    return {name: reason for name, reason in reasons.items() if name not in scored}


def _rows(run: Run, label: str) -> pd.DataFrame:
    scores = read_scores(run)
    identity = run.record.identity
    if scores is None:
        return pd.DataFrame(columns=list(COLUMNS))
    parts = [
        pd.DataFrame(
            {
                "run": str(run.path),
                "dataset": identity.dataset.name,
                "split": identity.dataset.split,
                "protocol": identity.protocol,
                "method": label,
                "sample": scores.table.index.astype("string"),
                "metric": metric,
                "value": scores.table[metric].astype("Float64").to_numpy(dtype="float64", na_value=float("nan")),
                "status": scores.table[status_column(metric)].to_numpy(),
                "note": scores.table.get(note_column(metric), pd.Series("", scores.table.index)).to_numpy(),
            }
        )
        for metric in scores.metrics
    ]
    return pd.concat(parts, ignore_index=True)


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Method names, with whatever tells runs of one method on the same samples apart."""
    facts = [_facts(run) for run in runs]
    labels = []
    for run, own in zip(runs, facts, strict=True):
        identity = run.record.identity
        rivals = [
            other
            for rival, other in zip(runs, facts, strict=True)
            if rival.record.identity.method.name == identity.method.name
            and _same_samples(rival.record.identity.dataset, identity.dataset)
            and rival.record.identity.protocol == identity.protocol
        ]
        varied = [key for key in own if any(other.get(key) != own[key] for other in rivals)]
        labels.append(" ".join([identity.method.name, *(f"{key}={own[key]}" for key in varied)]))
    return labels


def _same_samples(first: DatasetIdentity, second: DatasetIdentity) -> bool:
    """Also with other options of the data set: tables don't tell these apart."""
    return first == second or (
        (first.name, first.split) == (second.name, second.split) and first.options != second.options
    )


def _facts(run: Run) -> dict[str, str]:
    """Options of method and data set, seed, dtype, and the beginnings of the digests of the weights."""
    identity = run.record.identity
    options = {key: str(value) for key, value in identity.method.options.items()}
    options |= {f"data.{key}": str(value) for key, value in identity.dataset.options.items()}
    digests = {f"{part}@": digest[:8] for part, digest in identity.method.digests.items()}
    return options | {"seed": str(identity.seed), "dtype": identity.dtype} | digests
