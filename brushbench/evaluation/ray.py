"""`--engine ray`: connect to a Ray cluster, and generate or score a run with its workers.

Without a cluster to connect to (`RAY_ADDRESS`), Ray starts one on this machine.
"""

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from brushbench.core.errors import UserError, one_line
from brushbench.core.progress import ProgressCallback
from brushbench.evaluation.cluster.driver import Driver
from brushbench.evaluation.cluster.generating import GenerationErrand
from brushbench.evaluation.cluster.generation_work import GenerationOrder
from brushbench.evaluation.cluster.pool import RayWorkerPool
from brushbench.evaluation.cluster.scoring import ScoringErrand
from brushbench.evaluation.cluster.scoring_work import ScoringOrder
from brushbench.evaluation.cluster.worker import Errand, WorkerSetting
from brushbench.evaluation.resolve import Task
from brushbench.runs.config import WHOLE, Engine
from brushbench.runs.folder import Run
from brushbench.runs.folders import set_aside


def generate_on_cluster(task: Task, watch: ProgressCallback) -> Run:
    """Generate with the workers of a cluster: as many as requested, or one per GPU, or per core if it has none.

    Raises `UserError` if Ray isn't installed, if the configuration names a shard, if no worker can do its part, or if
    no sample can be used. Images that were generated are kept.
    """
    config = task.config
    if config.part() != WHOLE:
        raise UserError("--engine ray shares the samples itself; valid with --shard: --engine local")
    connect()
    # A worker has another working folder, environment and brushbench.toml than the user.
    root = None if task.opened.root is None else task.opened.root.absolute()
    everywhere = replace(
        config,
        dataset=task.opened.name,
        root=root,
        engine="local",
        workers=None,
        fetch=False,
        store="driver",
        fresh=False,
    )
    if config.fresh:
        set_aside(task.path)
    pool = RayWorkerPool(
        conditions_for(GenerationErrand(everywhere, token_of_fetch(config.engine_asked()))), config.workers
    )
    run = Driver(GenerationOrder(task), pool, watch)()
    run.tidy()
    return run


def score_on_cluster(order: ScoringOrder, errand: ScoringErrand, workers: int | None, watch: ProgressCallback) -> None:
    """Score a run with the workers of a cluster, and write the scores that a single process would write.

    Raises `UserError` as `generate_on_cluster` does.
    """
    if not order.most_workers:
        order.scoring(watch)
        return
    connect()
    Driver(order, RayWorkerPool(conditions_for(errand), workers), watch)()


def token_of_fetch(engine: Engine) -> str:
    """What tells each machine that it is to download what it lacks, once for this run; empty if it isn't."""
    return uuid.uuid4().hex if engine.fetch else ""


def conditions_for(errand: Errand) -> WorkerSetting:
    """The conditions under which this process computes."""
    return WorkerSetting(errand, str(Path.cwd()), torch.get_num_threads())


def connect() -> None:
    """Connect to a cluster, or start one on this machine.

    Raises `UserError` if Ray isn't installed, or if no cluster answers at the address in `RAY_ADDRESS` or at the one
    that Ray remembers from a cluster that was started by hand.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "--engine ray needs Ray: pip install 'brushbench[ray]'; valid without it: --engine local"
        ) from error
    # Without this variable, Ray warns at every start on a machine without a GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        with _own_signals():
            ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False, ignore_reinit_error=True)
    except (ConnectionError, RuntimeError, ValueError) as error:
        valid = "RAY_ADDRESS of a cluster that runs; or none, after `ray stop`, for one on this machine"
        raise UserError(one_line(f"can't connect to a Ray cluster: {error}; valid: {valid}")) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces with one that ends the process without a message."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread() and before is not None:
        signal.signal(signal.SIGTERM, before)
