"""The options of every command that draws a figure for a paper."""

import click

from brushbench.cli.sections import Decorated

WIDTHS, FONTS = ("column", "text"), ("sans", "serif")


def width_option(command: Decorated) -> Decorated:
    """Add `--width`."""
    return click.option(
        "--width",
        type=click.Choice(WIDTHS),
        help="Width in a page of two columns: one column (252 pt) or the text (516 pt); figures have text of 8 pt.",
    )(command)


def look_options(command: Decorated) -> Decorated:
    """Add `--font` and `--no-title`."""
    font = click.option("--font", type=click.Choice(FONTS), default="sans", show_default=True, help="Font of figures.")
    title = click.option(
        "--no-title", is_flag=True, help="Draw figures without titles, as their captions say the same."
    )
    return font(title(command))
