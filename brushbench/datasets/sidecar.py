"""Read tags for BrushBench's samples, which its own files lack, from an optional `tags.csv` beside the mapping file."""

from collections.abc import Collection, Mapping
from pathlib import Path

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.datasets.defects import DataFinding, Report
from brushbench.datasets.names import one_form
from brushbench.datasets.tables import read_csv

FILE = "tags.csv"
VALUES = {"source": ("natural", "artificial"), "subject": ("human", "animal", "indoor", "outdoor")}
"""Valid values by column. BrushNet, section 4: half of the pictures are natural, and subjects are equally frequent."""


def read_sidecar(folder: Path, ids: Collection[str], report: Report) -> Mapping[str, Mapping[str, str]] | None:
    """Read tags by id from `folder/tags.csv`, with the columns id, source, subject; None if it can't be read.

    Cells may be empty, and samples may be left out. Reports unknown columns, values that aren't in `VALUES`, ids that
    aren't in the data set, and ids that occur twice.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        columns, rows = read_csv(path)
    except UserError as error:
        report(DataFinding("sidecar-unreadable", FILE, str(error), refusal=str(error)))
        return None
    if set(columns) != {"id", *VALUES}:
        why = f"columns are {', '.join(columns)}; valid: id, {', '.join(VALUES)}"
        report(DataFinding("sidecar-unreadable", FILE, why, refusal=one_line(f"{path}: {why}")))
        return None
    known, twice = frozenset(ids), set[str]()
    found: dict[str, Mapping[str, str]] = {}
    for row in rows:
        name = one_form(row["id"].strip())
        refusal = f"{path}: id {name!r}"
        if name in found:
            if name not in twice:
                report(DataFinding("sidecar-duplicate-id", name, FILE, refusal=one_line(f"{refusal} occurs twice")))
            twice.add(name)
        elif name not in known:
            report(DataFinding("sidecar-unknown-id", name, FILE, refusal=one_line(f"{refusal} is not in the data set")))
        found[name] = {column: row[column].strip() for column in VALUES if row[column]}
        for column, value in found[name].items():
            if value not in VALUES[column]:
                detail = f"{column} is {value!r}; valid: {', '.join(VALUES[column])}"
                why = one_line(f"{refusal}: {unknown(column, value, VALUES[column])}")
                report(DataFinding("sidecar-value", name, detail, refusal=why))
    return found
