"""The `check` command, which fails when a method got worse."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.cli.progress import while_reading
from brushbench.cli.results import SOME_FAILED, print_changed
from brushbench.core.errors import UserError, one_line
from brushbench.runs.looking import looking_once

if TYPE_CHECKING:
    from brushbench.reports.baseline import Baseline

FAILED, UNDECIDED = 1, 4
FORMATS = ("text", "markdown", "json", "junit")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--write", "target", metavar="FILE", help="Write these runs to a baseline, a JSON file.")
@click.option("--against", metavar="FILE", help="Compare these runs with a baseline.")
@click.option(
    "--metrics", metavar="M[,M...]", help="With --write: the metrics to include. Default: all scored metrics."
)
@click.option(
    "--rerun",
    "reruns",
    multiple=True,
    metavar="RUN",
    help="With --write: the same run repeated elsewhere, to measure the noise.",
)
@click.option("--margin", "margins", multiple=True, metavar="METRIC=X", help="Tolerated loss, in the printed unit.")
@click.option(
    "--undecided",
    type=click.Choice(["pass", "fail"]),
    default="fail",
    show_default=True,
    help="What to do when a metric has too few samples to decide; `fail` is exit code 4.",
)
@click.option(
    "--format",
    "table_format",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="Format of the table.",
)
@looking_once()
def check_command(
    runs: tuple[str, ...],
    target: str | None,
    against: str | None,
    metrics: str | None,
    reruns: tuple[str, ...],
    margins: tuple[str, ...],
    undecided: str,
    table_format: str,
) -> int:
    """Fail, with exit code 1, when a metric got worse than in a baseline by more than its margin.

    \b
    brushbench check runs --write baseline.json
    brushbench check runs --against baseline.json

    Samples are compared one by one. A metric passes when the one-sided 95 % bound of its mean change is within the
    margin; exit code 4 means that none is worse, but some cannot be decided with so few samples. The margin is
    numerical noise plus a twentieth of the scores' standard deviation. Runs of one method under several seeds make a
    baseline that a run under any seed can be compared with. A positive change is better.
    """
    before_printing = while_reading(runs)
    from brushbench.reports.baseline import read_baseline, with_margins, write_baseline
    from brushbench.reports.baseline_making import baseline_of
    from brushbench.reports.formats import is_terminal
    from brushbench.reports.formats.gate import terminal_baseline, terminal_gate
    from brushbench.reports.gate_formats import STYLES, Outcome, describe_baseline, render_gate
    from brushbench.reports.regression import check_runs
    from brushbench.runs.config import split_names
    from brushbench.runs.folders import expand

    if bool(target) == bool(against):
        raise UserError("check needs either --write FILE or --against FILE")
    if against and (metrics or reruns):
        raise UserError("--metrics and --rerun are only valid with --write; a baseline has its own metrics and noise")
    if target and table_format not in STYLES:
        valid = f"valid with --write: {', '.join(STYLES)}"
        raise UserError(f"--format {table_format} is only valid with --against; {valid}")
    in_terminal = table_format == "text" and is_terminal()
    wanted = _margins(margins)
    found = expand(runs)
    changed = print_changed(found)
    if target and changed:
        return SOME_FAILED
    if target:
        repeated = expand(reruns) if reruns else []
        baseline = baseline_of(found, repeated, split_names(metrics) if metrics else None, {})
        baseline = with_margins(baseline, _unscaled(wanted, baseline))
        write_baseline(Path(target), baseline)
        before_printing()
        click.echo(terminal_baseline(baseline) if in_terminal else describe_baseline(baseline, table_format))
        click.echo(f"\nbaseline: {target}")
        return 0
    baseline = read_baseline(Path(against or ""))
    checked, extra = check_runs(found, with_margins(baseline, _unscaled(wanted, baseline)))
    outcome = Outcome(checked, extra, "pass" if undecided == "pass" else "fail")
    before_printing()
    click.echo(terminal_gate(outcome) if in_terminal else render_gate(outcome, table_format))
    for name in extra:
        click.echo(one_line(f"not in the baseline, so not checked: {name}"), err=True)
    return SOME_FAILED if changed else {"passed": 0, "failed": FAILED, "undecided": UNDECIDED}[outcome.verdict]


def _margins(pairs: Sequence[str]) -> dict[str, float]:
    from brushbench.core.options import parse_pairs

    found = {}
    for name, text in parse_pairs(pairs).items():
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise UserError(one_line(f"margin {name}={text}; valid: a number, 0 or more"))
        found[name] = value
    return found


def _unscaled(margins: dict[str, float], baseline: "Baseline") -> dict[str, float]:
    """Convert margins from printed values, as users type them, to the metrics' own units."""
    scales = {name: metric.scale for run in baseline.runs for name, metric in run.metrics.items()}
    return {name: value / scales.get(name, 1.0) for name, value in margins.items()}
