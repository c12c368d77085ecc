"""The files of a run, whether it is in a folder or in an object store."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import final

from brushbench.core import atomic
from brushbench.core.errors import doing
from brushbench.runs import owners, parts
from brushbench.runs.mirror import mirror_of
from brushbench.runs.stored_images import MD5


@final
class RunFiles:
    """The files of a run, by their paths in its folder. In a store, what is written is in the store on return."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mirror = mirror_of(folder)
        """None for a folder."""

    def refresh(self) -> None:
        """Read what other processes have written to a store; in a folder, it is seen at once."""
        if self.mirror:
            self.mirror.refresh()

    def write(self, name: str, content: bytes) -> None:
        """Write a file as a whole."""
        if self.mirror:
            self.mirror.publish(name, content)
        else:
            atomic.write(self.folder / name, content)

    def write_first(self, name: str, content: bytes) -> bool:
        """Write a file and return True, unless another process has written one to the store in the meantime."""
        if self.mirror:
            return self.mirror.publish_first(name, content)
        atomic.write(self.folder / name, content)
        return True

    def add(self, name: str, lines: Sequence[str], md5: str = "") -> None:
        """Add lines to a file, or as a part where it has parts; first the MD5 of its images, if there are any."""
        if not self.mirror and not parts.is_in_parts(self.folder, name):
            append(self.folder / f"{name}{parts.SUFFIX}", lines)
            return
        part = parts.next_part(self.folder, name)
        if md5:
            self.write(part.removesuffix(parts.SUFFIX) + MD5, md5.encode())
        self.write(part, "".join(f"{line}\n" for line in lines).encode())

    def remove(self, *names: str) -> None:
        """Remove files, which may not exist."""
        for name in names:
            if self.mirror and (self.folder / name).exists():
                self.mirror.remove(name)
            (self.folder / name).unlink(missing_ok=True)

    def is_foreign(self) -> bool:
        """Tell whether there is something, apart from hidden names, but no run."""
        if self.mirror:
            return self.mirror.is_foreign()
        return any(not child.name.startswith(".") for child in self.folder.iterdir())

    def at_work(self, but: owners.Claim | None = None) -> list[owners.Owner]:
        """The processes at work on the run, except `but`'s. The caller holds the run folder's lock."""
        return list(owners.heard_of(self.folder, but) if self.mirror else owners.live(self.folder, but))


def append(file: Path, lines: Sequence[str]) -> None:
    """Append lines to a file and sync it."""
    if not lines:
        return
    with doing("writing", file), file.open("ab") as opened:
        opened.write("".join(f"{line}\n" for line in lines).encode())
        opened.flush()
        os.fsync(opened.fileno())
