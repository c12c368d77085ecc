"""Draw the sheet that belongs to a table: its rows and splits, in its order, under its names."""

from collections.abc import Sequence
from pathlib import Path

from brushbench.core.method_info import ROLES
from brushbench.reports.comparison_sheet import Named, write_comparison
from brushbench.reports.frame import labels_of
from brushbench.reports.renaming import run_names
from brushbench.reports.seeds import is_over_seeds
from brushbench.reports.selection import selected
from brushbench.reports.sheet_samples import Wanted
from brushbench.reports.style import Style, separated
from brushbench.reports.tables import Report
from brushbench.runs.folder import Run


def write_table_sheet(
    runs: Sequence[Run], report: Report, style: Style, file: Path, wanted: Wanted, crop: str = ""
) -> None:
    """Draw samples of the runs of a report (`comparison_sheet.write_comparison`); every seed has a column."""
    heads = {run.path: head for run, head in zip(runs, run_names(runs, report.names), strict=True)}
    write_comparison(_ordered(runs, report, style), file, wanted, crop, Named(heads, report.names))


def _ordered(runs: Sequence[Run], report: Report, style: Style) -> list[Run]:
    """Return the runs of the rows and splits that the style names, in its order."""
    over_seeds = is_over_seeds(style.seeds)
    labels, splits = labels_of(runs, over_seeds=over_seeds), separated(style.splits)
    places = selected(runs, style.rows, style.splits, over_seeds=over_seeds)
    if style.rows or style.order:
        # References and floors stand below the methods that are compared.
        rows = report.rows.sort_values("role", key=lambda roles: roles.map(ROLES.index), kind="stable")
        rank = {str(name): place for place, name in enumerate(dict.fromkeys(rows["method"]))}
        places.sort(key=lambda place: rank.get(report.names.of_method(labels[place]), len(rank)))
    if splits:
        places.sort(key=lambda place: splits.index(runs[place].record.identity.dataset.split))
    return [runs[place] for place in places]
