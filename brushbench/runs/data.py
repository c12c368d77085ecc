"""Open the data set that a run was made with."""

from pathlib import Path

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import exists
from brushbench.core.types import Dataset
from brushbench.datasets.open import OpenedDataset, open_dataset
from brushbench.runs.folder import Run
from brushbench.runs.record import DATASET_FILE


def dataset_of(run: Run, root: str | Path | None = None) -> Dataset:
    """The data set that a run was made with. `root` None: its folder at that time, or else where it is found now.

    Raises `UserError` if it isn't found or has changed.
    """
    return opened_of(run, root).data


def opened_of(run: Run, root: str | Path | None = None) -> OpenedDataset:
    """The data set of a run, as `dataset_of` returns it, with its facts."""
    stored = run.record.identity.dataset
    then = run.record.provenance.get("root")
    folder = then if root is None and then is not None and exists(Path(then)) else root
    options = {key: value for key, value in stored.options.items() if not isinstance(value, list | dict)}
    name = run.record.provenance.get(DATASET_FILE, stored.name)
    opened = open_dataset(name, folder, stored.split, options)
    if opened.data.digest() != stored.digest:
        raise UserError(
            one_line(f"{run.place} was made with another data set than the one found; pass its folder with --root DIR")
        )
    return opened
