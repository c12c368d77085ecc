"""The options of `report` for the tables and figures of a paper, from the command line or a TOML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brushbench.cli.figure_options import FONTS, look_options, width_option
from brushbench.cli.option_values import option_values, options_of
from brushbench.cli.sections import Decorated
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import read_toml

if TYPE_CHECKING:
    from brushbench.reports.figure_style import FigureStyle
    from brushbench.reports.style import Style

NOTES = ("brief", "full", "none")
SEEDS = ("rows", "mean")
MAPPINGS = ("rename", "cite")
"""Options that name things: those of a file hold for every table, and each may be given anew by its name."""
SHARED = "brushbench.reports.style"
"""Where click's context keeps the mappings of the file."""
_TABLE = (
    click.option(
        "--columns", multiple=True, metavar="M,...", help="Metrics to print, in this order: psnr, or inside/psnr."
    ),
    click.option("--rows", multiple=True, metavar="NAME,...", help="Methods to print, in this order."),
    click.option(
        "--order",
        multiple=True,
        metavar="KEY",
        help="Order of rows: a metric (best first), name, or the methods that come first.",
    ),
    click.option(
        "--seeds",
        type=click.Choice(SEEDS),
        help="Runs that differ only in their seed: a row each, or one row, their mean. Default: rows; mean in a study.",
    ),
    click.option("--splits", multiple=True, metavar="S,...", help="Splits to print or draw, in this order."),
    click.option(
        "--rename",
        multiple=True,
        metavar="NAME=TEXT",
        help="Name to print for a method, metric, split, group or data set. latex:TEXT is LaTeX, for that format only.",
    ),
    click.option("--cite", multiple=True, metavar="NAME=KEY", help="Key for \\cite behind a method's name, in LaTeX."),
    click.option("--decimals", multiple=True, metavar="N", help="Digits after the point: 2, or psnr=1,mse=2."),
    click.option("--caption", default="", metavar="TEXT", help="Caption. One that begins with latex: is LaTeX."),
    click.option(
        "--label",
        default="",
        metavar="KEY",
        help="Key for \\label in LaTeX. Default: made of data set, splits and protocol.",
    ),
    click.option(
        "--notes",
        type=click.Choice(NOTES),
        help="Notes below the table: one line, all, or none. Default: brief in LaTeX, else full.",
    ),
)


def style_options(command: Decorated) -> Decorated:
    """Add the options that say how tables and figures look, and `--style`, which reads them from a file."""
    metrics = click.option(
        "--metrics",
        multiple=True,
        metavar="M,...",
        help="Metrics to draw, in this order. Default: those of --columns, or all.",
    )
    command = width_option(metrics(look_options(command)))
    for option in reversed(_TABLE):
        command = option(command)
    file = click.option(
        "--style",
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_load,
        metavar="FILE.toml",
        help="Read options from a file, by their names without --; the command line wins. serif or sans: see --font.",
    )
    return file(command)


def table_style(chosen: Mapping[str, Any]) -> "Style":
    """Take the style of tables out of a command's options."""
    from brushbench.reports.style import Style

    shared = click.get_current_context().meta.get(SHARED, {})
    return Style(
        columns=chosen["columns"],
        rows=chosen["rows"],
        order=chosen["order"],
        splits=chosen["splits"],
        renames=chosen["rename"],
        cites=chosen["cite"],
        decimals=chosen["decimals"],
        shared=shared,
        caption=chosen["caption"],
        label=chosen["label"],
        notes=chosen["notes"] or "",
        width=chosen["width"] or "",
        seeds=chosen["seeds"] or "",
    )


def figure_style(chosen: Mapping[str, Any]) -> "FigureStyle":
    """Take the style of figures out of a command's options."""
    from brushbench.reports.figure_style import FigureStyle

    table = table_style(chosen)
    return FigureStyle(chosen["width"] or "", chosen["font"], not chosen["no_title"], chosen["metrics"], table)


def _load(context: click.Context, _parameter: click.Parameter, files: tuple[str, ...]) -> None:
    """Make the values of a file the defaults of the command."""
    defaults: dict[str, Any] = {}
    for file in files:
        if file in FONTS:
            defaults["font"] = file
        else:
            found, shared = style_values(context.command, Path(file))
            defaults |= found
            context.meta[SHARED] = shared
    context.default_map = {**(context.default_map or {}), **defaults}


def style_values(command: click.Command, file: Path) -> tuple[dict[str, object], dict[str, dict[str, list[str]]]]:
    """Return the values by the parameter of the command, and the mappings. Raises `UserError` for unknown keys."""
    try:
        content = read_toml(file)
    except ValueError as error:
        raise UserError(one_line(f"{file}: not valid TOML: {error}")) from error
    return option_values(options_of(command), content, str(file), MAPPINGS)
