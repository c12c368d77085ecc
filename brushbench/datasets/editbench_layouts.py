"""The layouts that EditBench circulates in, read to one form.

* A, the official archive: `annotations_{natural,generated}.csv` with the columns `aos, prompt_full,
  prompt_mask-simple, prompt_mask-rich`; `references_*/{aos}.png`; `masks_*/{aos}.png`, white = paint.
* B: a table with the columns `aos, type, image_path, masked_image_path, caption`, and no masks: what is to be painted
  is black in the masked image.
* C: BrushNet's copy, a mapping file in BrushBench's format with `prompt_full` as caption; read by its reader.

Source: Imagen Editor and EditBench, arXiv:2212.06909; layouts as public code reads them.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import SampleError, UserError, one_line
from brushbench.core.files import check_file
from brushbench.core.types import Sample
from brushbench.datasets.brushbench import MAPPING_FILES
from brushbench.datasets.editbench_masks import black_mask
from brushbench.datasets.names import in_one_form, one_form
from brushbench.datasets.source import check_caption, check_id, digest_of, inside_root
from brushbench.datasets.tables import read_csv
from brushbench.imaging.images import read_image, read_mask

FOLDER = "EditBench"
SUBSETS = ("natural", "generated")
PROMPTS = ("full", "mask-simple", "mask-rich")
_COLUMNS_B = ("aos", "type", "image_path", "masked_image_path", "caption")
_PREFIX = "prompt_"
ReadMask = Callable[[Path], Bool[Tensor, "1 h w"]]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: one picture with one prompt."""

    id: str
    """`natural-<aos>`; only `<aos>` where a table doesn't say which subset it is."""
    image: str
    """File, below the data set's folder; likewise the mask's."""
    mask: str
    caption: str
    tags: Mapping[str, str]
    """`subset`, and every other column that isn't empty: attribute, object, scene."""


@final
class Table:
    """Layout A or B: pictures and masks as they are stored, by the rows of tables.

    A damaged table raises `UserError` when it is opened, a damaged picture `SampleError` when its sample is asked for.
    """

    def __init__(self, root: Path, files: Sequence[Path], rows: Sequence[Row], read: ReadMask) -> None:
        in_one_form(str(root), (row.id for row in rows))
        repeated = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
        if repeated:
            raise UserError(one_line(f"{root}: {repeated[0]!r} occurs twice"))
        self._root = root
        self._files = files
        self._rows = rows
        self._ids = tuple(one_form(row.id) for row in rows)
        self._read = read

    @property
    def ids(self) -> Sequence[str]:
        """In the order of the tables, natural before generated; in Unicode's form NFC."""
        return self._ids

    @property
    def rows(self) -> Sequence[Row]:
        """The rows as the tables have them, in the order of the ids."""
        return self._rows

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """The tags of every row."""
        return {name: row.tags for name, row in zip(self._ids, self._rows, strict=True)}

    def digest(self) -> str:
        """Hash of the tables and of every image and mask."""
        pictures = (self._file_or_none(name) for row in self._rows for name in (row.image, row.mask))
        return digest_of([*self._files, *pictures])

    def mask_file(self, index: int) -> Path | None:
        """The file that a sample's mask is made from; None if it is outside the data set's folder."""
        return self._file_or_none(self._rows[index].mask)

    def __getitem__(self, index: int) -> Sample:
        row, name = self._rows[index], self._ids[index]
        check_id(name)
        if not row.caption.strip():
            raise SampleError(one_line(f"{name}: its table has no prompt of this kind for it"))
        check_caption(row.caption)
        image = read_image(inside_root(self._root, row.image))
        mask = self._read(inside_root(self._root, row.mask))
        if mask.shape[1:] != image.shape[1:]:
            sizes = [f"{part.shape[1]}x{part.shape[2]}" for part in (mask, image)]
            raise SampleError(f"mask is {sizes[0]}, its image is {sizes[1]}")
        return Sample(name, image, mask, row.caption, row.tags)

    def _file_or_none(self, name: str) -> Path | None:
        try:
            return inside_root(self._root, name)
        except SampleError:
            return None


@dataclass(frozen=True, slots=True)
class Layout:
    """Which layout a folder has."""

    kind: str
    """A, B or C."""
    files: tuple[Path, ...]
    """Its tables, or its mapping file."""


