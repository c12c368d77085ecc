"""Print what there is to know when runs have ended: tables, where the files are, and what is missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brushbench.cli.failures import failure_summary
from brushbench.cli.screen import tell
from brushbench.core.errors import one_line
from brushbench.core.registry import by_name
from brushbench.runs.looking import changed_images, looking_once
from brushbench.runs.seed_folders import home_of, pattern_of
from brushbench.storage.places import spoken

if TYPE_CHECKING:
    from brushbench.core.options import Value
    from brushbench.core.types import Dataset
    from brushbench.evaluation.resolve import Task
    from brushbench.runs.config import RunConfig
    from brushbench.runs.folder import Run

SOME_FAILED = 3
TABLE = "brushbench.reports.commands.report:text_table"
STYLE = "brushbench.reports.style:Style"
CONTACT_SHEET = "brushbench.reports.contact_sheet:write_contact_sheet"
GALLERY, GALLERY_OF = "gallery", "brushbench.reports.commands.gallery:gallery_of"
"""The folder in that of the runs, and what builds it."""
CONTACT_SHEET_NAME = "brushbench.reports.contact_sheet:NAME"


def named_metrics(config: "RunConfig") -> list[str]:
    """Return the metrics that are requested by name or given options, without the usual ones."""
    return columns_of([*(config.metric_names() or ()), *config.metric_options], config.metric_options)


def columns_of(names: "Iterable[str]", options: "Mapping[str, Mapping[str, Value]]") -> list[str]:
    """Return the names of metrics in the table of scores; a metric from a file has a name of its own."""
    from brushbench.core.metric_info import parted
    from brushbench.core.plugins.files import plugin_file
    from brushbench.evaluation.select_metrics import load_any

    return [
        load_any(name, options.get(base, {})).info.name if plugin_file(base := parted(name)[0]) else name
        for name in names
    ]


def data_line(task: "Task") -> str:
    """Say which data set is used, and where it is."""
    name, root = task.opened.name, task.opened.root
    if task.config.dataset is not None:
        embedded = ", embedded" if task.opened.info.embedded else ""
        return one_line(f"data: {name}, in {root}" if root else f"data: {name}{embedded}")
    if root:
        return one_line(f"no data set given; using {name}, found in {root}")
    remedy = "To use BrushBench, give --root DIR or set BRUSHBENCH_DATA"
    return f"BrushBench not found; using the built-in PaperCut data. {remedy}"


def add_contact_sheet(run: "Run", dataset: "Dataset") -> None:
    """Draw some samples of a run on a contact sheet in its folder."""
    by_name(CONTACT_SHEET)(run, dataset)


def add_gallery(runs: "Sequence[Run]", folder: Path, names: object = None) -> None:
    """Build a page of all samples of these runs, under the `names` of a study, and print where it is."""
    click.echo(f"gallery: {by_name(GALLERY_OF)(runs, folder, names)}")


def mean_of(seeds: object) -> object:
    """Return the style of a table with the mean over seeds in one row; None without seeds."""
    return by_name(STYLE)(seeds="mean") if seeds else None


@looking_once()
def tables(
    runs: "Sequence[Run]",
    *,
    table: bool = True,
    requested: Sequence[str] = (),
    allow_partial: bool = False,
    style: object = None,
) -> int:
    """Print the table, in the `style` of a study, and where everything is; return the exit code.

    It is 3 if samples failed, if images changed, if a `requested` metric has no score, or if samples were never
    generated and this is not allowed.
    """
    failures = list(failure_summary(runs))
    if table:
        click.echo(by_name(TABLE)(runs, style) + "\n")
    for line in _places(runs):
        click.echo(line)
    # A table has this among its notes.
    for run in () if table else runs:
        if count := sum(entry.padded is not None for entry in run.ledger().values()):
            told = f"{count} sample{'s' * (count > 1)} of {run.place} padded by reflection for the method, then cropped"
            click.echo(one_line(told), err=True)
    for line in failures:
        click.echo(line, err=True)
    unscored = [line for run in runs for line in _without_score(run, requested)]
    for line in unscored:
        click.echo(one_line(line), err=True)
    changed = print_changed(runs)
    partial = [] if allow_partial else [line for run in runs for line in _not_made(run)]
    for line in partial:
        click.echo(line, err=True)
    return SOME_FAILED if failures or unscored or changed or partial else 0


def _places(runs: "Sequence[Run]") -> Iterator[str]:
    """Yield where the files of the runs are; the seeds of a method share a line."""
    sheet = by_name(CONTACT_SHEET_NAME)
    groups: dict[Path, list[Run]] = {}
    for run in runs:
        groups.setdefault(pattern_of(run.path), []).append(run)
    for pattern, own in groups.items():
        several = len(own) > 1
        place = pattern if several else own[0].path
        seeds = f" (seeds {', '.join(str(home_of(run.path)[1]) for run in own)})" if several else ""
        yield f"images and scores: {spoken(place)}{seeds}"
        if any((run.path / sheet).exists() for run in own):
            yield f"contact sheet{'s' * several}: {spoken(place / sheet)}"


def print_changed(runs: "Sequence[Run]") -> bool:
    """Report images that have changed since they were stored, and return whether there are any."""
    found = False
    for run in runs:
        if changed := changed_images(run):
            name, what = next(iter(changed.items()))
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            tell(one_line(f"not scored: {name} in {run.place}: {what}{more}"))
            found = True
    return found


def _not_made(run: "Run") -> Iterator[str]:
    """Yield a line if samples are missing from a run that nobody is working on."""
    if (missing := run.not_made()) and not run.others_at_work():
        yield one_line(
            f"not generated: {missing} of {run.record.asked} samples in {run.place}; they belong to other shards, or "
            "the run was stopped. Use --allow-partial to accept this"
        )


def _without_score(run: "Run", names: Sequence[str]) -> Iterator[str]:
    """Yield a line with the reason for each metric requested by name that has no score at all in a run."""
    from brushbench.core.metric_info import IDENTICAL
    from brushbench.runs.scores import read_scores, status_column

    scores = read_scores(run)
    if scores is None or all(entry.status == "failed" for entry in run.ledger().values()):
        return
    # A metric on its usual region is stored under its name alone.
    columns = (name if name in scores.metrics else name.partition("@")[0] for name in names)
    for column in dict.fromkeys(columns):
        if column in scores.metrics:
            statuses = scores.table[status_column(column)]
            if not statuses.isin(["", IDENTICAL]).any():
                reason = statuses.value_counts().idxmax()
                yield f"no score: {column} for any of {len(statuses)} samples in {run.place}: {reason}"
