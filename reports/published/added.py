"""Published numbers that a user has added: checked line by line, and kept in a file of the user's own."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import exists, read_text
from brushbench.reports.published.lint import impossible_numbers
from brushbench.reports.published.registry import FILES, METRICS, OTHER_METRICS, Published, number_of, read
from brushbench.reports.published.setups import SAME

VARIABLE = "BRUSHBENCH_PUBLISHED"
"""The environment variable that names the file; unset: `published.csv` in the user's data folder."""
NEEDED = ("benchmark", "split", "method", "metric", "value", "source", "setup")
COLUMNS = (*NEEDED[:3], "blend", *NEEDED[3:5], "confidence", *NEEDED[5:], "note")
GRADE = "U"
"""The confidence of an added number that states none."""
SPLITS = {
    "BrushBench": ("inside", "outside", "mean(inside,outside)", "not said"),
    "EditBench": ("all",),
}
"""The splits of the suite's own benchmarks; others may have any."""
BLENDS = ("", "none", "paste", "blur")
Row = Mapping[str, str]


def added_file() -> Path:
    """Return the file of added numbers, which may not exist."""
    from platformdirs import user_data_path

    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else user_data_path("brushbench") / "published.csv"


def read_added() -> tuple[Published, ...]:
    """Read what was added. Raises `UserError` if the file that the variable names is missing, or can't be read."""
    file = added_file()
    if not exists(file):
        if os.environ.get(VARIABLE):
            raise UserError(one_line(f"{VARIABLE}: there is no file {file}; `published add FILE.csv` makes it"))
        return ()
    return read([file])


def faults(file: Path) -> list[str]:
    """Return everything that keeps the numbers of a file from being added, with its lines; empty for a good file.

    Raises `UserError` for a file that isn't CSV or that lacks a column.
    """
    rows = _rows(file)
    found = [f"line {line}: {fault}" for line, row in rows for fault in _faults_of(row)]
    if found:
        return found
    numbers = [number_of(_complete(row), line) for line, row in rows]
    known = {(*number.row, number.metric): number for number in (*read(FILES), *_others())}
    found = [
        f"line {number.line}: {' '.join(filter(None, key))} is in the registry already, from {known[key].source}"
        for number in numbers
        if (key := (*number.row, number.metric)) in known
    ]
    lines = {(*number.row, number.metric): number.line for number in numbers}
    wrong = impossible_numbers(numbers)
    return found + [f"line {line}: {fault}" if (line := _line(fault, lines)) else fault for fault in wrong]


def add_numbers(file: Path) -> tuple[int, Path]:
    """Add the numbers of a file, all or none, and return how many there are and where they are kept.

    Raises `UserError` with the first fault if there is any.
    """
    if found := faults(file):
        more = f" (and {len(found) - 1} more: `published lint {file}`)" if len(found) > 1 else ""
        raise UserError(one_line(f"{file}: {found[0]}{more}", 1000))
    target = added_file()
    target.parent.mkdir(parents=True, exist_ok=True)
    rows = [_complete(row) for _, row in _rows(file)]
    with FileLock(target.with_name(f".{target.name}.lock")):
        kept = [row for _, row in _rows(target)] if exists(target) else []
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *rows])
        atomic.write(target, text.getvalue().encode())
    return len(rows), target


def _others() -> tuple[Published, ...]:
    return read([file]) if exists(file := added_file()) else ()


def _rows(file: Path) -> list[tuple[int, Row]]:
    """The rows of a file with their lines, without spaces around their values."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(file)), strict=True)
        named = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = named
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UserError(one_line(f"{file}: can't be read as CSV ({error})")) from error
    missing = [name for name in NEEDED if name not in named]
    unknown = [name for name in named if name not in COLUMNS]
    if missing or unknown or len(set(named)) < len(named):
        what = f"lacks the column {missing[0]}" if missing else f"has the column {(unknown or named)[0]!r}"
        raise UserError(one_line(f"{file}: {what}; valid, each once: {', '.join(COLUMNS)}", 500))
    if not rows:
        raise UserError(one_line(f"{file}: has no numbers"))
    for line, row in rows:
        if None in row or None in row.values():
            raise UserError(one_line(f"{file}: line {line} has another number of values than the heading"))
    return [(line, {name: text.strip() for name, text in row.items()}) for line, row in rows]


def _complete(row: Row) -> Row:
    return {**dict.fromkeys(COLUMNS, ""), **row, "confidence": row.get("confidence") or GRADE}


def _faults_of(row: Row) -> Iterator[str]:
    for name in NEEDED:
        if not row[name]:
            yield f"{name} is empty" + (f"; valid: {_SETUP}" if name == "setup" else "")
    if row["metric"] and row["metric"] not in (valid := (*METRICS, *OTHER_METRICS)):
        yield f"there is no metric {row['metric']!r}; valid: {', '.join(valid)}"
    if (splits := SPLITS.get(row["benchmark"])) and row["split"] not in splits:
        yield f"{row['benchmark']} has no split {row['split']!r}; valid: {', '.join(splits)}"
    if row.get("blend", "") not in BLENDS:
        yield f"blend {row['blend']!r}; valid: {', '.join(BLENDS[1:])}, or nothing"
    if row["value"] and _number(row["value"]) is None:
        yield f"{row['value']!r} is not a number; valid: the value as printed, such as 12.36"


_SETUP = f"{SAME} for that of BrushNet's authors, or base, steps, prompts, storage and blending in words"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _line(fault: str, lines: Mapping[tuple[str, str, str, str, str, str], int]) -> int | None:
    """The line that a fault of the lint is about; None for one about several."""
    place = fault.partition(":")[0]
    return next((line for key, line in lines.items() if " ".join(filter(None, key)) == place), None)
