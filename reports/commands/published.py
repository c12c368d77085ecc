"""Print the published numbers for `list published`, or those that cannot be right."""

from pathlib import Path

import click


def print_published(file: str | None, *, lint: bool) -> int:
    """Print the published numbers or, with `lint`, the impossible ones; return the exit code, 1 for any of these."""
    from brushbench.reports.published.lint import dominated, impossible_numbers, swapped
    from brushbench.reports.published.registry import FILES, published_table, read

    files = (Path(file),) if file else FILES
    if not lint:
        click.echo("\n".join(published_table(files)))
        return 0
    numbers = read(files)
    found = impossible_numbers(numbers)
    click.echo("\n".join(found or [f"{len(numbers)} published numbers: none is impossible"]))
    if suspicious := dominated(numbers):
        click.echo("possible, but not what the method usually does:")
        click.echo("\n".join(f"  {line}" for line in suspicious))
    if not file:
        click.echo("with the columns MSE and LPIPS swapped, as they are widely copied:")
        click.echo("\n".join(f"  {finding}" for finding in impossible_numbers(swapped(numbers))))
    return 1 if found else 0
