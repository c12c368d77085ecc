"""The commands that paint and score: run, generate, score."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from brushbench.errors import UserError, one_line
from brushbench.notes import hearing

if TYPE_CHECKING:
    from brushbench.config import RunConfig
    from brushbench.options import Value
    from brushbench.runs.folder import Run
    from brushbench.work import ProgressCallback

SOME_FAILED = 3
Command = TypeVar("Command", bound=Callable[..., Any])


def _stack(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


data_options = _stack(
    click.option(
        "--dataset", metavar="D", help="Name or FILE.py:CLASS; see `list datasets`. Default: BrushBench if it is found."
    ),
    click.option("--root", metavar="DIR", help="Folder of the data set. Default: where `doctor` finds it."),
    click.option("--data-option", "dataset_options", multiple=True, metavar="K=V", help="An option of the data set."),
    click.option("--split", default="inside", show_default=True, metavar="S[,S...]", help="Splits to run."),
    click.option("--limit", type=int, metavar="N", help="Use only the first N samples."),
    click.option("--protocol", default="strict", show_default=True, help="paper or strict."),
    click.option("--output", default="runs", show_default=True, metavar="DIR", help="Parent folder of run folders."),
)
partial_option = click.option(
    "--allow-partial", is_flag=True, help="Exit with code 0, not 3, if some samples were never generated."
)
method_options = _stack(
    click.option("--method", required=True, metavar="M[,M...]|all", help="Names, or path/to/file.py:Class."),
    click.option(
        "--weights",
        metavar="W",
        help="Family, TOML file, or folder in diffusers layout. Default: the data set's, or sd15.",
    ),
    click.option("-o", "--option", "options", multiple=True, metavar="K=V", help="An option of the method."),
    click.option("--steps", type=int, metavar="N", help="Short for -o steps=N."),
    click.option("--guidance", type=float, metavar="G", help="Short for -o guidance=G."),
    click.option("--batch-size", default="auto", show_default=True, metavar="N|auto", help="Samples per call."),
    click.option("--seed", type=int, default=1234, show_default=True, metavar="S", help="Seed of the run."),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, mps."),
    click.option("--dtype", default="auto", show_default=True, help="auto, float32, float16, bfloat16."),
    click.option(
        "--engine", default="local", show_default=True, help="local, or ray to share the samples among a cluster."
    ),
    click.option("--shard", default="1/1", metavar="I/N", help="Run only every N-th sample, starting with the I-th."),
    click.option("--fresh", is_flag=True, help="Start over; an existing run is moved to OUTPUT/.aside."),
    click.option("--max-failures", type=int, metavar="N", help="Stop when more than N samples have failed."),
)
metrics_options = _stack(
    click.option(
        "--metrics",
        metavar="M[,M...]",
        help="Names or FILE.py:CLASS, optionally with a region (psnr@painted); see `list metrics`.",
    ),
    click.option(
        "--metric-option",
        "metric_options",
        multiple=True,
        metavar="M.K=V",
        help="An option of a metric, such as lpips.net=alex or FILE.py:CLASS.key=value.",
    ),
)


@click.command()
@method_options
@data_options
@metrics_options
@partial_option
def run(**asked: Any) -> int:
    """Inpaint every sample with a method, score the results and print a table. Rerun to resume."""
    from brushbench.benchmark import run as run_one

    return _all_jobs(asked, run_one, table=True)


@click.command()
@method_options
@data_options
@partial_option
def generate(**asked: Any) -> int:
    """Inpaint every sample with a method and store the images. Rerun to resume."""
    from brushbench.benchmark import generate as generate_one

    return _all_jobs(asked | {"metrics": None, "metric_options": ()}, generate_one, table=False)


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--images", metavar="DIR", help="Score images made elsewhere, named by sample id.")
@click.option("--name", default="external", show_default=True, help="Name of the method that made them.")
@data_options
@metrics_options
@partial_option
def score(runs: tuple[str, ...], images: str | None, name: str, allow_partial: bool, **asked: Any) -> int:
    """Score run folders, or images made elsewhere (--images), and print a table."""
    from brushbench.benchmark import score as score_run
    from brushbench.benchmark import score_images
    from brushbench.config import RunConfig, split_names
    from brushbench.loading import configured_dataset
    from brushbench.options import parse_metric_pairs, parse_pairs
    from brushbench.progress import shown
    from brushbench.reports.contact_sheet import write_contact_sheet
    from brushbench.runs.folders import expand

    if bool(runs) == bool(images):
        raise UserError("score takes run folders, or --images DIR; exactly one of the two")
    if runs:
        _check_only_of_runs()
    asked["metric_options"] = parse_metric_pairs(asked["metric_options"])
    asked["dataset_options"] = parse_pairs(asked["dataset_options"])
    with shown(partial(click.echo, err=True)) as watch:
        if images is None:
            names = split_names(asked["metrics"]) if asked["metrics"] else None
            options = asked["metric_options"]
            scored = [score_run(run, names, asked["root"], watch, metric_options=options) for run in expand(runs)]
            by_name = columns_of([*(names or ()), *options], options)
            return tables(scored, by_name=by_name, allow_partial=allow_partial)
        config = RunConfig(method="copy", **asked)
        imported, wrong_sizes = score_images(Path(images), name, config, watch)
    click.echo(_data_line(config), err=True)
    with imported.run.noting():
        write_contact_sheet(imported.run, configured_dataset(config))
    code = tables([imported.run], by_name=named_metrics(config))
    sizes = [f"{key} ({size})" for key, size in sorted(wrong_sizes.items())]
    for problem, told in (
        ("samples have no image", imported.missing),
        ("files belong to no sample", imported.extra),
        ("images are of the wrong size", sizes),
        *((f"images are {remark}", ids) for remark, ids in imported.odd.items()),
    ):
        if told:
            click.echo(one_line(f"{len(told)} {problem}: {', '.join(told)}"), err=True)
    return code or (SOME_FAILED if sizes else 0)


def _check_only_of_runs() -> None:
    """Raises `UserError` for an option that is given and means nothing for a run folder, which has its own."""
    context = click.get_current_context()
    valid = ("runs", "root", "metrics", "metric_options", "allow_partial")
    options = [option for option in context.command.params if option.name not in (*valid, "images", "help")]
    for option in options:
        source = context.get_parameter_source(str(option.name))
        if source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            raise UserError(
                f"a run has its own options, so {option.opts[0]} means nothing for RUN; valid with it: --root, "
                "--metrics, --metric-option, --allow-partial"
            )


# Any: what click has parsed, by option.
def _all_jobs(asked: dict[str, Any], work: "Callable[[RunConfig, ProgressCallback, Any], Run]", *, table: bool) -> int:
    from brushbench.grid import ALL, expand_jobs, expand_methods

    template, names, splits = asked_for(asked)
    jobs = expand_jobs(template, expand_methods(names), splits, lenient=ALL in names)
    runs = all_done(template, jobs, work, lenient=ALL in names, scored=table)
    by_name = named_metrics(template) if table else ()
    return tables(runs, table=table, by_name=by_name, allow_partial=asked["allow_partial"])


def named_metrics(config: "RunConfig") -> list[str]:
    """The metrics that are asked for, not taken because they are usual; also those that are given options."""
    return columns_of([*(config.metric_names() or ()), *config.metric_options], config.metric_options)


def columns_of(names: "Iterable[str]", options: "Mapping[str, Mapping[str, Value]]") -> list[str]:
    """What metrics are called where scores are; those of files say it themselves."""
    from brushbench.loading import load_metric
    from brushbench.metric_info import parted
    from brushbench.plugins.files import file_of

    return [
        load_metric(name, **options.get(base, {})).info.name if file_of(base := parted(name)[0]) else name
        for name in names
    ]


# Any: likewise.
def asked_for(asked: dict[str, Any]) -> "tuple[RunConfig, list[str], list[str]]":
    """The configuration that all runs share, with the first method; the methods as named, and the splits."""
    from brushbench.config import RunConfig, split_names
    from brushbench.grid import expand_methods
    from brushbench.options import parse_metric_pairs, parse_pairs

    names, splits = split_names(asked["method"]), split_names(asked["split"])
    shared = {key: value for key, value in asked.items() if key not in ("method", "split", "allow_partial")}
    shared["options"] = parse_pairs(asked["options"])
    shared["metric_options"] = parse_metric_pairs(asked["metric_options"])
    shared["dataset_options"] = parse_pairs(asked["dataset_options"])
    shared["batch_size"] = _batch_size(asked["batch_size"])
    return RunConfig(method=expand_methods(names)[0], **shared), names, splits


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
    from brushbench.benchmark import check
    from brushbench.loading import configured_dataset
    from brushbench.reports.contact_sheet import write_contact_sheet

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
    from brushbench.loading import branches_of, configured_method
    from brushbench.progress import Headed, shown

    finished: list[tuple[Run, RunConfig]] = []
    with shown(write := partial(click.echo, err=True)) as shower:
        watch = Headed(shower, write)
        watch.announce(_data_line(template))
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


def _data_line(config: "RunConfig") -> str:
    """Which data set it is, and where."""
    from brushbench.datasets import locate
    from brushbench.datasets.places import EMBEDDED

    name, root = locate(config.dataset, config.root)
    if config.dataset is not None:
        embedded = ", embedded" if name in EMBEDDED else ""
        return one_line(f"data: {name}, in {root}" if root else f"data: {name}{embedded}")
    if root:
        return one_line(f"no data set given; using {name}, found in {root}")
    remedy = "To use BrushBench, give --root DIR or set BRUSHBENCH_DATA"
    return f"BrushBench not found; using the built-in PaperCut data. {remedy}"


def tables(
    runs: "Sequence[Run]", *, table: bool = True, by_name: Sequence[str] = (), allow_partial: bool = False
) -> int:
    """Print the table and where everything is; the exit code, which is not 0 if a metric `by_name` has no score."""
    failures: dict[tuple[str, str], str | None] = {}
    for run in runs:
        failures |= {
            (str(run.path), key): entry.error for key, entry in run.ledger().items() if entry.status == "failed"
        }
    from brushbench.reports.contact_sheet import NAME

    if table:
        from brushbench.reports.formats import render
        from brushbench.reports.tables import TableOptions, report

        click.echo(render(report(runs, TableOptions()), "text") + "\n")
    for run in runs:
        click.echo(f"images and scores: {run.path}")
        if (run.path / NAME).exists():
            click.echo(f"contact sheet: {run.path / NAME}")
    # Below a table it stands among the notes.
    for run in () if table else runs:
        if count := sum(entry.padded is not None for entry in run.ledger().values()):
            told = f"{count} sample{'s' * (count > 1)} of {run.path} padded by reflection for the method, and cut back"
            click.echo(one_line(told), err=True)
    if failures:
        (path, name), error = next(iter(failures.items()))
        more = f" (and {len(failures) - 1} more; see samples.jsonl and errors/)" if len(failures) > 1 else ""
        click.echo(one_line(f"failed: {name} in {path}: {error}{more}"), err=True)
    unscored = [line for run in runs for line in _without_score(run, by_name)]
    for line in unscored:
        click.echo(one_line(line), err=True)
    changed = print_changed(runs)
    partial = [] if allow_partial else [line for run in runs for line in _not_made(run)]
    for line in partial:
        click.echo(line, err=True)
    return SOME_FAILED if failures or unscored or changed or partial else 0


def print_changed(runs: "Sequence[Run]") -> bool:
    """Say which images aren't the ones that were stored; whether there are any."""
    found = False
    for run in runs:
        if changed := run.changed_images():
            name, what = next(iter(changed.items()))
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            click.echo(one_line(f"not scored: {name} in {run.path}: {what}{more}"), err=True)
            found = True
    return found


