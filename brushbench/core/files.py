"""Files that others may have made: read only if they are files, and never through a link in a run folder."""

import hashlib
import os
import stat
import time
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

from brushbench.core.errors import UserError, one_line

MOST = 1 << 30
"""Bytes that a file is read to, unless the reader knows better."""
DEEPEST = 1000
"""Dots in a line of TOML."""
_TICK_NANOSECONDS = 20_000_000
"""How long two changes of a file may bear the same time: file systems take theirs from a clock that ticks."""
_AT_WORK: dict[tuple[Path, tuple[int, ...]], Lock] = {}
"""Files that a thread is reading for their digest."""


def exists(path: Path) -> bool:
    """Whether there is something; False also for a name that is too long for any file."""
    try:
        return path.exists()
    except OSError:
        return False


def check_file(path: Path) -> os.stat_result:
    """What the file system says of a file.

    Raises `UserError` for what isn't one: a named pipe would be waited for without end, a device never ends. Raises
    `OSError` if it isn't there.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UserError(one_line(f"{path}: can't be read (not a file)"))
    return found


def read_bytes(path: Path, most: int = MOST) -> bytes:
    """A whole file. Raises `UserError` if it is none, can't be read, or has more than `most` bytes."""
    try:
        if check_file(path).st_size > most:
            raise UserError(one_line(f"{path}: over {most >> 20} MiB: too large for what it should be"))
        return path.read_bytes()
    except OSError as error:
        raise UserError(one_line(f"{path}: can't be read ({error.strerror})")) from error


def read_text(path: Path, most: int = MOST) -> str:
    """UTF-8. Raises `UserError` as `read_bytes` does, and for anything else than text."""
    try:
        return read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(one_line(f"{path}: can't be read as UTF-8 text ({error})")) from error


def read_toml(path: Path) -> dict[str, object]:
    """A TOML file. Raises `UserError` as `read_text` does, `ValueError` for one that is none or nested too deeply."""
    text = read_text(path)
    # tomllib takes minutes for a name of 100,000 parts.
    if any(line.count(".") > DEEPEST for line in text.splitlines()):
        raise ValueError(f"a name has over {DEEPEST} parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal. Its bytes are read again only if its place on the disk or its times changed.

    Raises `UserError` if it is no file or can't be read.
    """
    try:
        found = check_file(path)
        version = file_version(found)
        # A file that has only just changed may change again without a trace in its times.
        settled = time.time_ns() - found.st_ctime_ns > _TICK_NANOSECONDS
        digest = _digest_once if settled else _digest_of_version.__wrapped__
        return digest(path.resolve(), version)
    except OSError as error:
        raise UserError(one_line(f"{path}: can't be read ({error.strerror})")) from error


def file_version(found: os.stat_result) -> tuple[int, ...]:
    """What is another when a file is: its place on the disk, its size and its times."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _digest_once(path: Path, version: tuple[int, ...]) -> str:
    """The digest; a thread that needs what another one is about to find out waits for it."""
    key = path, version
    try:
        with _AT_WORK.setdefault(key, Lock()):
            return _digest_of_version(path, version)
    finally:
        _AT_WORK.pop(key, None)


@lru_cache(maxsize=1 << 16)
def _digest_of_version(path: Path, _version: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_links(folder: Path, below: Sequence[str]) -> None:
    """Raises `UserError` if there is a symbolic link in the folder, or in one of these folders in it.

    What is written to a run would otherwise be written to wherever the link leads. The folder itself may be one.
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
            reason = "a symbolic link, which no run folder may have in it"
            raise UserError(
                one_line(f"{place / link} is {reason}; valid: the file or folder itself, or another --output")
            )
