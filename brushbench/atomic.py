"""Files that are complete or not there at all."""

import os
from pathlib import Path

from brushbench.errors import doing


def write(path: Path, content: bytes, folder: Path | None = None) -> None:
    """Write to a temporary name on the same file system, sync, rename, sync the folder.

    The temporary name is a hidden one beside the file, or the file's own name in `folder`.
    """
    folder = folder or path.parent
    with doing("writing", path):
        folder.mkdir(exist_ok=True)
        partial = folder / f".{path.name}.partial" if folder == path.parent else folder / path.name
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file or the names in a folder onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
