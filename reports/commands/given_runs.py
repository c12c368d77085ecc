"""The runs that a command of reports is given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from brushbench.cli.screen import tell
from brushbench.core.errors import one_line

if TYPE_CHECKING:
    from brushbench.runs.folder import Run


def given_runs(paths: Sequence[str]) -> "tuple[list[Run], list[str]]":
    """Return one run of each fingerprint, and an error message for each run that can't be read; say what is left out.

    Raises `UserError` if no run can be read.
    """
    from brushbench.reports.frame import distinct
    from brushbench.runs.scores import readable_runs

    usable, damaged = readable_runs(paths)
    found, others = distinct(usable)
    for other in others:
        tell(one_line(f"left out: {other}"))
    return found, damaged
