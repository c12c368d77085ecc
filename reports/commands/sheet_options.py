"""The options of `report` that choose what a sheet shows."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.cli.sections import Decorated
from brushbench.core.errors import UserError

if TYPE_CHECKING:
    from brushbench.reports.sheet_samples import Wanted

CROPS = ("mask",)


def sheet_options(command: Decorated) -> Decorated:
    """Add the options beside `--sheet`, `--samples` and `--ids`."""
    options = (
        click.option(
            "--worst",
            type=click.IntRange(1),
            metavar="N",
            help="Draw the N samples with the worst mean score over the methods, the worst first.",
        ),
        click.option(
            "--metric",
            metavar="M",
            help="With --worst: the metric. Default: text alignment, else PSNR, else the first.",
        ),
        click.option("--crop", type=click.Choice(CROPS), help="Show only the surroundings of each mask, enlarged."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def wanted_samples(
    sheet: str | None, samples: int, ids: str | None, worst: int | None, metric: str | None, crop: str | None
) -> "Wanted":
    """Return which samples a sheet shows. Raises `UserError` for options that don't go together."""
    for name, value in (("--ids", ids), ("--worst", worst), ("--crop", crop)):
        if value is not None and not sheet:
            raise UserError(f"{name} is for a sheet; give --sheet FILE too")
    if metric is not None and worst is None:
        raise UserError("--metric chooses the worst samples of a sheet; give --worst N too")
    if worst is not None and ids is not None:
        raise UserError("--worst and --ids both choose the samples of a sheet; give only one of them")
    if worst is not None:
        from brushbench.reports.sheet_samples import Worst

        return Worst(worst, metric)
    if ids is not None:
        from brushbench.reports.comparison_sheet import ids_in

        return ids_in(Path(ids))
    return samples
