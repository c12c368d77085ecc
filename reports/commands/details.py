"""What `report` says below its tables: the outliers and the failures of each run."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from brushbench.cli.screen import stderr_is_terminal, tell

if TYPE_CHECKING:
    from brushbench.runs.folder import Run

NARROWEST = 40


def print_details(runs: "Sequence[Run]") -> None:
    """Print outliers and failures on stderr, like all that isn't the table, fitted to the width of a terminal."""
    from brushbench.reports.failures import failure_lines
    from brushbench.reports.outliers import outlier_lines

    for lines in (list(outlier_lines(runs)), list(failure_lines(runs))):
        for place, line in enumerate(lines):
            if not place:
                tell("")
            for part in _fitted(line):
                tell(part)


def _fitted(line: str) -> list[str]:
    if not stderr_is_terminal():
        return [line]
    width = max(NARROWEST, shutil.get_terminal_size().columns)
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