def find_layout(root: Path) -> Layout | None:
    """The layout of a folder, of a folder named EditBench in it, or of a table or a mapping file; None if it is none.

    A wins over B, and B over C; a folder named EditBench over what is beside it.
    """
    if root.is_file():
        return Layout("B" if root.suffix == ".csv" else "C", (root,))
    for folder in (root / FOLDER, root):
        annotations = tuple(file for file in map(folder.joinpath, map(_annotations, SUBSETS)) if file.is_file())
        if annotations:
            return Layout("A", annotations)
        tables = tuple(file for file in sorted(folder.glob("*.csv")) if _is_table_b(file))
        if tables:
            return Layout("B", tables)
        mapping = next((folder / name for name in MAPPING_FILES if (folder / name).is_file()), None)
        if mapping:
            return Layout("C", (mapping,))
    return None


def has_tables(root: Path) -> bool:
    """Whether a folder has layout A or B, which are EditBench's alone."""
    layout = find_layout(root)
    return layout is not None and layout.kind != "C"


def read_annotations(files: Sequence[Path], prompt: str) -> Table:
    """Layout A. Raises `UserError` for a table that lacks a column, or that has a picture twice."""
    rows = []
    for file in files:
        subset = next(subset for subset in SUBSETS if file.name == _annotations(subset))
        columns, lines = read_csv(file)
        _check_columns(file, columns, ("aos", _PREFIX + prompt))
        others = [name for name in columns if name != "aos" and not name.startswith(_PREFIX)]
        for line in lines:
            name = line["aos"].strip()
            image, mask = (f"{folder}_{subset}/{name}.png" for folder in ("references", "masks"))
            tags = {**_filled(line, others), "subset": subset}
            rows.append(Row(f"{subset}-{name}", image, mask, line[_PREFIX + prompt], tags))
    return Table(files[0].parent, files, rows, read_mask)


def read_black(files: Sequence[Path], prompt: str) -> Table:
    """Layout B. Raises `UserError` as for layout A, and for a prompt that no row has.

    `type` is the prompt's type, or the subset: both are in use. Where it is the prompt's, the subset is the one whose
    name is in the name of the table or of the pictures.
    """
    lines = []
    for file in files:
        columns, found = read_csv(file)
        _check_columns(file, columns, _COLUMNS_B)
        lines += [(file.name, line) for line in found]
    types = {_type(line) for _, line in lines} & set(PROMPTS)
    if prompt not in (types or PROMPTS[:1]):
        valid = ", ".join(name for name in PROMPTS if name in types) or PROMPTS[0]
        raise UserError(one_line(f"{files[0]}: no row has a prompt {prompt!r}; valid: {valid}"))
    rows = [_row_b(file, line) for file, line in lines if _type(line) == prompt or not types]
    return Table(files[0].parent, files, rows, black_mask)


def _row_b(file: str, line: Mapping[str, str]) -> Row:
    kind, name = _type(line), line["aos"].strip()
    where = f"{file} {line['image_path']} {line['masked_image_path']}".lower()
    named = [subset for subset in SUBSETS if subset in where]
    subset = kind if kind in SUBSETS else named[0] if len(named) == 1 else None
    others = [column for column in line if column not in _COLUMNS_B]
    tags = _filled(line, others)
    if subset:
        tags |= {"subset": subset}
    elif kind not in PROMPTS and kind:
        tags |= {"type": line["type"].strip()}
    identity = f"{subset}-{name}" if subset else name
    return Row(identity, line["image_path"].strip(), line["masked_image_path"].strip(), line["caption"], tags)


def _type(line: Mapping[str, str]) -> str:
    """`prompt_mask-simple`, `Mask_Simple` -> `mask-simple`."""
    return line["type"].strip().lower().removeprefix(_PREFIX).replace("_", "-")


def _filled(line: Mapping[str, str], columns: Sequence[str]) -> dict[str, str]:
    return {name: line[name].strip() for name in columns if name and line[name].strip()}


def _is_table_b(file: Path) -> bool:
    try:
        check_file(file)
        with file.open("rb") as opened:
            return b"masked_image_path" in opened.readline(1000)
    except (OSError, UserError):
        return False


def _check_columns(file: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(one_line(f"{file}: no column {missing[0]!r}; it has {', '.join(columns)}"))


def _annotations(subset: str) -> str:
    return f"annotations_{subset}.csv"
