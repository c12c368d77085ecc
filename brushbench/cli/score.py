"""The `score` command: score run folders, or images made elsewhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from brushbench.cli.options import (
    data_options,
    engine_options,
    metric_options,
    metrics_options,
    partial_option,
    size_named,
    tracking_option,
)
from brushbench.cli.results import (
    SOME_FAILED,
    add_contact_sheet,
    columns_of,
    data_line,
    mean_of,
    named_metrics,
    tables,
)
from brushbench.cli.screen import verbosity_options
from brushbench.cli.sections import command
from brushbench.cli.tracking import tracking_to
from brushbench.core.errors import UserError, one_line
from brushbench.runs.seed_folders import home_of, seed_told

if TYPE_CHECKING:
    from brushbench.evaluation.import_images import Imported


@command(sections={"Images made elsewhere": ("images", "name")})
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--images", metavar="DIR", help="Score images made elsewhere: DIR/ID.png, or DIR/SEED/ID.png.")
@click.option("--name", default="external", show_default=True, help="Name of the method that made them.")
@data_options
@metrics_options
@engine_options
@partial_option
@tracking_option
@verbosity_options
def score_command(runs: tuple[str, ...], images: str | None, name: str, allow_partial: bool, **asked: Any) -> int:
    """Score run folders, or images made elsewhere (--images), and print a table."""
    from brushbench.core.options import parse_pairs
    from brushbench.runs.config import split_names

    if bool(runs) == bool(images):
        raise UserError("score needs either run folders or --images DIR")
    if runs:
        _check_only_of_runs()
    asked["metric_options"] = metric_options(asked["metrics"], asked["metric_options"], asked.pop("reference"))
    asked["dataset_options"] = parse_pairs(asked["dataset_options"])
    asked["size"] = size_named(asked["size"])
    log_to: str | None = asked.pop("log_to")
    if images is None:
        names = split_names(asked["metrics"]) if asked["metrics"] else None
        return _score_runs(runs, names, asked, log_to, allow_partial)
    return _score_images(images, name, asked, log_to)


# Any: what click has parsed, by option.
def _score_images(images: str, name: str, asked: dict[str, Any], log_to: str | None) -> int:
    """Score images made elsewhere, of one seed or of several."""
    from brushbench.cli.progress import showing_progress

    loading = one_line(f"loading PyTorch, to score {images}", 200)
    with showing_progress(loading) as watch, tracking_to(log_to, asked["output"]) as tracking:
        from brushbench.evaluation.evaluate import score_images, score_seeds
        from brushbench.evaluation.import_images import seed_folders_in
        from brushbench.runs.config import RunConfig

        config, folders = RunConfig(method="copy", **asked), seed_folders_in(Path(images))
        done = (
            score_seeds(folders, name, config, watch) if folders else [score_images(Path(images), name, config, watch)]
        )
        for imported, _, task in done:
            with imported.run.noting():
                add_contact_sheet(imported.run, task.dataset)
            tracking.end(imported.run)
    click.echo(data_line(done[0][2]), err=True)
    runs = [imported.run for imported, _, _ in done]
    code = tables(runs, requested=named_metrics(config), style=mean_of(folders))
    for imported, wrong_sizes, _ in done:
        _tell_problems(imported, wrong_sizes)
    return code or (SOME_FAILED if any(sizes for _, sizes, _ in done) else 0)


def _tell_problems(imported: "Imported", wrong_sizes: Mapping[str, str]) -> None:
    """Print what is odd about the images of a folder."""
    sizes = [f"{key} ({size})" for key, size in sorted(wrong_sizes.items())]
    for problem, told in (
        ("samples have no image", imported.missing),
        ("files belong to no sample", imported.extra),
        ("images are of the wrong size", sizes),
        *((f"images are {remark}", ids) for remark, ids in imported.odd.items()),
    ):
        if told:
            click.echo(one_line(f"{len(told)} {problem}{seed_told(imported.run.path)}: {', '.join(told)}"), err=True)


# Any: what click has parsed, by option.
def _score_runs(
    runs: Sequence[str], names: Sequence[str] | None, asked: dict[str, Any], log_to: str | None, allow_partial: bool
) -> int:
    from brushbench.cli.progress import showing_progress
    from brushbench.runs.config import Engine

    options = asked["metric_options"]
    engine = Engine(asked["engine"], asked["workers"], asked["fetch"])
    loading = one_line(f"loading PyTorch, to score {', '.join(runs)}", 200)
    with showing_progress(loading) as watch, tracking_to(log_to, asked["output"]) as tracking:
        from brushbench.evaluation.evaluate import score as score_run
        from brushbench.runs.folders import expand

        found = expand(runs)
        watch.plan([run.record.asked for run in found])
        scored = []
        for number, run in enumerate(found):
            watch.begin_run(number)
            following = tracking.following(run.path, watch)
            scored.append(score_run(run, names, asked["root"], following, metric_options=options, engine=engine))
            tracking.end(scored[-1])
    requested = columns_of([*(names or ()), *options], options)
    has_seeds = any(home_of(run.path)[1] is not None for run in scored)
    return tables(scored, requested=requested, allow_partial=allow_partial, style=mean_of(has_seeds))


def _check_only_of_runs() -> None:
    """Raise `UserError` for an option without effect on a run folder, which has its own options."""
    context = click.get_current_context()
    valid = (
        "runs",
        "root",
        "metrics",
        "metric_options",
        "reference",
        "engine",
        "workers",
        "fetch",
        "allow_partial",
        "log_to",
    )
    options = [option for option in context.command.params if option.name not in (*valid, "images", "help")]
    for option in options:
        source = context.get_parameter_source(str(option.name))
        if source not in (None, ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            raise UserError(
                f"{option.opts[0]} has no effect on a RUN, which has its own options; valid with it: --root, "
                "--metrics, --metric-option, --reference, --engine, --workers, --fetch, --allow-partial, --log-to"
            )
