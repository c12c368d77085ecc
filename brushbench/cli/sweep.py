"""The `sweep` command: run several values of an option and draw the curve."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brushbench.cli.figure_options import look_options, width_option
from brushbench.cli.options import (
    asked_for,
    data_options,
    method_options,
    metrics_options,
    partial_option,
    seeds_asked,
    tracking_option,
)
from brushbench.cli.results import mean_of, named_metrics, tables
from brushbench.cli.run import all_done, loading_line
from brushbench.cli.screen import tell, verbosity_options
from brushbench.cli.sections import command
from brushbench.core.errors import UserError, one_line
from brushbench.core.registry import by_name
from brushbench.runs.looking import looking_once
from brushbench.runs.seed_folders import home_of
from brushbench.storage.places import local, url_for

if TYPE_CHECKING:
    from brushbench.cli.progress import Display
    from brushbench.evaluation.grid import Planned
    from brushbench.evaluation.seeds import Seeds
    from brushbench.runs.config import RunConfig
    from brushbench.runs.folder import Run

CHECK_SUFFIX = "brushbench.reports.figures:check_suffix"
FIGURE_STYLE = "brushbench.reports.figure_style:FigureStyle"
POINT = "brushbench.reports.trade_off:CurvePoint"
TRADE_OFF = "brushbench.reports.trade_off:write_trade_off"


@command(sections={"Sweep": ("variations", "figure", "width", "font", "no_title")})
@click.option(
    "--vary",
    "variations",
    multiple=True,
    required=True,
    metavar="K=V",
    help="Option to vary: K=start:stop:step or K=V,V.",
)
@click.option("--figure", metavar="FILE", help="File for the curve: .png, .svg or .pdf. Default: in OUTPUT/sweep.")
@width_option
@look_options
@method_options
@data_options
@metrics_options
@partial_option
@tracking_option
@verbosity_options
def sweep_command(
    variations: tuple[str, ...], figure: str | None, width: str | None, font: str, no_title: bool, **asked: Any
) -> int:
    """Run a method with several values of an option, and plot preservation against text alignment.

    \b
    brushbench sweep --method brushnet --vary scale=0:1:0.2
    brushbench sweep --method brushnet --vary blur=1,11,21,41

    A range includes both ends. Several --vary span a grid: the first gives the points of a curve, the others give the
    curves. Every value is a run in OUTPUT/sweep; rerun to resume. The figure plots known-region PSNR against text
    alignment: papercut-clip on papercut, clip elsewhere. If blur varies, blend=blur is set.
    """
    from brushbench.cli.progress import showing_progress

    with showing_progress(loading_line(asked)) as display:
        seeds = seeds_asked(asked)
        runs, planned, template = _made(variations, figure, asked, display, seeds)
    with looking_once():
        told = {"requested": named_metrics(template), "allow_partial": asked["allow_partial"]}
        code = tables(runs, **told, style=mean_of(seeds))
        shared = {"table": mean_of(seeds)} if seeds else {}
        style = by_name(FIGURE_STYLE)(width or "", font, not no_title, **shared)
        _draw(runs, planned, Path(figure) if figure else _default_file(planned, runs), style)
    return code


# Any: what click has parsed, by option.
def _made(
    variations: Sequence[str], figure: str | None, asked: dict[str, Any], display: "Display", seeds: "Seeds | None"
) -> "tuple[list[Run], Sequence[Planned], RunConfig]":
    """Make the runs of a sweep; also returns the plan and the configuration that all share."""
    from brushbench.evaluation.grid import blended, parse_variation, plan

    parsed = [parse_variation(text) for text in variations]
    if figure:
        by_name(CHECK_SUFFIX)(Path(figure))
    template, names, splits = asked_for(asked)
    adjusted = blended(template, parsed)
    planned = plan(adjusted, names, splits, parsed)
    if adjusted is not template:
        tell("setting blend=blur, as blur has no effect without it")
    headings = [
        f"{made.method} {' '.join(f'{key}={value}' for key, value in made.setting.items())}" for made in planned
    ]
    jobs = [made.configs for made in planned]
    runs = all_done(jobs, display, lenient=False, headings=headings, log_to=asked["log_to"], seeds=seeds)
    return runs, planned, template


def _draw(runs: "Sequence[Run]", planned: "Sequence[Planned]", file: Path, style: Any) -> None:
    from brushbench.core.registry import short_name

    owners = {(local(config.output), short_name(made.method)): made for made in planned for config in made.configs}
    names = {}
    for run in runs:
        made = owners[home_of(run.path)[0], run.path.name]
        (option, value), *others = made.setting.items()
        series = [short_name(made.method), *(f"{key}={other}" for key, other in others), f"by {option}"]
        names[run.place] = by_name(POINT)(" ".join(series), value)
    try:
        by_name(TRADE_OFF)(runs, file, names, style)
    except UserError as error:
        click.echo(one_line(f"no figure: {error}"), err=True)
    else:
        click.echo(f"figure: {file}")


def _default_file(planned: "Sequence[Planned]", runs: "Sequence[Run]") -> Path:
    from brushbench.core.registry import short_name

    methods = list(dict.fromkeys(short_name(made.method) for made in planned))
    identity = runs[0].record.identity
    name = "-".join([identity.dataset.name, *methods, *planned[0].setting])
    output = Path(planned[0].configs[0].output)
    # A figure is a file of this machine, even if the runs aren't.
    return (Path() if url_for(output) else output.parent) / f"{name[:120]}.png"
