"""List the data sets and where they are on this machine, for `data list`."""

from dataclasses import dataclass

from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.errors import UserError
from brushbench.core.registry import dataset_info, is_built_in, load_class, registered
from brushbench.datasets.locate import locate
from brushbench.datasets.open import load_dataset
from brushbench.datasets.plug_in import info_of


@dataclass(frozen=True, slots=True)
class Presence:
    """A registered data set, and where it is on this machine."""

    name: str
    summary: str
    place: str
    """Its location, or why it is not on this machine."""
    samples: int | None
    """None if it is not on this machine."""
    licence: str
    citation: str
    origin: str = ""
    """Where it can be obtained; empty for a data set that is part of the suite, or the user's own."""


def presences() -> list[Presence]:
    """Return every registered data set with its location."""
    return [_presence(name, entry.summary) for name, entry in registered("dataset").items()]


def _presence(name: str, summary: str) -> Presence:
    if not is_built_in("dataset", name):
        return _of_plug_in(name, summary)
    info = dataset_info(name)
    place, samples = _found(name, info)
    origin = info.download.origin if info.download else ""
    return Presence(name, summary, place, samples, info.licence, info.citation, origin)


def _found(name: str, info: DatasetInfo) -> tuple[str, int | None]:
    root = None if info.embedded else locate(name, None)[1]
    if not info.embedded and root is None:
        get = f"not on this machine; run `brushbench data get --dataset {name}`"
        return get if info.download else "given by --root", None
    try:
        return str(root) if root else "embedded", len(load_dataset(name, root=root))
    except UserError as error:
        return f"{root}: {error}" if root else str(error), None


def _of_plug_in(name: str, summary: str) -> Presence:
    """Find the data set of a plug-in by opening it; if that fails, the error says what it needs."""
    root = locate(name, None)[1]
    info = DatasetInfo()
    try:
        info = info_of(name, load_class("dataset", name))
        split = info.splits[0] if info.splits else "inside"
        samples = len(load_dataset(name, root=root, split=split))
    except UserError as error:
        return Presence(name, summary, f"not on this machine: {error}", None, info.licence, info.citation)
    return Presence(name, summary, str(root or "in its plug-in"), samples, info.licence, info.citation)
