"""Lines on stderr, which never break a bar that is shown there, and how much is said."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, final

import click

from brushbench.cli.sections import Decorated, option_in

if TYPE_CHECKING:
    from rich.progress import Progress


class Verbosity(IntEnum):
    """How much is said on stderr."""

    QUIET = 0
    """Only warnings, failures and mistakes."""
    USUAL = 1
    """Also the progress, and which data and weights are used."""
    VERBOSE = 2
    """Also what is being loaded, in a terminal or not, and Python's traceback of a mistake."""


class Counted(Protocol):
    """The images of a stage."""

    def is_complete(self) -> bool:
        """Tell whether all are done."""
        ...

    def images(self) -> str:
        """The number of images that are done, of all."""
        ...


@final
class Screen:
    """The state of stderr in this process."""

    def __init__(self) -> None:
        self.verbosity = Verbosity.USUAL
        self.bars: list[Progress] = []
        """What is shown now; the last one is on top."""
        self.stage: tuple[str, Counted] | None = None
        """What was begun last, whether it is shown or not."""

    def reached(self) -> str:
        """How far an unfinished stage is, as part of a sentence; empty if there is none."""
        if self.stage is None or self.stage[1].is_complete():
            return ""
        stage, count = self.stage
        return f" at {count.images()} ({stage})"


SCREEN = Screen()
"""One per process, like stderr itself."""


def stderr_is_terminal() -> bool:
    """Tell whether stderr is a terminal."""
    return sys.stderr.isatty()


def tell(line: str) -> None:
    """Print a line on stderr, above the bars if any are shown."""
    if SCREEN.bars:
        console = SCREEN.bars[-1].console
        console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
    else:
        click.echo(line, err=True)


@contextmanager
def showing(progress: "Progress") -> Iterator[None]:
    """Show bars; lines that are told meanwhile stand above them."""
    with progress:
        SCREEN.bars.append(progress)
        try:
            yield
        finally:
            SCREEN.bars.remove(progress)


def _set(_context: click.Context, option: click.Parameter, chosen: bool) -> None:
    if not chosen:
        return
    other = {Verbosity.QUIET: "--verbose", Verbosity.VERBOSE: "--quiet"}
    level = Verbosity.QUIET if option.name == "quiet" else Verbosity.VERBOSE
    if SCREEN.verbosity not in (Verbosity.USUAL, level):
        raise click.UsageError(f"--{option.name} and {other[level]} contradict each other; give only one of them")
    SCREEN.verbosity = level


def verbosity_options(command: Decorated) -> Decorated:
    """Add `--quiet` and `--verbose` to a command; they take effect at once."""
    output = option_in("Output")
    for name, told in (
        ("verbose", "Also say what is loaded; print Python's traceback of a mistake."),
        ("quiet", "Say nothing but results, warnings and failures: no progress."),
    ):
        option = output(
            f"-{name[0]}", f"--{name}", is_flag=True, expose_value=False, is_eager=True, callback=_set, help=told
        )
        command = option(command)
    return command
