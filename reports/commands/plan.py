"""The `plan` command."""

import click

from brushbench.core.errors import UserError, one_line
from brushbench.reports.commands.given_runs import given_runs
from brushbench.runs.looking import looking_once

FORMATS = ("text", "markdown", "latex", "csv", "json", "html")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--metric", required=True, metavar="M", help="The metric in which the methods are to differ.")
@click.option("--effect", required=True, type=float, metavar="D", help="The difference to find, as tables print it.")
@click.option("--power", type=click.FloatRange(0.5, 0.999), default=0.8, show_default=True, help="Chance to find it.")
@click.option("--alpha", type=click.FloatRange(1e-6, 0.2), default=0.05, show_default=True, help="Level of the test.")
@click.option(
    "--seeds", type=click.IntRange(1, 64), default=8, show_default=True, metavar="K", help="Most seeds for each image."
)
@click.option("--method", metavar="A", help="With --against: the methods to compare. Default: the two that there are.")
@click.option("--against", metavar="B", help="See --method.")
@click.option("--format", "form", default="text", show_default=True, type=click.Choice(FORMATS), help="Format.")
@looking_once()
def plan_command(
    runs: tuple[str, ...],
    metric: str,
    effect: float,
    power: float,
    alpha: float,
    seeds: int,
    method: str | None,
    against: str | None,
    form: str,
) -> int:
    """Say how many images and seeds it takes to find a difference, from the variances of pilot runs of two methods.

    \b
    brushbench run --method brushnet,sd-inpainting --limit 50 --seeds 1,2,3
    brushbench plan runs --metric clip --effect 0.3
    """
    if not effect > 0 or effect == float("inf"):
        raise UserError(one_line(f"effect {effect:g}; valid: a positive number, such as 0.3"))
    if (method is None) != (against is None):
        raise UserError("--method and --against belong together; valid: both, or neither")
    found, _ = given_runs(runs)
    from brushbench.reports.evidence.planning import Question, planned
    from brushbench.reports.formats.listing import printed_listing

    chosen = (method, against) if method and against else None
    asked = Question(metric, effect, power, alpha, seeds, chosen)
    click.echo(printed_listing(planned(found, asked), form))
    return 0
