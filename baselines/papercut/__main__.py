"""`python -m brushbench.baselines.papercut`: train the miniature family, part by part or all of it, and measure it."""

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
    """Train PaperCut's models, and measure them."""


@commands.command()
@click.argument("parts", nargs=-1, required=True, metavar="PART...|all")
@click.option("--work", default=WORK, show_default=True, metavar="DIR", help="Scenes, checkpoints, logs, sheets.")
@click.option("--output", metavar="DIR", help="Where the weights go.  [default: WORK/weights]")
@click.option("--scenes", type=positive, metavar="N", help="Fewer training scenes than the recipe's.")
@click.option("--steps", type=positive, metavar="N", help="Fewer steps than the recipe's.")
@click.option("--threads", type=positive, default=2, show_default=True, metavar="N", help="Of the CPU.")
def train(parts: tuple[str, ...], work: str, output: str | None, **asked: int | None) -> None:
    """Train parts of the family in the order given, or all of it.

    Run the same command again to resume. A sheet in the part's folder shows how far it is.

    Parts: vae, clip, base, inpainting, brushnet, brushnet_random, controlnet, powerpaint, powerpaint_v2.
    """
    from brushbench.baselines.papercut.recipe import PARTS, SCENES, TrainingContext, check_weights, train_part

    torch.set_num_threads(asked["threads"] or 1)
    shop = TrainingContext(Path(work), Path(output or Path(work) / "weights"), asked["scenes"] or SCENES, _lines)
    chosen = list(PARTS) if "all" in parts else list(parts)
    check_weights(chosen)
    for name in chosen:
        train_part(name, shop, asked["steps"])


@commands.command()
@click.option("--weights", metavar="DIR", help="Weights as `train` writes them.  [default: the shipped ones]")
@click.option("--limit", type=positive, default=200, show_default=True, metavar="N", help="Only the first N scenes.")
@click.option("--threads", type=positive, default=2, show_default=True, metavar="N", help="Of the CPU.")
def quality(weights: str | None, limit: int, threads: int) -> None:
    """Measure the family on the test scenes, and print the table of its card."""
    from brushbench.baselines.papercut.quality import SHIPPED, Quality, table

    torch.set_num_threads(threads)
    click.echo(table(list(Quality(Path(weights) if weights else SHIPPED, limit, _lines).lines())))


@commands.command()
@click.option("--work", default=WORK, show_default=True, metavar="DIR", help="Where the parts were trained.")
def history_command(work: str) -> None:
    """Print what was trained so far: steps, minutes, and the mean loss of the first and the last lines of the logs."""
    from brushbench.baselines.papercut.recipe import training_history

    click.echo(training_history(Path(work)))


def main() -> None:
    """Run the command line and exit: 2 for a mistake, with one line."""
    try:
        commands(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except (UserError, OSError) as error:
        _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; run the same command again to resume", err=True)
        sys.exit(130)


def _fail(message: str) -> None:
    click.echo(f"papercut: {one_line(message)}", err=True)
    sys.exit(2)


def _lines(stage: str, total: int, finished: int) -> Advance:
    """A `ProgressCallback`: one line every half a minute, and at the end."""
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
