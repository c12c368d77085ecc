"""Write files atomically: a file is either complete or doesn't exist."""

import os
import threading
from pathlib import Path

from brushbench.core.errors import doing


def write(path: Path, content: bytes, folder: Path | None = None, *, durable: bool = True) -> None:
    """Write to a temporary file on the same file system, sync it, rename it, and sync the folder.

    The temporary file is hidden and beside the target, or in `folder`. Its name is unique to this process and thread.
    A file that needn't outlive a power cut isn't synced.
    """
    folder = folder or path.parent
    own = f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial"
    with doing("writing", path):
        folder.mkdir(exist_ok=True)
        partial = folder / (f".{own}" if folder == path.parent else own)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        partial.replace(path)
        if durable:
            sync(path.parent)


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
