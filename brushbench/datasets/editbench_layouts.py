"""Read the layouts in which EditBench circulates.

* A, the official archive: `annotations_{natural,generated}.csv` with the columns `aos, prompt_full,
  prompt_mask-simple, prompt_mask-rich`; `references_*/{aos}.png`; `masks_*/{aos}.png`, white = inpaint.
* B: a table with the columns `aos, type, image_path, masked_image_path, caption`, and no masks: the masked image is
  black where it is to be inpainted.
* C: BrushNet's copy, a mapping file in BrushBench's format with `prompt_full` as captions, for BrushBench's reader.

Source: Imagen Editor and EditBench, arXiv:2212.06909; layouts as public code reads them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import check_file
from brushbench.core.types import Sample
from brushbench.datasets.defects import DataFinding, DefectError, Report, refuse, unreadable
from brushbench.datasets.editbench_masks import black_mask
from brushbench.datasets.listing import (
    INSIDE,
    OUTSIDE,
    DataListing,
    ListedSample,
    MaskFile,
    id_findings,
    repeated,
    stored_split,
)
from brushbench.datasets.mapping import MAPPING_FILES
from brushbench.datasets.names import check_one_form, one_form
from brushbench.datasets.source import digest_of_parts
from brushbench.datasets.tables import read_csv
from brushbench.imaging.images import read_image, read_mask

FOLDER = "EditBench"
SUBSETS = ("natural", "generated")
ALL = "all"
PROMPTS = ("full", "mask-simple", "mask-rich")
_COLUMNS_B = ("aos", "type", "image_path", "masked_image_path", "caption")
_PREFIX = "prompt_"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a table: one picture with one prompt."""

    id: str
    """`natural-<aos>` or `generated-<aos>`; only `<aos>` if the table doesn't tell the subset."""
    image: str
    """The image file, relative to the data set's folder."""
    mask: str
    """The mask file, or the masked image in layout B, relative to the data set's folder."""
    caption: str
    tags: Mapping[str, str]
    """`subset`, and every other column that isn't empty: attribute, object, scene."""


@final
class AnnotationTable:
    """Layout A or B: pictures and masks as they are stored, in the order of the tables' lines.

    A damaged table raises `UserError` when it is opened, a damaged picture `SampleError` when its sample is requested.
    """

    def __init__(self, layout: "Layout", prompt: str) -> None:
        listing = read_tables(layout, prompt, [INSIDE], refuse)
        self._files = listing.files
        self._samples = listing.samples
        self._ids = tuple(sample.id for sample in self._samples)

    @property
    def ids(self) -> Sequence[str]:
        """The ids in the order of the tables, natural before generated, in Unicode's form NFC."""
        return self._ids

    def tags(self) -> Mapping[str, Mapping[str, str]]:
        """`subset`, and every other column that isn't empty: attribute, object, scene."""
        return {sample.id: sample.tags for sample in self._samples}

    def digest(self) -> str:
        """Hash of the tables and of every image and mask."""
        pictures = (file for k, each in enumerate(self._samples) for file in (each.image_or_none(), self.mask_file(k)))
        return digest_of_parts([*self._files, *pictures])

    def mask_file(self, index: int) -> Path | None:
        """The file from which a sample's mask is made; None if it is outside the data set's folder."""
        try:
            return self._samples[index].mask_file(INSIDE)
        except DefectError:
            return None

    def __getitem__(self, index: int) -> Sample:
        sample = self._samples[index]
        caption = sample.checked_caption()
        image = read_image(sample.image_file())
        mask = sample.drawn(INSIDE, (image.shape[1], image.shape[2]))
        return Sample(sample.id, image, mask[None], caption, sample.tags)


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a folder, and the files that describe the data set."""

    kind: str
    """A, B or C."""
    files: tuple[Path, ...]
    """The tables, or the mapping file."""


def find_layout(root: Path) -> Layout | None:
    """Find the layout of a folder, of a folder named EditBench in it, of a table, or of a mapping file; or None.

    A takes precedence over B, and B over C; a folder named EditBench over the files beside it.
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
    """Whether a folder has layout A or B, which only EditBench has."""
    layout = find_layout(root)
    return layout is not None and layout.kind != "C"


