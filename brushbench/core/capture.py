"""Turn errors in a sample or in a plug-in's code into values."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from brushbench.core.errors import NotFiniteError, UserError, one_line

_NOBODYS = [
    Path(traceback.__file__).parent,
    Path(__file__).parent.parent,
]
"""Folders of code that isn't the user's: the standard library and the suite."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample has no result."""

    error: str
    by_user: bool
    """True if the sample or the request is wrong, False if something broke."""
    out_of_memory: bool = False
    traceback: str = field(default="", repr=False, compare=False)
    """The traceback, as Python prints it."""
    place: str = field(default="", compare=False)
    """The last line reached in code outside of installed packages, for example `grey.py, line 7`; may be empty."""


def capture(make: Callable[..., T], *arguments: object, passing: tuple[type[UserError], ...] = ()) -> T | Failure:
    """Return what `make` returns, or a `Failure` for any error in it.

    An attempt to exit the process is a failure, too. Ctrl-C and errors of the types in `passing` are raised.
    """
    try:
        return make(*arguments)
    except KeyboardInterrupt:
        raise
    except passing:
        raise
    except BaseException as error:  # noqa: BLE001
        # torch's class is recognised by its name, because the command line's help runs this without loading torch.
        exhausted = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
        told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {_text(error)}"
        return Failure(
            one_line(told.removesuffix(": ")),
            by_user=isinstance(error, UserError) and not isinstance(error, NotFiniteError),
            out_of_memory=exhausted,
            traceback="".join(traceback.format_exception(error)),
            place=_place(error),
        )


def plugged(what: str, make: Callable[..., T], *arguments: object) -> T:
    """Call the code of a method, metric or data set, which may be a plug-in's, and return its result.

    Raises its `UserError` unchanged. For any other error, raises a `UserError` that begins with `what` and has Python's
    traceback as a note.
    """
    made = capture(make, *arguments, passing=(UserError,))
    if isinstance(made, Failure):
        error = UserError(one_line(f"{what}: {made.error}{f' ({made.place})' if made.place else ''}"))
        error.add_note(made.traceback)
        raise error
    return made


def _text(error: BaseException) -> str:
    """The message of an error; its `__str__` may be a plug-in's code, too."""
    text = capture(str, error)
    return text if isinstance(text, str) else ""


def _place(error: BaseException) -> str:
    """File and line of the last frame in a user's code; empty if none was reached, as for a syntax error."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_file()
        and not {"site-packages", "dist-packages"} & {*Path(frame.filename).parts}
        and not any(Path(frame.filename).is_relative_to(folder) for folder in _NOBODYS)
    ]
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
