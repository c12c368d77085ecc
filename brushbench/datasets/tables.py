"""Read text, CSV and JSON files of a data set, with limits on their size and form."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from brushbench.core import files
from brushbench.core.errors import UserError, one_line

MAX_BYTES = 256 << 20
"""The largest file that is read; BrushBench's mapping file has a few million numbers."""
_CSV_PROBLEMS = (csv.Error, ValueError)


def read_description(path: Path) -> bytes:
    """Read a whole file. Raises `UserError` if it can't be read, or is larger than `MAX_BYTES`."""
    return files.read_bytes(path, MAX_BYTES)


def read_description_text(path: Path) -> str:
    """Read a UTF-8 text, with or without a byte order mark. Raises `UserError` for any other encoding."""
    try:
        return read_description(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(one_line(f"{path}: can't be read as UTF-8 text ({error})")) from error


def read_json(path: Path, pairs_hook: Callable[[list[tuple[str, object]]], object] | None = None) -> object:
    """Read a JSON file; `pairs_hook` as in `json.loads`. Raises `UserError` if it isn't JSON."""
    content = read_description(path)
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        # Don't keep a large file in memory twice.
        del content
        parsed: object = json.loads(text, object_pairs_hook=pairs_hook)
    # RecursionError: too many nested brackets.
    except (ValueError, RecursionError) as error:
        raise UserError(one_line(f"{path}: not JSON ({error})")) from error
    return parsed


def read_csv(path: Path) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    """Read the columns and rows of a CSV file; cells missing at the end of a row are empty.

    Raises `UserError` for a missing header, a column that occurs twice, or a row with more cells than the header.
    """
    reader = csv.reader(io.StringIO(read_description_text(path), newline=""), strict=True)
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        if not any(columns):
            raise UserError(one_line(f"{path}: no header: the first line must name the columns"))
        repeated = [name for name, count in Counter(columns).items() if count > 1]
        if repeated:
            raise UserError(one_line(f"{path}: column {repeated[0]!r} occurs twice"))
        rows = [_row(path, reader.line_num, columns, cells) for cells in reader if cells]
    except _CSV_PROBLEMS as error:
        raise UserError(one_line(f"{path}: line {reader.line_num}: {error}")) from error
    return columns, rows


def _row(path: Path, line: int, columns: tuple[str, ...], cells: Sequence[str]) -> dict[str, str]:
    if len(cells) > len(columns):
        raise UserError(one_line(f"{path}: line {line}: {len(cells)} cells for {len(columns)} columns"))
    return dict(zip(columns, [*cells, *[""] * (len(columns) - len(cells))], strict=True))
