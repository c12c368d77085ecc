"""Notes: what a reader of a run must know about how it was made. They are collected while it runs."""

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
"""The most notes that one collection takes from libraries, as one may word its warning differently for each sample."""
_COLLECTED: ContextVar[list[str] | None] = ContextVar("_COLLECTED", default=None)
_FIRST: ContextVar[int] = ContextVar("_FIRST", default=0)
_APART: ContextVar[list[str] | None] = ContextVar("_APART", default=None)
_OF_SAMPLES: ContextVar[dict[int, list[str]] | None] = ContextVar("_OF_SAMPLES", default=None)
_TO_USERS = (UserWarning, RuntimeWarning, FutureWarning, SyntaxWarning, UnicodeWarning, BytesWarning)
"""The categories that are collected. Other warnings are meant for developers, and Python's filters apply to them."""
_LIBRARIES = ("accelerate", "diffusers", "huggingface_hub", "open_clip", "peft", "PIL", "torch", "transformers")
"""Libraries that may add handlers to their loggers only after collecting has begun."""
_OWN = ("brushbench",)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NOISE: Final[dict[str, str]] = {
    r"You have disabled the safety checker": "no method here uses it, as it replaces images with black ones",
    r"You are loading `safety_checker`.*but it is not": "no method here uses it, as it replaces images with black ones",
    r"unauthenticated requests to the HF Hub": "this only affects the speed of downloads",
    r"Token indices sequence length is longer": "the suite itself cuts captions, and counts the long ones",
}
"""Patterns of warnings that don't matter for a run, each with the reason."""


def note(text: str) -> None:
    """Add a note, once, to the innermost collection; without a collection, issue a Python warning."""
    collected = _COLLECTED.get()
    if collected is None:
        warnings.warn(text, stacklevel=2)
    elif text not in collected:
        collected.append(text)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect the notes that are made inside; the list fills in their order, as they are made."""
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
    """Add a note, once, on the sample at this place in the batch; without a collection, issue a Python warning."""
    collected, whole = _OF_SAMPLES.get(), _FIRST.get() + place
    if collected is None:
        warnings.warn(f"sample {whole} of the batch: {text}", stacklevel=2)
    elif text not in collected.setdefault(whole, []):
        collected[whole].append(text)


@contextmanager
def numbered_from(first: int) -> Iterator[None]:
    """Count the places of samples inside from `first`, for a part of a batch that begins with that sample."""
    token = _FIRST.set(first)
    try:
        yield
    finally:
        _FIRST.reset(token)


@contextmanager
def collecting_of_samples() -> Iterator[dict[int, list[str]]]:
    """Collect the notes on samples that are made inside, by their place in the batch."""
    collected: dict[int, list[str]] = {}
    token = _OF_SAMPLES.set(collected)
    try:
        yield collected
    finally:
        _OF_SAMPLES.reset(token)


@contextmanager
def hearing() -> Iterator[list[str]]:
    """Collect notes as `collecting` does, together with the warnings of libraries from any thread.

    Their warnings and log records aren't printed: each becomes one line of the list that begins with the library's
    name. Warning filters, loggers and handlers are restored afterwards.
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
    """Takes the records of other packages, and keeps them from their own terminal handlers and from outer listeners."""

    def __init__(self, heard: list[str], loggers: Sequence[logging.Logger]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard
        self._loggers = loggers

    def begin(self) -> None:
        """Listen to all loggers."""
        self._quieten()
        for logger in self._loggers:
            logger.addHandler(self)

    def end(self) -> None:
        """Restore all loggers."""
        for logger in self._loggers:
            logger.removeHandler(self)
            for handler in logger.handlers:
                handler.removeFilter(self._is_left)

    def emit(self, record: logging.LogRecord) -> None:
        """Collect a record; pass on a record of the suite if Python no longer does."""
        library = record.name.partition(".")[0]
        if library in _OWN:
            # With this handler on the root logger, Python no longer uses its last resort by itself.
            others = [*logging.getLogger(library).handlers, *logging.root.handlers]
            if logging.lastResort and all(isinstance(handler, _Listener) for handler in others):
                logging.lastResort.handle(record)
            return
        # A library imported in the meantime may have added its own handler.
        self._quieten()
        _add(self._heard, library if library != logging.root.name else "", record.getMessage())

    def _quieten(self) -> None:
        for logger in self._loggers:
            for handler in logger.handlers:
                # Handlers that write files, and a user's handlers on the root logger, stay active.
                prints = type(handler) is logging.StreamHandler and logger is not logging.root
                if handler is not self and (prints or isinstance(handler, _Listener)):
                    handler.addFilter(self._is_left)

    def _is_left(self, record: logging.LogRecord) -> bool:
        return record.levelno < self.level


def _library(filename: str) -> str:
    """The installed package that contains the file of a warning; empty if none does."""
    parts = Path(filename).parts
    places = [index for index, part in enumerate(parts[:-1]) if part == "site-packages"]
    name = parts[places[-1] + 1].removesuffix(".py") if places else ""
    return "" if name in _OWN else name


def _add(heard: list[str], library: str, message: str) -> None:
    """Add a message as one line, unless it is noise or already in the list."""
    text = one_line(_COLOURS.sub("", message))
    if any(re.search(pattern, text) for pattern in NOISE):
        return
    line = f"{library}: {text}" if library and not text.startswith((f"{library}:", f"[{library}]")) else text
    own = _APART.get()
    taking = heard if own is None else own
    if line not in taking and len(taking) < MOST:
        taking.append(line)
