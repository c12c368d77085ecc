"""The `report` and `compare` commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brushbench.cli.progress import while_reading
from brushbench.cli.results import SOME_FAILED, print_changed
from brushbench.cli.sections import choices, command
from brushbench.core.errors import UserError, one_line
from brushbench.reports.commands.details import print_details
from brushbench.reports.commands.given_runs import given_runs
from brushbench.reports.commands.sheet_options import sheet_options, wanted_samples
from brushbench.reports.commands.style_options import figure_style, style_options, table_style
from brushbench.runs.looking import looking_once
from brushbench.storage.places import folder_here

if TYPE_CHECKING:
    from brushbench.reports.style import Style
    from brushbench.reports.tables import TableOptions
    from brushbench.runs.folder import Run

TABLE_FORMATS = ("text", "markdown", "latex", "csv", "json", "html")
TABLES = ("summary", "paper", "ablation")
COMPONENTS = "components"
"""The table of variance components, which has formats of its own."""
FIGURES = ("distributions", "trade-off")
EVIDENCE = ("means", "ranks", "pairs", "tails", "best-of-n")
"""Tables over images and seeds: see `reports.evidence.tables`."""
COMPARISON_FORMATS = ("text", "markdown", "csv", "json")
SECTIONS = {
    "Table": ("table_format", "table", "by", "significant", "with_published", "strict"),
    "Sheet": ("sheet", "samples", "ids", "worst", "metric", "crop"),
    "Figure": ("figure", "kind"),
    "Votes": ("votes",),
    "Style of tables and figures": (
        *("style", "columns", "rows", "order", "splits", "rename", "cite", "decimals", "caption", "label", "notes"),
        *("width", "seeds", "metrics", "font", "no_title"),
    ),
}
"""Sections of the help, each with its options."""


@command(sections=SECTIONS)
@click.argument("runs", nargs=-1, metavar="RUN...")
@click.option(
    "--format",
    "table_format",
    default="text",
    show_default=True,
    metavar=choices(TABLE_FORMATS),
    help="Format of the table.",
)
@click.option(
    "--table",
    default="summary",
    show_default=True,
    metavar=choices([*TABLES, COMPONENTS, *EVIDENCE]),
    help="Kind of table. components: variance between images and seeds. means to best-of-n: see docs/reports.md.",
)
@click.option(
    "--by", default="", metavar="TAG", help="Split the table into sections by a tag of the samples, or by mask-size."
)
@click.option(
    "--significant", is_flag=True, help="Highlight every method that is not significantly worse than the best."
)
@click.option("--with-published", is_flag=True, help="Print the published numbers below the measured ones.")
@click.option("--strict", is_flag=True, help="Refuse to print a table with missing scores.")
@click.option("--sheet", metavar="FILE", help="Also draw samples with all methods side by side: .png, .svg or .pdf.")
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    metavar="N",
    help="Number of samples in the sheet.",
)
@click.option("--ids", metavar="FILE", help="Samples of the sheet, an id on each line, as a gallery saves them.")
@click.option("--figure", metavar="FILE", help="Also plot the numbers: .png, .svg or .pdf.")
@click.option("--kind", default=FIGURES[0], show_default=True, type=click.Choice(FIGURES), help="Kind of figure.")
@click.option(
    "--votes", metavar="FILE", help="Print how often methods were preferred in the votes that a gallery saved. No RUN."
)
@sheet_options
@style_options
@looking_once()
def report_command(
    runs: tuple[str, ...],
    table_format: str,
    table: str,
    by: str,
    significant: bool,
    with_published: bool,
    strict: bool,
    sheet: str | None,
    samples: int,
    ids: str | None,
    figure: str | None,
    kind: str,
    votes: str | None,
    worst: int | None,
    metric: str | None,
    crop: str | None,
    **chosen: Any,
) -> int:
    """Print a table of runs, given run folders or folders that contain them."""
    if votes is not None:
        return _print_votes(runs, votes, table_format)
    if not runs:
        raise click.UsageError("Missing argument 'RUN...'.")
    pictures = {
        option: folder_here(option, file) for option, file in (("--sheet", sheet), ("--figure", figure)) if file
    }
    wanted_in_sheet = wanted_samples(sheet, samples, ids, worst, metric, crop)
    before_printing = while_reading(runs)
    from brushbench.reports import formats, tables

    found, damaged = given_runs(runs)
    wanted = tables.TableOptions(table, by, significant, with_published, strict, table_style(chosen))
    if table in (COMPONENTS, *EVIDENCE):
        told = _over_seeds(found, wanted, table_format, sheet or figure)
        before_printing()
        click.echo(told)
        return _trouble(found, damaged)
    report = tables.make_report(found, wanted)
    printed = formats.printed(report, table_format)
    if sheet:
        from brushbench.reports.table_sheet import write_table_sheet

        write_table_sheet(found, report, wanted.style, pictures["--sheet"], wanted_in_sheet, crop or "")
    if figure and kind == "trade-off":
        from brushbench.reports.trade_off import write_trade_off

        write_trade_off(found, pictures["--figure"], style=figure_style(chosen))
    elif figure:
        from brushbench.reports.distributions import write_distributions

        write_distributions(found, pictures["--figure"], figure_style(chosen))
    before_printing()
    click.echo(printed)
    print_details(found)
    return _trouble(found, damaged)


@click.command()
@click.argument("a")
@click.argument("b")
@click.option(
    "--format",
    "table_format",
    default="text",
    show_default=True,
    metavar=choices(COMPARISON_FORMATS),
    help="Format of the table.",
)
@click.option("--metric", metavar="M", help="Metric to rank samples by. Default: text alignment, else PSNR.")
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Number of best and of worst samples to draw.",
)
@click.option("--output", default="comparison", show_default=True, metavar="DIR", help="Folder for the pictures.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Seed of the bootstrap."
)
@looking_once()
def compare_command(a: str, b: str, table_format: str, metric: str | None, samples: int, output: str, seed: int) -> int:
    """Compare runs sample by sample. A and B are run folders, or folders that contain them.

    Prints paired differences with intervals and tests, and draws the samples that changed most to
    DIR/<data>-<split>-<A>-to-<B>-<metric>.png.
    """
    folder = folder_here("--output", output)
    before_printing = while_reading([a, b])
    from brushbench.reports import comparison
    from brushbench.reports.comparison_tables import extremes, file_name, render_comparison
    from brushbench.reports.extremes_sheet import write_extremes
    from brushbench.reports.formats import is_terminal
    from brushbench.reports.formats.terminal import folded
    from brushbench.runs.scores import readable_runs

    (before, damaged), (after, also_damaged) = readable_runs([a]), readable_runs([b])
    found = comparison.compare(before, after, seed)
    table = render_comparison(found, table_format)
    in_terminal = table_format == "text" and is_terminal()
    if in_terminal:
        from brushbench.reports.formats.comparison import terminal_comparison

        table = terminal_comparison(found)
    metrics = [(pair, metric or comparison.usual_metric(pair)) for pair in found.pairs]
    ranked = [(pair, name, extremes(pair, name, samples)) for pair, name in metrics if name]
    before_printing()
    click.echo(table)
    told = table_format in ("text", "markdown")
    for pair, name, lines in ranked:
        file = folder / file_name(pair, name)
        if told:
            click.echo(f"\n{folded(lines) if in_terminal else lines}")
        try:
            drawn = write_extremes(pair, name, file, samples)
        except UserError as error:
            click.echo(f"no pictures: {error}", err=True)
        else:
            click.echo(f"pictures: {file}" if drawn else "no pictures: no sample changed", err=not told)
    return _trouble([*before, *after], [*damaged, *also_damaged])


def _print_votes(runs: Sequence[str], votes: str, table_format: str) -> int:
    from brushbench.reports.formats import is_terminal
    from brushbench.reports.preference_tables import render_votes
    from brushbench.reports.votes import read_votes

    if runs:
        raise UserError(one_line(f"--votes needs no runs, so {runs[0]!r} is one argument too many"))
    found = read_votes(Path(votes))
    if table_format == "text" and is_terminal():
        from brushbench.reports.formats.votes import terminal_votes

        click.echo(terminal_votes(found))
    else:
        click.echo(render_votes(found, table_format))
    return 0


def _over_seeds(runs: "Sequence[Run]", wanted: "TableOptions", table_format: str, drawn: str | None) -> str:
    """Return a table over images and seeds. Raises `UserError` for options that it can't have."""
    if drawn or wanted.by or wanted.significant or wanted.with_published or wanted.strict:
        told = "--sheet, --figure, --by, --significant, --with-published or --strict"
        raise UserError(
            f"--table {wanted.table} has no {told}; valid: --format, --rows, --splits, --rename, --decimals"
        )
    if wanted.table != COMPONENTS:
        from brushbench.reports.evidence.tables import evidence
        from brushbench.reports.formats.listing import printed_listing

        return printed_listing(evidence(runs, wanted.table, wanted.style), table_format)
    from brushbench.reports.formats import is_terminal
    from brushbench.reports.variance_tables import render_variances, variances_of

    found = variances_of(runs, wanted.style)
    if table_format == "text" and is_terminal():
        from brushbench.reports.formats.variances import terminal_variances

        return terminal_variances(found)
    return render_variances(found, table_format)


def text_table(runs: "Sequence[Run]", style: "Style | None" = None) -> str:
    """Return the table that commands print when their runs have ended, in the style of a study."""
    from brushbench.reports.formats import printed
    from brushbench.reports.tables import TableOptions, make_report

    return printed(make_report(runs, TableOptions() if style is None else TableOptions(style=style)))


def _trouble(runs: "Sequence[Run]", damaged: Sequence[str]) -> int:
    """Report the runs that cannot be read and the images that were changed; return the exit code."""
    for problem in damaged:
        click.echo(one_line(f"left out: {problem}"), err=True)
    return SOME_FAILED if print_changed(runs) or damaged else 0
