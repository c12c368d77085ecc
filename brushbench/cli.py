"""The command line. It parses, delegates and prints; nothing but `cli*.py` prints.

Exit codes: 0 fine, 1 a check failed, 2 the user's mistake (one line on stderr), 3 some samples failed.
"""

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from brushbench import __version__
from brushbench.cli_check import check
from brushbench.cli_data import data
from brushbench.cli_reports import compare, print_published, report
from brushbench.cli_running import generate, run, score
from brushbench.cli_sweep import sweep
from brushbench.cli_validate import validate
from brushbench.errors import UserError, one_line
from brushbench.machine import check_arguments, check_memory, refusal, terminable
from brushbench.notes import hearing
from brushbench.registry import Kind, is_built_in, registered

if TYPE_CHECKING:
    from brushbench.metric_info import MetricInfo

PACKAGE = "brushbench"
MISTAKE, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A new one each time: it tells of nothing twice.
    warnings, log = _Warnings(logging.WARNING), logging.getLogger(PACKAGE)
    log.addHandler(warnings)
    heard: list[str] = []
    try:
        # A run has what libraries warn of in its notes; here is what they warn of otherwise.
        with hearing() as heard, terminable():
            check_arguments(given)
            check_memory(given)
            code = cli.main(given, prog_name="brushbench", standalone_mode=False)
    except click.ClickException as error:
        code = _mistake(error.format_message())
    except UserError as error:
        code = _mistake(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; run the same command again to resume", err=True)
        code = INTERRUPTED
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        if (refused := refusal(error)) is None:
            raise
        code = _mistake(refused)
    finally:
        log.removeHandler(warnings)
    # A mistake is told in one line.
    for line in heard if code != MISTAKE else ():
        click.echo(f"warning: {line}", err=True)
    sys.exit(code or 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="brushbench")
def cli() -> None:
    """Benchmark and evaluate text-guided image inpainting.

    \b
    brushbench run --method brushnet
    brushbench run --method telea,biharmonic --dataset photos
    brushbench run --method brushnet --weights FOLDER -o scale=0.5 --root BrushBench --split inside,outside
    brushbench report runs --format markdown
    """


@cli.command("list")
@click.argument("kind", type=click.Choice(["methods", "metrics", "datasets", "weights", "published"]))
@click.option("--lint", is_flag=True, help="With `published`: look for numbers that cannot be right.")
@click.option("--file", metavar="FILE.csv", help="With `published`: a CSV file to read instead of the built-in one.")
def list_(kind: str, lint: bool, file: str | None) -> int:
    """List what is available; for weights also what is on this machine and how much would be downloaded.

    `published` prints the published numbers, each with source and confidence.
    """
    if kind == "published":
        return print_published(file, lint=lint)
    if lint or file:
        raise UserError("--lint and --file are for `list published`")
    kinds: dict[str, Kind] = {"methods": "method", "metrics": "metric", "datasets": "dataset"}
    if kind == "weights":
        from brushbench.weights.inventory import lines

        click.echo("\n".join(lines()))
        return 0
    if kind == "metrics":
        from brushbench.metric_catalogue import lines as metric_lines

        click.echo("\n".join(metric_lines(_plugged_metrics())))
        return 0
    entries = registered(kinds[kind])
    width = max(map(len, entries))
    for name, entry in entries.items():
        role = "" if entry.role == "contender" else f"{entry.role}: "
        click.echo(f"{name:{width}}  {role}{entry.summary}")
    return 0


@cli.command()
@click.option("--weights", is_flag=True, help="Compare the published file lists of all weights with the hub instead.")
def doctor(*, weights: bool) -> None:
    """Print versions, device, data sets and weights on this machine, and how to get what is missing.

    With --weights, nothing is downloaded. Exit code 1: a file that the suite reads has changed; 4: some repositories
    could not be reached.
    """
    if weights:
        from brushbench.weights.drift import drifts

        found = drifts()
        for each in found:
            click.echo(str(each))
        if any(each.changes for each in found):
            raise SystemExit(1)
        raise SystemExit(4 if any(each.unasked for each in found) else 0)
    from brushbench.doctor import findings

    for name, finding in findings().items():
        click.echo(f"{name}: {finding}")


def _plugged_metrics() -> "dict[str, MetricInfo | str]":
    """What plug-ins say of their metrics; torch isn't loaded where there are none."""
    names = [name for name in registered("metric") if not is_built_in("metric", name)]
    if not names:
        return {}
    from brushbench.loading import load_metric
    from brushbench.work import Failure, capture

    loaded = {name: capture(load_metric, name) for name in names}
    return {name: each.error if isinstance(each, Failure) else each.info for name, each in loaded.items()}


class _Warnings(logging.Handler):
    """What the suite warns of, each a line on stderr; once, however often a data set is opened."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning that is new."""
        message = one_line(record.getMessage(), 2000)
        if message not in self._told:
            self._told.add(message)
            click.echo(f"warning: {message}", err=True)


def _mistake(message: str) -> int:
    click.echo(f"brushbench: {one_line(message, 2000)}", err=True)
    return MISTAKE


for _command in (run, generate, sweep, score, report, compare, check, data, validate):
    cli.add_command(_command)
