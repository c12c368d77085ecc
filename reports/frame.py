"""Runs to one tidy frame."""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import mask_kind
from brushbench.reports.mask_sizes import MASK_SIZE, MaskShares
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand
from brushbench.runs.scores import MASK_SHARE, TAG, Scores, note_column, read_scores, status_column

DIGEST = "@"
"""Behind the name of what a digest is of."""
COLUMNS = ("run", "dataset", "split", "protocol", "method", "sample", "metric", "value", "status", "note")


def frame(runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> pd.DataFrame:
    """One row per data set, split, protocol, method, sample and metric.

    `runs` are run folders, or folders that hold some. `value` is the stored score, missing where a sample isn't scored,
    and `status` says why; it is empty for a score, of which `note` says what a reader must know. The PSNR of a sample
    without any difference is missing too, with the status `identical`; reports count it as 60 dB (`counting.counted`).
    A run that isn't scored has no rows.
    Runs of one method are told apart by what differs, options, seed, dtype, compute recipe or weights: `brushnet
    scale=0.5`. So are data sets of one name: `folder@1f0c2a94`.

    After these columns come the samples' tags, by their names (`tag.` before one that is the name of another column),
    and, unless it is known of no sample, `mask_share`, the share of the pixels that is to be painted, and `mask_size`,
    the class of the mask: `small` up to 21.5 %, `medium` up to 36.9 %, `large`. Outside is classed by the inside mask
    of the same image, so that both halves of an image are in one class. They are missing where they aren't known.

    Raises `UserError` for a folder that holds no run, or a run that can't be read.
    """
    return frame_of(expand([runs] if isinstance(runs, str | os.PathLike) else runs))


def frame_of(runs: Sequence[Run], scores: Sequence[Scores | None] | None = None) -> pd.DataFrame:
    """The tidy frame of opened runs; `scores` are theirs, if they have been read already."""
    read = scores_of(runs) if scores is None else scores
    places = list(zip(runs, read, labels_of(runs), datasets_of(runs), strict=True))
    shares = MaskShares.of([(run, dataset, own) for run, own, _, dataset in places if own])
    filled = [
        _rows(run, own, label, dataset).assign(**_descriptions(run, own, dataset, shares))
        for run, own, label, dataset in places
        if own and own.metrics
    ]
    if not filled:
        return pd.DataFrame(columns=list(COLUMNS))
    tidy = pd.concat(filled, ignore_index=True)
    # Runs may have different tags; the mask's size stays last.
    last = [name for name in (MASK_SHARE, MASK_SIZE) if name in tidy]
    return tidy[[name for name in tidy.columns if name not in last] + last]


def scores_of(runs: Sequence[Run]) -> list[Scores | None]:
    """The scores of every run, None if it isn't scored."""
    return [read_scores(run) for run in runs]


def tags_of(tidy: pd.DataFrame) -> list[str]:
    """The columns of a frame that samples can be grouped by."""
    return [name for name in tidy.columns if name not in COLUMNS and name != MASK_SHARE]


def metrics_of(runs: Sequence[Run], scores: Sequence[Scores | None] | None = None) -> dict[str, MetricInfo]:
    """What the metrics of these runs are, by column, in the order in which they first occur."""
    infos: dict[str, MetricInfo] = {}
    for own in filter(None, scores_of(runs) if scores is None else scores):
        infos |= {name: info for name, info in own.metrics.items() if name not in infos}
    return infos


def versions_of(scores: Sequence[Scores | None]) -> dict[str, tuple[str, ...]]:
    """Metrics that some of these runs have in one version and some in another, each with its versions."""
    found: dict[str, dict[str, None]] = {}
    for own in filter(None, scores):
        for name, info in own.metrics.items():
            found.setdefault(name, {})[info.version] = None
    return {name: tuple(versions) for name, versions in found.items() if len(versions) > 1}


def unscored_of(scores: Sequence[Scores | None]) -> dict[str, str]:
    """Usual metrics that couldn't be computed for one of these runs, and for no other could: each with the reason."""
    scored = {name for own in filter(None, scores) for name in own.metrics}
    reasons: dict[str, str] = {}
    for own in filter(None, scores):
        reasons |= own.unscored
    return {name: reason for name, reason in reasons.items() if name not in scored}


def _rows(run: Run, scores: Scores, method: str, dataset: str) -> pd.DataFrame:
    identity, table = run.record.identity, scores.table
    names, count = list(scores.metrics), len(table)
    values = table[names].astype("Float64").to_numpy(dtype="float64", na_value=float("nan"))
    empty = pd.Series("", table.index)
    columns = {
        "run": str(run.path),
        "dataset": dataset,
        "split": identity.dataset.split,
        "protocol": identity.protocol,
        "method": method,
        "sample": np.tile(table.index.to_numpy(dtype=object), len(names)),
        "metric": np.repeat(np.array(names, dtype=object), count),
        "value": values.T.ravel(),
        "status": np.concatenate([table[status_column(name)].to_numpy(dtype=object) for name in names]),
        "note": np.concatenate([table.get(note_column(name), empty).to_numpy(dtype=object) for name in names]),
    }
    return pd.DataFrame(columns)


def _descriptions(run: Run, scores: Scores, dataset: str, shares: MaskShares) -> dict[str, pd.Series]:
    """Tags and the mask's size, by their column in the frame, once for every metric."""
    table = scores.table.reset_index(drop=True)
    columns: dict[str, pd.Series] = {}
    for name in table.columns:
        if name.startswith(TAG):
            tag = name.removeprefix(TAG)
            columns[name if tag in (*COLUMNS, MASK_SHARE, MASK_SIZE) else tag] = table[name].astype("string")
    columns |= shares.columns(run, dataset, [str(name) for name in scores.table.index])
    return {name: pd.concat([column] * len(scores.metrics), ignore_index=True) for name, column in columns.items()}


def distinct(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The run with most samples of each fingerprint, as runs with one have the same images; the others, to read."""
    best: dict[str, Run] = {}
    for run in runs:
        known = best.get(run.record.fingerprint)
        if known is None or run.record.asked > known.record.asked:
            best[run.record.fingerprint] = run
    kept = [run for run in runs if best[run.record.fingerprint] is run]
    others = [run for run in runs if best[run.record.fingerprint] is not run]
    return kept, [f"{run.path} has the images of {best[run.record.fingerprint].path}" for run in others]


def labels_of(runs: Sequence[Run]) -> list[str]:
    """Method names, with whatever tells runs of one method on one data set apart, on whichever split.

    Digests tell runs apart on splits with one kind of masks: for another kind a method may take other weights.
    """
    facts = [_facts(run) for run in runs]
    keys = [
        (run.record.identity.method.name, dataset, run.record.identity.protocol)
        for run, dataset in zip(runs, datasets_of(runs), strict=True)
    ]
    masks = [mask_kind(run.record.identity.dataset.name, run.record.identity.dataset.split) for run in runs]
    labels = []
    for key, own, kind in zip(keys, facts, masks, strict=True):
        rivals = [(other, its) for rival, other, its in zip(keys, facts, masks, strict=True) if rival == key]
        varied = [
            name
            for name in own
            if any(other.get(name) != own[name] for other, its in rivals if its == kind or not name.endswith(DIGEST))
        ]
        labels.append(" ".join([key[0], *(f"{name}={own[name]}" for name in varied)]))
    return labels


def datasets_of(runs: Sequence[Run]) -> list[str]:
    """Names of the data sets, with the beginning of the digest where one split of that name has two.

    Not where the data set's options differ: these tell its runs apart by their labels.
    """
    digests: dict[str, dict[str, set[str]]] = {}
    for run in runs:
        dataset = run.record.identity.dataset
        part = f"{dataset.split} {sorted(dataset.options.items())}"
        digests.setdefault(dataset.name, {}).setdefault(part, set()).add(dataset.digest)
    ambiguous = {name for name, parts in digests.items() if any(len(found) > 1 for found in parts.values())}
    return [
        f"{dataset.name}@{dataset.digest[:8]}" if dataset.name in ambiguous else dataset.name
        for dataset in (run.record.identity.dataset for run in runs)
    ]


def _facts(run: Run) -> dict[str, str]:
    """Options of method and data set, seed, dtype, compute recipe, and the beginnings of the digests of the weights."""
    identity = run.record.identity
    options = {key: str(value) for key, value in identity.method.options.items()}
    options |= {f"data.{key}": str(value) for key, value in identity.dataset.options.items()}
    digests = {f"{part}{DIGEST}": digest[:8] for part, digest in identity.method.digests.items()}
    own = {"seed": str(identity.seed), "dtype": identity.dtype, "compute": identity.compute}
    return options | own | digests
