"""Readers of data sets. Each is a class with `open(root, split)`; samples are decoded when they are asked for."""

from pathlib import Path

from brushbench.datasets.places import EMBEDDED as WITHOUT_FOLDER
from brushbench.datasets.places import find, holds

PAPER, OTHER, EMBEDDED = "brushbench", "editbench", "papercut"
FAMILIES = {"papercut": "papercut"}
"""The weights that belong to a data set; with any other, each method has its usual ones."""


def locate(name: str | None, root: str | Path | None) -> tuple[str, Path | None]:
    """Name and folder of the data set to use; no folder for one that is embedded or nowhere to be found.

    With no name: the paper's if a folder is given or it is on this machine, else the embedded one; EditBench, if the
    folder that is given holds it and not the paper's. Raises `UserError` for a `brushbench.toml` that isn't right.
    """
    if name is None and root is not None:
        given = Path(root)
        return (OTHER if holds(given, OTHER) and not holds(given, PAPER) else PAPER), given
    if name in WITHOUT_FOLDER:
        return name, None if root is None else Path(root)
    place = find(name or PAPER, root)
    folder = place.folder if place else None
    if name is not None:
        return name, folder
    return (EMBEDDED, None) if folder is None else (PAPER, folder)
