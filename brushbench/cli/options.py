"""The options that commands share, and how they are parsed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from brushbench.cli.sections import Decorated, option_in
from brushbench.core.errors import UserError, one_line

if TYPE_CHECKING:
    from brushbench.core.options import Value
    from brushbench.evaluation.seeds import Seeds
    from brushbench.runs.config import RunConfig


SETS = "fid, kid, cmmd, ..."
NOT_OF_RUN = ("method", "split", "allow_partial", "log_to", "seeds", "samples")
"""Options of the commands that aren't those of a single run."""


def _stack(*decorators: Callable[[Decorated], Decorated]) -> Callable[[Decorated], Decorated]:
    def decorate(command: Decorated) -> Decorated:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


_data, _method, _metric = option_in("Data"), option_in("Method"), option_in("Metrics")
_computing, _output = option_in("Computing"), option_in("Output")

data_options = _stack(
    _data("--dataset", metavar="D", help="Name or FILE.py:CLASS; see `list datasets`. Default: BrushBench if found."),
    _data("--root", metavar="DIR", help="Folder of the data set. Default: where `doctor` finds it."),
    _data("--data-option", "dataset_options", multiple=True, metavar="K=V", help="An option of the data set."),
    _data("--split", default="inside", show_default=True, metavar="S[,S...]", help="Splits to run."),
    _data(
        "--size",
        metavar="native|N",
        help="Resize samples to N pixels, or to what the method's models were made for.  [default: as they are]",
    ),
    _data("--limit", type=int, metavar="N", help="Use only the first N samples."),
    _metric(
        "--protocol",
        default="strict",
        show_default=True,
        metavar="[strict|paper]",
        help="Correct numbers, or those of the official script.",
    ),
    _output(
        "--output",
        default="runs",
        show_default=True,
        metavar="DIR|URL",
        help="Parent of run folders: a folder, or s3://BUCKET/PREFIX.",
    ),
)
partial_option = _output(
    "--allow-partial", is_flag=True, help="Exit with code 0, not 3, if some samples were never generated."
)
tracking_option = _output(
    "--log-to", metavar="[wandb|mlflow|tensorboard][,...]", help="Also log parameters, progress and means to trackers."
)
method_choice = _method(
    "--method", required=True, metavar="M[,M...]|all", help="Names, or path/to/file.py:Class; see `list methods`."
)
image_options = _stack(
    _method(
        "--weights",
        metavar="W",
        help="Family, TOML file, or folder in diffusers layout. Default: the data set's, or sd15.",
    ),
    _method(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="K=V",
        help="An option of the method; see `list methods NAME`.",
    ),
    _method("--steps", type=int, metavar="N", help="Short for -o steps=N."),
    _method("--guidance", type=float, metavar="G", help="Short for -o guidance=G."),
    _method("--seed", type=int, default=1234, show_default=True, metavar="S", help="Seed of the run."),
    _computing(
        "--device", default="auto", show_default=True, metavar="[auto|cpu|cuda|cuda:N|mps]", help="Device to use."
    ),
    _computing(
        "--dtype",
        default="auto",
        show_default=True,
        metavar="[auto|float32|float16|bfloat16]",
        help="Precision; auto is float16 on a GPU, else float32.",
    ),
    _computing(
        "--compute",
        default="plain",
        show_default=True,
        metavar="[plain|fast]",
        help="How to compute; images of `fast` differ slightly.",
    ),
)
engine_options = _stack(
    _computing(
        "--engine",
        default="local",
        show_default=True,
        metavar="[local|ray]",
        help="Where to compute; ray shares the samples among a cluster.",
    ),
    _computing("--workers", type=int, metavar="N", help="Workers of a cluster.  [default: one per GPU]"),
    _computing("--fetch", is_flag=True, help="Let each machine of a cluster download what it lacks."),
)
method_options = _stack(
    method_choice,
    image_options,
    _computing("--batch-size", default="auto", show_default=True, metavar="N|auto", help="Samples per call."),
    _method("--seeds", metavar="S,S[,...]", help="Generate every sample under each of these seeds, in OUTPUT/seed=S."),
    _method("--samples", type=int, metavar="K", help="Short for K seeds: --seed and the next ones."),
    engine_options,
    _computing(
        "--store",
        default="driver",
        show_default=True,
        metavar="[driver|shared]",
        help="Who writes a cluster's images: this process, or each worker into a shared folder.",
    ),
    _computing("--shard", default="1/1", metavar="I/N", help="Run only every N-th sample, starting with the I-th."),
    _output("--fresh", is_flag=True, help="Start over; an existing run is moved to OUTPUT/.aside."),
    _output("--max-failures", type=int, metavar="N", help="Stop when more than N samples have failed."),
)
metrics_options = _stack(
    _metric(
        "--metrics",
        metavar="M[,M...]",
        help="Names or FILE.py:CLASS, optionally with a region (psnr@painted); see `list metrics`.",
    ),
    _metric(
        "--metric-option",
        "metric_options",
        multiple=True,
        metavar="M.K=V",
        help="An option of a metric, such as lpips.net=alex; see `list metrics NAME`.",
    ),
    _metric(
        "--reference",
        metavar="DIR",
        help="Pictures to compare the images with in metrics of sets (fid, ...). Default: their own sources.",
    ),
)


