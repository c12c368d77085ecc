"""The commands that generate images: run, generate."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any

import click

from brushbench.cli.options import asked_for, data_options, method_options, metrics_options, partial_option
from brushbench.cli.results import data_line, named_metrics, tables
from brushbench.core.errors import UserError, one_line
from brushbench.core.notes import hearing

if TYPE_CHECKING:
    from brushbench.core.progress import ProgressCallback
    from brushbench.runs.config import RunConfig
    from brushbench.runs.folder import Run


@click.command()
@method_options
@data_options
@metrics_options
@partial_option
def run(**asked: Any) -> int:
    """Inpaint every sample with a method, score the results and print a table. Rerun to resume."""
    from brushbench.evaluation.evaluate import run as run_one

    return _all_jobs(asked, run_one, table=True)


@click.command()
@method_options
@data_options
@partial_option
def generate(**asked: Any) -> int:
    """Inpaint every sample with a method and store the images. Rerun to resume."""
    from brushbench.evaluation.evaluate import generate as generate_one

    return _all_jobs(asked | {"metrics": None, "metric_options": ()}, generate_one, table=False)


# Any: what click has parsed, by option.
def _all_jobs(asked: dict[str, Any], work: "Callable[[RunConfig, ProgressCallback, Any], Run]", *, table: bool) -> int:
    from brushbench.evaluation.grid import ALL, expand_jobs, expand_methods

    template, names, splits = asked_for(asked)
    jobs = expand_jobs(template, expand_methods(names), splits, lenient=ALL in names)
    runs = all_done(template, jobs, work, lenient=ALL in names, scored=table)
    by_name = named_metrics(template) if table else ()
    return tables(runs, table=table, requested=by_name, allow_partial=asked["allow_partial"])


# Any: the method, loaded.
def all_done(
    template: "RunConfig",
    jobs: "Sequence[Sequence[RunConfig]]",
    work: "Callable[[RunConfig, ProgressCallback, Any], Run]",
    *,
    lenient: bool,
    headings: Sequence[str] = (),
    scored: bool = True,
) -> "list[Run]":
    """Do the jobs, telling how far they are, with a contact sheet for each run.

    Each group of jobs shares one loaded method, or one for each kind of masks that asks for its own, and may have a
    heading; one that can't be loaded is left out if `lenient`, else an error. `scored`: the work scores, too. What
    libraries warn of beside the making of a single run is a note of all.
    """
    from brushbench.cli.results import write_contact_sheet
    from brushbench.evaluation.evaluate import check
    from brushbench.evaluation.resolve import configured_dataset

    with hearing() as notes:
        for config in jobs[0]:
            check(config, scored=scored)
        finished = _finished(template, zip_longest(jobs, headings), work, lenient)
        for run, config in finished:
            with run.noting():
                write_contact_sheet(run, configured_dataset(config))
    for run, _ in finished:
        run.add_notes(notes)
    return [run for run, _ in finished]


# Any: likewise.
def _finished(
    template: "RunConfig",
    jobs: "Iterable[tuple[Sequence[RunConfig], str | None]]",
    work: "Callable[[RunConfig, ProgressCallback, Any], Run]",
    lenient: bool,
) -> "list[tuple[Run, RunConfig]]":
    from brushbench.cli.progress import Headed, shown
    from brushbench.evaluation.resolve import branches_of, configured_method

    finished: list[tuple[Run, RunConfig]] = []
    with shown(write := partial(click.echo, err=True)) as shower:
        watch = Headed(shower, write)
        watch.announce(data_line(template))
        told = ""
        for configs, heading in jobs:
            try:
                groups = [(branch, list(same)) for branch, same in groupby(configs, key=branches_of)]
                # All before anything is painted: a branch that isn't here is told of at once.
                firsts = {branch: same[0] for branch, same in reversed(groups)} if template.engine == "local" else {}
                methods = {branch: configured_method(config) for branch, config in firsts.items()}
            except UserError as error:
                if not lenient:
                    raise
                click.echo(f"{configs[0].method} is left out: {error}", err=True)
                continue
            for branch, same in groups:
                method = methods.get(branch)
                if method and method.origin and method.origin != told:
                    told = method.origin
                    watch.announce(one_line(f"weights of {method.name}: {method.origin}"))
                if branch:
                    watch.announce(one_line(f"branch of {same[0].method}: {branch}"))
                if heading and same[0] is configs[0]:
                    watch.announce(one_line(heading))
                finished += [(work(config, watch, method), config) for config in same]
    if not finished:
        raise UserError("none of the methods could be loaded")
    return finished
