"""Read a ledger again and again while others append to it: each time only what is new."""

from collections.abc import Iterator
from pathlib import Path
from typing import final

from brushbench.core.files import check_file
from brushbench.runs.ledger import LedgerEntry, parsed

KEPT = 512
"""Bytes before the place that was reached, by which it is recognised that the file is still the one that was read."""


@final
class FollowedLedger:
    """A ledger, of which everything up to some place has been read."""

    def __init__(self, file: Path, fingerprint: str) -> None:
        """The file may not exist yet; lines of runs with another fingerprint are skipped."""
        self._file = file
        self._fingerprint = fingerprint
        self._inode = self._offset = self._count = 0
        self._end = b""

    def appended(self) -> tuple[bool, Iterator[LedgerEntry]]:
        """Return whether everything must be read anew, and the entries since the last call, or all of them.

        A ledger must be read anew if it was replaced, cut off or removed since. A last line without a line break is
        left for the next call, as it may have been written only in part. An entry that isn't taken is left, too. Taking
        a damaged one raises `UserError`.
        """
        anew = not self._is_continued()
        if anew:
            self._begin_again()
        return anew, parsed(self._lines(), self._file, self._fingerprint, self._count + 1)

    def _lines(self) -> Iterator[bytes]:
        if not self._file.exists():
            return
        self._inode = check_file(self._file).st_ino
        with self._file.open("rb") as opened:
            opened.seek(self._offset)
            for line in opened:
                if not line.endswith(b"\n"):
                    return
                yield line
                self._offset += len(line)
                self._count += 1
                self._end = (self._end + line)[-KEPT:]

    def _begin_again(self) -> None:
        self._inode = self._offset = self._count = 0
        self._end = b""

    def _is_continued(self) -> bool:
        """Tell whether what has been read is still there."""
        if not self._offset:
            return True
        if not self._file.exists() or check_file(self._file).st_ino != self._inode:
            return False
        with self._file.open("rb") as opened:
            opened.seek(max(0, self._offset - len(self._end)))
            return opened.read(len(self._end)) == self._end
