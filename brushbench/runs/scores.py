"""Read and write scores.parquet, which has one row per requested sample and one column per metric.

The columns are:

* `id`;
* `sha256` of the scored image, null if there is no image;
* for every metric, its value, null if the sample isn't scored, and `<metric>.status`, the reason, empty for a score;
* `<metric>.note`, what a reader must know about the score, if any sample has a note;
* `tag.<name>` for every tag of the samples, null for a sample without the tag;
* `mask_share`, the painted share of the pixels, and `size`, height x width of the source, null if the sample was never
  decoded.

Files of older versions lack tags, `mask_share` and `size`. The schema's metadata describes each metric, and lists the
default metrics that couldn't be computed, with the reasons.
"""

import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import check_file, file_version, is_settled
from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import metric_info
from brushbench.runs.folder import Run
from brushbench.runs.folders import run_folders
from brushbench.runs.looking import changed_images
from brushbench.storage.places import spoken

MASK_SHARE, SIZE, TAG = "mask_share", "size", "tag."
ROWS = 1 << 14
"""Rows of a group in the file: what counts scores needs no more of a large table in memory at once."""
ADDED = ("ceiling", "lowest", "highest", "compared")
"""The fields of `MetricInfo` that files of older versions lack."""
_METADATA, _UNSCORED = b"brushbench.metrics", b"brushbench.unscored"
_INFO, _TEXTS = TypeAdapter(MetricInfo), TypeAdapter(dict[str, str])
_PANDAS = {
    pa.string(): pd.StringDtype(),
    pa.large_string(): pd.StringDtype(),
    pa.float64(): pd.Float64Dtype(),
}


@dataclass(frozen=True)
class Scores:
    """The scores of a run."""

    table: pd.DataFrame
    """The columns of the file, indexed by `id`."""
    metrics: dict[str, MetricInfo]
    """The facts about each metric, by column."""
    unscored: dict[str, str] = field(default_factory=dict)
    """The default metrics that couldn't be computed, each with the reason."""


def status_column(metric: str) -> str:
    """The column with the reason why a sample has no score."""
    return f"{metric}.status"


def note_column(metric: str) -> str:
    """The column with notes on scores; it may not exist."""
    return f"{metric}.note"


def tag_column(tag: str) -> str:
    """The column with the samples' values of a tag."""
    return f"{TAG}{tag}"


def read_scores(run: Run) -> Scores | None:
    """Read a run's scores; None if it isn't scored yet. A sample whose image has changed or is gone has no score.

    Raises `UserError` if the file can't be read.
    """
    scores = _stored(run)
    found = capture(changed_images, run) if scores else {}
    # The scores can be read even if the ledger is damaged; code that needs the ledger reports the damage.
    changed = {} if isinstance(found, Failure) else found
    lost = [name for name in changed if scores and name in scores.table.index]
    if scores is None or not lost:
        return scores
    table = scores.table.copy()
    for metric in scores.metrics:
        table.loc[lost, metric] = None
        table.loc[lost, status_column(metric)] = [changed[name] for name in lost]
    return dataclasses.replace(scores, table=table)


def readable_runs(paths: Sequence[str]) -> tuple[list[Run], list[str]]:
    """The runs in these folders whose record, ledger and scores can be read, and an error message for each other run.

    Raises `UserError` if no run can be read.
    """
    found: list[Run] = []
    damaged: list[str] = []
    for folder in run_folders(paths):
        opened = capture(_complete, folder)
        if isinstance(opened, Failure):
            damaged.append(opened.error)
        else:
            found.append(opened)
    if not found:
        raise UserError(damaged[0])
    return found, damaged


def _complete(folder: Path) -> Run:
    run = Run.open(folder)
    run.statuses()
    read_scores(run)
    return run


def stored_digests(run: Run) -> dict[str, str]:
    """The digests of the scored images, by sample; empty if they can't be read."""
    stored = capture(_stored, run)
    if stored is None or isinstance(stored, Failure):
        return {}
    return {str(name): str(digest) for name, digest in stored.table["sha256"].dropna().items()}


