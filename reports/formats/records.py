"""Write the numbers of tables for other programs: a record per printed cell, not scaled, with twelve digits or more."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

from brushbench.reports.formats.escaping import spreadsheet
from brushbench.reports.seeds import SEEDS, has_several
from brushbench.reports.tables import Report

COLUMNS = [
    *("dataset", "protocol", "split", "section", "method", "role", "metric", "mean", "low", "high", "standard_error"),
    *("n_scored", "n_asked", "n_capped", SEEDS, "fewer_samples", "mark", "unit", "scale", "higher_is_better"),
]
"""`low` and `high` are the ends of the 95 % interval of the mean; `scale` is the factor that papers multiply it by."""
DIGITS, MEAN_DIGITS = 12, 14
Value = str | int | float | bool | None


def csv_lines(report: Report) -> str:
    """Return the records of a report as CSV lines with a heading; no spreadsheet takes a name for a formula."""
    return csv_of(_records(report))


def csv_of(records: Sequence[Mapping[str, Value]]) -> str:
    """Return records, at least one, as CSV lines with a heading; no spreadsheet evaluates them."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(records[0])
    for record in records:
        writer.writerow([spreadsheet(value) if isinstance(value, str) else value for value in record.values()])
    return buffer.getvalue().rstrip("\n")


def json_records(report: Report) -> str:
    """Return the records of a report as a JSON list, with null for missing numbers."""
    # In ASCII no character of a name can control a terminal.
    return json.dumps(_records(report), allow_nan=False, indent=2)


def _records(report: Report) -> list[dict[str, Value]]:
    infos = [report.metrics[name] for name in report.rows["metric"]]
    rows = report.rows.assign(
        unit=[info.unit for info in infos],
        scale=[info.scale for info in infos],
        higher_is_better=[info.higher_is_better for info in infos],
    )
    unused = {name for name, used in (("section", report.by), (SEEDS, has_several(rows))) if not used}
    columns = [name for name in COLUMNS if name not in unused]
    columns += [str(name) for name in rows if str(name).startswith("published")]
    # A mean over no sample is null, not NaN.
    records = rows[columns].astype(object).where(rows[columns].notna(), None).to_dict(orient="records")
    return [{str(key): _same_everywhere(str(key), value) for key, value in record.items()} for record in records]


def _same_everywhere(column: str, value: Value) -> Value:
    """Drop the last digits, which depend on the processor; means, which need less computation, keep more of them."""
    digits = MEAN_DIGITS if column == "mean" else DIGITS
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
