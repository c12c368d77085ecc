"""The errors that are printed to the user as one line."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

KEPT = "finished samples are kept: run the same command again to resume"
"""A note on an error that ends a run while it generates."""


class UserError(Exception):
    """The user's request can't be done: one line with the wrong value and the valid ones; exit code 2."""


class SampleError(UserError):
    """One sample can't be used, which is recorded as its failure. The run continues with the other samples."""


class NotFiniteError(SampleError):
    """A result for one sample has infinite values or NaN. This is a failure, not a user's mistake."""


class ComputeError(UserError):
    """The models can't compute by the requested recipe, whatever the sample: it ends a run."""


def one_line(text: str, limit: int = 500) -> str:
    """`text` on one line, with control characters and terminal escapes removed, cut at `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


@contextmanager
def doing(what: str, path: Path | None = None) -> Iterator[None]:
    """Add a note to an `OSError` or `MemoryError` from inside that says what was being done, and to which file.

    The innermost step adds its note first.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.filename is None and path is not None:
            # The error of a full disk doesn't name the file that was being written.
            error.filename = str(path)
        error.add_note(f"{what} {path}" if path else what)
        raise


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for an unknown name, with the nearest valid name and all valid names."""
    names = sorted(valid)
    near = get_close_matches(name, names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UserError(one_line(f"unknown {kind} {name!r}:{hint} valid: {', '.join(names) or 'none'}"))
