"""What `report` prints below its tables: the outliers and the failures of each run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from brushbench.runs.folder import Run

READABLE = ("text", "markdown")


def print_details(runs: "Sequence[Run]", table_format: str) -> None:
    """Print outliers and failures below a table that people read, and on stderr beside any other format."""
    from brushbench.reports.failures import failure_lines
    from brushbench.reports.outliers import outlier_lines

    readable = table_format in READABLE
    for lines in (list(outlier_lines(runs)), list(failure_lines(runs))):
        if lines:
            # Indented by four, lines of Markdown are printed as they are.
            own = [lines[0], "", *(f"    {line}" for line in lines[1:])] if table_format == "markdown" else lines
            click.echo("\n".join([*([""] if readable else []), *own]), err=not readable)