def _stored(run: Run) -> Scores | None:
    path = run.scores_path()
    if not path.exists():
        return None
    found = check_file(path)
    read = _read if is_settled(found) else _read.__wrapped__
    scores = capture(read, path.resolve(), file_version(found))
    if isinstance(scores, Failure):
        raise UserError(one_line(f"{spoken(path)}: damaged ({scores.error}); remove it and score again"))
    # The next reader gets them as they are in the file, whatever this one does with its own.
    return Scores(scores.table.copy(), dict(scores.metrics), dict(scores.unscored))


@lru_cache(maxsize=64)
def _read(path: Path, _version: tuple[int, ...]) -> Scores:
    """Read the file and check everything that reports and scoring rely on; raises errors of any type.

    A report needs the scores of a run several times: they are cached until the file changes.
    """
    # Use no threads, and ignore the types in the file's pandas metadata: either can go wrong on a damaged file.
    arrow = pq.ParquetFile(path).read(use_threads=False)
    arrow.validate(full=True)
    described = arrow.schema.metadata or {}
    metrics = {str(name): _info(info) for name, info in json.loads(described[_METADATA]).items()}
    unscored = _TEXTS.validate_json(described.get(_UNSCORED, b"{}"))
    texts = [name for name in arrow.column_names if name in ("id", "sha256", SIZE) or name.startswith(TAG)]
    texts += [note for metric in metrics if (note := note_column(metric)) in arrow.column_names]
    numbers = [*metrics, *([MASK_SHARE] if MASK_SHARE in arrow.column_names else [])]
    _check_types(arrow, ["id", "sha256", *texts, *map(status_column, metrics)], pa.types.is_string)
    _check_types(arrow, numbers, pa.types.is_floating)
    frame = arrow.to_pandas(ignore_metadata=True, types_mapper=_PANDAS.get)
    reasons = [*map(status_column, metrics), *(name for name in texts if name.endswith(".note"))]
    frame[reasons] = frame[reasons].fillna("")
    if frame["id"].isna().any() or frame["id"].duplicated().any():
        raise UserError("an id is missing or occurs twice")
    for name in numbers:
        if not np.isfinite(frame[name].dropna().to_numpy(np.float64)).all():
            raise UserError(f"{name} isn't finite")
    for name, info in metrics.items():
        if name != info.name or (frame[name].isna() == (frame[status_column(name)] == "")).any():
            raise UserError(f"{name}: each sample must have either a score or a reason")
    return Scores(frame.set_index("id"), metrics, unscored)


def _check_types(arrow: pa.Table, names: Sequence[str], is_right: Callable[[pa.DataType], bool]) -> None:
    for name in names:
        # For a name that occurs twice, Arrow raises the error for a missing one.
        kind = arrow.schema.field(name).type
        if not is_right(pa.string() if pa.types.is_large_string(kind) else kind):
            raise UserError(f"column {name} is of type {kind}")


# Any: a metric's facts, as read from JSON.
def _info(stored: dict[str, Any]) -> MetricInfo:
    """The facts about a metric. Fields that a file of an older version lacks are taken from the suite's own metric."""
    today = metric_info(str(stored["name"]))
    known = {name: getattr(today, name) for name in ADDED} if today else {}
    info = _INFO.validate_python(dataclasses.asdict(MetricInfo(**known | stored)))
    if not all(math.isfinite(number) for number in dataclasses.astuple(info) if isinstance(number, float)):
        raise UserError(f"{info.name}: its info has a number that isn't finite")
    return info


def write_scores(run: Run, scores: Scores) -> None:
    """Replace the run's scores."""
    metadata = json.dumps({name: dataclasses.asdict(info) for name, info in scores.metrics.items()})
    arrow = pa.Table.from_pandas(scores.table.reset_index(), preserve_index=False)
    added = {_METADATA: metadata.encode(), _UNSCORED: json.dumps(scores.unscored).encode()}
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **added})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, row_group_size=ROWS)
    run.write_scores(buffer.getvalue())
