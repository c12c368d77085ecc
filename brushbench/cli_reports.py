"""The commands that make something of runs: report."""

from pathlib import Path

import click

TABLE_FORMATS = ("text", "markdown", "csv", "json")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--format", "table_format", default="text", show_default=True, help=", ".join(TABLE_FORMATS) + ".")
@click.option("--sheet", metavar="FILE.png", help="Also draw some samples, all methods side by side.")
@click.option("--samples", type=click.IntRange(1), default=4, show_default=True, metavar="N", help="In the sheet.")
def report(runs: tuple[str, ...], table_format: str, sheet: str | None, samples: int) -> None:
    """Print the table of run folders, or of folders that hold some."""
    from brushbench.store import expand
    from reports.tables import render, summarise

    found = expand(runs)
    table = render(summarise(found), table_format)
    if sheet:
        from reports.comparison_sheet import write_comparison

        write_comparison(found, Path(sheet), samples)
    click.echo(table)
