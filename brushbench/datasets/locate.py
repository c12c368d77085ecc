"""Choose the data set to use, and find its folder."""

from pathlib import Path

from brushbench.core.registry import dataset_info
from brushbench.datasets.places import find_place, holds

PAPER, OTHER, EMBEDDED = "brushbench", "editbench", "papercut"


def locate(name: str | None, root: str | Path | None) -> tuple[str, Path | None]:
    """The name and the folder of the data set to use; the folder is None if it is embedded or not found.

    Without a name: BrushBench if it is on this machine, else the embedded data set. Without a name but with `root`:
    EditBench if only that is in the folder, else BrushBench. Raises `UserError` for an invalid `brushbench.toml`.
    """
    if name is None and root is not None:
        given = Path(root)
        return (OTHER if holds(given, OTHER) and not holds(given, PAPER) else PAPER), given
    if name is not None and dataset_info(name).embedded:
        return name, None if root is None else Path(root)
    place = find_place(name or PAPER, root)
    folder = place.folder if place else None
    if name is not None:
        return name, folder
    return (EMBEDDED, None) if folder is None else (PAPER, folder)
