"""What the page knows of samples, written in parts: one is in memory at a time, and what is there already is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

from brushbench.core.errors import SampleError, one_line
from brushbench.core.types import Sample
from brushbench.imaging.masks import erase
from brushbench.reports.gallery.outline import box_of, outline
from brushbench.reports.gallery.pictures import Pictures, full_name, thumb_name
from brushbench.reports.gallery.places import Place

PART = 250
"""Samples of one script."""
LONGEST = 2000
"""Most characters of a caption."""
ROWS, MASKS = "rows", "masks"
Row = Mapping[str, object]
"""What the page knows of a sample from the start: its texts, its mask's size, and the keys of its pictures."""
Described = tuple[Row, str]
"""A row, and the outline of its mask, which only the detail needs."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The scripts of a place."""

    rows: list[str]
    masks: list[str]


def write_rows(place: Place, pictures: Pictures, tell: Callable[[int, int], None]) -> Parts:
    """Write rows and masks of the samples of a place, with their pictures; what was written before is used again."""
    parts, start = Parts([], []), 0
    for number, indices in groupby(place.indices, key=lambda index: index // PART):
        name = f"{place.key}-{pictures.largest or 0}-{number}"
        known = _known(pictures, name)
        part = [known.get(place.opened.data.ids[index]) or _described(place, index, pictures) for index in indices]
        rows, masks = [row for row, _ in part], {str(row["id"]): mask for row, mask in part if "error" not in row}
        parts.rows.append(pictures.folder.put_script(ROWS, name, {"place": place.key, "start": start, "rows": rows}))
        parts.masks.append(pictures.folder.put_script(MASKS, name, {"place": place.key, "masks": masks}))
        start += len(part)
        tell(len(part), sum("error" in row for row in rows))
    return parts


def _known(pictures: Pictures, name: str) -> dict[str, Described]:
    """Return what earlier builds wrote of the samples of this part, of those whose pictures are still there."""
    masks: dict[str, str] = {}
    for found in pictures.folder.earlier(MASKS, name):
        if isinstance(own := found.get("masks"), dict):
            masks |= own
    known: dict[str, Described] = {}
    for found in pictures.folder.earlier(ROWS, name):
        for row in rows if isinstance(rows := found.get("rows"), list) else ():
            # A sample that could not be read is tried again.
            if row["id"] in masks and _is_complete(row, pictures):
                known[row["id"]] = row, masks[row["id"]]
    return known


def _is_complete(row: Row, pictures: Pictures) -> bool:
    source, masked, folder = str(row["source"]), str(row["masked"]), pictures.folder
    return all(
        [
            folder.has(thumb_name(source)),
            folder.has(thumb_name(masked)),
            folder.has(full_name(source, pictures.suffix())),
        ]
    )


def _described(place: Place, index: int, pictures: Pictures) -> Described:
    data = place.opened.data
    name = data.ids[index]
    try:
        return _row(data[index], index, pictures)
    except SampleError as error:
        return {"id": name, "index": index, "caption": "", "tags": {}, "error": one_line(str(error))}, ""


def _row(sample: Sample, index: int, pictures: Pictures) -> Described:
    mask = sample.mask[0].numpy()
    return {
        "id": sample.id,
        "index": index,
        "caption": one_line(sample.caption, LONGEST),
        "tags": {one_line(key): one_line(value) for key, value in sample.tags.items()},
        "share": float(mask.mean()),
        "size": list(mask.shape),
        "box": box_of(mask),
        "source": pictures.made(sample.image, full=True),
        "masked": pictures.made(erase(sample.image[None], sample.mask[None])[0], full=False),
    }, outline(mask)
