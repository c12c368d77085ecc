"""The entry point of the command line. Only commands print.

Exit codes: 0 success, 1 a check failed, 2 a user error (one line on stderr), 3 some samples failed.
"""

import logging
import sys
import traceback
from collections.abc import Sequence

import click

from brushbench import __version__
from brushbench.cli.screen import SCREEN, Verbosity, tell
from brushbench.core.errors import UserError, one_line
from brushbench.core.machine import check_arguments, check_memory, refusal, terminable
from brushbench.core.notes import hearing
from brushbench.core.registry import by_name

PACKAGE = "brushbench"
MISTAKE, INTERRUPTED = 2, 130
COMMANDS = {
    "run": "brushbench.cli.run:run_command",
    "generate": "brushbench.cli.run:generate_command",
    "inpaint": "brushbench.cli.inpaint:inpaint_command",
    "sweep": "brushbench.cli.sweep:sweep_command",
    "score": "brushbench.cli.score:score_command",
    "status": "brushbench.cli.status:status_command",
    "report": "brushbench.reports.commands.report:report_command",
    "compare": "brushbench.reports.commands.report:compare_command",
    "check": "brushbench.reports.commands.check:check_command",
    "gallery": "brushbench.reports.commands.gallery:gallery_command",
    "export": "brushbench.reports.commands.export:export_command",
    "show": "brushbench.reports.commands.show:show_sample_command",
    "cite": "brushbench.reports.commands.cite:cite_command",
    "data": "brushbench.cli.data:data",
    "validate": "brushbench.cli.validate:validate_command",
    "published": "brushbench.reports.commands.published:published_command",
    "list": "brushbench.cli.listing:list_command",
    "doctor": "brushbench.cli.doctor:doctor_command",
}
"""Each command is imported when it is called, or when its help is printed."""


class _Commands(click.Group):
    """Commands imported by name, as the reports have some of their own."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names in alphabetical order."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = by_name(COMMANDS[cmd_name])
        return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A new handler for each call, as it prints no warning twice.
    warnings, log = _Warnings(logging.WARNING), logging.getLogger(PACKAGE)
    log.addHandler(warnings)
    heard: list[str] = []
    SCREEN.verbosity, SCREEN.stage = Verbosity.USUAL, None
    try:
        # What libraries warn of during a run is among its notes; this hears their other warnings.
        with hearing() as heard, terminable():
            check_arguments(given)
            check_memory(given)
            code = cli.main(given, prog_name="brushbench", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = MISTAKE
    except click.ClickException as error:
        code = _mistake(error.format_message())
    except UserError as error:
        code = _mistake(str(error))
        if SCREEN.verbosity == Verbosity.VERBOSE:
            click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo(one_line(f"Interrupted{SCREEN.reached()}. Run the same command again to resume.", 300), err=True)
        code = INTERRUPTED
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        if (refused := refusal(error)) is None:
            raise
        code = _mistake(refused)
    finally:
        log.removeHandler(warnings)
    # A user error is a single line.
    for line in heard if code != MISTAKE else ():
        click.echo(f"warning: {line}", err=True)
    sys.exit(code or 0)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="brushbench")
def cli() -> None:
    """Benchmark and evaluate text-guided image inpainting.

    \b
    brushbench run --method brushnet
    brushbench run --method telea,biharmonic --dataset photos
    brushbench run --method brushnet --weights FOLDER -o scale=0.5 --root BrushBench --split inside,outside
    brushbench report runs --format markdown
    """


class _Warnings(logging.Handler):
    """Prints each warning of the suite as a line on stderr, once, however often a data set is opened."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning that was not printed before."""
        message = one_line(record.getMessage(), 2000)
        if message not in self._told:
            self._told.add(message)
            tell(f"warning: {message}")


def _mistake(message: str) -> int:
    click.echo(f"brushbench: {one_line(message, 2000)}", err=True)
    return MISTAKE
