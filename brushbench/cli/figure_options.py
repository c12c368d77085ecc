"""The options of every command that draws a figure for a paper."""

import click

from brushbench.cli.sections import Decorated
from brushbench.core.errors import UserError
from brushbench.core.lengths import points_of

FONTS = ("sans", "serif")


def checked_width(text: str) -> str:
    """Return a width as it is. Raises `BadParameter` unless it is `column`, `text`, or a length with its unit."""
    try:
        points_of(text)
    except UserError as error:
        raise click.BadParameter(str(error)) from error
    return text


def width_option(command: Decorated) -> Decorated:
    """Add `--width`."""
    return click.option(
        "--width",
        type=checked_width,
        metavar="[column|text|LENGTH]",
        help="Width in TeX's points: one column (252pt) or the text (516pt) of IEEEtran's page, or a length such as "
        "237.13pt, 3.28in or 8.4cm. Figures then have text of 8 pt.",
    )(command)


def look_options(command: Decorated) -> Decorated:
    """Add `--font` and `--no-title`."""
    font = click.option("--font", type=click.Choice(FONTS), default="sans", show_default=True, help="Font of figures.")
    title = click.option(
        "--no-title", is_flag=True, help="Draw figures without titles, as their captions say the same."
    )
    return font(title(command))
