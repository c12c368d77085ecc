"""Expand one command line into many runs: methods x splits x option values, each method with the options it has."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any

from brushbench.core.capture import Failure, capture
from brushbench.core.compute import PLAIN, refuse_without_weights
from brushbench.core.errors import UserError, one_line, unknown
from brushbench.core.method_options import check_options, loads_weights, option_names
from brushbench.core.options import Value
from brushbench.core.registry import is_built_in, load_class, registered
from brushbench.runs.config import RunConfig
from brushbench.storage.places import local

ALL = "all"
FOLDER = "sweep"
"""Subfolder of the output folder. It can't collide with a run's, whose name is DATASET-SPLIT."""
MOST = 200
"""Limit for the values of an option, and for the runs of a method on a split."""
FORM = "valid: option=start:stop:step, with both ends, or option=value,value,..."


@dataclass(frozen=True, slots=True)
class Variation:
    """An option that varies, and its values as given."""

    option: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The runs of a method with one combination of the varied options, one per split."""

    method: str
    setting: Mapping[str, str]
    """The values by option, normalised, so that `0.50` and `0.5` are the same."""
    configs: tuple[RunConfig, ...]


def expand_methods(names: Sequence[str]) -> list[str]:
    """The named methods; `all` stands for every registered one."""
    chosen = [*registered("method")] if ALL in names else list(names)
    if not chosen:
        raise UserError("no method named; valid: all, or names from `brushbench list methods`")
    if len(set(chosen)) != len(chosen):
        raise UserError(one_line(f"a method is named twice in {', '.join(chosen)}"))
    return chosen


def expand_jobs(
    template: RunConfig, methods: Sequence[str], splits: Sequence[str], *, lenient: bool = False
) -> list[list[RunConfig]]:
    """The runs of each method, one per split.

    An option is passed to the methods that have it; weights and the compute recipe are passed to methods with weights.
    Raises `UserError` for an option that no method has, and for an invalid value. If `lenient`, errors of a plug-in
    are only reported when it is loaded.
    """
    if not splits or len(set(splits)) != len(splits):
        raise UserError(one_line(f"splits {list(splits)}; valid: one or more, none of them twice"))
    options = template.method_options()
    strict = [method for method in methods if not lenient or is_built_in("method", method)]
    classes = {method: load_class("method", method) for method in strict}
    known = {method: option_names(cls) for method, cls in classes.items()}
    for method in set(methods) - set(strict):
        classes[method] = capture(load_class, "method", method)
        known[method] = _known(classes[method])
    weighty = {method: loads_weights(cls) for method, cls in classes.items()}
    if template.weights is not None and not any(weighty.values()):
        raise UserError(one_line(f"--weights has no effect on methods without weights: {', '.join(methods)}"))
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
    """Parse `scale=0:1:0.2` or `blur=1,11,21`. Raises `UserError` for any other form."""
    option, separator, given = text.partition("=")
    values = [value.strip() for value in given.split(",")]
    if not (separator and option and all(values)):
        raise UserError(one_line(f"--vary {text!r}: {FORM}"))
    if len(values) == 1 and given.count(":") == 2:
        values = _range(text, given)
    if len(values) > MOST:
        raise UserError(one_line(f"--vary {text!r}: {len(values)} values; valid: up to {MOST}"))
    return Variation(option, tuple(values))


def plan(
    template: RunConfig, names: Sequence[str], splits: Sequence[str], variations: Sequence[Variation]
) -> list[Planned]:
    """Plan the grid of all values for every method, without loading any; `all` stands for those with the options.

    The first option varies fastest. Each combination has its own folder below `output`, such as `sweep/scale=0.4`, so
    that runs of `run` and of other combinations are never touched. Raises `UserError` for an option that a method does
    not have or that is also given as a fixed option, for an invalid value, and for one that occurs twice.
    """
    options = [variation.option for variation in variations]
    if len(set(options)) != len(options):
        raise UserError(one_line(f"--vary names an option twice in {', '.join(options)}"))
    if fixed := set(options) & template.method_options().keys():
        raise UserError(one_line(f"--vary and -o both set {', '.join(sorted(fixed))}; give only one of them"))
    methods = expand_methods(names)
    if ALL in names:
        methods = [method for method in methods if set(options) <= _known(capture(load_class, "method", method))]
    planned = [made for method in methods for made in _planned(template, method, splits, variations)]
    if not planned:
        raise UserError(one_line(f"no method has the options {', '.join(options)}"))
    return planned


def blended(template: RunConfig, variations: Sequence[Variation]) -> RunConfig:
    """Set `blend=blur` if `blur` varies, which has no effect otherwise.

    Raises `UserError` if another blend is requested.
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
        raise UserError(one_line(f"--vary {text!r}: a step of {step} never gets from {start} to {stop}"))
    # Exact decimals, since binary rounding could lose the end of 0:1:0.2. Compared before int(): the range may be huge.
    steps = (stop - start) / step
    if steps >= MOST:
        raise UserError(one_line(f"--vary {text!r}: more than {MOST} values; valid: up to {MOST}"))
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
        raise UserError(f"--vary: {len(grid)} runs of {method}; valid: up to {MOST}")
    for values in grid:
        varied: dict[str, Value] = {
            variation.option: value for variation, value in zip(variations, reversed(values), strict=True)
        }
        built = check_options(method, cls, {**own, **varied})
        setting = {key: str(built[key]) for key in varied}
        folder = ",".join(f"{safe(key)}={safe(value)}" for key, value in setting.items())
        if folder in planned:
            raise UserError(one_line(f"--vary: {folder} occurs twice"))
        config = replace(
            template,
            options={**given, **varied},
            steps=None,
            guidance=None,
            output=local(template.output) / FOLDER / folder,
        )
        planned[folder] = Planned(method, setting, tuple(expand_jobs(config, [method], splits)[0]))
    return list(planned.values())


# Any: the class of a method, or the failure to import it.
def _known(cls: Any) -> set[str]:
    """The names of a method's options; none if it can't be imported or doesn't tell them."""
    names = cls if isinstance(cls, Failure) else capture(option_names, cls)
    return set() if isinstance(names, Failure) else names


def safe(text: str) -> str:
    """The text in a form that is safe in a folder's name; if that changes it, a hash keeps it unique."""
    clean = re.sub(r"[^\w.+-]", "_", text, flags=re.ASCII)[:40]
    return clean if clean == text else f"{clean}~{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
