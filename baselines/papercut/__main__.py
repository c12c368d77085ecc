"""`python -m brushbench.baselines.papercut`: train PaperCut's models, one by one or all of them, and evaluate them."""

import sys
import time
from pathlib import Path

import click
import torch

from brushbench.core.errors import UserError, one_line
from brushbench.core.progress import Advance

SECONDS_BETWEEN_LINES = 30.0
WORK = "runs/papercut"
positive = click.IntRange(min=1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Train and evaluate PaperCut's models."""


@commands.command()
@click.argument("parts", nargs=-1, required=True, metavar="PART...|all")
@click.option(
    "--work", default=WORK, show_default=True, metavar="DIR", help="Folder for scenes, checkpoints, logs and sheets."
)
@click.option("--output", metavar="DIR", help="Folder for the trained weights.  [default: WORK/weights]")
@click.option("--scenes", type=positive, metavar="N", help="Number of training scenes.  [default: the recipe's]")
@click.option("--steps", type=positive, metavar="N", help="Number of training steps.  [default: the recipe's]")
@click.option("--threads", type=positive, default=2, show_default=True, metavar="N", help="Number of CPU threads.")
def train(parts: tuple[str, ...], work: str, output: str | None, **numbers: int | None) -> None:
    """Train parts of the family in the given order, or all of them.

    Run the same command again to resume. Sheets in the part's folder show its progress.

    Parts: vae, clip, base, inpainting, brushnet, brushnet_random, controlnet, powerpaint, powerpaint_v2,
    judge.
    """
    from brushbench.baselines.papercut.recipe import PARTS, SCENES, TrainingContext, check_weights, train_part

    torch.set_num_threads(numbers["threads"] or 1)
    shop = TrainingContext(Path(work), Path(output or Path(work) / "weights"), numbers["scenes"] or SCENES, _lines)
    chosen = list(PARTS) if "all" in parts else list(parts)
    check_weights(chosen)
    for name in chosen:
        train_part(name, shop, numbers["steps"])


@commands.command()
@click.option("--weights", metavar="DIR", help="Folder of weights written by `train`.  [default: the shipped weights]")
@click.option(
    "--limit", type=positive, default=200, show_default=True, metavar="N", help="Use only the first N test scenes."
)
@click.option("--threads", type=positive, default=2, show_default=True, metavar="N", help="Number of CPU threads.")
def quality(weights: str | None, limit: int, threads: int) -> None:
    """Evaluate the family on the test scenes and print the table of docs/papercut.md."""
    from brushbench.baselines.papercut.quality import SHIPPED, Quality, table

    torch.set_num_threads(threads)
    click.echo(table(list(Quality(Path(weights) if weights else SHIPPED, limit, _lines).lines())))


@commands.command()
@click.option("--work", default=WORK, show_default=True, metavar="DIR", help="Folder in which the parts were trained.")
def history_command(work: str) -> None:
    """Print each part's steps, minutes, and first and last logged loss."""
    from brushbench.baselines.papercut.recipe import training_history

    click.echo(training_history(Path(work)))


def main() -> None:
    """Run the command line and exit; for a user's mistake, print one line and exit with code 2."""
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except (UserError, OSError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted. Run the same command again to resume.", err=True)
        sys.exit(130)


def _fail(message: str) -> None:
    click.echo(f"papercut: {one_line(message)}", err=True)
    sys.exit(2)


def _lines(stage: str, total: int, finished: int) -> Advance:
    """A `ProgressCallback` that prints a line every half minute and at the end."""
    done, begun, written = finished, time.monotonic(), time.monotonic()

    def advance(more: int, _failed: int) -> None:
        nonlocal done, written
        done += more
        if done == total or time.monotonic() - written > SECONDS_BETWEEN_LINES:
            written = time.monotonic()
            left = (written - begun) / max(done - finished, 1) * (total - done)
            click.echo(f"{stage}: {done}/{total}, {left:.0f} s left", err=True)

    return advance


if __name__ == "__main__":
    main()
