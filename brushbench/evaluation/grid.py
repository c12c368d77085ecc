"""One command line to many runs: methods x splits x values of options, each with the options that it knows."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import product
from pathlib import Path
from typing import Any

from brushbench.core.capture import Failure, capture
from brushbench.core.compute import PLAIN, refuse_without_weights
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.method_options import check_options, loads_weights, option_names
from brushbench.core.options import Value
from brushbench.core.registry import is_built_in, load_class, registered
from brushbench.runs.config import RunConfig

ALL = "all"
FOLDER = "sweep"
"""In the folder of the runs; theirs are named after a data set and a split, with a hyphen between."""
MOST = 200
"""Values of an option, and runs of a method on a split."""
FORM = "valid is option=start:stop:step, with both ends, or option=value,value,..."


@dataclass(frozen=True, slots=True)
class Variation:
    """The values of an option, as given."""

    option: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The runs of a method with one setting of the options that vary, one for each split."""

    method: str
    setting: Mapping[str, str]
    """The values, in the form in which every spelling of them is the same."""
    configs: tuple[RunConfig, ...]


def expand_methods(names: Sequence[str]) -> list[str]:
    """The methods meant; `all` is every registered one."""
    chosen = [*registered("method")] if ALL in names else list(names)
    if not chosen:
        raise UserError("no method is named; valid: `brushbench list methods`, or all")
    if len(set(chosen)) != len(chosen):
        raise UserError(one_line(f"a method is named twice in {', '.join(chosen)}"))
    return chosen


def expand_jobs(
    template: RunConfig, methods: Sequence[str], splits: Sequence[str], *, lenient: bool = False
) -> list[list[RunConfig]]:
    """For each method its runs, one per split.

    An option goes to the methods that have it, weights and the compute recipe to those that are made from some. Raises
    `UserError` for what none of them takes, and for a value that a method refuses. If `lenient`, what is wrong with a
    plug-in is only found out when it is loaded.
    """
    if not splits or len(set(splits)) != len(splits):
        raise UserError(one_line(f"splits {list(splits)}: valid is at least one, each once"))
    options = template.method_options()
    strict = [method for method in methods if not lenient or is_built_in("method", method)]
    classes = {method: load_class("method", method) for method in strict}
    known = {method: option_names(cls) for method, cls in classes.items()}
    for method in set(methods) - set(strict):
        classes[method] = capture(load_class, "method", method)
        known[method] = _known(classes[method])
    weighty = {method: loads_weights(cls) for method, cls in classes.items()}
    if template.weights is not None and not any(weighty.values()):
        raise UserError(one_line(f"weights: {', '.join(methods)} has none"))
    if not any(weighty.values()):
        refuse_without_weights(template.compute, ", ".join(methods))
    for key in options:
        if not any(key in names for names in known.values()):
            raise unknown(f"option of {', '.join(methods)}", key, {name for names in known.values() for name in names})
    jobs = []
    for method in methods:
        own: Mapping[str, Value] = {key: value for key, value in options.items() if key in known[method]}
        if method in strict:
            check_options(method, classes[method], own)
        weights, compute = (template.weights, template.compute) if weighty[method] else (None, PLAIN)
        config = replace(template, method=method, options=own, weights=weights, compute=compute)
        config = replace(config, steps=None, guidance=None)
        jobs.append([replace(config, split=split) for split in splits])
    return jobs


def parse_variation(text: str) -> Variation:
    """`scale=0:1:0.2`, `blur=1,11,21` -> the values. Raises `UserError` for anything else."""
    option, separator, given = text.partition("=")
    values = [value.strip() for value in given.split(",")]
    if not (separator and option and all(values)):
        raise UserError(one_line(f"--vary {text!r}: {FORM}"))
    if len(values) == 1 and given.count(":") == 2:
        values = _range(text, given)
    if len(values) > MOST:
        raise UserError(one_line(f"--vary {text!r}: {len(values)} values, valid are up to {MOST}"))
    return Variation(option, tuple(values))