def read_tables(layout: Layout, prompt: str, splits: Collection[str], report: Report, subset: str = ALL) -> DataListing:
    """List the samples of layout A or B; reports a table that can't be read and an id that occurs twice.

    Raises `UserError` for a prompt that no line of layout B has.
    """
    root, split, black = layout.files[0].parent, stored_split(splits), layout.kind == "B"
    lines = (_read_black if black else _read_annotations)(layout.files, prompt, report)
    names = [line.id for line in lines]
    check_one_form(root, names, report)
    for name, refusal in repeated(root, names):
        report(DataFinding("duplicate-id", one_form(name), refusal=refusal))
    kept = (line for line in lines if subset in (ALL, line.tags.get("subset")))
    samples = [_sample(root, line, split, black=black) for line in kept]
    further = partial(id_findings, [sample.id for sample in samples])
    return DataListing(layout.files, samples, further, list(_notes(layout)))


def _sample(root: Path, line: _Line, split: str, *, black: bool) -> ListedSample:
    name, defects = one_form(line.id), []
    # Here a caption without words can't be used, unlike in a folder of one's own.
    if not line.caption.strip():
        why = "the table has no prompt of this kind for the picture"
        defects.append(DataFinding("missing-caption", name, why, failure=one_line(f"{name}: {why}")))
    mask = MaskFile(line.mask, split == OUTSIDE, black_mask if black else read_mask)
    return ListedSample(name, root, line.image, None if defects else line.caption, {split: mask}, line.tags, defects)


def _notes(layout: Layout) -> Iterator[str]:
    if layout.kind == "A" and len(layout.files) == 1:
        yield "half of the data set is missing: there is only one of the two tables"
    if layout.kind == "B":
        yield "there are no masks: the black pixels of the masked images are inpainted"


def _read_annotations(files: Sequence[Path], prompt: str, report: Report) -> list[_Line]:
    found = []
    for file in files:
        subset = next(subset for subset in SUBSETS if file.name == _annotations(subset))
        columns, rows = _read_table(file, ("aos", _PREFIX + prompt), report) or ((), ())
        others = [name for name in columns if name != "aos" and not name.startswith(_PREFIX)]
        for row in rows:
            name = row["aos"].strip()
            image, mask = (f"{folder}_{subset}/{name}.png" for folder in ("references", "masks"))
            tags = {**_filled(row, others), "subset": subset}
            found.append(_Line(f"{subset}-{name}", image, mask, row[_PREFIX + prompt], tags))
    return found


def _read_black(files: Sequence[Path], prompt: str, report: Report) -> list[_Line]:
    """Read the tables of layout B. Raises `UserError` for a prompt that no row has.

    The column `type` has the type of the prompt in some copies, and the subset in others. If it has the prompt's type,
    the subset is taken from the name of the table or of the pictures.
    """
    tables = [(file.name, table[1]) for file in files if (table := _read_table(file, _COLUMNS_B, report))]
    rows = [(name, row) for name, found in tables for row in found]
    types = {_type(row) for _, row in rows} & set(PROMPTS)
    if prompt not in (types or PROMPTS[:1]) and len(tables) == len(files):
        valid = ", ".join(name for name in PROMPTS if name in types) or PROMPTS[0]
        raise UserError(one_line(f"{files[0]}: no row has a prompt {prompt!r}; valid: {valid}"))
    return [_line_b(file, row) for file, row in rows if _type(row) == prompt or not types]


def _line_b(file: str, row: Mapping[str, str]) -> _Line:
    kind, name = _type(row), row["aos"].strip()
    where = f"{file} {row['image_path']} {row['masked_image_path']}".lower()
    named = [subset for subset in SUBSETS if subset in where]
    subset = kind if kind in SUBSETS else named[0] if len(named) == 1 else None
    tags = _filled(row, [column for column in row if column not in _COLUMNS_B])
    if subset:
        tags |= {"subset": subset}
    elif kind not in PROMPTS and kind:
        tags |= {"type": row["type"].strip()}
    identity = f"{subset}-{name}" if subset else name
    return _Line(identity, row["image_path"].strip(), row["masked_image_path"].strip(), row["caption"], tags)


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


def _read_table(
    file: Path, needed: Sequence[str], report: Report
) -> tuple[Sequence[str], Sequence[Mapping[str, str]]] | None:
    """Read a table's columns and rows; None, and a finding, if it can't be read."""
    try:
        columns, rows = read_csv(file)
        _check_columns(file, columns, needed)
    except UserError as error:
        report(unreadable(file.name, error))
        return None
    return columns, rows


def _check_columns(file: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise UserError(one_line(f"{file}: no column {missing[0]!r}; it has {', '.join(columns)}"))


def _annotations(subset: str) -> str:
    return f"annotations_{subset}.csv"
