"""What EditBench says it has, read row by row: its reader tells only that a sample can't be used."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from brushbench.core.errors import UserError
from brushbench.curation.defects import Finding
from brushbench.curation.entries import Black, Entry, Listing, file_below, id_findings
from brushbench.curation.mapping_entries import list_mapping
from brushbench.curation.mask_findings import INSIDE, OUTSIDE
from brushbench.datasets.editbench_layouts import Row, find_layout, read_annotations, read_black
from brushbench.datasets.names import one_form

ALL = "all"


def list_editbench(root: Path, splits: Sequence[str], prompt: str, subset: str) -> Listing | None:
    """Entries of any layout.

    None for what has to be left to the reader: tables that can't be read, and a subset of layout C.
    """
    layout = find_layout(root)
    if layout is None or (layout.kind == "C" and subset != ALL):
        return None
    if layout.kind == "C":
        return list_mapping(layout.files[0], splits, complete=None)
    try:
        table = (read_annotations if layout.kind == "A" else read_black)(layout.files, prompt)
    except UserError:
        return None
    split = OUTSIDE if OUTSIDE in splits and INSIDE not in splits else INSIDE
    below = layout.files[0].parent
    rows = [row for row in table.rows if subset in (ALL, row.tags.get("subset"))]
    findings = list(id_findings([one_form(row.id) for row in rows]))
    entries = [_entry(below, row, split, findings, black=layout.kind == "B") for row in rows]
    return Listing(entries, findings, list(_notes(layout.kind, len(layout.files))), one_size=False)


def _entry(root: Path, row: Row, split: str, findings: list[Finding], *, black: bool) -> Entry:
    name = one_form(row.id)
    image, mask = (file_below(root, path, name, findings) for path in (row.image, row.mask))
    if mask is not None and not mask.is_file():
        findings.append(Finding("missing-mask", name, mask.name))
        mask = None
    # Unlike a folder's, a caption without words can't be used.
    if not row.caption.strip():
        findings.append(Finding("missing-caption", name, "its table has no prompt of this kind for it"))
    source = None if mask is None else Black(mask) if black else mask
    return Entry(name, row.caption if row.caption.strip() else None, image, {split: source} if source else {})


def _notes(kind: str, files: int) -> Iterator[str]:
    if kind == "A" and files == 1:
        yield "half of it is missing: there is only one of the two tables"
    if kind == "B":
        yield "there are no masks: what is black in the masked images is painted"