def metric_options(names: str | None, pairs: Sequence[str], reference: str | None) -> "dict[str, dict[str, Value]]":
    """Return the options of metrics by name, with the references of all set metrics that are named.

    Raises `UserError` for pairs of another form, and for references without such a metric.
    """
    from brushbench.core.metric_info import parted
    from brushbench.core.options import parameters, parse_metric_pairs
    from brushbench.core.registry import load_class
    from brushbench.runs.config import split_names

    found = parse_metric_pairs(pairs)
    if reference is None:
        return found
    bases = [parted(name)[0] for name in split_names(names or "")]
    sets = [base for base in bases if "reference" in parameters(base, load_class("metric", base))]
    if not sets:
        raise UserError(f"--reference has no effect without a metric of sets; valid with it: --metrics {SETS}")
    for base in sets:
        found.setdefault(base, {}).setdefault("reference", reference)
    return found


# Any: what click has parsed, by option.
def asked_for(asked: dict[str, Any]) -> "tuple[RunConfig, list[str], list[str]]":
    """Return the configuration that all runs share, with the first method; the methods as named; and the splits."""
    from brushbench.core.options import parse_pairs
    from brushbench.evaluation.grid import expand_methods
    from brushbench.runs.config import RunConfig, split_names

    names, splits = split_names(asked["method"]), split_names(asked["split"])
    shared = {key: value for key, value in asked.items() if key not in NOT_OF_RUN}
    shared["options"] = parse_pairs(asked["options"])
    shared["metric_options"] = metric_options(asked["metrics"], asked["metric_options"], shared.pop("reference", None))
    shared["dataset_options"] = parse_pairs(asked["dataset_options"])
    shared["batch_size"] = _batch_size(asked["batch_size"])
    shared["size"] = size_named(asked["size"])
    return RunConfig(method=expand_methods(names)[0], **shared), names, splits


# None, a number or `native`: what RunConfig takes.
def size_named(text: str | None) -> Any:
    """Return the size in a text. Raises `UserError` for a text that is none."""
    if text is not None and text != "native" and not text.isdecimal():
        raise UserError(one_line(f"size {text!r}; valid: native, or a number of pixels, such as 512"))
    return int(text) if text and text.isdecimal() else text


# Any: what click has parsed, by option.
def seeds_asked(asked: dict[str, Any]) -> "Seeds | None":
    """Return the seeds of `--seeds` or `--samples`; None for the single one of `--seed`.

    Raises `UserError` for invalid seeds, and for options that exclude each other.
    """
    from brushbench.evaluation.seeds import parse_seeds, samples

    if asked["seeds"] is None:
        return None if asked["samples"] is None else samples(asked["samples"], asked["seed"])
    given = click.get_current_context().get_parameter_source("seed") == ParameterSource.COMMANDLINE
    if given or asked["samples"] is not None:
        other = "--seed" if given else "--samples"
        raise UserError(
            f"--seeds and {other} are both given; valid: --seeds alone, or --samples with or without --seed"
        )
    return parse_seeds(asked["seeds"])


def _batch_size(text: str) -> int | str:
    if text != "auto" and not text.isdecimal():
        raise UserError(one_line(f"batch size {text!r}; valid: 1 or more, or auto"))
    return text if text == "auto" else int(text)