def plan(
    template: RunConfig, names: Sequence[str], splits: Sequence[str], variations: Sequence[Variation]
) -> list[Planned]:
    """The grid of all values for every method; `all` are those that have the options. Nothing is loaded.

    The first option varies fastest. Every setting has a folder of its own below `output`, `sweep/scale=0.4`, so runs of
    `run` and of other settings are never touched. Raises `UserError` for an option that a method hasn't or that is
    given as an option too, a value that it refuses, and a value that occurs twice.
    """
    options = [variation.option for variation in variations]
    if len(set(options)) != len(options):
        raise UserError(one_line(f"--vary names an option twice in {', '.join(options)}"))
    if fixed := set(options) & template.method_options().keys():
        raise UserError(one_line(f"{', '.join(sorted(fixed))} can't vary and be given as an option too"))
    methods = expand_methods(names)
    if ALL in names:
        methods = [method for method in methods if set(options) <= _known(capture(load_class, "method", method))]
    planned = [made for method in methods for made in _planned(template, method, splits, variations)]
    if not planned:
        raise UserError(one_line(f"no method has the options {', '.join(options)}"))
    return planned


def blended(template: RunConfig, variations: Sequence[Variation]) -> RunConfig:
    """With `blend=blur` where `blur` varies, which means nothing otherwise.

    Raises `UserError` if another blend is asked for.
    """
    varied = {variation.option: variation.values for variation in variations}
    blends = varied.get("blend") or ([template.options["blend"]] if "blend" in template.options else [])
    if "blur" not in varied or (blends and set(blends) == {"blur"}):
        return template
    if blends:
        raise UserError(one_line(f"blur has no effect with blend={', '.join(map(str, blends))}; valid: blend=blur"))
    return replace(template, options={**template.options, "blend": "blur"})


def _range(text: str, given: str) -> list[str]:
    try:
        start, stop, step = (Decimal(part.strip()) for part in given.split(":"))
    except InvalidOperation as error:
        raise UserError(one_line(f"--vary {text!r}: not numbers; {FORM}")) from error
    if not all(number.is_finite() and abs(number.adjusted()) < 50 for number in (start, stop, step)):
        raise UserError(one_line(f"--vary {text!r}: not finite numbers; {FORM}"))
    if step == 0 or (stop - start) / step < 0:
        raise UserError(one_line(f"--vary {text!r}: a step of {step} never comes from {start} to {stop}"))
    # Exact decimals: in binary, 0:1:0.2 would hardly end with 1. Compared before it is counted: it may be huge.
    steps = (stop - start) / step
    if steps >= MOST:
        raise UserError(one_line(f"--vary {text!r}: over {MOST} values"))
    return [format((start + step * index).normalize(), "f") for index in range(int(steps) + 1)]


def _planned(template: RunConfig, method: str, splits: Sequence[str], variations: Sequence[Variation]) -> list[Planned]:
    cls = load_class("method", method)
    for variation in variations:
        if variation.option not in option_names(cls):
            raise unknown(f"option of {method}", variation.option, option_names(cls))
    planned: dict[str, Planned] = {}
    given = template.method_options()
    own = {key: value for key, value in given.items() if key in option_names(cls)}
    grid = list(product(*(variation.values for variation in reversed(variations))))
    if len(grid) > MOST:
        raise UserError(f"--vary: {len(grid)} runs of {method}, valid are up to {MOST}")
    for values in grid:
        varied: dict[str, Value] = {
            variation.option: value for variation, value in zip(variations, reversed(values), strict=True)
        }
        built = check_options(method, cls, {**own, **varied})
        setting = {key: str(built[key]) for key in varied}
        folder = ",".join(f"{_safe(key)}={_safe(value)}" for key, value in setting.items())
        if folder in planned:
            raise UserError(one_line(f"--vary: {folder} occurs twice"))
        config = replace(
            template,
            options={**given, **varied},
            steps=None,
            guidance=None,
            output=Path(template.output) / FOLDER / folder,
        )
        planned[folder] = Planned(method, setting, tuple(expand_jobs(config, [method], splits)[0]))
    return list(planned.values())


# Any: the class of a method, or why there is none.
def _known(cls: Any) -> set[str]:
    """The names of a method's options; none if it can't be imported or asked."""
    names = cls if isinstance(cls, Failure) else capture(option_names, cls)
    return set() if isinstance(names, Failure) else names


def _safe(text: str) -> str:
    """The text in a form that can be part of a folder's name; if it had to be changed, a hash tells it apart."""
    clean = re.sub(r"[^\w.+-]", "_", text, flags=re.ASCII)[:40]
    return clean if clean == text else f"{clean}~{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
