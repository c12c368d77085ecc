"""The boundary around a sample, and around the code of plug-ins: whatever goes wrong inside is a value."""

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
"""Folders of code that no user has written: the standard library, and the suite."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample has no result."""

    error: str
    by_user: bool
    """The sample, or what was asked, is wrong; False: something broke."""
    out_of_memory: bool = False
    traceback: str = field(default="", repr=False, compare=False)
    """The traceback, as Python prints it."""
    place: str = field(default="", compare=False)
    """The last line of code outside of installed packages that was reached, to read: `grey.py, line 7`."""


def capture(make: Callable[..., T], *arguments: object, passing: tuple[type[UserError], ...] = ()) -> T | Failure:
    """The boundary around a sample, and around a user's own code: whatever goes wrong inside is a `Failure`.

    Also an attempt to end the process is one, but not Ctrl-C; errors of the types in `passing` are raised.
    """
    try:
        return make(*arguments)
    except KeyboardInterrupt:
        raise
    except passing:
        raise
    except BaseException as error:  # noqa: BLE001
        # torch's own class by its name: the command line's help goes through here, and doesn't load torch.
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
    """What the code of a method, metric or data set returns, which may be anybody's.

    Raises its `UserError`s as they are, and for whatever else goes wrong in it one that begins with `what`; Python's
    own traceback is a note of it.
    """
    made = capture(make, *arguments, passing=(UserError,))
    if isinstance(made, Failure):
        error = UserError(one_line(f"{what}: {made.error}{f' ({made.place})' if made.place else ''}"))
        error.add_note(made.traceback)
        raise error
    return made


def _text(error: BaseException) -> str:
    """What an error says; its `__str__` may be somebody's code, too."""
    text = capture(str, error)
    return text if isinstance(text, str) else ""


def _place(error: BaseException) -> str:
    """Empty for an error that is told of before any code is reached, as one of syntax."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_file()
        and not {"site-packages", "dist-packages"} & {*Path(frame.filename).parts}
        and not any(Path(frame.filename).is_relative_to(folder) for folder in _NOBODYS)
    ]
    return f"{Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
