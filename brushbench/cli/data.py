"""The `data` commands: list, get, verify, show and convert data sets."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from brushbench.cli.screen import verbosity_options
from brushbench.cli.sections import choices
from brushbench.core.errors import UserError, one_line, unknown

FOUND_DEFECTS, SOME_FAILED = 1, 3
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
@click.option("--dataset", metavar="D", help="Data set; see `data list`. Default: the one found in --root.")
@click.option("--root", metavar="DIR", help="Folder of the data set.")
@click.option("--split", metavar="S[,S...]", help="Splits to check. Default: all splits with stored masks.")
@click.option("--format", "report_format", default="text", show_default=True, metavar=choices(FORMATS), help="Format.")
@click.option("--data-option", "options", multiple=True, metavar="K=V", help="An option of the data set.")
@verbosity_options
def verify_command(
    dataset: str | None, root: str | None, split: str | None, report_format: str, options: tuple[str, ...]
) -> int:
    """Check every file and sample of a data set, and print its digest.

    Defects are grouped by kind. Exit code 0: no defects, 1: defects.
    """
    if report_format not in FORMATS:
        raise unknown("format", report_format, FORMATS)
    from brushbench.cli.progress import showing_progress

    with showing_progress(one_line(f"loading PyTorch, to check {dataset or root or 'the data set'}", 200)) as watch:
        from brushbench.core.options import parse_pairs
        from brushbench.curation import verify_report
        from brushbench.curation.verify import verify_dataset as look
        from brushbench.runs.config import split_names

        names = split_names(split) if split is not None else None
        found = look(dataset, root, names, watch, parse_pairs(options))
    click.echo(verify_report.as_json(found) if report_format == "json" else verify_report.as_text(found))
    return FOUND_DEFECTS if found.findings else 0


@data.command()
@click.option("--dataset", metavar="D", help="Data set; see `data list`. Default: the one found in --root.")
@click.option("--root", metavar="DIR", help="Folder of the data set, or a Parquet file.")
@click.option("--output", required=True, metavar="TARGET", help="Folder or .parquet file to write.")
@click.option("--to", metavar="FORMAT", help="brushbench, parquet, folder or masks. Default: by TARGET's suffix.")
@click.option(
    "--split", metavar="S[,S...]", help="Splits to write. Default: inside and outside, if the format holds both."
)
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@click.option("--skip-damaged", is_flag=True, help="Leave out samples that cannot be read.")
@click.option("--data-option", "options", multiple=True, metavar="K=V", help="An option of the data set.")
@verbosity_options
def convert_command(
    dataset: str | None,
    root: str | None,
    output: str,
    to: str | None,
    split: str | None,
    force: bool,
    skip_damaged: bool,
    options: tuple[str, ...],
) -> int:
    """Write a data set in another format, without loss.

    \b
    brushbench  images/ and mapping_file.json: what `run --dataset brushbench` reads
    parquet     one file: what Hugging Face datasets and `run --dataset parquet` read
    folder      images/, masks/ and captions.csv: what `run --dataset folder` reads
    masks       only the masks, as PNG; with --split brush, the strokes that are drawn for each sample

    Ids, captions, tags, pixels and masks stay the same. Plain RGB image files are copied, any others become PNG. TARGET
    is written completely or not at all.
    """
    from brushbench.cli.progress import showing_progress
    from brushbench.core.options import parse_pairs
    from brushbench.curation.convert import Conversion
    from brushbench.curation.convert import convert_dataset as work
    from brushbench.runs.config import split_names

    asked = Conversion(
        target=Path(output),
        dataset=dataset,
        root=Path(root) if root is not None else None,
        splits=split_names(split) if split is not None else None,
        to=to,
        force=force,
        skip_damaged=skip_damaged,
        options=parse_pairs(options),
    )
    with showing_progress() as watch:
        done = work(asked, watch)
    state = "already exists and is the same" if done.unchanged else "written"
    click.echo(f"{output}: {state}: {done.count} samples of {done.name}, {', '.join(done.splits)}, as {done.to}")
    if done.damaged:
        click.echo(one_line(f"{len(done.damaged)} damaged samples left out: {', '.join(done.damaged)}"), err=True)
    return SOME_FAILED if done.damaged else 0


@data.command()
@click.option("--dataset", metavar="D", help="Data set; see `data list`. Default: the one found in --root.")
@click.option("--root", metavar="DIR", help="Folder of the data set, or a Parquet file.")
@click.option("--split", default="inside", show_default=True, metavar="S[,S...]", help="Splits to draw.")
@click.option(
    "--samples", type=click.IntRange(1, 400), default=12, show_default=True, metavar="N", help="Number of samples."
)
@click.option("--output", metavar="FILE.png", help="Picture to write. Default: D-SPLIT.png in the current folder.")
@click.option("--data-option", "options", multiple=True, metavar="K=V", help="An option of the data set.")
@verbosity_options
def show_command(
    dataset: str | None, root: str | None, split: str, samples: int, output: str | None, options: tuple[str, ...]
) -> int:
    """Draw a sheet of samples, with the outlines of their masks and their captions.

    Samples are evenly spaced from the first to the last. The region to inpaint is inside the yellow line.
    """
    from brushbench.core.options import parse_pairs
    from brushbench.curation.preview import write_sheet
    from brushbench.runs.config import split_names

    file = Path(output) if output is not None else None
    sheet = write_sheet(dataset, root, split_names(split), samples, file, parse_pairs(options))
    click.echo(f"{sheet.file}: {sheet.shown} samples of {sheet.name}")
    if sheet.no_font:
        click.echo(one_line(f"no font on this machine has all letters of: {', '.join(sheet.no_font)}"), err=True)
    for reason in sheet.left_out.values():
        click.echo(f"left out: {reason}", err=True)
    return SOME_FAILED if sheet.left_out else 0


@data.command("list")
@click.option("--format", "list_format", default="text", show_default=True, metavar=choices(FORMATS), help="Format.")
@verbosity_options
def list_datasets_command(list_format: str) -> None:
    """List the data sets: location on this machine, number of samples, licence, citation."""
    if list_format not in FORMATS:
        raise unknown("format", list_format, FORMATS)
    from dataclasses import asdict

    from brushbench.curation.presence import presences

    found = presences()
    if list_format == "json":
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        count = f", {each.samples} samples" if each.samples is not None else ""
        click.echo(f"{each.name}: {each.summary}")
        click.echo("  " + one_line(f"place: {each.place}{count}"))
        if each.origin:
            click.echo("  " + one_line(f"from: {each.origin}"))
        click.echo(f"  licence: {each.licence}")
        click.echo(f"  cite: {each.citation}")


@data.command()
@click.argument("name", required=False, metavar="[D]")
@click.option("--dataset", metavar="D", help="Data set, as D; see `data list`. Default: brushbench.")
@click.option("--root", metavar="DIR", help="Where to put it. Default: the suite's data folder.")
@click.option(
    "--url", metavar="URL", help="Link to an archive (zip or tar). Default: the known address, if there is one."
)
@click.option("--sha256", metavar="HEX", help="SHA-256 that the archive must have.")
@click.option("--archive", metavar="FILE", help="A local archive to unpack.")
@click.option("--hub", metavar="OWNER/NAME", help="A dataset repository on the Hugging Face hub.")
@click.option("--revision", metavar="R", help="Revision of the repository.")
@verbosity_options
def get_command(
    name: str | None,
    dataset: str | None,
    root: str | None,
    url: str | None,
    sha256: str | None,
    archive: str | None,
    hub: str | None,
    revision: str | None,
) -> int:
    """Download a data set, or explain how to get it.

    With --url, --archive or --hub, or from its known address (editbench), the data set is downloaded, checked, unpacked
    into a folder and verified; rerun to resume. For brushbench, which has no download, the steps are printed. Exit code
    0: no defects, 1: defects, or no data set in the download.
    """
    from brushbench.core.registry import check_name, dataset_info
    from brushbench.curation.fetch.get import Origin
    from brushbench.curation.fetch.get import get_dataset as fetch

    if name is not None and dataset not in (None, name):
        raise UserError(one_line(f"{name!r} and --dataset {dataset} differ; give only one of them"))
    name = name or dataset or "brushbench"
    check_name("dataset", name)
    where = Path(root) if root is not None else None
    if url is None and archive is None and hub is None and revision is None:
        here = _is_here(name, where)
        known = dataset_info(name).download
        url = known.address or None if known and not here else None
        if url is None and sha256 is None:
            click.echo("\n".join(here or _steps(name, where)))
            return 0
    from brushbench.cli.progress import showing_bytes

    origin = Origin(url, Path(archive) if archive is not None else None, hub, sha256, revision)
    with showing_bytes() as tell:
        got = fetch(name, where, origin, tell)
    if got.sha256 is not None and sha256 is None:
        click.echo(f"SHA-256 of the archive: {got.sha256}", err=True)
    if not got.name:
        click.echo(one_line(f"{got.root}: unpacked, but no data set was recognised in it"), err=True)
        return FOUND_DEFECTS
    click.echo(one_line(f"{got.name} in {got.root}, {got.samples} samples"))
    return _verified(got.name, got.root)


def _is_here(name: str, root: Path | None) -> list[str]:
    """Return lines that say that there is nothing to get; none if there is."""
    from brushbench.core.registry import dataset_info
    from brushbench.datasets.locate import locate

    if dataset_info(name).embedded:
        return [f"{name} is part of the suite; there is nothing to get"]
    if root is None and (folder := locate(name, None)[1]) is not None:
        return [one_line(f"{name} is already in {folder}"), f"check it: brushbench data verify --dataset {name}"]
    return []


def _steps(name: str, root: Path | None) -> Sequence[str]:
    from brushbench.curation.instructions import steps

    return steps(name, root) or [f"{name} is for data of your own; give their folder with --root"]


def _verified(name: str, root: Path) -> int:
    """Verify a data set that was just obtained, print a summary and return the exit code."""
    from brushbench.cli.progress import showing_progress
    from brushbench.curation import verify_report
    from brushbench.curation.verify import verify_dataset as look

    with showing_progress() as watch:
        found = look(name, root, None, watch)
    click.echo(verify_report.summary(found))
    click.echo(one_line(f"details: brushbench data verify --dataset {name} --root {root}"))
    return FOUND_DEFECTS if found.findings else 0
