"""The `cite` command."""

import click

from brushbench.cli.screen import tell
from brushbench.core.errors import one_line
from brushbench.reports.commands.given_runs import given_runs
from brushbench.runs.looking import looking_once


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@looking_once()
def cite_command(runs: tuple[str, ...]) -> int:
    """Print the BibTeX of what runs used: data sets, methods, weights and metrics.

    \b
    brushbench cite runs > brushbench.bib
    """
    found, damaged = given_runs(runs)
    from brushbench.reports.citations import bibliography

    entries, missing = bibliography(found)
    click.echo(entries)
    for what in missing:
        tell(one_line(f"no reference is known for {what}"))
    for problem in damaged:
        tell(one_line(f"left out: {problem}"))
    return 3 if damaged else 0
