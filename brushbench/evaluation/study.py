"""Plan a study: every row, a method with its options, on every split under every seed, in folders of their own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.method_options import check_options, options_type
from brushbench.core.options import Value, parameters
from brushbench.core.registry import load_class, short_name
from brushbench.evaluation.grid import expand_jobs, safe
from brushbench.evaluation.seeds import without_seed
from brushbench.runs.config import RunConfig
from brushbench.storage.places import local

FOLDER = "study"
"""Subfolder of the output folder, for rows with options of their own and for seeds."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A method with options of its own."""

    method: str
    name: str = ""
    """The name in tables and figures; empty for the usual one."""
    options: Mapping[str, Value] = field(default_factory=dict)
    weights: str | None = None
    """None: those of the study."""

    def title(self) -> str:
        """Return the row's name as messages say it."""
        return self.name or " ".join([short_name(self.method), *(f"{key}={it}" for key, it in self.options.items())])


@dataclass(frozen=True, slots=True)
class Study:
    """What a study runs."""

    rows: Sequence[StudyRow]
    splits: Sequence[str]
    seeds: Sequence[int] = ()
    """Empty for the seed of the configuration, in the folders that `run` uses too."""
    fixed: Collection[str] = ()
    """Options that the configuration sets for rows with other values, too: those of the command line."""
    lenient: bool = False
    """Whether a plug-in that can't be imported is reported when it is loaded."""


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """The runs of a row, on every split under every seed."""

    row: StudyRow
    configs: tuple[RunConfig, ...]


def plan_study(template: RunConfig, study: Study) -> list[PlannedRow]:
    """Plan the runs without loading a method; options that all rows share go to the methods that have them.

    A run is in OUTPUT, as `run` would have it, unless its row has options or the study has seeds: these name a folder
    below OUTPUT/study, such as `seed=1,scale=0.8`. A method that ignores seeds has the first one alone. Raises
    `UserError` for options that a method doesn't have, for invalid values, and for two rows that are the same run or
    have one name.
    """
    methods = list(dict.fromkeys(row.method for row in study.rows))
    shared = expand_jobs(template, methods, study.splits, lenient=study.lenient)
    bases = {method: configs[0] for method, configs in zip(methods, shared, strict=True)}
    _check_names(study.rows)
    known: dict[tuple[str, ...], StudyRow] = {}
    planned = []
    for row in study.rows:
        config, setting = _configured(bases[row.method], row, study)
        same = known.setdefault(_identity(config), row)
        if same is not row:
            raise UserError(one_line(f"{row.title()} and {same.title()} are the same run; valid: rows that differ"))
        seeds = study.seeds[: 1 if without_seed(row.method) else None] or (template.seed,)
        places = [(split, seed) for split in study.splits for seed in seeds]
        configs = [
            replace(config, split=split, seed=seed, output=_output(template, setting, seed if study.seeds else None))
            for split, seed in places
        ]
        planned.append(PlannedRow(row, tuple(configs)))
    return planned


def _check_names(rows: Sequence[StudyRow]) -> None:
    names = [row.name for row in rows if row.name]
    for name in names:
        if names.count(name) > 1:
            raise UserError(one_line(f"two rows have the name {name!r}; valid: names that differ"))
        if one_line(name) != name:
            raise UserError(one_line(f"name {name!r} of a row must be one line of printable text"))


def _configured(base: RunConfig, row: StudyRow, study: Study) -> tuple[RunConfig, dict[str, str]]:
    """Return a row's configuration, and what its folder is named after."""
    own = {key: value for key, value in row.options.items() if key not in study.fixed}
    weights = base.weights if row.weights is None or "weights" in study.fixed else row.weights
    config = replace(base, options={**base.options, **own}, weights=weights)
    # This checks the options; those that the row doesn't have were checked for all rows.
    config = expand_jobs(config, [row.method], [base.split])[0][0] if row.options or row.weights else config
    setting = {key: str(value) for key, value in _built(config).items() if key in own}
    return config, setting if weights == base.weights else {**setting, "weights": str(row.weights)}


def _output(template: RunConfig, setting: Mapping[str, str], seed: int | None) -> Path:
    parts = ({} if seed is None else {"seed": str(seed)}) | dict(setting)
    folder = ",".join(f"{safe(key)}={safe(value)}" for key, value in parts.items())
    return local(template.output) / FOLDER / folder if parts else local(template.output)


# Any: values of the types of a method's options.
def _built(config: RunConfig) -> dict[str, Any]:
    """Return the options that are set, converted, so that `0.50` and `0.5` are the same."""
    if not config.options:
        return {}
    return check_options(config.method, load_class("method", config.method), config.options)


def _identity(config: RunConfig) -> tuple[str, ...]:
    """Return what tells rows apart: an option that is set to its default makes no difference."""
    found = capture(load_class, "method", config.method)
    defaults = {} if isinstance(found, Failure) else parameters(config.method, options_type(found))
    values = {key: each.default for key, each in defaults.items()} | _built(config)
    return config.method, str(config.weights), *(f"{key}={values[key]}" for key in sorted(values))
