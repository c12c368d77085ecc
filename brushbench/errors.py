"""The errors that reach a user as one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """What the user asked for can't be done: one line with the wrong value and the valid ones; exit code 2."""


class SampleError(UserError):
    """One sample can't be used; the others can. Recorded as that sample's failure."""


class NotFiniteError(SampleError):
    """What was computed for one sample has infinite values or NaN. That is nobody's wrong request, but a failure."""


def one_line(text: str, limit: int = 500) -> str:
    """`text` with control characters (also terminal escapes) and line breaks made spaces, cut at `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def unknown(kind: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that doesn't exist, with the nearest one that does and all valid ones."""
    names = sorted(valid)
    near = get_close_matches(name, names, n=1)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UserError(one_line(f"unknown {kind} {name!r}:{hint} valid: {', '.join(names) or 'none'}"))
