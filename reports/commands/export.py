"""The `export` command."""

import click

from brushbench.cli.screen import tell
from brushbench.core.errors import one_line
from brushbench.reports.commands.given_runs import given_runs
from brushbench.runs.looking import looking_once
from brushbench.storage.places import folder_here


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of the export.")
@click.option("--images", is_flag=True, help="Also copy the images.")
@looking_once()
def export_command(runs: tuple[str, ...], output: str, images: bool) -> int:
    """Write what can be published of runs: scores, digests, options and provenance.

    No host, user, command or path of this machine is in it, and images only with --images. `report`, `compare`, `check`
    and `show` read DIR like the runs themselves.

    \b
    brushbench export runs -o results
    brushbench report results my-runs
    """
    folder = folder_here("--output", output)
    found, damaged = given_runs(runs)
    for problem in damaged:
        tell(one_line(f"left out: {problem}"))
    from brushbench.reports.export import NAME, export

    for line in export(found, folder, images=images):
        tell(one_line(f"note: {line}", 500))
    partial = sum(run.not_made() > 0 for run in found)
    unscored = sum(not run.scores_path().exists() for run in found)
    click.echo(
        one_line(f"exported {len(found)} run{'s' if len(found) > 1 else ''} to {folder}, listed in {folder / NAME}")
    )
    for number, what in ((partial, "incomplete"), (unscored, "not scored")):
        if number:
            tell(f"{number} of them {'are' if number > 1 else 'is'} {what}")
    return 3 if damaged else 0
