"""Where the places of runs are on this machine: a folder, or for a URL, this process's own folder for what it reads.

Such a folder begins empty and ends with the process, so it can't be out of date. It is in the user's cache folder, as
the images of a run may be too large for the folder of temporary files.
"""

import os
from functools import lru_cache
from pathlib import Path

from brushbench.core.errors import UserError, one_line
from brushbench.storage.urls import Url, folder_in, url_in


def local(place: str | os.PathLike[str]) -> Path:
    """The folder for a place. Raises `UserError` for a URL that can't contain runs."""
    url = url_in(place)
    return Path(folder_in(place)) if url is None else _root(os.getpid()).joinpath(url.scheme, *url.parts)


def url_for(place: str | os.PathLike[str]) -> Url | None:
    """The URL of a place that is in an object store, or stands for one; None for any other folder."""
    return url_in(place) or url_of(Path(place))


def folder_here(option: str, place: str) -> Path:
    """The folder or file for an option that can't be a URL. Raises `UserError` for one that is."""
    if (url := url_in(place)) is not None:
        raise UserError(one_line(f"{option} {url}: can't be written to a store; valid: a path on this machine"))
    return Path(folder_in(place))


def url_of(folder: Path) -> Url | None:
    """The URL that a folder stands for; None for any other folder."""
    # The folder of a process exists only if it was asked for.
    if not _root.cache_info().currsize or not folder.is_relative_to(root := _root(os.getpid())):
        return None
    scheme, *parts = folder.relative_to(root).parts or ("",)
    return Url(scheme, tuple(parts)) if parts else None


def spoken(path: Path) -> str:
    """A path as it is told to the user: the URL that it stands for, or itself."""
    return str(url_of(path) or path)


def cache_folder() -> Path:
    """The folder for what is read from stores."""
    from platformdirs import user_cache_path

    return user_cache_path("brushbench") / "stores"


@lru_cache(maxsize=1)
def _root(process: int) -> Path:
    """Make the folder of this process, and remove those of processes that were killed."""
    # Imported only for a URL, as the commands' help imports this file.
    from brushbench.storage.cache import prune
    from brushbench.storage.own_folder import make_own_folder

    prune()
    return make_own_folder(cache_folder(), process)
