"""Run the command line in a terminal, and see what is on its screen."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

from forked import drawn

CONTROL = re.compile(r"\x1b\[\??(\d*)(?:;(\d+))*([A-Za-z])")
ROWS = 50


@dataclass
class Seen:
    """What a command wrote to a terminal."""

    code: int
    chunks: list[tuple[float, str]]
    """Text with its time after the start, in seconds."""

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.chunks)

    def lines(self) -> list[str]:
        """The lines at the end, also those that have scrolled away."""
        screen = Screen()
        screen.write(self.text)
        return screen.lines()

    def plain(self) -> str:
        """All that was ever drawn, without the codes that move or colour."""
        return CONTROL.sub("", self.text)


@dataclass
class Screen:
    """As much of a terminal as bars need: lines, moving up, and clearing a line."""

    rows: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0

    def write(self, text: str) -> None:
        place = 0
        while place < len(text):
            if found := CONTROL.match(text, place):
                self._control(found)
                place = found.end()
                continue
            self._letter(text[place])
            place += 1

    def lines(self) -> list[str]:
        return [row.rstrip() for row in self.rows]

    def _control(self, found: re.Match[str]) -> None:
        count = int(found[1] or 1)
        if found[3] == "A":
            self.row = max(0, self.row - count)
        elif found[3] == "K":
            kept = "" if found[1] == "2" else self.rows[self.row][: self.column]
            self.rows[self.row] = kept
        else:
            assert found[3] in "mhl", found[0]

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self.row += 1
            self.rows += [""] * (self.row + 1 - len(self.rows))
        else:
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + letter + row[self.column + 1 :]
            self.column += 1


def in_forked_terminal(
    *arguments: object, folder: Path, columns: int = 80, errors: Path | None = None, **changes: str | None
) -> Seen:
    """Run the command line in a new terminal, from a folder, in a process that begins at once (see `forked`).

    For tests of what is printed, but not of when anything is imported. `changes` are variables of the environment.
    Standard error goes to the file `errors`, if there is one.
    """
    terminal, other = os.openpty()
    resize(terminal, columns)
    size = {"COLUMNS": str(columns), "LINES": str(ROWS), "TERM": "xterm-256color"}
    process = drawn([str(argument) for argument in arguments], folder, os.ttyname(other), size | changes, errors)
    # By then the process has opened it, or ended, and this handle mustn't keep it open.
    select.select([terminal, process.sentinel], [], [])
    os.close(other)
    chunks = all_of(terminal)
    process.join()
    return Seen(process.exitcode or 0, chunks)


def in_terminal(*arguments: object, folder: Path, columns: int = 80) -> Seen:
    """Run the command line in a new terminal, from a folder."""
    command = [sys.executable, "-m", "brushbench", *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        size = {"COLUMNS": str(columns), "LINES": str(ROWS), "TERM": "xterm-256color"}
        os.execve(
            sys.executable, command, {**os.environ, **size, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        )
    resize(terminal, columns)
    chunks = all_of(terminal)
    _, status = os.waitpid(child, 0)
    return Seen(os.waitstatus_to_exitcode(status), chunks)


def resize(terminal: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))


def all_of(terminal: int) -> list[tuple[float, str]]:
    """Read until the other side has ended, and close it."""
    start, chunks, rest = time.monotonic(), [], b""
    while data := _read(terminal):
        # A letter of several bytes may be cut.
        rest += data
        try:
            text, rest = rest.decode(), b""
        except UnicodeDecodeError as error:
            text, rest = rest[: error.start].decode(), rest[error.start :]
        chunks.append((time.monotonic() - start, text))
    os.close(terminal)
    return chunks


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        # Linux says so at the end.
        return b""
