"""Data sets onto this machine: from a link, an archive, or the hub."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.curation.fetch.archives import extract
from brushbench.curation.fetch.download import Tell, download
from brushbench.curation.instructions import place_of, remedy
from brushbench.curation.sources import find_meant
from brushbench.datasets.open import load_dataset
from brushbench.weights.repository import dataset_into

DEPTH = 2
"""Folders below the root in which an archive may have its data set."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where data come from: exactly one of the three."""

    url: str | None = None
    archive: Path | None = None
    hub: str | None = None
    sha256: str | None = None
    """The digest of the archive at the address."""
    revision: str | None = None
    """On the hub."""


@dataclass(frozen=True, slots=True)
class Got:
    """What is on this machine now."""

    root: Path
    """Where the data set is."""
    name: str
    """Which one it is; empty if none is recognised."""
    samples: int
    sha256: str | None
    """The digest of the archive that was downloaded; None if there was none, or nothing was left to do."""


def get_dataset(name: str, root: Path | None, origin: Origin, tell: Tell) -> Got:
    """Get a data set into `root`, or to its usual place.

    If it is there already, nothing is done. Raises `UserError` for an origin that can't be had or unpacked, and for a
    folder that holds other things.
    """
    if sum(part is not None for part in (origin.url, origin.archive, origin.hub)) != 1:
        raise UserError("give one of --url, --archive and --hub")
    for option, value, needs in (("--sha256", origin.sha256, origin.url), ("--revision", origin.revision, origin.hub)):
        if value is not None and needs is None:
            raise UserError(f"{option} belongs to {'--url' if option == '--sha256' else '--hub'}")
    folder = root or place_of(name)
    if (there := recognise(folder)) and origin.hub is None:
        return _got(folder, there, None)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and origin.hub is None:
        raise UserError(one_line(f"{folder} is there and is no data set; valid is a folder that is new or empty"))
    if origin.hub is not None:
        _snapshot(origin.hub, origin.revision, folder)
        return _got(folder, recognise(folder), None)
    digest = None
    if origin.archive is not None:
        extract(origin.archive, folder)
    else:
        digest = _from_url(str(origin.url), origin.sha256, folder, tell, name)
    if root is None:
        _lift(folder)
    return _got(folder, recognise(folder), digest)


def recognise(folder: Path) -> tuple[str, Path] | None:
    """Name and folder of the data set in a folder or not far below it, None if there is none."""
    for candidate in _folders(folder, DEPTH):
        try:
            return next((name, root) for name, root in [find_meant(None, candidate)] if root)
        except UserError:
            continue
    return None


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    if not folder.is_dir():
        return
    yield folder
    for child in sorted(folder.iterdir()) if depth else ():
        if child.is_dir() and not child.name.startswith("."):
            yield from _folders(child, depth - 1)


def _from_url(url: str, sha256: str | None, folder: Path, tell: Tell, name: str) -> str:
    archive = folder.with_name(f".{folder.name}.archive")
    try:
        digest = download(url, archive, sha256, tell)
        try:
            extract(archive, folder)
        except UserError:
            # What was checked may be unpacked later, on a disk with more room; anything else may be a page instead.
            if sha256 is None:
                archive.unlink()
            raise
    except UserError as error:
        raise UserError(one_line(f"{error}{remedy(name, url)}", 1000)) from error
    archive.unlink()
    return digest


def _lift(folder: Path) -> None:
    """Make the one folder of an archive in which a data set is the folder itself: there it is looked for."""
    inner = folder
    while (children := list(inner.iterdir())) and len(children) == 1 and children[0].is_dir():
        inner = children[0]
    if inner == folder or recognise(inner) is None:
        return
    aside = folder.with_name(f".{folder.name}.lifted")
    inner.rename(aside)
    shutil.rmtree(folder)
    aside.rename(folder)


def _snapshot(hub: str, revision: str | None, folder: Path) -> None:
    found = capture(dataset_into, folder, hub, revision)
    if isinstance(found, Failure):
        raise UserError(one_line(f"data set {hub} on the hub: {found.error}; the same command goes on"))


def _got(folder: Path, found: tuple[str, Path] | None, digest: str | None) -> Got:
    if found is None:
        return Got(folder, "", 0, digest)
    name, root = found
    try:
        samples = len(load_dataset(name, root=root))
    except UserError:
        # `data verify` tells what is wrong.
        samples = 0
    return Got(root, name, samples, digest)
