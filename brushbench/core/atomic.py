"""Files that are complete or not there at all."""

import os
import threading
from pathlib import Path

from brushbench.core.errors import doing


def write(path: Path, content: bytes, folder: Path | None = None) -> None:
    """Write to a temporary name on the same file system, sync, rename, sync the folder.

    The temporary name is a hidden one beside the file, or one in `folder`; no other process or thread has it.
    """
    folder = folder or path.parent
    own = f"{path.name}.{os.getpid()}-{threading.get_ident()}.partial"
    with doing("writing", path):
        folder.mkdir(exist_ok=True)
        partial = folder / (f".{own}" if folder == path.parent else own)
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
