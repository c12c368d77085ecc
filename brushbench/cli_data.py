"""The commands on data sets as a whole: data list, get, verify, show, convert."""

from functools import partial

import click

from brushbench.errors import unknown

FOUND_DEFECTS = 1
FORMATS = ("text", "json")


@click.group()
def data() -> None:
    """List, get, check, show and convert data sets.

    \b
    brushbench data list
    brushbench data get --dataset brushbench
    brushbench data verify --dataset brushbench --root data/BrushBench
    brushbench data show --root data/BrushBench --samples 12 --output sheet.png
    brushbench data convert --root my_pictures --output data/Mine
    """


@data.command()
@click.option("--dataset", metavar="D", help="Data set; see `data list`. Default: the one that is in --root.")
@click.option("--root", metavar="DIR", help="Folder of the data set.")
@click.option("--split", metavar="S[,S...]", help="Whose masks. Default: all whose masks are stored.")
@click.option("--format", "report_format", default="text", show_default=True, help=", ".join(FORMATS) + ".")
def verify(dataset: str | None, root: str | None, split: str | None, report_format: str) -> int:
    """Look for what is wrong with a data set, and print its digest.

    Looks at every file and every sample, and groups what it finds by kind. Exit code 0: nothing found, 1: defects.
    """
    if report_format not in FORMATS:
        raise unknown("format", report_format, FORMATS)
    from brushbench.config import split_names
    from brushbench.data import verify_report
    from brushbench.data.verify import verify as look
    from brushbench.progress import shown

    with shown(partial(click.echo, err=True)) as watch:
        found = look(dataset, root, split_names(split) if split is not None else None, watch)
    click.echo(verify_report.as_json(found) if report_format == "json" else verify_report.as_text(found))
    return FOUND_DEFECTS if found.findings else 0
