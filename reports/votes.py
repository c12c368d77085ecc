"""Votes of a blind comparison, as the gallery saves them: which of two images of a sample somebody liked better."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_text

Choice = Literal["left", "right", "tie"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
NEEDED = ("dataset", "protocol", "split", "sample", "left", "right", "choice")
"""Columns that a file of votes must have; others, such as `voter` and `time`, may be there."""
QUOTED = ("'=", "'+", "'-", "'@", "'＝", "'＋", "'－", "'＠")
"""Beginnings of texts that an apostrophe keeps spreadsheets from evaluating."""


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer."""

    sample: tuple[str, str, str, str]
    """Data set, protocol, split and id."""
    left: str
    """The method whose image was on the left."""
    right: str
    choice: Choice
    voter: str = ""

    def score(self, method: str) -> float:
        """Return 1 if this method won, 0 if it lost, and a half for a tie."""
        if self.choice == "tie":
            return 0.5
        return float((self.left if self.choice == "left" else self.right) == method)


def read_votes(file: Path) -> list[Vote]:
    """Read a CSV file of votes. Raises `UserError`, with the line, for one that can't be counted, and for no vote."""
    text = read_text(file).removeprefix("\ufeff")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in NEEDED if name not in (rows.fieldnames or ())]
    if missing:
        raise UserError(one_line(f"{file}: column {missing[0]!r} is missing; valid: a file that a gallery has saved"))
    votes = list(_votes(file, rows))
    if not votes:
        raise UserError(one_line(f"{file} contains no vote"))
    return votes


def _votes(file: Path, rows: "csv.DictReader[str]") -> Iterator[Vote]:
    try:
        for row in rows:
            yield _vote(row)
    except (csv.Error, UserError) as error:
        raise UserError(one_line(f"{file}, line {rows.line_num}: {error}")) from error


def _vote(row: Mapping[str | None, str | list[str] | None]) -> Vote:
    told = {str(name): _unquoted(value) for name, value in row.items() if isinstance(value, str)}
    empty = [name for name in NEEDED if not told.get(name)]
    if empty:
        raise UserError(f"no {empty[0]}")
    if told["left"] == told["right"]:
        raise UserError(f"left and right are both {told['left']!r}")
    for choice in CHOICES:
        if told["choice"] == choice:
            sample = told["dataset"], told["protocol"], told["split"], told["sample"]
            return Vote(sample, told["left"], told["right"], choice, told.get("voter", ""))
    raise UserError(f"choice {told['choice']!r}; valid: {', '.join(CHOICES)}")


def _unquoted(text: str) -> str:
    return text[1:] if text.startswith(QUOTED) else text