def _not_made(run: "Run") -> Iterator[str]:
    """What is missing of a run that nobody is at work on, as a line."""
    if (missing := run.not_made()) and not run.others_at_work():
        yield one_line(
            f"not made: {missing} of {run.record.asked} samples in {run.path}; they belong to other shards, or the run "
            "was stopped. --allow-partial says that this is meant"
        )


def _without_score(run: "Run", names: Sequence[str]) -> Iterator[str]:
    """The metrics asked for by name of which a run has no score at all, each as a line with the reason."""
    from brushbench.metric_info import IDENTICAL
    from brushbench.runs.scores import read_scores, status_column

    scores = read_scores(run)
    if scores is None or all(entry.status == "failed" for entry in run.ledger().values()):
        return
    # One on its usual region is stored by its name alone.
    columns = (name if name in scores.metrics else name.partition("@")[0] for name in names)
    for column in dict.fromkeys(columns):
        if column in scores.metrics:
            statuses = scores.table[status_column(column)]
            if not statuses.isin(["", IDENTICAL]).any():
                reason = statuses.value_counts().idxmax()
                yield f"no score: {column} of all {len(statuses)} samples in {run.path}: {reason}"


def _batch_size(text: str) -> int | str:
    if text != "auto" and not text.isdecimal():
        raise UserError(one_line(f"batch size {text!r}: valid is 1 or more, or auto"))
    return text if text == "auto" else int(text)
