"""Read Parquet files of images, masks and captions, as written by `data convert` and Hugging Face's `datasets`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast, final

import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import SampleError, UserError, one_line, unknown
from brushbench.core.files import check_file
from brushbench.core.types import Sample
from brushbench.datasets.defects import DataFinding
from brushbench.datasets.listing import ListedSample
from brushbench.datasets.names import check_one_form, one_form, order_problem
from brushbench.datasets.parquet_columns import CAPTIONS, ID, IMAGE, MASKS, TAGS, mask_column
from brushbench.datasets.source import check_mask_size, check_painted, digest_of_parts, existing_folder, iterate
from brushbench.imaging.images import EncodedImage, read_image, read_mask

SUFFIX = ".parquet"
FOLDERS = (".", "data")
"""Folders below the root that may contain the files; repositories on the hub use `data`."""
MAX_GROUP_BYTES = 4 << 30
"""The largest row group that is read, since reading one picture loads the whole group."""
_DAMAGE = (pa.ArrowException, OSError, OverflowError, ValueError)
"""What pyarrow raises for damaged files, and for texts that aren't UTF-8 and impossible dates."""


@dataclass(frozen=True, slots=True)
class _Located:
    """A sample, and where its pictures are."""

    file: int
    group: int
    place: int
    sample: ListedSample


@final
class Parquet:
    """Samples in the order of the files; requesting a picture reads its whole row group.

    The columns are `id` (if missing, rows are numbered), `image`, `caption`, `inpainting_mask`, `outpainting_mask` (if
    missing, the complement of `inpainting_mask`), `brush_mask`, and a struct `tags`. In files from other sources, the
    captions may also be called `text` or `prompt`, and the masks `mask`.
    """

    def __init__(self, files: Sequence[Path], split: str) -> None:
        self.name = "parquet"
        self.split = split
        self._paths = files
        self._files = [_opened(path) for path in files]
        schema = self._files[0].schema_arrow
        for path, file in zip(files, self._files, strict=True):
            _check_columns(path, file.schema_arrow)
        self._caption = next((name for name in CAPTIONS if name in schema.names), None)
        if IMAGE not in schema.names or self._caption is None:
            raise UserError(
                one_line(f"{files[0]}: columns are {', '.join(schema.names)}; needed: {IMAGE}, {CAPTIONS[0]}")
            )
        self._mask, self._inverted = _column_of(schema, split)
        self._rows = _rows(self._files, self._caption)
        _check_counted(files, self._files)
        self._ids = tuple(self._rows)
        self._lock = Lock()
        self._group: tuple[tuple[int, int], pa.Table] | None = None

    @classmethod
    def open(cls, root: str | Path | None, split: str) -> "Parquet":
        """Open a Parquet file, or a folder with Parquet files in it or in its data/."""
        path = existing_folder(root, "parquet")
        files = [path] if path.is_file() else find_parquet(path)
        if not files:
            raise UserError(one_line(f"no *{SUFFIX} in {path}"))
        return cls(files, split)

    @property
    def ids(self) -> Sequence[str]:
        """The ids in the order of the rows, in Unicode's form NFC."""
        return self._ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags in the column `tags`."""
        return {name: row.sample.tags for name, row in self._rows.items()}

    def digest(self) -> str:
        """Hash of the files."""
        return digest_of_parts(self._paths)

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Sample]:
        return iterate(self)

    def __getitem__(self, index: int) -> Sample:
        row = self._rows[self._ids[index]]
        caption = row.sample.checked_caption()
        image = read_image(self.encoded_image(index))
        mask = read_mask(self._picture(row, self._mask))
        check_mask_size(mask, (image.shape[1], image.shape[2]))
        return Sample(row.sample.id, image, self._turned(mask), caption, row.sample.tags)

    def encoded_image(self, index: int) -> EncodedImage:
        """The encoded image of a sample. Raises `SampleError` if there is none."""
        return self._picture(self._rows[self._ids[index]], IMAGE)

    def _turned(self, mask: Bool[Tensor, "1 h w"]) -> Bool[Tensor, "1 h w"]:
        mask = ~mask if self._inverted else mask
        check_painted(mask, self._mask)
        return mask

    def _picture(self, row: _Located, column: str) -> EncodedImage:
        cell = self._table(row)[column][row.place].as_py()
        parts = cell if isinstance(cell, dict) else {"bytes": cell}
        content = parts.get("bytes")
        if not isinstance(content, bytes):
            raise SampleError(f"row has no bytes in {column}")
        return EncodedImage(content, str(parts.get("path") or column))

    def _table(self, row: _Located) -> pa.Table:
        """Read the row group of a sample; the last one is cached, since samples are mostly read in order."""
        place = (row.file, row.group)
        with self._lock:
            if self._group is None or self._group[0] != place:
                self._group = None
                self._group = (place, _read_group(self._files[row.file], row.group, [IMAGE, self._mask]))
            return self._group[1]


def find_parquet(root: Path) -> list[Path]:
    """The Parquet files of a folder, sorted."""
    found = (sorted((root / folder).glob(f"*{SUFFIX}")) for folder in FOLDERS)
    return next((files for files in found if files), [])


def splits_in(root: Path) -> Sequence[str]:
    """The splits whose masks are in the files. Raises `UserError` if the first isn't a Parquet file."""
    files = [root] if root.is_file() else find_parquet(root)
    names = _opened(files[0]).schema_arrow.names if files else []
    return [split for split, columns in MASKS.items() if set(columns) & set(names)]


