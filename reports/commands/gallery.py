"""The `gallery` command."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.cli.results import SOME_FAILED
from brushbench.cli.screen import tell, verbosity_options
from brushbench.core.errors import one_line
from brushbench.reports.commands.given_runs import given_runs
from brushbench.storage.places import folder_here

if TYPE_CHECKING:
    from brushbench.reports.style import Names
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
@verbosity_options
def gallery_command(
    runs: tuple[str, ...], output: str, link: bool, max_size: int | None, archive: bool, root: str | None
) -> int:
    """Build a page of all samples with all methods side by side, given run folders or folders that contain them.

    Open DIR/index.html in a browser; no server is needed. Building again only adds what is new.
    """
    from brushbench.cli.progress import showing_progress

    folder = folder_here("--output", output)
    with showing_progress(one_line(f"loading PyTorch, to build a gallery of {', '.join(runs)}", 200)) as watch:
        from brushbench.reports.gallery.build import GalleryOptions, build

        options = GalleryOptions(link, max_size, archive, Path(root) if root else None)
        found, damaged = given_runs(runs)
        for problem in damaged:
            tell(one_line(f"left out: {problem}"))
        page = build(found, folder, options, damaged, watch)
    click.echo(f"gallery: {page}")
    return SOME_FAILED if damaged else 0


def gallery_of(runs: "Sequence[Run]", output: Path, names: "Names | None" = None) -> Path:
    """Build the gallery that `run --gallery` makes of its runs, under the names of a study."""
    from brushbench.cli.progress import showing_progress
    from brushbench.reports.gallery.build import GalleryOptions, build

    options = GalleryOptions() if names is None else GalleryOptions(names=names)
    with showing_progress() as watch:
        return build(runs, output, options, watch=watch)
