"""Images of object stores that were read before: files named by their MD5, which stores tell before they are read."""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from brushbench.storage.places import cache_folder
from brushbench.storage.store import Entry

KEPT_SECONDS = 30 * 86400.0
"""Time after its last use when an image is deleted."""


def cached(entry: Entry) -> bytes:
    """The content of an object if it is here; empty if it isn't."""
    file = _file(entry)
    try:
        content = file.read_bytes() if file else b""
    except OSError:
        return b""
    if file is None or hashlib.md5(content, usedforsecurity=False).hexdigest() != entry.md5:
        return b""
    with suppress(OSError):
        os.utime(file)
    return content


def keep(file: Path, entry: Entry) -> None:
    """Keep an object that was read into a file. This is no more than a saving, so a full disk is no error."""
    target = _file(entry)
    if target is None or target.exists():
        return
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)


def prune() -> None:
    """Delete what has not been used for long."""
    oldest = time.time() - KEPT_SECONDS
    for file in (cache_folder() / "images").glob("*/*"):
        with suppress(OSError):
            if file.stat().st_mtime < oldest:
                file.unlink()


def _file(entry: Entry) -> Path | None:
    return cache_folder() / "images" / entry.md5[:2] / entry.md5 if entry.md5 else None
