"""A run in an object store, as the folder of this process that stands for it.

The store is the truth: small files are read when the run is opened, images when they are needed, and what this process
writes is stored before it counts. A store can't append, so every addition is an object of its own: see
`brushbench.runs.parts`.
"""

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import final

from brushbench.core import atomic
from brushbench.core.concurrency import one_by_one
from brushbench.core.errors import UserError, one_line
from brushbench.runs import parts
from brushbench.storage import cache
from brushbench.storage.places import url_of
from brushbench.storage.store import Entry, Store

IMAGES = "images/"
SMALL = ("run.json", "samples.jsonl", "images.sha256", "workers.jsonl", "scores.parquet", "contact_sheet.png")
"""The files of a run folder that are read when the run is opened."""
FOLDERS = (*parts.FOLDERS, "errors", "features", ".owners")
"""The folders whose files are read when the run is opened."""


@final
class Mirror:
    """The files of a run in an object store, and this process's copies of them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self._refreshing, self._listing = Lock(), Lock()
        self._known: dict[str, str] = {}
        """The version of each file in the folder, as it is in the store."""
        self._images: dict[str, Entry] | None = None
        """What the store says of each image; None until it is asked."""
        self._own: dict[str, Entry] = {}
        """What it says of the images that this process has stored since."""

    def refresh(self) -> None:
        """Make the folder's small files equal to the store's, and ask anew for its images when they are needed."""
        with self._refreshing:
            # What is stored meanwhile may be missing from the listings.
            before = [name for name in self._known if not name.startswith(IMAGES)]
            top = self.store.top()
            there = {name: entry for name in SMALL if (entry := top.get(name)) is not None}
            for folder in FOLDERS:
                there |= self.store.within(folder) if folder in top else {}
            stale = [name for name, entry in there.items() if self._known.get(name) != entry.version]
            for _ in one_by_one(lambda name: self._read(name, there[name]), stale):
                continue
            for name in before:
                if name not in there:
                    self._forget(name)
            self._own, self._images = {}, None

    def is_foreign(self) -> bool:
        """Tell whether the store has something there, apart from hidden names, but no run now."""
        top = self.store.top()
        return "run.json" not in top and not all(name.startswith(".") for name in top)

    def publish(self, name: str, content: bytes) -> None:
        """Store a file, and keep a copy of it."""
        entry = self.store.write(name, content)
        if name.startswith(IMAGES):
            self._own[name] = entry
        self._keep(name, content, entry)

    def publish_first(self, name: str, content: bytes) -> bool:
        """Store a file if the store has none of this name yet, and tell whether the store has this one now."""
        if not self.store.create(name, content):
            return False
        # A store that ignores the condition may have another process's by now.
        self.refresh()
        file = self.folder / name
        return file.exists() and file.read_bytes() == content

    def remove(self, *names: str) -> None:
        """Delete files."""
        for name in names:
            self.store.remove(name)
            self._forget(name)

    def reread(self, name: str) -> None:
        """Read a small file again. Raises `UserError` if it is gone."""
        try:
            content = self.store.read(name)
        except FileNotFoundError as error:
            raise UserError(one_line(f"{self.store.url}/{name} was deleted in the meantime")) from error
        if content != (self.folder / name).read_bytes():
            atomic.write(self.folder / name, content, durable=False)
            self._known.pop(name, None)

    def image_names(self) -> list[str]:
        """The names of all images."""
        return [name.removeprefix(IMAGES) for name in {**self._listed(), **self._own}]

    def entry_of(self, image: str) -> Entry | None:
        """What the store says of an image; None if it has none."""
        name = f"{IMAGES}{image}"
        return self._own.get(name) or self._listed().get(name)

    def fetch(self, image: str) -> None:
        """Read an image into the folder unless it is there, or delete it there if the store has none."""
        name, entry = f"{IMAGES}{image}", self.entry_of(image)
        if entry is None:
            self._forget(name)
        elif self._known.get(name) != entry.version:
            if content := cache.cached(entry):
                self._keep(name, content, entry)
            else:
                self._read(name, entry)

    def fetch_all(self, images: Iterable[str]) -> None:
        """Read images, several at a time."""
        names = list(images)
        for _ in one_by_one(self.fetch, names) if len(names) > 1 else map(self.fetch, names):
            continue

    def _listed(self) -> Mapping[str, Entry]:
        with self._listing:
            if self._images is None:
                self._images = self.store.within(IMAGES.rstrip("/"))
            return self._images

    def _read(self, name: str, entry: Entry) -> None:
        try:
            self._keep(name, self.store.read(name), entry)
        except FileNotFoundError:
            # It was deleted since it was listed.
            self._forget(name)

    def _keep(self, name: str, content: bytes, entry: Entry) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        # What is lost with this machine is still in the store.
        atomic.write(file, content, durable=False)
        self._known[name] = entry.version
        if name.startswith(IMAGES):
            cache.keep(file, entry)
        else:
            # Who works on the run is told by the store's clock.
            os.utime(file, (entry.modified, entry.modified))

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        (self.folder / name).unlink(missing_ok=True)


def mirror_of(folder: Path) -> Mirror | None:
    """The mirror that a folder is; None for a folder that stands for nothing but itself."""
    return None if url_of(folder) is None else _mirror(folder)


@lru_cache(maxsize=4096)
def _mirror(folder: Path) -> Mirror | None:
    url = url_of(folder)
    return Mirror(Store(url), folder) if url else None
