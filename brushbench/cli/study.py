"""Run a study: all its rows, then its tables, figures and gallery."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from brushbench.cli.options import asked_for, seeds_asked
from brushbench.cli.results import GALLERY, add_gallery, named_metrics, tables
from brushbench.cli.run import all_done, loading_line
from brushbench.cli.study_file import StudyFile, naming
from brushbench.core.registry import by_name
from brushbench.runs.config import split_names
from brushbench.storage.places import folder_here

if TYPE_CHECKING:
    from brushbench.evaluation.study import StudyRow

PREPARED = "brushbench.reports.commands.study:prepare_study"
PAIRS = ("options", "metric_options", "dataset_options")
"""Options of the form K=V, of which the command line replaces single ones."""
SHORT = ("steps", "guidance")
"""Options of methods that `run` has options of its own for."""


# Any: what click has parsed, by option.
def run_study(study: StudyFile, asked: dict[str, Any], *, gallery: bool) -> int:
    """Run a study and make what it names. What the command line gives wins over the file."""
    from brushbench.cli.progress import showing_progress

    given = _given(asked)
    asked = _merged(study, asked, given)
    page = folder_here("--gallery with --output", asked["output"]) / GALLERY if gallery else None
    with showing_progress(loading_line(asked)) as display:
        from brushbench.evaluation.study import Study, plan_study

        with naming(study.file):
            rows, lenient = _rows(study, asked["method"] if "method" in given else None)
            template, _, splits = asked_for(asked | {"method": rows[0].method})
            seeds = _seeds(study, asked, given)
            planned = plan_study(template, Study(rows, splits, seeds, _fixed(asked, given), lenient))
        outputs = by_name(PREPARED)(study, rows, splits, seeds)
        jobs = [list(made.configs) for made in planned]
        headings = [made.row.title() for made in planned]
        runs = all_done(jobs, display, lenient=lenient, headings=headings, log_to=asked["log_to"])
    told = {"requested": named_metrics(template), "allow_partial": asked["allow_partial"]}
    over_seeds = study.content.style.get("seeds") != "rows"
    code = tables(runs, **told, style=outputs.printed_style(runs, planned, over_seeds=over_seeds))
    outputs.write(runs, planned)
    if page:
        add_gallery(runs, page, outputs.names(runs, planned))
    return code


# Any: what click has parsed, by option.
def _seeds(study: StudyFile, asked: dict[str, Any], given: set[str]) -> tuple[int, ...]:
    """Return the seeds of the command line, else those of the file; none for a single one in the folders of `run`."""
    in_file = study.seeds if "seeds" in study.content.run else ()
    if in_file and not {"seed", "seeds", "samples"} & given:
        return in_file
    kept = asked if "samples" in given or "seeds" not in given else asked | {"samples": None}
    seeds = seeds_asked(kept)
    return seeds.values if seeds else ()


# Any: what click has parsed, by option.
def _given(asked: dict[str, Any]) -> set[str]:
    """Return the options that the command line gives."""
    context = click.get_current_context()
    return {name for name in asked if context.get_parameter_source(name) == ParameterSource.COMMANDLINE}


def _keys(pairs: Iterable[str]) -> set[str]:
    return {pair.partition("=")[0] for pair in pairs}


# Any: what click has parsed, by option.
def _merged(study: StudyFile, asked: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """Return the options with those pairs of the file that the command line doesn't replace."""
    merged = dict(asked)
    for name in given & set(PAIRS):
        kept = [pair for pair in study.defaults.get(name, ()) if not _keys([pair]) & _keys(asked[name])]
        merged[name] = (*kept, *asked[name])
    # A file may set as an option what the command line gives in short, and the other way round.
    short = {name for name in SHORT if name in given}
    merged["options"] = tuple(pair for pair in merged["options"] if not _keys([pair]) & short)
    keys = _keys(asked["options"]) if "options" in given else set()
    return merged | {name: None for name in SHORT if name in keys and name not in given}


# Any: what click has parsed, by option.
def _fixed(asked: dict[str, Any], given: set[str]) -> set[str]:
    """Return the options of methods that the command line gives, and weights."""
    return _keys(asked["options"] if "options" in given else ()) | ({*SHORT, "weights"} & set(given))


def _rows(study: StudyFile, chosen: str | None) -> "tuple[list[StudyRow], bool]":
    """Return the rows, those of the command line alone if it names methods; and whether these are all methods."""
    from brushbench.evaluation.grid import ALL, expand_methods
    from brushbench.evaluation.study import StudyRow

    names = split_names(chosen) if chosen is not None else study.methods()
    named = [StudyRow(method) for method in expand_methods(names)] if names or chosen is not None else []
    own = [
        StudyRow(
            study.plugged(row.method),
            row.name,
            {key: study.found(value) if isinstance(value, str) else value for key, value in row.options.items()},
            study.weights(row.weights) if row.weights is not None else None,
        )
        for row in (study.content.method if chosen is None else ())
    ]
    return [*named, *own], ALL in names
