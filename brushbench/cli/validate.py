"""The `validate` command: try a plug-in."""

from pathlib import Path

import click
from click.core import ParameterSource

from brushbench.core.errors import UserError, one_line

FOUND = 1
MEANING = {
    "method": ("weights", "device", "dtype"),
    "metric": ("device",),
    "dataset": ("root", "split"),
}
"""Options that apply to each kind of plug-in."""


@click.command()
@click.argument("plug_in", metavar="FILE.py:CLASS|NAME")
@click.option("--kind", type=click.Choice([*MEANING]), help="Kind of plug-in. Default: recognised from its class.")
@click.option("-o", "--option", "options", multiple=True, metavar="K=V", help="An option of the plug-in.")
@click.option("--weights", metavar="W", help="Weights, for a method that loads some.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, mps.")
@click.option("--dtype", default="auto", show_default=True, help="auto, float32, float16, bfloat16.")
@click.option("--root", metavar="DIR", help="Folder of the data set, for a data set.")
@click.option("--split", metavar="S[,S...]", help="Splits, for a data set. Default: all that it declares, or inside.")
def validate_command(
    plug_in: str,
    kind: str | None,
    options: tuple[str, ...],
    weights: str | None,
    device: str,
    dtype: str,
    root: str | None,
    split: str | None,
) -> int:
    """Try a plug-in method, metric or data set on a tiny batch, and print each problem on a line.

    \b
    brushbench validate my_method.py:MyMethod -o checkpoint=FILE
    brushbench validate my_metric.py:MyMetric
    brushbench validate NAME

    Checks shapes, dtypes and options, and that results stay the same when the plug-in is called again, with other
    samples in the batch, and with the samples in another order. Exit code 0: no problems, 1: problems.
    """
    from brushbench.core.options import parse_pairs
    from brushbench.evaluation.validation.findings import Asked
    from brushbench.evaluation.validation.kinds import KINDS, kind_of
    from brushbench.evaluation.validation.kinds import validate_plug_in as look
    from brushbench.runs.config import split_names
    from brushbench.weights.runtime import device_named

    found_kind = next((each for each in KINDS if each == kind), None) or kind_of(plug_in)
    _check_meaning(found_kind)
    device_named(device)
    folder = Path(root) if root is not None else None
    splits = tuple(split_names(split)) if split is not None else ()
    asked = Asked(plug_in, found_kind, parse_pairs(options), weights, device, dtype, folder, splits)
    found = look(asked)
    for finding in found:
        click.echo(one_line(str(finding), 1000))
    if not found:
        click.echo(f"{plug_in}: no problems found in this {found_kind}")
    return FOUND if found else 0


def _check_meaning(kind: str) -> None:
    """Raise `UserError` for a given option that does not apply to this kind of plug-in."""
    context = click.get_current_context()
    for name in {each for names in MEANING.values() for each in names} - {*MEANING[kind]}:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UserError(f"--{name} does not apply to a {kind}; valid: {_options_of(kind)}")


def _options_of(kind: str) -> str:
    return ", ".join(["--option", *(f"--{name}" for name in MEANING[kind])])