def _opened(path: Path) -> pq.ParquetFile:
    try:
        check_file(path)
        return pq.ParquetFile(path)
    except _DAMAGE as error:
        raise UserError(one_line(f"{path}: not a Parquet file ({error})")) from error


def _check_columns(path: Path, schema: pa.Schema) -> None:
    repeated = [name for name, count in Counter(schema.names).items() if count > 1]
    if repeated:
        raise UserError(one_line(f"{path}: column {repeated[0]!r} occurs twice"))


def _column_of(schema: pa.Schema, split: str) -> tuple[str, bool]:
    """The column for a split's masks, and whether its complement must be taken."""
    columns = MASKS.get(split, (mask_column(split),))
    if found := next((name for name in columns if name in schema.names), None):
        return found, False
    inside = next((name for name in MASKS["inside"] if name in schema.names), None)
    if split == "outside" and inside:
        return inside, True
    there = [name for name, columns in MASKS.items() if set(columns) & set(schema.names)]
    raise unknown("split", split, [*there, *(["outside"] if inside else [])])


def _rows(files: Sequence[pq.ParquetFile], caption: str) -> dict[str, _Located]:
    """List all samples by id. Raises `UserError` for an id that occurs twice, and if there are no rows."""
    found: dict[str, _Located] = {}
    given: list[str] = []
    for number, file in enumerate(files):
        columns = [name for name in (ID, caption, TAGS) if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            for place, cells in enumerate(_cells(_read_group(file, group, columns))):
                given.append(str(cells.get(ID, f"{len(found):09d}")))
                name = one_form(given[-1])
                if name in found:
                    check_one_form("Parquet", given)
                    raise UserError(one_line(f"Parquet: id {name!r} occurs twice"))
                found[name] = _Located(number, group, place, _listed(name, caption, cells))
    if not found:
        raise UserError("Parquet: no rows")
    return found


# Any: the contents of cells, by column.
def _listed(name: str, caption: str, cells: Mapping[str, Any]) -> ListedSample:
    text = cells.get(caption)
    if isinstance(text, str):
        return ListedSample(name, Path(), None, text, {}, _texts(cells.get(TAGS)))
    missing = DataFinding("missing-caption", name, failure=f"row has no {caption}")
    return ListedSample(name, Path(), None, None, {}, _texts(cells.get(TAGS)), [missing])


def _check_counted(paths: Sequence[Path], files: Sequence[pq.ParquetFile]) -> None:
    """Raise `UserError` if rows are numbered, but programs may sort the files differently."""
    problem = order_problem({path.name: path for path in paths})
    if problem and any(ID not in file.schema_arrow.names for file in files):
        valid = f"valid: file names of one length and case, as part-00001{SUFFIX}, or a column {ID}"
        raise UserError(one_line(f"Parquet: rows without {ID} are numbered across the files, but {problem}; {valid}"))


def _texts(tags: object) -> Mapping[str, str]:
    pairs = tags.items() if isinstance(tags, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, str)}


def _read_group(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> pa.Table:
    size = file.metadata.row_group(group).total_byte_size
    if size > MAX_GROUP_BYTES:
        raise SampleError(f"Parquet: a row group has {size} bytes; valid: up to {MAX_GROUP_BYTES}")
    try:
        table = file.read_row_group(group, columns=columns, use_threads=False)
        table.validate(full=True)
    except _DAMAGE as error:
        raise SampleError(one_line(f"Parquet: a row group is damaged ({error})")) from error
    return table


# Any: the contents of cells, by column.
def _cells(table: pa.Table) -> list[dict[str, Any]]:
    try:
        return cast(list[dict[str, Any]], table.to_pylist())
    except _DAMAGE as error:
        raise SampleError(one_line(f"Parquet: a row group is damaged ({error})")) from error
