"""scores.parquet: one row per sample asked for, one column per metric.

Columns: `id`; `sha256` of the image that was scored, null if there is none; for every metric its value, null if the
sample isn't scored, and `<metric>.status`, empty for a score and else the reason; `<metric>.note`, what a reader must
know of the score, if there is anything for any sample; `tag.<name>` for every tag of the samples, null where one has it
not; `mask_share`, the share of the pixels that is to be painted, and `size`, height x width of the source, null where
the sample was never decoded. Files of older versions lack the last three. The schema's metadata says what each metric
is, and which of the usual ones can't be computed where the run was scored.
"""

import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import check_file
from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import metric_info
from brushbench.runs.folder import Run
from brushbench.runs.folders import run_folders

MASK_SHARE, SIZE, TAG = "mask_share", "size", "tag."
ADDED = ("ceiling", "lowest", "highest", "compared")
"""Fields of `MetricInfo` that files of older versions lack."""
_METADATA, _UNSCORED = b"brushbench.metrics", b"brushbench.unscored"
_INFO, _TEXTS = TypeAdapter(MetricInfo), TypeAdapter(dict[str, str])
_PANDAS = {
    pa.string(): pd.StringDtype(),
    pa.large_string(): pd.StringDtype(),
    pa.float64(): pd.Float64Dtype(),
}


@dataclass(frozen=True)
class Scores:
    """What has been scored of a run."""

    table: pd.DataFrame
    """Columns as in the file, indexed by `id`."""
    metrics: dict[str, MetricInfo]
    """By column."""
    unscored: dict[str, str] = field(default_factory=dict)
    """Usual metrics that couldn't be computed, each with the reason."""


def status_column(metric: str) -> str:
    """The column that says why a sample has no score."""
    return f"{metric}.status"


def note_column(metric: str) -> str:
    """The column of what a reader must know of scores; it need not be there."""
    return f"{metric}.note"


def tag_column(tag: str) -> str:
    """The column of a tag of the samples."""
    return f"{TAG}{tag}"


def read_scores(run: Run) -> Scores | None:
    """None if the run isn't scored yet. A sample whose image is another one now, or gone, has no score but says so.

    Raises `UserError` for a file that can't be read.
    """
    scores = _stored(run)
    found = capture(run.changed_images) if scores else {}
    # Whoever needs the ledger says what is wrong with it; the scores are there all the same.
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
    """The runs in these folders whose record, ledger and scores can be read, and what is wrong with each other one.

    Raises `UserError` if there is none.
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
    run.ledger()
    read_scores(run)
    return run


def stored_digests(run: Run) -> dict[str, str]:
    """The digests of the images that are scored, by sample; empty where they can't be read."""
    stored = capture(_stored, run)
    if stored is None or isinstance(stored, Failure):
        return {}
    return {str(name): str(digest) for name, digest in stored.table["sha256"].dropna().items()}


def _stored(run: Run) -> Scores | None:
    path = run.scores_path()
    if not path.exists():
        return None
    check_file(path)
    scores = capture(_read, path)
    if isinstance(scores, Failure):
        raise UserError(one_line(f"{path}: damaged ({scores.error}); remove it and score again"))
    return scores


def _read(path: Path) -> Scores:
    """Check everything that reports and scoring rely on; raises any error for a file that lacks it."""
    # With neither a file's own word on types nor threads: what is damaged could have any.
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
        raise UserError("an id is missing, or occurs twice")
    for name in numbers:
        if not np.isfinite(frame[name].dropna().to_numpy(np.float64)).all():
            raise UserError(f"{name} isn't finite")
    for name, info in metrics.items():
        if name != info.name or (frame[name].isna() == (frame[status_column(name)] == "")).any():
            raise UserError(f"{name}: a score must have a value, and anything else a reason")
    return Scores(frame.set_index("id"), metrics, unscored)


def _check_types(arrow: pa.Table, names: Sequence[str], is_right: Callable[[pa.DataType], bool]) -> None:
    for name in names:
        # Of a name that occurs twice, Arrow says that there is none.
        kind = arrow.schema.field(name).type
        if not is_right(pa.string() if pa.types.is_large_string(kind) else kind):
            raise UserError(f"column {name} is of type {kind}")


# Any: what a metric's facts are as JSON.
def _info(stored: dict[str, Any]) -> MetricInfo:
    """Files of older versions say less: what they don't say is what the suite says of the metric today."""
    today = metric_info(str(stored["name"]))
    known = {name: getattr(today, name) for name in ADDED} if today else {}
    info = _INFO.validate_python(dataclasses.asdict(MetricInfo(**known | stored)))
    if not all(math.isfinite(number) for number in dataclasses.astuple(info) if isinstance(number, float)):
        raise UserError(f"{info.name}: a number that isn't finite")
    return info


def write_scores(run: Run, scores: Scores) -> None:
    """Replace the run's scores."""
    metadata = json.dumps({name: dataclasses.asdict(info) for name, info in scores.metrics.items()})
    arrow = pa.Table.from_pandas(scores.table.reset_index(), preserve_index=False)
    added = {_METADATA: metadata.encode(), _UNSCORED: json.dumps(scores.unscored).encode()}
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **added})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer)
    run.write_scores(buffer.getvalue())
