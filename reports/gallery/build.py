"""Build a gallery: pictures first, then data, then the page that names them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from brushbench.core.errors import UserError, one_line
from brushbench.core.progress import ProgressCallback, silent
from brushbench.reports.comparison import USUAL
from brushbench.reports.frame import metrics_of, scores_of
from brushbench.reports.gallery.archive import write_archive
from brushbench.reports.gallery.columns import write_run
from brushbench.reports.gallery.folder import PAGE, opened
from brushbench.reports.gallery.head import Banner, Links, banners, tables_of
from brushbench.reports.gallery.page import Head, write_page
from brushbench.reports.gallery.pictures import Pictures
from brushbench.reports.gallery.places import Place, places_of
from brushbench.reports.gallery.rows import PART, Parts, write_rows
from brushbench.reports.gallery.seeds import seeds_of
from brushbench.reports.layout import Column, heading
from brushbench.reports.mask_sizes import MASK_SIZES
from brushbench.reports.style import Names
from brushbench.runs.folder import Run
from brushbench.storage.places import url_of

Seeds = Literal["flip", "columns"]
STAGE = "gallery"
SMALLEST = 16
"""Pixels of the longest side that anything can be seen on."""


@dataclass(frozen=True, slots=True)
class GalleryOptions:
    """What the gallery is to contain. Raises `UserError` for what contradicts itself."""

    link: bool = False
    """Refer to the images in the run folders instead of copying them."""
    largest: int | None = None
    """Longest side of full pictures, in pixels; None to keep their size."""
    archive: bool = False
    """Also write everything into one zip file beside the folder."""
    root: Path | None = None
    """The folder of a data set that has moved."""
    names: Names = field(default_factory=Names)
    """What methods and metrics are called, as plain text; empty for their own names."""
    seeds: Seeds = "flip"
    """Whether the seeds of a method share a column, to flip through, or have a column each."""

    def __post_init__(self) -> None:
        if self.link and self.archive:
            raise UserError("--link and --zip exclude each other: an archive must contain its images")
        if self.link and self.largest:
            raise UserError("--link and --max-size exclude each other: linked images keep their size")
        if self.largest is not None and self.largest < SMALLEST:
            raise UserError(f"--max-size {self.largest}; valid: {SMALLEST} or more pixels")


def build(
    runs: Sequence[Run],
    target: Path,
    options: GalleryOptions,
    damaged: Sequence[str] = (),
    watch: ProgressCallback = silent,
) -> Path:
    """Write a gallery of these runs, and return its page, or its archive. `damaged` says what could not be read.

    Raises `UserError` for a folder that contains other files, and for a data set that is missing or has changed.
    """
    if options.link and (far := [run.place for run in runs if url_of(run.path)]):
        raise UserError(one_line(f"--link: a page can't refer to the images in {far[0]}; valid: without --link"))
    over_seeds = options.seeds == "flip"
    places = places_of(runs, options.root, options.names, over_seeds=over_seeds)
    tables, reason = tables_of(runs, options.names, over_seeds=over_seeds)
    with opened(target) as folder:
        pictures = Pictures(folder, options.largest, copies=not options.link)
        total = sum(len(place.indices) * (1 + len(place.runs)) for place in places)
        tell = watch(STAGE, total, 0)
        parts = [write_rows(place, pictures, tell) for place in places]
        columns = [write_run(place, label, run, pictures, tell) for place in places for label, run in place.runs]
        about = _about(pictures, _columns(runs, options.names), places, parts)
        data = [about, *(name for part in parts for name in part.rows), *columns]
        head = Head(_title(places), _banners(places, damaged, reason), tables, Links.of(places), data)
        folder.finish(write_page(folder, head))
        if options.archive:
            return write_archive(folder, _beside(target))
    return target / PAGE


def _beside(target: Path) -> Path:
    """Return the archive's place, also for a folder that is given as `.`."""
    whole = target.resolve()
    return (target if target.name == whole.name else whole).with_name(f"{whole.name}.zip")


def _columns(runs: Sequence[Run], names: Names) -> dict[str, Column]:
    infos = metrics_of(runs, scores_of(runs))
    return {name: Column("", "", info, names.texts.get(name, "")) for name, info in infos.items()}


def _about(pictures: Pictures, columns: Mapping[str, Column], places: Sequence[Place], parts: Sequence[Parts]) -> str:
    metrics = {
        name: {
            "label": column.called or " ".join(filter(None, [column.name, name.partition("@")[2]])),
            "heading": heading(column.info, column.name, place=True),
            "higher": column.info.higher_is_better,
            "scale": column.info.scale,
            "unit": column.info.unit,
            "digits": column.digits,
        }
        for name, column in columns.items()
    }
    described = [
        {
            "key": place.key,
            "dataset": place.dataset,
            "protocol": place.protocol,
            "split": place.split,
            "count": len(place.indices),
            "masks": part.masks,
        }
        for place, part in zip(places, parts, strict=True)
    ]
    methods = list(dict.fromkeys(label for place in places for label, _ in place.runs))
    sizes = [[name, end] for name, end in MASK_SIZES]
    usual = next((name for name in USUAL if name in metrics), next(iter(metrics), ""))
    about = {
        "methods": methods,
        "places": described,
        "metrics": metrics,
        "sizes": sizes,
        "part": PART,
        "usual": usual,
        "seeds": seeds_of(places),
        "suffix": pictures.suffix(),
    }
    return pictures.folder.put_script("about", "all", about)


def _banners(places: Sequence[Place], damaged: Sequence[str], reason: str) -> list[Banner]:
    told = [Banner("scores", f"No table: {reason}.")] if reason else []
    return [*banners(places, damaged), *told]


def _title(places: Sequence[Place]) -> str:
    return ", ".join(dict.fromkeys(place.dataset for place in places))
