"""Find run folders, and move one out of the way for a new run."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from brushbench.core.errors import UserError, one_line
from brushbench.runs.folder import Run
from brushbench.runs.run_files import RunFiles
from brushbench.runs.starting import check_nobody_at_work
from brushbench.storage.places import local, spoken, url_of
from brushbench.storage.store import Store
from brushbench.storage.urls import Url

ASIDE = ".aside"
"""The folder in the output folder for runs that `--fresh` moved out of the way."""


def expand(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """Open the runs that `run_folders` finds. Raises `UserError` for a folder without any run."""
    return [Run.open(folder) for folder in run_folders(paths)]


def run_folders(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The run folders in these folders at any depth, each once; a given folder may be one itself.

    Raises `UserError` for a folder without any run.
    """
    found: dict[Path, Path] = {}
    for place in paths:
        path = local(place)
        url = url_of(path)
        folders = _in_store(url) if url else [path] if (path / "run.json").exists() else _inside(path)
        if not folders:
            raise UserError(one_line(f"no runs found in {spoken(path)}"))
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    if not found:
        raise UserError("no run folder given")
    return list(found.values())


def set_aside(path: Path) -> Path | None:
    """Move a run folder to where reports don't find it, and return its new path; None if there was no run.

    Raises `UserError` if a process is at work on the run.
    """
    if not (path / "run.json").exists():
        return None
    with FileLock(path / ".lock"):
        check_nobody_at_work(RunFiles(path))
    try:
        FileLock(path / ".scores.lock").acquire(timeout=0).lock.release()
    except Timeout as error:
        raise UserError(
            one_line(f"{path} is being scored by another process. Use another --output, or wait")
        ) from error
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    places = (path.parent.parent / ASIDE / path.parent.name / f"{path.name}.{stamp}{more}" for more in _suffixes())
    target = next(place for place in places if not place.exists())
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)
    return target


def _suffixes() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in count(2))


def _in_store(url: Url) -> list[Path]:
    """The mirrors of the runs at a URL, at any depth except below hidden names."""
    store = Store(url)
    store.check()
    return [local(f"{url}/{folder}" if folder else str(url)) for folder in sorted(store.folders_with("run.json"))]


def _inside(folder: Path) -> list[Path]:
    """The run folders at any depth, except in hidden folders, which contain runs that were set aside."""
    found = []
    # Unlike `rglob`, this skips folders that a running process removes in the meantime.
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if "run.json" in (*folders, *files):
            found.append(Path(place))
    return sorted(found)
