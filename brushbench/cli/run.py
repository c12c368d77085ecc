"""The `run` and `generate` commands, which generate images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, Any

import click

from brushbench.cli.options import (
    asked_for,
    data_options,
    method_options,
    metrics_options,
    partial_option,
    seeds_asked,
    tracking_option,
)
from brushbench.cli.results import GALLERY, add_contact_sheet, add_gallery, data_line, mean_of, named_metrics, tables
from brushbench.cli.screen import tell, verbosity_options
from brushbench.cli.sections import command, option_in
from brushbench.cli.study_file import StudyFile, load_study
from brushbench.cli.tracking import Tracking, tracking_to
from brushbench.core.errors import UserError, one_line
from brushbench.core.notes import hearing
from brushbench.storage.places import folder_here

if TYPE_CHECKING:
    from brushbench.cli.progress import Display
    from brushbench.evaluation.methods import LoadedMethod
    from brushbench.evaluation.resolve import Task
    from brushbench.evaluation.seeds import Seeds
    from brushbench.runs.config import RunConfig
    from brushbench.runs.folder import Run


@command()
@click.argument("study", required=False, is_eager=True, callback=load_study, metavar="[STUDY.toml]")
@method_options
@data_options
@metrics_options
@partial_option
@tracking_option
@verbosity_options
@option_in("Output")("--gallery", is_flag=True, help="Also build a page of all samples, OUTPUT/gallery/index.html.")
# Any: what click has parsed, by option.
def run_command(study: StudyFile | None, gallery: bool, **asked: Any) -> int:
    """Inpaint every sample with a method, score the results and print a table. Rerun to resume.

    \b
    brushbench run --method brushnet,powerpaint --split inside,outside
    brushbench run study.toml
    brushbench run study.toml --limit 8 --device cuda:1

    A study is a file that names methods with their options, splits and seeds, and the tables, figures and gallery to
    make of them; see docs/studies.md. Its paths are relative to the file, and options given beside it win.
    """
    if study is not None:
        from brushbench.cli.study import run_study

        return run_study(study, asked, gallery=gallery)
    return _all_jobs(asked, scored=True, gallery=gallery)


@command()
@method_options
@data_options
@partial_option
@tracking_option
@verbosity_options
# Any: what click has parsed, by option.
def generate_command(**asked: Any) -> int:
    """Inpaint every sample with a method and store the images. Rerun to resume."""
    return _all_jobs(asked | {"metrics": None, "metric_options": ()}, scored=False)


# Any: what click has parsed, by option.
def _all_jobs(asked: dict[str, Any], *, scored: bool, gallery: bool = False) -> int:
    from brushbench.cli.progress import showing_progress

    page = folder_here("--gallery with --output", asked["output"]) / GALLERY if gallery else None
    with showing_progress(loading_line(asked)) as display:
        from brushbench.evaluation.grid import ALL, expand_jobs, expand_methods

        template, names, splits = asked_for(asked)
        seeds = seeds_asked(asked)
        jobs = expand_jobs(template, expand_methods(names), splits, lenient=ALL in names)
        runs = all_done(jobs, display, lenient=ALL in names, scored=scored, log_to=asked["log_to"], seeds=seeds)
    told = {"requested": named_metrics(template) if scored else (), "allow_partial": asked["allow_partial"]}
    code = tables(runs, table=scored, **told, style=mean_of(seeds))
    if page:
        add_gallery(runs, page)
    return code


# Any: what click has parsed, by option.
def loading_line(asked: dict[str, Any]) -> str:
    """Say what is loaded before anything else can be said."""
    return one_line(f"loading PyTorch, then {asked['method']} and {asked['dataset'] or 'the data set'}", 200)


def all_done(
    jobs: "Sequence[Sequence[RunConfig]]",
    display: "Display",
    *,
    lenient: bool,
    headings: Sequence[str] = (),
    scored: bool = True,
    log_to: str | None = None,
    seeds: "Seeds | None" = None,
) -> "list[Run]":
    """Make the runs, showing progress, and draw a contact sheet for each.

    Each group of configurations shares one loaded method, or one for each kind of masks that needs its own, and may
    have a heading. A method that cannot be loaded is left out if `lenient`, else an error. All groups share the data
    set and its options. If not `scored`, images are only generated. Runs are logged to the trackers in `log_to`. With
    `seeds`, each configuration is made under each of them instead of its own. What libraries warn of outside the making
    of a single run becomes a note of every run.
    """
    from brushbench.evaluation.evaluate import preflight
    from brushbench.evaluation.resolve import task_of

    with tracking_to(log_to, jobs[0][0].output) as tracking, hearing() as notes:
        display.loading(one_line(f"opening {jobs[0][0].dataset or 'the data set'}"))
        # All groups have the same splits of the same data.
        opened = {config.split: task_of(config, scored=scored) for config in jobs[0]}
        if scored:
            display.loading(_metrics_line(opened.values()))
        tasks = {split: preflight(task) for split, task in opened.items()}
        display.announce(data_line(next(iter(tasks.values()))))
        if seeds:
            jobs = _under_seeds(jobs, seeds, tasks, display)
        display.plan([tasks[config.split].requested * (1 + scored) for configs in jobs for config in configs])
        finished = _finished(tasks, jobs, headings, lenient, display, tracking)
        display.loading("drawing contact sheets")
        for run, task in finished:
            with run.noting():
                add_contact_sheet(run, task.dataset)
            tracking.end(run)
    notes += [note for task in tasks.values() for note in task.notes]
    for run, _ in finished:
        run.add_notes(notes)
    return [run for run, _ in finished]


def _under_seeds(
    jobs: "Sequence[Sequence[RunConfig]]", seeds: "Seeds", tasks: "Mapping[str, Task]", display: "Display"
) -> "list[list[RunConfig]]":
    """Return the configurations under each seed; say which methods draw nothing by chance."""
    from brushbench.evaluation.seeds import names_ignoring, under_seeds

    if alike := names_ignoring([config for configs in jobs for config in configs]):
        display.announce(one_line(f"one run instead of {len(seeds.values)}, as no seed changes it: {', '.join(alike)}"))
    return [
        [own for config in configs for own in under_seeds(config, seeds, tasks[config.split].dataset)]
        for configs in jobs
    ]


def _metrics_line(tasks: "Iterable[Task]") -> str:
    selected = [metric.info.name for task in tasks if task.selection for metric in task.selection.metrics]
    return one_line(f"checking the networks of {', '.join(dict.fromkeys(selected))}", 200)


def _finished(
    tasks: "Mapping[str, Task]",
    jobs: "Sequence[Sequence[RunConfig]]",
    headings: Sequence[str],
    lenient: bool,
    display: "Display",
    tracking: Tracking,
) -> "list[tuple[Run, Task]]":
    """Return the runs that could be made, each with its task."""
    from brushbench.evaluation.evaluate import make

    finished: list[tuple[Run, Task]] = []
    told, begun = "", 0
    for configs, heading in zip_longest(jobs, headings):
        display.loading(one_line(f"loading {configs[0].method}"))
        try:
            groups = _loaded([replace(tasks[config.split], config=config) for config in configs])
        except UserError as error:
            if not lenient:
                raise
            begun += len(configs)
            tell(f"{configs[0].method} is left out: {error}")
            continue
        for index, (branch, method, same) in enumerate(groups):
            if method and method.origin and method.origin != told:
                told = method.origin
                display.announce(one_line(f"weights of {method.name}: {method.origin}"))
            if branch:
                display.announce(one_line(f"branch of {same[0].config.method}: {branch}"))
            if heading and not index:
                display.announce(one_line(heading))
            for task in same:
                _warn_of_memory(display, task, method)
                display.begin_run(begun)
                begun += 1
                finished.append((make(task, method, tracking.following(task.path, display)), task))
    if not finished:
        raise UserError("none of the methods could be loaded")
    return finished


def _warn_of_memory(display: "Display", task: "Task", method: "LoadedMethod | None") -> None:
    from brushbench.evaluation.batch_size import memory_warning

    if method and task.config.batch_size == "auto" and (warning := memory_warning(task.dataset, method)):
        display.announce(one_line(warning))


def _loaded(tasks: "Sequence[Task]") -> "list[tuple[str, LoadedMethod | None, list[Task]]]":
    """Group a method's tasks by the branch that they share, with the method loaded, or None if a cluster loads it.

    All branches are loaded before anything is generated, so that a missing one is reported at once.
    """
    from brushbench.evaluation.resolve import find_configured, load_configured

    found = [(find_configured(task), task) for task in tasks]
    by_branch = groupby(found, key=lambda pair: pair[0].branch(pair[1].config.method_options()))
    groups = [(branch, list(pairs)) for branch, pairs in by_branch]
    here = tasks[0].config.engine == "local"
    firsts = {branch: pairs[0] for branch, pairs in reversed(groups)} if here else {}
    methods = {branch: load_configured(task.config, method) for branch, (method, task) in firsts.items()}
    return [(branch, methods.get(branch), [task for _, task in pairs]) for branch, pairs in groups]
