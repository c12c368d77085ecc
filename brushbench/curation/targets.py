"""The formats that a data set can be converted to, each written sample by sample."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool
from PIL import Image
from torch import Tensor

from brushbench.core.errors import UserError, doing, one_line
from brushbench.curation.rows import PortableSample
from brushbench.datasets.mapping import MAPPING_FILES, MASK_KEYS
from brushbench.datasets.parquet_columns import CAPTION, ID, IMAGE, TAGS, mask_column, schema_of
from brushbench.datasets.sidecar import FILE
from brushbench.imaging.masks import encode_rle

GROUP_ROWS, GROUP_BYTES = 100, 64 << 20
"""Size of a Parquet row group, which is held in memory while it is written and while it is read."""
Mask = Bool[Tensor, "h w"]


Write = Callable[[Path, Iterable[PortableSample], Sequence[str]], int]
"""Writes all samples to a new path and returns their number. The texts are the tags that samples may have. Raises
`UserError` for samples that the format cannot hold."""


@dataclass(frozen=True, slots=True)
class Format:
    """A way to store a data set."""

    summary: str
    write: Write
    holds: Sequence[str]
    """Patterns of the names that a folder of this format may contain; empty if the format is a single file."""
    one_split: bool
    """Whether the format holds only one mask for each sample."""


def write_brushbench(target: Path, rows: Iterable[PortableSample], _tags: Sequence[str]) -> int:
    """Write `images/` and a mapping file.

    If only one of inside and outside is given, the other is stored as its complement; a single split of another name
    is stored as inside.
    """
    (target / "images").mkdir(parents=True)
    count, size = 0, None
    with (target / MAPPING_FILES[0]).open("x", encoding="utf-8") as mapping:
        for row in rows:
            inside, outside = _both(row.masks)
            size = size or inside.shape
            if inside.shape != size:
                sizes = " and ".join("x".join(map(str, shape)) for shape in (size, inside.shape))
                raise UserError(one_line(f"{row.id}: pictures of {sizes}; BrushBench's format has one size for all"))
            record: dict[str, object] = {"image": f"images/{row.file}", "caption": row.caption}
            record |= {MASK_KEYS["inside"]: encode_rle(inside), MASK_KEYS["outside"]: encode_rle(outside)}
            record |= {"tags": dict(row.tags)} if row.tags else {}
            mapping.write(f"{',' if count else '{'}\n{json.dumps(row.id)}: {json.dumps(record)}")
            _write(target / "images" / row.file, row.image)
            count += 1
        mapping.write("\n}\n")
        _sync(mapping)
    return count


def write_folder(target: Path, rows: Iterable[PortableSample], tags: Sequence[str]) -> int:
    """Write `images/`, `masks/` and `captions.csv`, with a column for each tag."""
    columns = [IMAGE, CAPTION, *tags]
    if len(set(columns) | {ID}) <= len(columns):
        raise UserError(f"the folder format does not allow tags named {ID}, {IMAGE} or {CAPTION}")
    for part in ("images", "masks"):
        (target / part).mkdir(parents=True)
    count = 0
    with (target / "captions.csv").open("x", encoding="utf-8", newline="") as captions:
        lines = csv.writer(captions)
        lines.writerow(columns)
        for row in rows:
            lines.writerow([row.file, row.caption, *(row.tags.get(key, "") for key in tags)])
            _write(target / "images" / row.file, row.image)
            _write(target / "masks" / f"{row.id}.png", _picture(_only(row.masks)))
            count += 1
        _sync(captions)
    return count


def write_masks(target: Path, rows: Iterable[PortableSample], _tags: Sequence[str]) -> int:
    """Write only the masks, in black and white; white is painted."""
    target.mkdir()
    count = 0
    for row in rows:
        _write(target / f"{row.id}.png", _picture(_only(row.masks)))
        count += 1
    return count


def write_parquet(target: Path, rows: Iterable[PortableSample], tags: Sequence[str]) -> int:
    """Write one Parquet file, in row groups of at most `GROUP_ROWS` samples and about `GROUP_BYTES`."""
    count, waiting, waiting_bytes = 0, list[Mapping[str, object]](), 0
    writer = None
    try:
        for row in rows:
            schema = schema_of(list(row.masks), tags) if writer is None else writer.schema
            writer = writer or pq.ParquetWriter(target, schema)
            waiting.append(_cells(row, tags))
            waiting_bytes += len(row.image)
            count += 1
            if len(waiting) == GROUP_ROWS or waiting_bytes >= GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting, waiting_bytes = [], 0
        if writer and waiting:
            writer.write_table(pa.Table.from_pylist(waiting, writer.schema))
    finally:
        if writer:
            writer.close()
    return count


FORMATS: Mapping[str, Format] = {
    "brushbench": Format(
        "a folder in BrushBench's format: images/ and mapping_file.json",
        write_brushbench,
        ("images", *MAPPING_FILES, FILE),
        one_split=False,
    ),
    "parquet": Format("one Parquet file, as Hugging Face datasets reads it", write_parquet, (), one_split=False),
    "folder": Format(
        "images/, masks/ and captions.csv", write_folder, ("images", "masks", "captions.csv"), one_split=True
    ),
    "masks": Format("only the masks, as PNG files", write_masks, ("*.png",), one_split=True),
}


def _cells(row: PortableSample, tags: Sequence[str]) -> Mapping[str, object]:
    masks = {
        mask_column(split): {"bytes": _picture(mask), "path": f"{row.id}.png"} for split, mask in row.masks.items()
    }
    named = {TAGS: {key: row.tags.get(key) for key in tags}} if tags else {}
    return {ID: row.id, CAPTION: row.caption, IMAGE: {"bytes": row.image, "path": row.file}, **masks, **named}


def _both(masks: Mapping[str, Mask]) -> tuple[Mask, Mask]:
    """Return the mask to store as inside and the mask to store as outside."""
    if "inside" in masks and "outside" in masks:
        return masks["inside"], masks["outside"]
    mask = _only(masks)
    return (~mask, mask) if "outside" in masks else (mask, ~mask)


def _only(masks: Mapping[str, Mask]) -> Mask:
    (mask,) = masks.values()
    return mask


def _picture(mask: Mask) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask.numpy()).convert("L").save(buffer, format="PNG")
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with doing("writing", path), path.open("xb") as file:
        file.write(content)
        _sync(file)


def _sync(file: io.BufferedWriter | io.TextIOWrapper) -> None:
    file.flush()
    os.fsync(file.fileno())
