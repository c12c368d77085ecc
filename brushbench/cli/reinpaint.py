"""The `reinpaint` command: how consistent the images of runs are with a second inpainting."""

from typing import Any

import click

from brushbench.cli.results import tables
from brushbench.cli.screen import tell, verbosity_options
from brushbench.cli.sections import command, option_in
from brushbench.core.errors import one_line

_method, _metric, _computing = option_in("Method"), option_in("Metrics"), option_in("Computing")


@command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--root", metavar="DIR", help="Folder of the data set. Default: the run's.")
@click.option("--limit", type=int, metavar="N", help="Use only the first N samples.")
@_method("--method", metavar="M", help="Name, or path/to/file.py:Class. Default: each run's own, with its options.")
@_method("--weights", metavar="W", help="Family, TOML file, or folder of the method. Default: the data set's, or sd15.")
@_method("-o", "--option", "options", multiple=True, metavar="K=V", help="An option of --method.")
@_metric("--masks", "count", type=int, default=4, show_default=True, metavar="K", help="Second masks for each image.")
@_metric(
    "--where",
    type=click.Choice(["outside", "inside"]),
    default="outside",
    show_default=True,
    help="Inpaint again what was known, or parts of what was inpainted.",
)
@_metric("--share", type=float, metavar="P", help="Masked share of the cells.  [default: 0.4 outside, 0.5 inside]")
@_metric("--distance", default="lpips@whole", show_default=True, metavar="M", help="Metric that compares both images.")
@_metric(
    "--metric-option",
    "metric_options",
    multiple=True,
    metavar="M.K=V",
    help="An option of the distance, such as lpips.net=alex.",
)
@_computing("--device", default="auto", show_default=True, metavar="[auto|cpu|cuda|cuda:N|mps]", help="Device to use.")
@_computing(
    "--dtype",
    default="auto",
    show_default=True,
    metavar="[auto|float32|float16|bfloat16]",
    help="Precision. Default: the run's for its own method.",
)
@verbosity_options
def reinpaint_command(runs: tuple[str, ...], root: str | None, **asked: Any) -> int:
    """Inpaint the images of runs again under other masks, measure how much changes, and print a table.

    An image that is consistent hardly changes when random squares of its known pixels are inpainted again, with what
    was inpainted first as their context. No source is needed; but blur is consistent, too, so read it beside a metric
    of quality. It costs K more images for each image of a run. Scores are stored batch by batch: run the same command
    again to resume.
    """
    from brushbench.cli.progress import showing_progress
    from brushbench.core.options import parse_metric_pairs, parse_pairs

    asked["options"] = parse_pairs(asked["options"])
    asked["metric_options"] = parse_metric_pairs(asked["metric_options"])
    loading = one_line(f"loading PyTorch, to inpaint {', '.join(runs)} again", 200)
    with showing_progress(loading) as watch:
        from brushbench.evaluation.patches import Patches
        from brushbench.evaluation.reinpaint import ReinpaintOptions, reinpaint
        from brushbench.runs.folders import expand

        patches = Patches(asked.pop("count"), asked.pop("where"), asked.pop("share"))
        again = ReinpaintOptions(patches=patches, **asked)
        found = expand(runs)
        watch.plan([run.record.asked for run in found])
        names = []
        for number, run in enumerate(found):
            watch.begin_run(number)
            names.append(reinpaint(run, again, root, watch, tell))
    return tables(found, requested=list(dict.fromkeys(names)), allow_partial=True)
