"""Read files that may come from anywhere: only regular files, and in a run folder never through a link."""

import hashlib
import os
import stat
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import final

from brushbench.core.errors import UserError, one_line

MOST = 1 << 30
"""The default limit, in bytes, for a file that is read whole."""
DEEPEST = 1000
"""The most dots in a line of TOML."""
_TICK_NANOSECONDS = 20_000_000
"""Two changes of a file within this time can have equal timestamps, as the clock of file systems is coarse."""
_AT_WORK: dict[bytes, Lock] = {}
"""A lock for each file that a thread is hashing now."""
_MOST_DIGESTS = 1 << 16


@final
class _Digests:
    """The digests of files by version, both as bytes: a data set has many files, and a path takes a kilobyte."""

    def __init__(self) -> None:
        self._found: dict[bytes, bytes] = {}
        self._lock = Lock()

    def get(self, version: bytes) -> str:
        """Return a digest, hexadecimal; empty if it isn't known."""
        return self._found.get(version, b"").hex()

    def put(self, version: bytes, digest: str) -> None:
        """Remember a digest, and forget the oldest one if there are too many."""
        with self._lock:
            self._found[version] = bytes.fromhex(digest)
            if len(self._found) > _MOST_DIGESTS:
                del self._found[next(iter(self._found))]

    def clear(self) -> None:
        """Forget all digests."""
        with self._lock:
            self._found.clear()


_DIGESTS = _Digests()


def exists(path: Path) -> bool:
    """Tell whether a path exists; False, too, for a name that is too long for a file."""
    try:
        return path.exists()
    except OSError:
        return False


def check_file(path: Path) -> os.stat_result:
    """The status of a regular file.

    Raises `UserError` for anything else: reading a named pipe can block forever, and a device may never end. Raises
    `OSError` if the file doesn't exist.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UserError(one_line(f"{path}: can't be read (not a file)"))
    return found


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """Read a whole file. Raises `UserError` if it isn't a file, can't be read, or has more than `most` bytes."""
    try:
        if check_file(path).st_size > most:
            raise UserError(one_line(f"{path}: over {most >> 20} MiB: too large for what it should be"))
        return path.read_bytes()
    except OSError as error:
        raise UserError(one_line(f"{path}: can't be read ({error.strerror})")) from error


def read_text(path: Path, most: int = MOST) -> str:
    """Read a UTF-8 text file. Raises `UserError` as `read_bytes` does, and for bytes that aren't UTF-8."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(one_line(f"{path}: can't be read as UTF-8 text ({error})")) from error


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file. Raises `UserError` as `read_text` does, `ValueError` for invalid or too deeply nested TOML."""
    text = read_text(path)
    # tomllib would take minutes for a name of 100,000 parts.
    if any(line.count(".") > DEEPEST for line in text.splitlines()):
        raise ValueError(f"a name has more than {DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal, cached until the file's place on the disk, its size or its times change.

    Raises `UserError` if it isn't a file or can't be read.
    """
    try:
        found = check_file(path)
        return _digest_once(path, file_version(found)) if is_settled(found) else _digest_now(path)
    except OSError as error:
        raise UserError(one_line(f"{path}: can't be read ({error.strerror})")) from error


def file_version(found: os.stat_result) -> tuple[int, ...]:
    """A file's place on the disk, its size and its times, which tell whether it has changed."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_settled(found: os.stat_result) -> bool:
    """Tell whether a later change of the file would change its version.

    A file that was changed just now may change again without a change in its times.
    """
    return time.time_ns() - found.st_ctime_ns > _TICK_NANOSECONDS


def _digest_once(path: Path, version: tuple[int, ...]) -> str:
    """The digest; a thread that needs what another one is about to find out waits for it."""
    # The version tells files apart, whatever their paths; to resolve a path takes longer than to hash a small file.
    key = hashlib.sha256(repr(version).encode()).digest()[:16]
    try:
        with _AT_WORK.setdefault(key, Lock()):
            if not (digest := _DIGESTS.get(key)):
                digest = _digest_now(path)
                _DIGESTS.put(key, digest)
            return digest
    finally:
        _AT_WORK.pop(key, None)


def _digest_now(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_links(folder: Path, below: Sequence[str]) -> None:
    """Raise `UserError` if the folder, or one of the folders `below` it, contains a symbolic link.

    A file written to the run could otherwise end up anywhere. The folder itself may be a link.
    """
    for place in (folder, *(folder / name for name in below)):
        try:
            with os.scandir(place) as found:
                link = next((entry.name for entry in found if entry.is_symlink()), None)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UserError(one_line(f"{place}: can't be read ({error.strerror})")) from error
        if link is not None:
            reason = "a symbolic link, which a run folder must not contain"
            raise UserError(
                one_line(f"{place / link} is {reason}; valid: the file or folder itself, or another --output")
            )
