"""scores.parquet: one row per sample asked for, one column per metric.

Columns: `id`; `sha256` of the image that was scored, null if there is none; for every metric its value, null if the
sample isn't scored, and `<metric>.status`, empty for a score and else the reason. The schema's metadata says what each
metric is.
"""

import dataclasses
import io
import json
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from brushbench.errors import UserError, one_line
from brushbench.metric_info import MetricInfo
from brushbench.store import Run

_METADATA = b"brushbench.metrics"


@dataclass(frozen=True)
class Scores:
    """What has been scored of a run."""

    table: pd.DataFrame
    """Columns as in the file, indexed by `id`."""
    metrics: dict[str, MetricInfo]
    """By column."""


def status_column(metric: str) -> str:
    """The column that says why a sample has no score."""
    return f"{metric}.status"


def read_scores(run: Run) -> Scores | None:
    """None if the run isn't scored yet. Raises `UserError` for a file that can't be read."""
    path = run.scores_path()
    if not path.exists():
        return None
    try:
        arrow = pq.read_table(path)
        infos = json.loads((arrow.schema.metadata or {})[_METADATA])
        metrics = {name: MetricInfo(**info) for name, info in infos.items()}
        return Scores(arrow.to_pandas().set_index("id"), metrics)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise UserError(one_line(f"{path}: damaged ({error}); remove it and score again")) from error


def write_scores(run: Run, scores: Scores) -> None:
    """Replace the run's scores."""
    metadata = json.dumps({name: dataclasses.asdict(info) for name, info in scores.metrics.items()})
    arrow = pa.Table.from_pandas(scores.table.reset_index(), preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _METADATA: metadata.encode()})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer)
    run.write_scores(buffer.getvalue())
