"""What generating and scoring share: the boundary around a sample, decoding ahead, and telling how far the work is."""

import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from brushbench.errors import NotFiniteError, UserError, one_line

_NOBODYS = [
    Path(traceback.__file__).parent,
    Path(__file__).parent,
]
"""Folders of code that no user has written: the standard library, and the suite."""
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
THREADS = 4
Advance = Callable[[int, int], None]
"""Told how many more samples are finished, and how many of these failed."""
ProgressCallback = Callable[[str, int, int], Advance]
"""Told, before a stage begins, its name, how many samples it has, and how many of these are finished already."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sample has no result."""

    error: str
    by_user: bool
    """The sample, or what was asked, is wrong; False: something broke."""
    out_of_memory: bool = False
    traceback: str = field(default="", repr=False, compare=False)
    """As Python prints it."""
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


def prefetch(chunks: Iterator[Mapping[K, Future[T]]]) -> Iterator[dict[K, T]]:
    """The results of each chunk; the next chunk is already under way in its threads when one is handed out."""
    waiting: Mapping[K, Future[T]] = {}
    for chunk in chunks:
        if waiting:
            yield {key: future.result() for key, future in waiting.items()}
        waiting = chunk
    if waiting:
        yield {key: future.result() for key, future in waiting.items()}


def silent(_stage: str, _total: int, _finished: int) -> Advance:
    """A `ProgressCallback` that tells nobody."""
    return lambda done, failed: None
