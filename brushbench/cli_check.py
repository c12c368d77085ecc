"""The command that fails when a method got worse: check."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.errors import UserError, one_line

if TYPE_CHECKING:
    from reports.baseline import Baseline
    from reports.regression import Checked, Finding

FAILED = 1
STYLES = {"text": "simple", "markdown": "pipe"}
SHOWN = 3
"""Lost samples that are named."""
WORDS = {"better": "same", "not worse": "same", "worse": "WORSE", "undecided": "UNDECIDED"}
HEADER = ("metric", "baseline", "now", "change", "95 % bound", "margin", "")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--write", "target", metavar="FILE", help="Write these runs as the baseline, a JSON file.")
@click.option("--against", metavar="FILE", help="Hold these runs against that baseline.")
@click.option("--metrics", metavar="M[,M...]", help="With --write: only these. Default: all that are scored.")
@click.option("--rerun", "reruns", multiple=True, metavar="RUN", help="With --write: the same elsewhere; its noise.")
@click.option("--margin", "margins", multiple=True, metavar="METRIC=X", help="How much worse is still fine.")
@click.option("--format", "table_format", type=click.Choice([*STYLES]), default="text", show_default=True)
def check(
    runs: tuple[str, ...],
    target: str | None,
    against: str | None,
    metrics: str | None,
    reruns: tuple[str, ...],
    margins: tuple[str, ...],
    table_format: str,
) -> int:
    """Fail, with exit code 1, when a metric got worse than in a baseline by more than its margin.

    \b
    brushbench check runs --write baseline.json
    brushbench check runs --against baseline.json

    Samples are compared one by one. A metric passes when the one-sided 95 % bound of its mean change is within the
    margin. The margin is numeric noise and a twentieth of the scores' standard deviation; values are as printed.
    """
    from brushbench.config import split_names
    from brushbench.store import expand
    from reports.baseline import baseline_of, read_baseline, with_margins, write_baseline
    from reports.regression import check_runs

    if bool(target) == bool(against):
        raise UserError("check takes --write FILE or --against FILE; exactly one of the two")
    if against and (metrics or reruns):
        raise UserError("--metrics and --rerun belong to --write; a baseline holds its metrics and its noise")
    asked = _margins(margins)
    found = expand(runs)
    if target:
        repeated = expand(reruns) if reruns else []
        baseline = baseline_of(found, repeated, split_names(metrics) if metrics else None, {})
        baseline = with_margins(baseline, _unscaled(asked, baseline))
        write_baseline(Path(target), baseline)
        click.echo(_described(baseline, table_format))
        click.echo(f"\nbaseline: {target}")
        return 0
    baseline = read_baseline(Path(against or ""))
    checked, extra = check_runs(found, with_margins(baseline, _unscaled(asked, baseline)))
    for part in checked:
        click.echo(_table(part, table_format) + "\n")
    for name in extra:
        click.echo(one_line(f"not in the baseline, and not checked: {name}"), err=True)
    return _conclusion(checked)


def _conclusion(checked: "Sequence[Checked]") -> int:
    from reports.baseline import called

    improved = [
        f"{called(part.key)}: {', '.join(finding.metric for finding in part.findings if finding.improved)}"
        for part in checked
        if any(finding.improved for finding in part.findings)
    ]
    failed = [f"{called(part.key)}: {', '.join(part.failures)}" for part in checked if part.failures]
    for line in improved:
        click.echo(one_line(f"improved: {line}"))
    for line in failed:
        click.echo(one_line(f"FAILED: {line}"))
    if not failed:
        click.echo("passed")
    return FAILED if failed else 0


def _table(part: "Checked", table_format: str) -> str:
    from tabulate import tabulate

    from reports.baseline import called

    title = one_line(called(part.key))
    if part.lost is None:
        return f"{title}: is in the baseline, and not among the runs"
    rows = [_row(finding) for finding in part.findings]
    table = tabulate(rows, HEADER, tablefmt=STYLES[table_format], disable_numparse=True, stralign="left")
    count = max((finding.count for finding in part.findings), default=0)
    notes = [f"{count} samples; change: positive is better, and it must not be below -margin by its bound"]
    notes += [f"changed: {one_line(', '.join(part.changed), 1000)}"] if part.changed else []
    if part.lost:
        named = "; ".join(f"{name}: {reason}" for name, reason in list(part.lost.items())[:SHOWN])
        notes.append(one_line(f"lost their score: {len(part.lost)} samples: {named}", 1000))
    if part.added:
        notes.append(f"{part.added} samples have no score in the baseline, and are not compared")
    for finding in part.findings:
        if needed := finding.samples_needed:
            notes.append(f"{finding.metric} is undecided: about {needed} samples, or a larger --margin, would decide")
    return "\n\n".join([f"**{title}**" if table_format == "markdown" else title, table, "\n".join(notes)])


def _row(finding: "Finding") -> list[str]:
    from reports.baseline import CEILING

    metric, result = finding.baseline, finding.result
    numbers = [finding.before, finding.after, result.mean, result.low, result.margin]
    texts = ["-" if math.isnan(number) else f"{number * metric.scale:.4g}" for number in numbers]
    if metric.unit == "dB":
        texts[:2] = [
            f"{text} or more" if number == CEILING else text
            for text, number in zip(texts[:2], numbers[:2], strict=True)
        ]
    name, _, region = finding.metric.partition("@")
    scale = f"x{metric.scale:g}".replace("1000", "1e3") if metric.scale != 1 else ""
    heading = " ".join(filter(None, [name, region or metric.region, scale, metric.unit]))
    return [heading, *texts, "better" if finding.improved else WORDS[result.verdict]]


def _described(baseline: "Baseline", table_format: str) -> str:
    """What a baseline holds."""
    from tabulate import tabulate

    from reports.baseline import called, key_of, number

    rows = []
    for run in baseline.runs:
        for name, metric in run.metrics.items():
            scored = sum(number(score, metric.unit) is not None for score in metric.scores)
            unit = " ".join(filter(None, [f"x{metric.scale:g}" if metric.scale != 1 else "", metric.unit]))
            margin = f"{metric.margin * metric.scale:.4g} {unit}"
            rows.append([one_line(called(key_of(run.identity))), name, f"{scored}/{len(run.samples)}", margin])
    return tabulate(rows, ["run", "metric", "scored", "margin"], tablefmt=STYLES[table_format], disable_numparse=True)


def _margins(pairs: Sequence[str]) -> dict[str, float]:
    from brushbench.options import parse_pairs

    found = {}
    for name, text in parse_pairs(pairs).items():
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise UserError(one_line(f"margin {name}={text}: valid is a number, 0 or more"))
        found[name] = value
    return found


def _unscaled(margins: dict[str, float], baseline: "Baseline") -> dict[str, float]:
    """In the metrics' own units: what is typed is what is printed."""
    scales = {name: metric.scale for run in baseline.runs for name, metric in run.metrics.items()}
    return {name: value / scales.get(name, 1.0) for name, value in margins.items()}
