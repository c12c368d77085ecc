"""Tags of BrushBench's samples, which its own files don't have: an optional `tags.csv` beside the mapping file."""

from collections.abc import Collection, Mapping
from pathlib import Path

from brushbench.core.errors import UserError, one_line, unknown
from brushbench.datasets.names import one_form
from brushbench.datasets.tables import read_csv

FILE = "tags.csv"
VALUES = {"source": ("natural", "artificial"), "subject": ("human", "animal", "indoor", "outdoor")}
"""By column; BrushNet, section 4: half of the pictures are natural, and the subjects are even."""


def read_sidecar(folder: Path, ids: Collection[str]) -> Mapping[str, Mapping[str, str]]:
    """Tags by id, from `folder/tags.csv` with the columns id, source, subject; none if there is no such file.

    An empty cell says nothing, and a sample needs no line. Raises `UserError` for another column, a value that isn't in
    `VALUES`, an id that isn't in the data set, or one that occurs twice.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    columns, rows = read_csv(path)
    if set(columns) != {"id", *VALUES}:
        raise UserError(one_line(f"{path}: columns are {', '.join(columns)}; valid: id, {', '.join(VALUES)}"))
    known = frozenset(ids)
    found: dict[str, Mapping[str, str]] = {}
    for row in rows:
        name = one_form(row["id"].strip())
        if name not in known:
            raise UserError(one_line(f"{path}: id {name!r} is not in the data set"))
        if name in found:
            raise UserError(one_line(f"{path}: id {name!r} occurs twice"))
        found[name] = {column: _checked(path, name, column, row[column].strip()) for column in VALUES if row[column]}
    return found


def _checked(path: Path, name: str, column: str, value: str) -> str:
    if value not in VALUES[column]:
        raise UserError(one_line(f"{path}: id {name!r}: {unknown(column, value, VALUES[column])}"))
    return value
