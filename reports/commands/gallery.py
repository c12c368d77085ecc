"""The `gallery` command."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.cli.results import SOME_FAILED
from brushbench.cli.screen import tell, verbosity_options
from brushbench.core.errors import one_line
from brushbench.reports.commands.given_runs import given_runs
from brushbench.runs.looking import looking_once
from brushbench.storage.places import folder_here

if TYPE_CHECKING:
    from brushbench.reports.gallery.build import Seeds
    from brushbench.reports.style import Names, Style
    from brushbench.runs.folder import Run


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("-o", "--output", default="gallery", show_default=True, metavar="DIR", help="Folder of the gallery.")
@click.option("--link", is_flag=True, help="Refer to the images in the run folders instead of copying them.")
@click.option(
    "--max-size", type=int, metavar="PIXELS", help="Reduce full pictures whose longest side is larger. Default: keep."
)
@click.option("--zip", "archive", is_flag=True, help="Also write the gallery as one file, DIR.zip.")
@click.option("--root", metavar="DIR", help="Folder of the data set, if it is not where it was.")
@click.option("--rename", "renames", multiple=True, metavar="NAME=TEXT", help="Name to show for a method or metric.")
@click.option(
    "--order", multiple=True, metavar="M,...", help="Methods that come first, in this order; or name, to sort by names."
)
@click.option(
    "--seeds",
    type=click.Choice(["flip", "columns"]),
    default="flip",
    show_default=True,
    help="Runs that differ only in their seed: one column to flip through, or a column each.",
)
@click.option(
    "--style",
    "style_file",
    metavar="FILE.toml",
    help="Take names from a file that `report --style` takes; the command line wins.",
)
@verbosity_options
@looking_once()
def gallery_command(
    runs: tuple[str, ...],
    output: str,
    link: bool,
    max_size: int | None,
    archive: bool,
    root: str | None,
    renames: tuple[str, ...],
    order: tuple[str, ...],
    seeds: "Seeds",
    style_file: str | None,
) -> int:
    """Build a page of all samples with all methods side by side, given run folders or folders that contain them.

    Open DIR/index.html in a browser; no server is needed. Building again only adds what is new.
    """
    from brushbench.cli.progress import showing_progress

    folder = folder_here("--output", output)
    with showing_progress(one_line(f"loading PyTorch, to build a gallery of {', '.join(runs)}", 200)) as watch:
        from brushbench.reports.gallery.build import GalleryOptions, build
        from brushbench.reports.gallery.presented import presented

        style = _style(renames, order, style_file)
        options = GalleryOptions(link, max_size, archive, Path(root) if root else None, seeds=seeds)
        found, damaged = given_runs(runs)
        found, names = presented(found, style, over_seeds=seeds == "flip")
        for problem in damaged:
            tell(one_line(f"left out: {problem}"))
        page = build(found, folder, replace(options, names=names), damaged, watch)
    click.echo(f"gallery: {page}")
    return SOME_FAILED if damaged else 0


def _style(renames: Sequence[str], order: Sequence[str], file: str | None) -> "Style":
    """Return names and order, the names of a style file too. Raises `UserError` for a file that isn't one."""
    from brushbench.reports.commands.report import report_command
    from brushbench.reports.commands.style_options import style_values
    from brushbench.reports.style import Style

    shared = style_values(report_command, Path(file))[1] if file else {}
    return Style(renames=tuple(renames), order=tuple(order), shared=shared)


def gallery_of(runs: "Sequence[Run]", output: Path, names: "Names | None" = None) -> Path:
    """Build the gallery that `run --gallery` makes of its runs, under the names of a study."""
    from brushbench.cli.progress import showing_progress
    from brushbench.reports.gallery.build import GalleryOptions, build

    options = GalleryOptions() if names is None else GalleryOptions(names=names)
    with showing_progress() as watch:
        return build(runs, output, options, watch=watch)
