"""Which runs a gallery has, by what they were made on: a place is a data set, a protocol and a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.datasets.open import OpenedDataset
from brushbench.reports.frame import datasets_of
from brushbench.reports.gallery.folder import key_of
from brushbench.reports.renaming import run_names
from brushbench.reports.style import Names
from brushbench.runs.data import opened_of
from brushbench.runs.folder import Run
from brushbench.runs.record import DatasetIdentity


@dataclass(frozen=True, slots=True)
class Place:
    """Runs of several methods on the same samples."""

    dataset: str
    """The name of the data set, as in tables."""
    protocol: str
    split: str
    opened: OpenedDataset
    runs: tuple[tuple[str, Run], ...]
    """Each with the name of its column, which several seeds may share."""
    indices: tuple[int, ...]
    """Places in the data set of the samples that any of the runs has something of."""

    @property
    def key(self) -> str:
        """Return the part of a file's name that stands for the samples, whatever is run on them."""
        data = self.runs[0][1].record.identity.dataset
        return key_of(data.name, data.split, data.digest, str(sorted(data.options.items())), self.protocol)[:8]

    @property
    def ids(self) -> list[str]:
        """Return the ids of the samples."""
        names = self.opened.data.ids
        return [names[index] for index in self.indices]


def places_of(
    runs: Sequence[Run], root: str | Path | None = None, names: Names | None = None, *, over_seeds: bool = False
) -> list[Place]:
    """Group the runs. `root` is the folder of a data set that isn't where it was when the runs were made.

    A run is called by its label, unless `names` has another name for it. With `over_seeds`, runs that differ only in
    their seed share a name, and a column.

    Raises `UserError` for a data set that can't be opened or has changed, and for two runs that would share a column.
    """
    groups: dict[tuple[str, str, DatasetIdentity], list[tuple[str, Run]]] = {}
    labels = run_names(runs, names or Names(), over_seeds=over_seeds)
    for run, label, dataset in zip(runs, labels, datasets_of(runs), strict=True):
        identity = run.record.identity
        groups.setdefault((dataset, identity.protocol, identity.dataset), []).append((label, run))
    places = [
        _place(dataset, protocol, own, root, over_seeds=over_seeds) for (dataset, protocol, _), own in groups.items()
    ]
    return _distinct(places)


def _place(
    dataset: str, protocol: str, own: Sequence[tuple[str, Run]], root: str | Path | None, *, over_seeds: bool
) -> Place:
    known: dict[tuple[str, int], Run] = {}
    for label, run in own:
        key = label, run.record.identity.seed if over_seeds else 0
        if key in known:
            raise UserError(one_line(f"two runs are {label} on {dataset}: {known[key].place} and {run.place}"))
        known[key] = run
    opened = _opened(own[0][1], root)
    begun = {name for _, run in own for name in run.statuses()}
    indices = tuple(index for index, name in enumerate(opened.data.ids) if name in begun)
    return Place(dataset, protocol, opened.data.split, opened, tuple(own), indices)


def _opened(run: Run, root: str | Path | None) -> OpenedDataset:
    """Open the data set of a run where it was, else in the given folder."""
    found = capture(opened_of, run)
    if isinstance(found, Failure):
        # The folder is somewhere else, or the error is raised again.
        return opened_of(run, root)
    return found


def _distinct(places: Sequence[Place]) -> list[Place]:
    """Raise `UserError` for two places of one name: their data have other options, which no table tells apart."""
    seen: set[tuple[str, str, str]] = set()
    for place in places:
        name = place.dataset, place.protocol, place.split
        if name in seen:
            told = f"{place.dataset}, split {place.split}: runs on data with other options; give one of them at a time"
            raise UserError(one_line(told))
        seen.add(name)
    return list(places)
