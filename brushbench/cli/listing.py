"""The `list` command: list what is available."""

from collections.abc import Mapping, Sequence

import click

from brushbench.core.columns import columns
from brushbench.core.errors import UserError, one_line
from brushbench.core.method_info import MethodInfo
from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import PluginKind, by_name, is_built_in, metric_info, registered

PUBLISHED = "brushbench.reports.commands.published:print_published"
KINDS: Mapping[str, PluginKind] = {"methods": "method", "metrics": "metric", "datasets": "dataset"}


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, "weights", "published"]))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--lint", is_flag=True, help="With `published`: look for numbers that cannot be right.")
@click.option("--setups", is_flag=True, help="With `published`: list the set-ups that numbers are grouped by.")
@click.option("--format", "form", type=click.Choice(["text", "csv", "json"]), help="With `published`: format.")
@click.option("--file", metavar="FILE.csv", help="With `published`: a CSV file to read instead of the built-in one.")
def list_command(
    kind: str, names: tuple[str, ...], lint: bool, setups: bool, form: str | None, file: str | None
) -> int:
    """List what is available; for weights also what is on this machine and how much would be downloaded.

    With the NAME of a method, a metric or a data set, also FILE.py:CLASS, list its options: meaning, default, values,
    unit and, where one defines it, the paper's section. `published` prints the published numbers, of all methods or of
    those whose names contain NAME, each with source, confidence and set-up, and the group within which rows may stand
    in one table.

    \b
    brushbench list methods
    brushbench list methods brushnet telea
    brushbench list published brushnet
    """
    if kind == "published":
        code: int = by_name(PUBLISHED)(file, names, form or "text", lint=lint, setups=setups)
        return code
    if lint or file or setups or form:
        raise UserError("--lint, --setups, --format and --file are for `list published`")
    if names:
        return _describe(kind, names)
    if kind == "weights":
        from brushbench.weights.inventory import weights_table

        click.echo("\n".join(weights_table()))
        return 0
    if kind == "metrics":
        click.echo("\n".join(metric_lines(_plugged_metrics())))
        return 0
    entries = registered(KINDS[kind]).items()
    click.echo("\n".join(columns((name, f"{_role(entry.info)}{entry.summary}") for name, entry in entries)))
    return 0


def _describe(kind: str, names: Sequence[str]) -> int:
    if kind not in KINDS:
        raise UserError(one_line(f"NAME {names[0]!r} is not valid here; valid: list {', '.join(KINDS)} NAME"))
    from brushbench.cli.describe import description_lines

    # All are described before anything is printed, so that a mistake is a single line.
    listed = dict.fromkeys(part.strip() for name in names for part in name.split(",") if part.strip())
    found = ["\n".join(description_lines(KINDS[kind], name)) for name in listed]
    click.echo("\n\n".join(found))
    return 0


def _role(info: object) -> str:
    return f"{info.role}: " if isinstance(info, MethodInfo) and info.role != "contender" else ""


def _plugged_metrics() -> dict[str, MetricInfo | str]:
    """Return what plug-ins declare of their metrics, or why they cannot be loaded; without any, torch isn't loaded."""
    names = [name for name in registered("metric") if not is_built_in("metric", name)]
    if not names:
        return {}
    from brushbench.core.capture import Failure, capture
    from brushbench.evaluation.select_metrics import load_any

    loaded = {name: capture(load_any, name, {}) for name in names}
    return {name: each.error if isinstance(each, Failure) else each.info for name, each in loaded.items()}


def metric_lines(plugged: Mapping[str, MetricInfo | str]) -> list[str]:
    """Return a table of every registered metric on its usual region, heading first.

    `plugged` maps each metric of a plug-in to its description, or to the error that prevented one.
    """
    return columns([HEADING, *(_row(name, entry.summary, plugged) for name, entry in registered("metric").items())])


HEADING = ("metric", "unit", "better", "region", "version", "what it is; citation; licence of its weights")


def _row(name: str, summary: str, plugged: Mapping[str, MetricInfo | str]) -> tuple[str, ...]:
    info = metric_info(name) or plugged[name]
    if isinstance(info, str):
        return (name, "-", "-", "-", "-", f"{summary}: {info}")
    better = "higher" if info.higher_is_better else "lower"
    told = "; ".join(filter(None, [summary, info.citation, info.licence]))
    return (name, info.unit or "-", better, info.region, info.version, told)
