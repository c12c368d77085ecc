"""The errors that reach a user as one line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

KEPT = "finished samples are kept: run the same command again to resume"
"""Noted on an error that ends a run which was generating."""


class UserError(Exception):
    """What the user asked for can't be done: one line with the wrong value and the valid ones; exit code 2."""


class SampleError(UserError):
    """One sample can't be used; the others can. Recorded as that sample's failure."""


class NotFiniteError(SampleError):
    """What was computed for one sample has infinite values or NaN. That is nobody's wrong request, but a failure."""


class ComputeError(UserError):
    """The models can't compute by the requested recipe, whatever the sample: it ends a run."""


def one_line(text: str, limit: int = 500) -> str:
    """`text` with control characters (also terminal escapes) and line breaks made spaces, cut at `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


@contextmanager
def doing(what: str, path: Path | None = None) -> Iterator[None]:
    """Notes on an `OSError`, or a lack of memory, from inside what was being done, and to which file.

    The first note is of the innermost.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.filename is None and path is not None:
            # A disk that is full when a file is written says nothing of the file.
            error.filename = str(path)
        error.add_note(f"{what} {path}" if path else what)
        raise


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that doesn't exist, with the nearest one that does and all valid ones."""
    names = sorted(valid)
    near = get_close_matches(name, names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UserError(one_line(f"unknown {kind} {name!r}:{hint} valid: {', '.join(names) or 'none'}"))
