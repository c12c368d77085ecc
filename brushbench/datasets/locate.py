"""Which data set is used, and where it is."""

from pathlib import Path

from brushbench.core.registry import dataset_info
from brushbench.datasets.places import find_place, holds

PAPER, OTHER, EMBEDDED = "brushbench", "editbench", "papercut"


def locate(name: str | None, root: str | Path | None) -> tuple[str, Path | None]:
    """Name and folder of the data set to use; no folder for one that is embedded or nowhere to be found.

    With no name: the paper's if a folder is given or it is on this machine, else the embedded one; EditBench, if the
    folder that is given holds it and not the paper's. Raises `UserError` for a `brushbench.toml` that isn't right.
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
