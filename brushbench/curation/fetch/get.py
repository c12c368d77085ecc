"""Get a data set onto this machine: from a link, an archive or the hub."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.registry import dataset_info
from brushbench.curation.fetch.archives import extract
from brushbench.curation.fetch.download import Tell, download
from brushbench.curation.instructions import place_of, remedy
from brushbench.curation.sources import find_meant
from brushbench.datasets.open import load_dataset
from brushbench.weights.repository import dataset_into

DEPTH = 2
"""How many folders below its root an archive may hold its data set."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a data set comes from: exactly one of URL, archive and hub."""

    url: str | None = None
    archive: Path | None = None
    hub: str | None = None
    sha256: str | None = None
    """Digest that the archive at the URL must have."""
    revision: str | None = None
    """Revision of the repository on the hub."""


@dataclass(frozen=True, slots=True)
class Got:
    """A data set that is now on this machine."""

    root: Path
    """Folder of the data set."""
    name: str
    """Name of the data set; empty if none is recognised."""
    samples: int
    sha256: str | None
    """Digest of the downloaded archive; None if no archive was downloaded."""


def get_dataset(name: str, root: Path | None, origin: Origin, tell: Tell) -> Got:
    """Get a data set into `root`, or into its usual folder.

    Nothing is done if it is already in the folder. Raises `UserError` for an origin that cannot be reached or unpacked,
    and for a folder that holds something else.
    """
    if sum(part is not None for part in (origin.url, origin.archive, origin.hub)) != 1:
        raise UserError("give one of --url, --archive and --hub")
    for option, value, needs in (("--sha256", origin.sha256, origin.url), ("--revision", origin.revision, origin.hub)):
        if value is not None and needs is None:
            raise UserError(f"{option} is only valid with {'--url' if option == '--sha256' else '--hub'}")
    folder = root or place_of(name)
    if (there := recognise(folder)) and origin.hub is None:
        return _got(folder, there, None)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and origin.hub is None:
        raise UserError(one_line(f"{folder} exists and holds no data set; give a new or empty folder"))
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


def get_known(name: str, root: Path | None) -> Path:
    """Get a data set from its known address into `root`, or into its usual folder; returns the folder that it is in.

    Raises `UserError` as `get_dataset` does.
    """
    download = dataset_info(name).download
    got = get_dataset(name, root, Origin(download.address if download else None), lambda _received, _size: None)
    return got.root


def recognise(folder: Path) -> tuple[str, Path] | None:
    """Return name and folder of the data set in a folder or up to `DEPTH` folders below; None if there is none."""
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
            # A checked archive can be unpacked later, on a disk with more room; an unchecked one may be a web page.
            if sha256 is None:
                archive.unlink()
            raise
    except UserError as error:
        raise UserError(one_line(f"{error}{remedy(name, url)}", 1000)) from error
    archive.unlink()
    return digest


def _lift(folder: Path) -> None:
    """Replace a folder by the only folder in it that holds the data set, which is looked for at the top."""
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
        raise UserError(one_line(f"data set {hub} on the hub: {found.error}; run the same command again to resume"))


def _got(folder: Path, found: tuple[str, Path] | None, digest: str | None) -> Got:
    if found is None:
        return Got(folder, "", 0, digest)
    name, root = found
    try:
        samples = len(load_dataset(name, root=root))
    except UserError:
        # `data verify` says what is wrong.
        samples = 0
    return Got(root, name, samples, digest)
