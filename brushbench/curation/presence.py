"""Which data sets there are, and which of them are on this machine: `data list`."""

from dataclasses import dataclass

from brushbench.core.dataset_info import DatasetInfo
from brushbench.core.errors import UserError
from brushbench.core.registry import dataset_info, is_built_in, load_class, registered
from brushbench.datasets.locate import locate
from brushbench.datasets.open import load_dataset
from brushbench.datasets.plug_in import info_of


@dataclass(frozen=True, slots=True)
class Presence:
    """One data set."""

    name: str
    summary: str
    place: str
    """Where it is, or why it isn't here."""
    samples: int | None
    """None: it isn't here."""
    licence: str
    citation: str
    origin: str = ""
    """Where it comes from; empty for what is part of the suite, or the user's own."""


def presences() -> list[Presence]:
    """Every registered data set."""
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
        return f"not here: brushbench data get --dataset {name}" if info.download else "wherever --root says", None
    try:
        return str(root) if root else "embedded", len(load_dataset(name, root=root))
    except UserError as error:
        return f"{root}: {error}" if root else str(error), None


def _of_plug_in(name: str, summary: str) -> Presence:
    """One that needs no folder is there; any other says itself what it needs."""
    root = locate(name, None)[1]
    info = DatasetInfo()
    try:
        info = info_of(name, load_class("dataset", name))
        split = info.splits[0] if info.splits else "inside"
        samples = len(load_dataset(name, root=root, split=split))
    except UserError as error:
        return Presence(name, summary, f"not here: {error}", None, info.licence, info.citation)
    return Presence(name, summary, str(root or "in its plug-in"), samples, info.licence, info.citation)
