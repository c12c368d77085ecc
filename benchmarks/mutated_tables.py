"""Damage Parquet files: their bytes, or their columns, types, values and descriptions."""

import io
import json
import random
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from mutations import flipped, restructured, scrambled

_CELLS: list[object] = [
    *(None, "", "x", "identical", "\0", "\x1b[31m", "x" * 3000, 0, 1, -1, 2**62, 0.5, -0.5, 1e300, -1e300, 5e-324),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        b"",
        b"\xff\xfe",
        [],
        [1],
        {"a": 1},
        {"bytes": b"x", "path": ""},
    ),
]
_TYPES = (
    *(pa.string(), pa.large_string(), pa.float64(), pa.float32(), pa.int64(), pa.bool_(), pa.binary(), pa.null()),
    *(pa.date32(), pa.timestamp("us"), pa.list_(pa.int64()), pa.dictionary(pa.int32(), pa.string())),
    *(pa.decimal128(9, 2), pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
)
_NAMES = ("id", "sha256", "size", "mask_share", "psnr", "psnr.status", "psnr.note", "tag.x", "image", "caption", "tags")
Change = Callable[[random.Random, pa.Table], pa.Table]


def table(draw: random.Random, sound: pa.Table) -> bytes:
    """Write a table that is damaged in one of these ways, as a file's bytes."""
    changed = sound
    if draw.random() < 0.8:
        for _ in range(draw.randint(1, 3)):
            changed = draw.choice(_CHANGES)(draw, changed)
    content = _written(changed, compression=draw.choice(("none", "snappy", "zstd")))
    if draw.random() < 0.4:
        # The footer describes the rest of the file.
        at = draw.choice((0, max(0, len(content) - 400), draw.randrange(len(content))))
        content = content[:at] + flipped(draw, content[at:])
    return content


def _written(changed: pa.Table, compression: str) -> bytes:
    buffer = io.BytesIO()
    try:
        pq.write_table(changed, buffer, compression=compression)
    # Of a type that Parquet lacks, the bytes written so far remain.
    except (pa.ArrowException, ValueError):
        return buffer.getvalue() or b"PAR1"
    return buffer.getvalue()


def _dropped(draw: random.Random, given: pa.Table) -> pa.Table:
    return given.remove_column(draw.randrange(given.num_columns)) if given.num_columns > 1 else given


def _renamed(draw: random.Random, given: pa.Table) -> pa.Table:
    names = list(given.column_names)
    names[draw.randrange(len(names))] = draw.choice((*_NAMES, *names, "", "x" * 300, "\x1b[31m", "\u202e"))
    return given.rename_columns(names)


def _filled(draw: random.Random, given: pa.Table) -> pa.Table:
    """Change a column's type or cells."""
    at = draw.randrange(given.num_columns)
    cells = given.column(at).to_pylist()
    for place in draw.sample(range(len(cells)), draw.randint(0, len(cells))):
        cells[place] = draw.choice(_CELLS)
    wanted = draw.choice((given.schema.field(at).type, *_TYPES))
    return given.set_column(at, given.column_names[at], _array(cells, wanted))


def _array(cells: list[object], wanted: pa.DataType) -> pa.Array:
    """Make an array of this type; cells of another type become missing."""
    found = []
    for cell in cells:
        try:
            found.append(pa.scalar(cell, wanted).as_py())
        except (pa.ArrowException, ValueError, TypeError, AttributeError, OverflowError):
            found.append(None)
    return pa.array(found, wanted)


def _added(draw: random.Random, given: pa.Table) -> pa.Table:
    cells = [draw.choice(_CELLS) for _ in range(given.num_rows)]
    return given.append_column(draw.choice((*_NAMES, *given.column_names)), _array(cells, draw.choice(_TYPES)))


def _rows(draw: random.Random, given: pa.Table) -> pa.Table:
    return (
        pa.concat_tables([given] * draw.choice((2, 3))) if draw.random() < 0.5 else given.slice(0, draw.randint(0, 2))
    )


def _described(draw: random.Random, given: pa.Table) -> pa.Table:
    """Damage the schema's metadata, most of which is JSON."""
    metadata = dict(given.schema.metadata or {})
    if not metadata or draw.random() < 0.1:
        return given.replace_schema_metadata(None)
    key = draw.choice(sorted(metadata))
    if draw.random() < 0.5:
        metadata[key] = scrambled(draw, metadata[key])
    else:
        try:
            content = json.loads(metadata[key])
        except (ValueError, RecursionError):
            content = {}
        metadata[key] = json.dumps(restructured(draw, content)).encode()
    return given.replace_schema_metadata(metadata)


_CHANGES: tuple[Change, ...] = (_dropped, _renamed, _filled, _filled, _filled, _added, _rows, _described, _described)
