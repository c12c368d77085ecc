"""`--fetch`: let a machine of a cluster download what it lacks, once, however many workers it has."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.options import Value
from brushbench.core.registry import by_name, dataset_info
from brushbench.datasets.open import OpenedDataset, open_dataset

T = TypeVar("T")


def once_per_machine(token: str, load: Callable[[], T]) -> T:
    """Load something that may have to be downloaded: one process of this machine does so first, and others then.

    `token` is the run's; without one, nobody waits for anybody.
    """
    if not token:
        return load()
    file = Path(tempfile.gettempdir()) / f"brushbench-{os.getuid()}.fetched"
    with FileLock(f"{file}.lock"):
        if not file.exists() or file.read_text() != token:
            loaded = load()
            file.write_text(token)
            return loaded
    return load()


def open_or_fetch(
    name: str | None, root: str | Path | None, split: str, options: Mapping[str, Value], *, fetch: bool
) -> OpenedDataset:
    """Open a data set; with `fetch`, one that isn't on this machine is downloaded from its known address.

    Raises `UserError` as `open_dataset` does, and if the data set can't be downloaded.
    """
    try:
        return open_dataset(name, root, split, options)
    except UserError as error:
        if not fetch or name is None:
            raise
        download = dataset_info(name).download
        if download is None or not download.address:
            raise UserError(one_line(f"{error}; --fetch can't get it, as {name} has no public address", 1000)) from None
    found = capture(by_name("brushbench.curation.fetch.get:get_known"), name, root and Path(root))
    if isinstance(found, Failure):
        raise UserError(one_line(f"data set {name} can't be fetched: {found.error}", 1000))
    return open_dataset(name, found, split, options)
