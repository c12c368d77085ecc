"""Readers of data sets. Each is a class with `open(root, split)`; samples are decoded when they are asked for."""

import os
from pathlib import Path

from brushbench.datasets.brushbench import find_mapping_file

PAPER, EMBEDDED = "brushbench", "papercut"
FAMILIES = {"papercut": "papercut"}
"""The weights that belong to a data set; with any other, each method has its usual ones."""
VARIABLE = "BRUSHBENCH_DATA"
"""The folder of BrushBench, or the one above it."""


def locate(name: str | None, root: str | Path | None) -> tuple[str, Path | None]:
    """Name and folder of the data set to use.

    With no name: the paper's if a folder is given or `BRUSHBENCH_DATA` holds it, else the embedded one.
    """
    folder = Path(root) if root is not None else None
    known = os.environ.get(VARIABLE)
    if folder is None and known and name in (None, PAPER) and find_mapping_file(Path(known)):
        folder = Path(known)
    if name is not None:
        return name, folder
    return (EMBEDDED, None) if folder is None else (PAPER, folder)
