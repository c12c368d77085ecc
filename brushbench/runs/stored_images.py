"""The images of a run folder, and whether they are still what was stored."""

import hashlib
import re
from pathlib import Path
from typing import final

from brushbench.core import atomic
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import file_digest, read_bytes

SUMS = "images.sha256"
CHANGED, DELETED = "its image was changed after it was made", "its image was deleted after it was made"
_IS_DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch


@final
class StoredImages:
    """The folder images/ of a run, and its digests in images.sha256."""

    def __init__(self, run: Path) -> None:
        """`run` is the run folder."""
        self.folder = run / "images"
        self.sums_path = run / SUMS
        self._run = run

    def path_of(self, sample_id: str, name: str | None) -> Path:
        """The path of a sample's image. Raises `UserError` if the ledger names none, or a file elsewhere."""
        if name is None or Path(name).name != name:
            raise UserError(one_line(f"{self._run}: ledger entry {sample_id!r} names no image in images/"))
        return self.folder / name

    def write(self, name: str, content: bytes) -> str:
        """Store an image atomically and return its SHA-256."""
        atomic.write(self.folder / name, content, self._run / ".partial")
        return hashlib.sha256(content).hexdigest()

    def digest_of(self, name: str) -> str:
        """The current SHA-256 of an image; empty if it doesn't exist or can't be read."""
        file = self.folder / name
        try:
            return file_digest(file) if file.is_file() else ""
        except (OSError, UserError):
            return ""

    def damage(self, name: str, stored: str | None) -> str:
        """What has happened to an image since it was stored with that digest: `CHANGED`, `DELETED`, or nothing."""
        digest = self.digest_of(name)
        return "" if digest and digest == stored else CHANGED if digest else DELETED

    def sums(self) -> dict[str, str]:
        """The digests in images.sha256, by file name; lines without a digest are skipped."""
        text = read_bytes(self.sums_path).decode("utf-8", errors="replace") if self.sums_path.exists() else ""
        found = (line.strip("\0").partition("  images/") for line in text.splitlines())
        return {name: digest for digest, separator, name in found if separator and _IS_DIGEST(digest)}
