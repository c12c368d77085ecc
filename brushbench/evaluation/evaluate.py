"""The two stages of the benchmark put together: what `brushbench.run` and `brushbench.score` do."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from brushbench.core.notes import hearing
from brushbench.core.options import Value
from brushbench.core.progress import ProgressCallback, silent
from brushbench.core.types import Dataset
from brushbench.datasets.plug_in import stated_metrics
from brushbench.evaluation.import_images import Imported, import_images
from brushbench.evaluation.local import generate_here
from brushbench.evaluation.methods import LoadedMethod
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.ray import generate_on_cluster
from brushbench.evaluation.resolve import configured_dataset, configured_method
from brushbench.evaluation.score import Scoring
from brushbench.evaluation.select_metrics import Selection, Setting, select
from brushbench.runs.adoption import check_ledger
from brushbench.runs.config import RunConfig, split_names
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run


def run(config: RunConfig, watch: ProgressCallback = silent, method: LoadedMethod | None = None) -> Run:
    """Generate and score; the run folder, also when single samples failed (its ledger says which).

    `method` is the configured one when it is loaded already. Raises `UserError` for anything that is wrong with the
    request, and when no sample can be used.

    >>> done = run(RunConfig(method="telea", dataset="photos", split="inside"))
    """
    with hearing() as notes:
        dataset = configured_dataset(config)
        selection = _selected(config, dataset)
        _prepare(selection, keep=False)
    done = _generate(config, dataset, method, watch)
    done.add_notes(notes)
    with done.noting():
        Scoring(done, dataset, selection)(watch)
    return done


def generate(config: RunConfig, watch: ProgressCallback = silent, method: LoadedMethod | None = None) -> Run:
    """The first stage alone; raises `UserError` as `run` does."""
    with hearing() as notes:
        dataset = configured_dataset(config)
    done = _generate(config, dataset, method, watch)
    done.add_notes(notes)
    return done


def score(
    run: str | os.PathLike[str],
    metrics: str | Sequence[str] | None = None,
    root: str | Path | None = None,
    watch: ProgressCallback = silent,
    *,
    metric_options: Mapping[str, Mapping[str, Value]] | None = None,
) -> Run:
    """The second stage alone, for a run folder; scores that are there and still hold are kept.

    `metrics` are names, or one text with commas between them; None: the usual ones. `root` is the data set's folder,
    None: where it was when the run was made. `metric_options` are options by the metric's name. Raises `UserError` if
    the data set isn't the one of the run.
    """
    opened = Run.open(run)
    check_ledger(opened)
    with opened.noting():
        dataset = dataset_of(opened, root)
        named = split_names(metrics) if isinstance(metrics, str) else metrics
        protocol = opened.record.identity.protocol
        setting = Setting(
            protocol, dataset.name, dataset.split, stated=stated_metrics(dataset), options=metric_options or {}
        )
        Scoring(opened, dataset, select(named, setting))(watch)
    return opened


def score_images(
    folder: Path, name: str, config: RunConfig, watch: ProgressCallback = silent
) -> tuple[Imported, dict[str, str]]:
    """Score pictures made elsewhere as the method `name`; also the samples whose image has another size, and which.

    Of the configuration, what says how to paint means nothing here. Raises `UserError` if no file belongs to a sample.
    """
    with hearing() as notes:
        dataset = configured_dataset(config)
        selection = _selected(config, dataset)
        _prepare(selection, keep=True)
        imported = import_images(folder, name, dataset, config)
    imported.run.add_notes(notes)
    scoring = Scoring(imported.run, dataset, selection)
    with imported.run.noting():
        scoring(watch)
    return imported, scoring.wrong_sizes


def check(config: RunConfig, *, scored: bool = True) -> None:
    """Find what is wrong with the data set or the metrics before anything slow begins; raises `UserError`.

    Where it will be scored, networks of metrics are loaded to see whether they can be, and given up again.
    """
    selection = _selected(config, configured_dataset(config))
    if scored:
        _prepare(selection, keep=False)


def _selected(config: RunConfig, dataset: Dataset) -> Selection:
    stated = stated_metrics(dataset)
    setting = Setting(config.protocol, dataset.name, dataset.split, config.device, stated, config.metric_options)
    return select(config.metric_names(), setting)


def _prepare(selection: Selection, *, keep: bool) -> None:
    prepare({metric.info.name: metric for metric in selection.metrics}, keep=keep)


def _generate(config: RunConfig, dataset: Dataset, method: LoadedMethod | None, watch: ProgressCallback) -> Run:
    if config.engine == "ray":
        return generate_on_cluster(config, dataset, watch)
    return generate_here(config, dataset, method or configured_method(config), watch)
