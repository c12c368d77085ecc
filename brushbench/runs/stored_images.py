"""The images of a run folder, and whether they are still what was stored."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import final

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest, read_bytes
from brushbench.runs.mirror import IMAGES, mirror_of
from brushbench.storage.places import spoken

SUMS = "images.sha256"
CHANGED, DELETED = "its image was changed after it was made", "its image was deleted after it was made"
MD5 = ".md5"
"""The suffix of the file beside a part of the ledger, with the SHA-256 and the MD5 of each of its images on a line."""
_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


@final
class StoredImages:
    """The folder images/ of a run, and its digests in images.sha256."""

    def __init__(self, run: Path) -> None:
        """`run` is the run folder."""
        self.folder = run / "images"
        self.sums_path = run / SUMS
        self._run = run
        self._mirror = mirror_of(run)
        self._md5: dict[str, str] = {}
        """The MD5 of images, by SHA-256, where an object store tells the one and the ledger the other."""

    def path_of(self, sample_id: str, name: str | None) -> Path:
        """The path of a sample's image. Raises `UserError` if the ledger names none, or a file elsewhere."""
        if name is None or Path(name).name != name:
            raise UserError(one_line(f"{spoken(self._run)}: ledger entry {sample_id!r} names no image in images/"))
        return self.folder / name

    def names(self) -> list[str]:
        """The file names of all images."""
        if self._mirror:
            return self._mirror.image_names()
        return [file.name for file in self.folder.glob("*") if not file.name.startswith(".")]

    def exist(self) -> bool:
        """Tell whether there is a folder of images; an object store has none without an image."""
        return bool(self._mirror.image_names()) if self._mirror else self.folder.is_dir()

    def fetch(self, names: Iterable[str]) -> None:
        """Read images from an object store, several at a time; images of a folder are there already."""
        if self._mirror:
            self._mirror.fetch_all(names)

    def write(self, name: str, content: bytes) -> str:
        """Store an image atomically and return its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        if self._mirror:
            self._mirror.publish(f"{IMAGES}{name}", content)
            self._md5[digest] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        else:
            atomic.write(self.folder / name, content, self._run / ".partial")
        return digest

    def remove(self, name: str) -> None:
        """Delete an image."""
        if self._mirror:
            self._mirror.remove(f"{IMAGES}{name}")
        (self.folder / name).unlink(missing_ok=True)

    def digest_of(self, name: str) -> str:
        """The current SHA-256 of an image; empty if it doesn't exist or can't be read."""
        self.fetch([name])
        file = self.folder / name
        try:
            return file_digest(file) if file.is_file() else ""
        except (OSError, UserError):
            return ""

    def damage(self, name: str, stored: str | None) -> str:
        """What has happened to an image since it was stored with that digest: `CHANGED`, `DELETED`, or nothing."""
        if self._mirror and stored and self._is_as_stored(name, stored):
            return ""
        digest = self.digest_of(name)
        return "" if digest and digest == stored else CHANGED if digest else DELETED

    def time_of(self, name: str) -> float | None:
        """When an image was stored, by the clock of the file system or the store; None if it doesn't exist."""
        if self._mirror:
            entry = self._mirror.entry_of(name)
            return entry.modified if entry else None
        try:
            return (self.folder / name).stat().st_mtime
        except OSError:
            return None

    def md5_lines(self, digests: Iterable[str]) -> str:
        """What is stored beside a part of the ledger whose images have these digests."""
        return "".join(f"{digest} {self._md5[digest]}\n" for digest in digests if digest in self._md5)

    def sums(self) -> dict[str, str]:
        """The digests in images.sha256, by file name; lines without a digest are skipped."""
        text = read_bytes(self.sums_path).decode("utf-8", errors="replace") if self.sums_path.exists() else ""
        found = (line.strip("\0").partition("  images/") for line in text.splitlines())
        return {name: digest for digest, separator, name in found if separator and _IS_DIGEST(digest)}

    def _is_as_stored(self, name: str, stored: str) -> bool:
        """Tell whether the store's own digest shows that an image is what it was; False if that can't be told."""
        entry = self._mirror.entry_of(name) if self._mirror else None
        return entry is not None and bool(entry.md5) and self._md5_of(stored) == entry.md5

    def _md5_of(self, digest: str) -> str:
        if digest not in self._md5:
            for file in (self._run / "samples").glob(f"*{MD5}"):
                lines = (line.split() for line in read_bytes(file).decode("ascii", errors="replace").splitlines())
                self._md5 |= {found[0]: found[1] for found in lines if len(found) == 2}
        return self._md5.get(digest, "")
