"""`--engine ray`: generate the shards of a run as tasks of a Ray cluster, which all write into one run folder.

Output folder, data set and weights must have the same path on every node. Without a cluster to connect to
(`RAY_ADDRESS`), Ray starts one on this machine.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError
from brushbench.core.machine import refusal
from brushbench.core.progress import ProgressCallback, silent
from brushbench.evaluation.local import generate_here
from brushbench.evaluation.resolve import Task, resolve
from brushbench.runs.config import WHOLE, RunConfig, Shard
from brushbench.runs.folder import Run
from brushbench.runs.folders import set_aside

POLL_SECONDS = 0.5
PARTING_SECONDS = 30.0
"""Time for workers to store the images that they have generated, if the run is interrupted."""


def generate_on_cluster(task: Task, watch: ProgressCallback) -> Run:
    """Generate with one worker per GPU of the cluster, or per core if it has none.

    Raises `UserError` if Ray isn't installed, if the configuration already names a shard, if a worker didn't finish its
    part, or if no sample can be used. Images that were generated are kept.
    """
    config = task.config
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "--engine ray needs Ray: pip install 'brushbench[ray]'; valid without it: --engine local"
        ) from error
    if config.part() != WHOLE:
        raise UserError("--engine ray splits the run into shards itself; valid with --shard: --engine local")
    # Without this variable, Ray warns at every start on a machine without a GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with _own_signals():
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False, ignore_reinit_error=True)
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    asked = task.requested
    count = min(gpus or int(resources["CPU"]), asked)
    worker = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(_shard)
    # A worker has another working folder, environment and brushbench.toml than the user.
    root = None if task.opened.root is None else task.opened.root.absolute()
    output = Path(config.output).absolute()
    everywhere = replace(config, dataset=task.opened.name, root=root, output=output, engine="local", fresh=False)
    if config.fresh:
        set_aside(task.path)
    waiting = [worker.remote(replace(everywhere, shard=Shard(index + 1, count))) for index in range(count)]
    finished, failed = _counts(task.path)
    advance = watch(f"generating {config.method}, {task.dataset.name}/{task.dataset.split}", asked, finished)
    mistakes: list[str] = []
    try:
        while waiting:
            ready, waiting = ray.wait(waiting, timeout=POLL_SECONDS)
            # The error of a worker that died is raised here.
            results = [capture(ray.get, task) for task in ready]
            mistakes += [result.error if isinstance(result, Failure) else result for result in results if result]
            before = (finished, failed)
            finished, failed = _counts(task.path)
            advance(finished - before[0], failed - before[1])
    except KeyboardInterrupt:
        _interrupt(waiting)
        raise
    if mistakes and (finished < asked or len(mistakes) == count):
        raise UserError(mistakes[0])
    run = Run.open(task.path)
    run.tidy()
    return run


# Any: tasks of Ray.
def _interrupt(tasks: Sequence[Any]) -> None:
    """Send each worker a `KeyboardInterrupt`, after which it stores the images that it has generated."""
    import ray

    for task in tasks:
        ray.cancel(task)
    ray.wait(tasks, num_returns=len(tasks), timeout=PARTING_SECONDS)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces with one that ends the process without a message."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread() and before is not None:
        signal.signal(signal.SIGTERM, before)


def _shard(config: RunConfig) -> str:
    """Generate one worker's part; returns the message of a user's mistake, or an empty text."""
    # A shell makes its background commands, and so Ray's workers, ignore SIGINT, which Ray uses to interrupt them.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        generate_here(resolve(config, scored=False), silent)
    except UserError as error:
        return str(error)
    except OSError as error:
        return str(refusal(error))
    return ""


def _counts(path: Path) -> tuple[int, int]:
    """The number of samples in the ledger, and how many of them failed."""
    entries = Run.open(path).ledger().values() if (path / "run.json").exists() else ()
    return len(entries), sum(entry.status == "failed" for entry in entries)
