"""`brushbench.run` and `brushbench.score`: the two stages of the benchmark, together and one by one."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from brushbench.core.notes import hearing
from brushbench.core.options import Value
from brushbench.core.progress import ProgressCallback, silent
from brushbench.datasets.open import OpenedDataset
from brushbench.evaluation.cluster.scoring import errand_for
from brushbench.evaluation.cluster.scoring_work import ScoringOrder
from brushbench.evaluation.import_images import Imported, find_images, import_images
from brushbench.evaluation.local import generate_here
from brushbench.evaluation.methods import LoadedMethod
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.overlap import Ahead, Overlaps, may_overlap, overlaps
from brushbench.evaluation.ray import generate_on_cluster, score_on_cluster, token_of_fetch
from brushbench.evaluation.resolve import Task, find_configured, job_of, load_configured, setting_of, task_of
from brushbench.evaluation.score import Scoring, nothing_ahead
from brushbench.evaluation.select_metrics import Selection, Setting, select
from brushbench.evaluation.set_scoring import SetScoring
from brushbench.runs.adoption import check_ledger
from brushbench.runs.config import Engine, RunConfig, split_names
from brushbench.runs.data import opened_of
from brushbench.runs.folder import Run
from brushbench.runs.seed_folders import folder_of
from brushbench.storage.places import local


def run(config: RunConfig, watch: ProgressCallback = silent) -> Run:
    """Generate and score, and return the run folder, also if some samples failed (its ledger says which).

    Raises `UserError` if anything is wrong with the request, or if no sample can be used.

    >>> done = run(RunConfig(method="telea", dataset="photos", split="inside"))
    """
    return _alone(preflight(task_of(config)), watch)


def generate(config: RunConfig, watch: ProgressCallback = silent) -> Run:
    """Generate without scoring. Raises `UserError` as `run` does."""
    return _alone(task_of(config, scored=False), watch)


def _alone(task: Task, watch: ProgressCallback) -> Run:
    here = task.config.engine == "local"
    return make(task, load_configured(task.config, find_configured(task)) if here else None, watch)


def make(task: Task, method: LoadedMethod | None, watch: ProgressCallback, overlap: Overlaps | None = None) -> Run:
    """Generate, and score if the task has metrics. If `method` is None, the workers of a cluster load it.

    `overlap` decides whether samples are scored while others are generated, which changes no number; None stands for
    `overlaps`.
    """
    ahead = (
        Ahead(task.dataset, task.selection)
        if method and task.selection and (overlap or overlaps)(task, method)
        else None
    )
    done = generate_here(job_of(task, method), watch, ahead) if method else generate_on_cluster(task, watch)
    done.add_notes(task.notes)
    if task.selection:
        with done.noting():
            chosen = Chosen(task.opened, task.selection, setting_of(task.config, task.opened))
            _score(done, chosen, task.config.engine_asked(), watch, ahead)
    return done


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the images of a run are scored with."""

    opened: OpenedDataset
    selection: Selection
    setting: Setting


def _score(run: Run, chosen: Chosen, engine: Engine, watch: ProgressCallback, ahead: Ahead | None = None) -> Scoring:
    """Score a run here, or with the workers of a cluster; the features that set metrics compare are computed here."""
    scoring = _score_images(run, chosen, engine, watch, ahead)
    if chosen.selection.sets:
        SetScoring(run, chosen.opened.data, chosen.selection.sets)(watch)
    return scoring


def _score_images(run: Run, chosen: Chosen, engine: Engine, watch: ProgressCallback, ahead: Ahead | None) -> Scoring:
    data, selection = chosen.opened.data, chosen.selection
    # Without a score to compute, there is nothing to hand out.
    if engine.name == "local" or not selection.metrics:
        scoring = Scoring(run, data, selection, ahead=ahead.take if ahead else nothing_ahead)
        scoring(watch)
        return scoring
    order = ScoringOrder(run, data, selection)
    errand = errand_for(chosen.opened, selection, chosen.setting, token_of_fetch(engine))
    score_on_cluster(order, errand, engine.workers, watch)
    return order.scoring


def score(
    run: str | os.PathLike[str],
    metrics: str | Sequence[str] | None = None,
    root: str | Path | None = None,
    watch: ProgressCallback = silent,
    *,
    metric_options: Mapping[str, Mapping[str, Value]] | None = None,
    engine: str | Engine = "local",
) -> Run:
    """Score a run folder; existing scores that are still valid are kept.

    `metrics` are names, as a sequence or separated by commas; None stands for the usual ones. `root` is the data set's
    folder; None stands for the one that the run used. `metric_options` are options by the metric's name. `engine` is
    a name, or an `Engine` with a number of workers. Raises `UserError` if the data set isn't the one that the run used.
    """
    asked = Engine(engine) if isinstance(engine, str) else engine
    opened = Run.open(run)
    check_ledger(opened)
    with opened.noting():
        found = opened_of(opened, root)
        named = split_names(metrics) if isinstance(metrics, str) else metrics
        setting = Setting(opened.record.identity.protocol, found.info, found.data.split, options=metric_options or {})
        _score(opened, Chosen(found, select(named, setting), setting), asked, watch)
    return opened


def score_images(
    folder: Path, name: str, config: RunConfig, watch: ProgressCallback = silent
) -> tuple[Imported, dict[str, str], Task]:
    """Score pictures that were made elsewhere, under the method name `name`.

    Returns the run, both sizes of each sample whose image has the wrong one (by id), and the task. The configuration's
    options for inpainting have no effect. Raises `UserError` if no file belongs to a sample.
    """
    return _scored_images(preflight(task_of(config), keep=True), folder, name, watch)


def score_seeds(
    folders: Mapping[int, Path], name: str, config: RunConfig, watch: ProgressCallback = silent
) -> list[tuple[Imported, dict[str, str], Task]]:
    """Score pictures that were made elsewhere under several seeds, as `score_images` does, each seed as a run.

    A run is in the folder that `--seeds` gives its seed. Raises `UserError` before anything is written.
    """
    task = preflight(task_of(config), keep=True)
    for folder in folders.values():
        find_images(folder, task.dataset, config)
    tasks = {
        seed: replace(task, config=replace(config, seed=seed, output=folder_of(local(config.output), seed)))
        for seed in folders
    }
    return [_scored_images(tasks[seed], folder, name, watch) for seed, folder in folders.items()]


def _scored_images(
    task: Task, folder: Path, name: str, watch: ProgressCallback
) -> tuple[Imported, dict[str, str], Task]:
    config = task.config
    with hearing() as notes:
        imported = import_images(folder, name, task.opened, config)
    imported.run.add_notes([*task.notes, *notes])
    chosen = Chosen(task.opened, task.selection or Selection((), {}), setting_of(config, task.opened))
    with imported.run.noting():
        scoring = _score(imported.run, chosen, config.engine_asked(), watch)
    return imported, scoring.wrong_sizes, task


def preflight(task: Task, *, keep: bool = False) -> Task:
    """Check that the networks of the task's metrics can be loaded; raises `UserError` for one that can't.

    Returns the task with the warnings of libraries. The networks stay in memory if there is room: with `keep`, as they
    are needed next, and where images are scored while others are generated.
    """
    with hearing() as notes:
        if task.selection:
            prepare(task.selection.networks, keep=keep or may_overlap(task))
    return replace(task, notes=[*task.notes, *notes])
