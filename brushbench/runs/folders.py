"""Run folders among others: which there are in a folder, and how one makes room for another."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from brushbench.core.errors import UserError, one_line
from brushbench.runs.folder import Run, check_nobody_at_work

ASIDE = ".aside"
"""In the output folder: runs that `--fresh` moved out of the way."""


def expand(paths: Sequence[str | os.PathLike[str]]) -> list[Run]:
    """The runs in these folders, each once; a folder is one, or holds some at any depth. `UserError` for none."""
    return [Run.open(folder) for folder in run_folders(paths)]


def run_folders(paths: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The run folders in these folders, each once. Raises `UserError` for a folder without any."""
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        folders = [path] if (path / "run.json").exists() else _inside(path)
        if not folders:
            raise UserError(one_line(f"no runs found in {path}"))
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    if not found:
        raise UserError("no run folder given")
    return list(found.values())


def set_aside(path: Path) -> Path | None:
    """Move a run folder to where tables don't look; its new place, None if there was nothing.

    Raises `UserError` if a process is at work in it.
    """
    if not (path / "run.json").exists():
        return None
    with FileLock(path / ".lock"):
        check_nobody_at_work(path)
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


def _inside(folder: Path) -> list[Path]:
    """The run folders at any depth, but for those in hidden folders, which were set aside."""
    found = []
    # Unlike `rglob`, it passes over folders that a run at work removes meanwhile.
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if "run.json" in (*folders, *files):
            found.append(Path(place))
    return sorted(found)
