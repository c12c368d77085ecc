"""Published numbers: `list published`, and the `published` command, which checks and adds a user's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.core.errors import UserError, one_line

if TYPE_CHECKING:
    from brushbench.reports.published.registry import Published


def print_published(file: str | None, names: Sequence[str], form: str, *, lint: bool, setups: bool) -> int:
    """Print published numbers, their set-ups, or with `lint` the impossible ones; return the exit code, 1 for any."""
    from brushbench.reports.published.added import read_added
    from brushbench.reports.published.listing import listed, listed_setups, of_methods
    from brushbench.reports.published.registry import read

    found = read([Path(file)]) if file else (*read(), *read_added())
    numbers: Sequence[Published] = of_methods(found, names) if names else found
    if lint:
        return _lint(numbers, of_all=not (file or names))
    click.echo((listed_setups if setups else listed)(numbers, form))
    if form == "text":
        more = "" if setups else ". --setups prints what is known of each group"
        told = (
            "Rows of one group, benchmark and split were measured under the same conditions and may stand in one table"
        )
        click.echo(f"{told}; rows of two groups may not{more}.", err=True)
    return 0


@click.group("published")
def published_command() -> None:
    """Check and add published numbers of your own; `list published` prints all.

    \b
    brushbench published lint mine.csv
    brushbench published add mine.csv
    brushbench report runs --protocol paper --with-published
    """


@published_command.command("add")
@click.argument("file", metavar="FILE.csv")
def add_command(file: str) -> int:
    """Add the numbers of a CSV file to those that reports know on this machine, all or none.

    Columns: benchmark, split, method, metric, value, source, setup, and if wished blend, confidence and note. The
    set-up is `paper` for numbers measured as BrushNet's authors did; only these are compared with measured ones. They
    are kept in the file that BRUSHBENCH_PUBLISHED names, or else in published.csv in the user's data folder.
    """
    from brushbench.reports.published.added import add_numbers

    count, target = add_numbers(Path(file))
    click.echo(one_line(f"added {count} number{'s' if count > 1 else ''} to {target}", 1000))
    return 0


@published_command.command("lint")
@click.argument("file", metavar="FILE.csv")
def lint_command(file: str) -> int:
    """Check a CSV file of numbers, and print every fault with its line."""
    from brushbench.reports.published.added import faults
    from brushbench.reports.published.lint import dominated
    from brushbench.reports.published.registry import read

    if found := faults(Path(file)):
        raise UserError(one_line(f"{file}: {'; '.join(found)}", 2000))
    numbers = read([Path(file)])
    click.echo(f"{len(numbers)} number{'s' if len(numbers) > 1 else ''}: nothing is wrong")
    for line in dominated(numbers):
        click.echo(f"possible, but unusual: {line}")
    return 0


def _lint(numbers: Sequence["Published"], *, of_all: bool) -> int:
    from brushbench.reports.published.lint import dominated, impossible_numbers, swapped

    found = impossible_numbers(numbers)
    click.echo("\n".join(found or [f"{len(numbers)} published numbers: none is impossible"]))
    if suspicious := dominated(numbers):
        click.echo("possible, but not what the method usually does:")
        click.echo("\n".join(f"  {line}" for line in suspicious))
    if of_all:
        click.echo("with the columns MSE and LPIPS swapped, as they are widely copied:")
        click.echo("\n".join(f"  {finding}" for finding in impossible_numbers(swapped(numbers))))
    return 1 if found else 0
