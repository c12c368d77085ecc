"""Requests of the machine to terminate, and its refusals of files, memory and threads."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from brushbench.core.errors import KEPT, UserError, one_line

LEAST_MEMORY = 4 << 30
"""Bytes of address space that PyTorch needs to load. With less, it may end the process without a message."""
NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota of the disk is used up"}
"""The reason for each error number."""
_HELP = ("-h", "--help", "--version", "list", "status")
_UNMAPPED = ("failed to map segment", "Cannot allocate memory", "cannot allocate memory")
_NO_THREAD = "can't start new thread"
LIMITS = "valid: a smaller --batch-size, fewer programs at once, or a higher limit (ulimit -v, or the job's)"


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise `UserError` if an argument or the working folder's name isn't UTF-8, as no record could store it."""
    for what, text in (*(("argument", text) for text in arguments), ("working folder", str(Path.cwd()))):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(one_line(f"{what} {text!r} is not valid UTF-8; valid: a name in UTF-8")) from error


def check_memory(arguments: Iterable[str]) -> None:
    """Raise `UserError` if the memory limit is too low to load PyTorch, unless the command doesn't need it."""
    limit = _memory_limit()
    if limit is not None and limit < LEAST_MEMORY and set(_HELP).isdisjoint(arguments):
        raise UserError(
            f"memory is limited to {limit / (1 << 30):.1f} GiB (ulimit -v), too little to load PyTorch; "
            f"valid: {LEAST_MEMORY >> 30} GiB or more, or no limit"
        )


def _memory_limit() -> int | None:
    """The limit of address space in bytes; None for no limit, as on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


@contextmanager
def terminable() -> Iterator[None]:
    """Inside, a request to terminate (SIGTERM, as batch systems send it) raises `KeyboardInterrupt`, as Ctrl-C does."""
    # Only the main thread can handle signals.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def refusal(error: BaseException) -> str | None:
    """The message for what the machine refused: during which step, for which file. None for any other error."""
    notes = getattr(error, "__notes__", [])
    steps = [note for note in notes if note != KEPT]
    if isinstance(error, OSError):
        told = _of_file(error, steps)
    elif isinstance(error, MemoryError) or (isinstance(error, ImportError) and _says(error, _UNMAPPED)):
        told = f"not enough memory{f' while {steps[0]}' if steps else ''}; {LIMITS}"
    elif isinstance(error, RuntimeError) and _says(error, [_NO_THREAD]):
        told = "can't start a thread; valid: fewer programs at once, or a higher limit (ulimit -u, or the job's)"
    else:
        return None
    return one_line(f"{told}. {KEPT.capitalize()}" if KEPT in notes else told, 2000)


def _of_file(error: OSError, steps: Sequence[str]) -> str:
    place = f"using {error.filename}" if error.filename else "reading or writing"
    reason = error.strerror or str(error) or type(error).__name__
    told = f"{steps[0] if steps else place}: {reason}"
    if error.errno in NO_ROOM and error.filename:
        told += f"; {NO_ROOM[error.errno]}: {_mount_of(Path(os.fsdecode(error.filename)))}"
    return told


def _mount_of(path: Path) -> Path:
    """The mount point of a file's file system."""
    resolved = path.resolve()
    return next(folder for folder in (resolved, *resolved.parents) if folder.is_mount() or folder.parent == folder)


def _says(error: BaseException, parts: Iterable[str]) -> bool:
    return any(part in str(error) for part in parts)
