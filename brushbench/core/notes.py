"""Notes: what a reader of a run must know of how it was made, collected where it is found out."""

import logging
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TextIO, final

from brushbench.core.errors import one_line

MOST = 50
"""Notes that one collection takes from libraries: one of them may warn of every sample in other words."""
_COLLECTED: ContextVar[list[str] | None] = ContextVar("_COLLECTED", default=None)
_FIRST: ContextVar[int] = ContextVar("_FIRST", default=0)
_APART: ContextVar[list[str] | None] = ContextVar("_APART", default=None)
_OF_SAMPLES: ContextVar[dict[int, list[str]] | None] = ContextVar("_OF_SAMPLES", default=None)
_TO_USERS = (UserWarning, RuntimeWarning, FutureWarning, SyntaxWarning, UnicodeWarning, BytesWarning)
"""Other warnings are for the developers of a library, and stay as Python's filters have them."""
_LIBRARIES = ("accelerate", "diffusers", "huggingface_hub", "open_clip", "peft", "PIL", "torch", "transformers")
"""Libraries that may set up their loggers, with output of their own, only after collecting has begun."""
_OWN = ("brushbench",)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NOISE: Final[dict[str, str]] = {
    r"You have disabled the safety checker": "every method here is without one: it would replace images by black ones",
    r"You are loading `safety_checker`.*but it is not": "likewise",
    r"unauthenticated requests to the HF Hub": "it is about the speed of downloads",
    r"Token indices sequence length is longer": "captions are cut by the suite itself, which counts the long ones",
}
"""What libraries say that tells nothing of a run, with the reason."""


def note(text: str) -> None:
    """Add a note, once, to the innermost collection; where nobody collects, it is a Python warning."""
    collected = _COLLECTED.get()
    if collected is None:
        warnings.warn(text, stacklevel=2)
    elif text not in collected:
        collected.append(text)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collects the notes that are made inside, in their order; the list is filled as they come."""
    collected: list[str] = []
    token = _COLLECTED.set(collected)
    try:
        yield collected
    finally:
        _COLLECTED.reset(token)


@contextmanager
def apart() -> Iterator[list[str]]:
    """Collects the notes of this thread, and what libraries warn of in it, while another thread is `hearing`.

    They are not among those that the other thread hears; `tell_again` adds them where they belong.
    """
    with collecting() as collected:
        token = _APART.set(collected)
        try:
            yield collected
        finally:
            _APART.reset(token)


def tell_again(notes: Iterable[str]) -> None:
    """Add notes that were collected `apart`; a collection takes as many of them as it takes from libraries."""
    collected = _COLLECTED.get()
    for text in notes:
        if collected is None or len(collected) < MOST:
            note(text)


def sample_note(place: int, text: str) -> None:
    """Add a note, once, on the sample at that place of the batch; where nobody collects, it is a Python warning."""
    collected, whole = _OF_SAMPLES.get(), _FIRST.get() + place
    if collected is None:
        warnings.warn(f"sample {whole} of the batch: {text}", stacklevel=2)
    elif text not in collected.setdefault(whole, []):
        collected[whole].append(text)


@contextmanager
def numbered_from(first: int) -> Iterator[None]:
    """Places inside are those of a part of the batch that begins with the sample at `first`."""
    token = _FIRST.set(first)
    try:
        yield
    finally:
        _FIRST.reset(token)


@contextmanager
def collecting_of_samples() -> Iterator[dict[int, list[str]]]:
    """Collects the notes on samples that are made inside, by their place in the batch."""
    collected: dict[int, list[str]] = {}
    token = _OF_SAMPLES.set(collected)
    try:
        yield collected
    finally:
        _OF_SAMPLES.reset(token)


@contextmanager
def hearing() -> Iterator[list[str]]:
    """Collects notes as `collecting` does, and with them what libraries warn of inside, in any thread.

    Their warnings and log records are not printed, each is one line of the list, beginning with the library's name.
    Filters of warnings, loggers and handlers are afterwards what they were before.
    """
    with collecting() as heard, _warnings_to(heard), _records_to(heard):
        yield heard


@contextmanager
def _warnings_to(heard: list[str]) -> Iterator[None]:
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, _TO_USERS):
                _add(heard, _library(filename), str(message))
            else:
                shown(message, category, filename, lineno, file, line)

        for category in _TO_USERS:
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield


@contextmanager
def _records_to(heard: list[str]) -> Iterator[None]:
    known = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    speaking = [logger for logger in known if logger.handlers or not logger.propagate]
    named = [logging.getLogger(name) for name in _LIBRARIES]
    foreign = [logger for logger in (*speaking, *named) if logger.name.partition(".")[0] not in _OWN]
    listener = _Listener(heard, list(dict.fromkeys([logging.root, *foreign])))
    listener.begin()
    try:
        yield
    finally:
        listener.end()


@final
class _Listener(logging.Handler):
    """Takes the records of other packages; their own handlers on a terminal, and outer listeners, don't get them."""

    def __init__(self, heard: list[str], loggers: Sequence[logging.Logger]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard
        self._loggers = loggers

    def begin(self) -> None:
        """Listen to all of the loggers."""
        self._quieten()
        for logger in self._loggers:
            logger.addHandler(self)

    def end(self) -> None:
        """Leave them as they were."""
        for logger in self._loggers:
            logger.removeHandler(self)
            for handler in logger.handlers:
                handler.removeFilter(self._is_left)

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        library = record.name.partition(".")[0]
        if library in _OWN:
            # With this handler on the root logger, Python doesn't take to its last resort by itself.
            others = [*logging.getLogger(library).handlers, *logging.root.handlers]
            if logging.lastResort and all(isinstance(handler, _Listener) for handler in others):
                logging.lastResort.handle(record)
            return
        # A library that was imported meanwhile has added its handler after this one.
        self._quieten()
        _add(self._heard, library if library != logging.root.name else "", record.getMessage())

    def _quieten(self) -> None:
        for logger in self._loggers:
            for handler in logger.handlers:
                # Files, and what a user has put on the root logger, go on.
                prints = type(handler) is logging.StreamHandler and logger is not logging.root
                if handler is not self and (prints or isinstance(handler, _Listener)):
                    handler.addFilter(self._is_left)

    def _is_left(self, record: logging.LogRecord) -> bool:
        return record.levelno < self.level


def _library(filename: str) -> str:
    """The package in whose file it was warned; empty for one that isn't installed."""
    parts = Path(filename).parts
    places = [index for index, part in enumerate(parts[:-1]) if part == "site-packages"]
    name = parts[places[-1] + 1].removesuffix(".py") if places else ""
    return "" if name in _OWN else name


def _add(heard: list[str], library: str, message: str) -> None:
    """Once, on one line, unless it is noise."""
    text = one_line(_COLOURS.sub("", message))
    if any(re.search(pattern, text) for pattern in NOISE):
        return
    line = f"{library}: {text}" if library and not text.startswith((f"{library}:", f"[{library}]")) else text
    own = _APART.get()
    taking = heard if own is None else own
    if line not in taking and len(taking) < MOST:
        taking.append(line)
