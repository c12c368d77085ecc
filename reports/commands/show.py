"""The `show` command: one sample across methods."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import click

from brushbench.cli.progress import while_reading
from brushbench.cli.results import SOME_FAILED
from brushbench.cli.sections import command
from brushbench.core.errors import UserError, one_line
from brushbench.reports.commands.given_runs import given_runs
from brushbench.reports.commands.sheet_options import CROPS
from brushbench.runs.looking import looking_once

NARROWEST, WIDEST = 60, 200


@command()
@click.argument("arguments", nargs=-1, required=True, metavar="RUN... ID")
@click.option("--sheet", metavar="FILE", help="Also draw the sample with all methods: .png, .svg or .pdf.")
@click.option("--crop", type=click.Choice(CROPS), help="With --sheet: show only the surroundings of the mask.")
@looking_once()
def show_sample_command(arguments: Sequence[str], sheet: str | None, crop: str | None) -> int:
    """Show one sample across methods: scores with their percentile in the run, status, and how to make it again.

    \b
    brushbench show runs 000000003
    brushbench show runs/papercut-inside/brushnet runs/papercut-inside/telea 000000003 --sheet sample.png

    A failure is shown with its traceback.
    """
    *runs, sample = arguments
    if not runs:
        raise click.UsageError(f"Missing argument: RUN... before the ID {sample!r}.")
    if crop and not sheet:
        raise UserError("--crop is for a sheet; give --sheet FILE too")
    before_printing = while_reading(runs)
    from rich.text import Text

    from brushbench.reports.formats import is_terminal
    from brushbench.reports.formats.terminal import styled
    from brushbench.reports.one_sample import sights_of
    from brushbench.reports.one_sample_text import explanation_lines, sight_lines

    found, damaged = given_runs(runs)
    sights = sights_of(found, sample)
    if sheet:
        from brushbench.reports.comparison_sheet import write_comparison

        write_comparison([each.run for sight in sights for each in sight.shown], Path(sheet), [sample], crop or "")
    before_printing()
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    for place, sight in enumerate(sights):
        lines = [*([Text()] if place else []), *sight_lines(sight, width)]
        click.echo(styled(lines) if is_terminal() else "\n".join(line.plain for line in lines))
    for line in explanation_lines(sights, width):
        click.echo(line)
    if sheet:
        click.echo(f"\nsheet: {one_line(sheet)}")
    for problem in damaged:
        click.echo(one_line(f"left out: {problem}"), err=True)
    return SOME_FAILED if damaged else 0
