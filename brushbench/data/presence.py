"""Which data sets there are, and which of them are on this machine: `data list`."""

from dataclasses import dataclass

from brushbench.data.catalogue import about
from brushbench.dataset_info import DatasetInfo
from brushbench.datasets import locate
from brushbench.datasets.places import EMBEDDED
from brushbench.datasets.plug_in import info_of
from brushbench.errors import UserError
from brushbench.loading import load_dataset
from brushbench.registry import is_built_in, registered, resolve

OF_ONES_OWN = ("folder", "parquet")


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
    place, samples = _found(name)
    return Presence(name, summary, place, samples, about(name).licence, about(name).citation, about(name).origin)


def _found(name: str) -> tuple[str, int | None]:
    root = None if name in EMBEDDED else locate(name, None)[1]
    if name not in EMBEDDED and root is None:
        return (
            "wherever --root says" if name in OF_ONES_OWN else f"not here: brushbench data get --dataset {name}"
        ), None
    try:
        return str(root) if root else "embedded", len(load_dataset(name, root=root))
    except UserError as error:
        return f"{root}: {error}" if root else str(error), None


def _of_plug_in(name: str, summary: str) -> Presence:
    """One that needs no folder is there; any other says itself what it needs."""
    root = locate(name, None)[1]
    info = DatasetInfo()
    try:
        info = info_of(name, resolve("dataset", name))
        split = info.splits[0] if info.splits else "inside"
        samples = len(load_dataset(name, root=root, split=split))
    except UserError as error:
        return Presence(name, summary, f"not here: {error}", None, info.licence, info.citation)
    return Presence(name, summary, str(root or "in its plug-in"), samples, info.licence, info.citation)
