"""`--engine ray`: the shards of a run as tasks of a Ray cluster, all writing into one run folder.

Output folder, data set and weights must be at the same path on every node. Without a cluster to connect to
(`RAY_ADDRESS`), Ray starts one on this machine.
"""

import os
from dataclasses import replace
from pathlib import Path

from brushbench.config import WHOLE, RunConfig, Shard
from brushbench.engines.local import asked_of, generate_here, run_path
from brushbench.errors import UserError
from brushbench.loading import configured_dataset, configured_method
from brushbench.store import Run
from brushbench.types import Dataset
from brushbench.work import Watcher, silent

POLL_SECONDS = 0.5


def generate_on_cluster(config: RunConfig, dataset: Dataset, watch: Watcher) -> Run:
    """Generate with one worker per GPU of the cluster, or per core if it has none.

    Raises `UserError` if Ray isn't installed, if the configuration is a shard already, or if every worker raises one.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("--engine ray needs Ray: pip install 'brushbench[ray]'; valid without it: local") from error
    if config.part() != WHOLE:
        raise UserError("--engine ray hands out the shards itself; with --shard, valid is --engine local")
    # Ray's own messages and its warning about GPUs are no part of the output.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False, ignore_reinit_error=True)
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    count = min(gpus or int(resources["CPU"]), asked_of(config, dataset))
    worker = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(_shard)
    everywhere = replace(config, output=Path(config.output).absolute(), engine="local")
    waiting = [worker.remote(replace(everywhere, shard=Shard(index + 1, count))) for index in range(count)]
    done = _finished(run_path(config, dataset))
    advance = watch(f"generating {config.method}, {dataset.name}/{dataset.split}", asked_of(config, dataset), done)
    mistakes: list[str] = []
    while waiting:
        ready, waiting = ray.wait(waiting, timeout=POLL_SECONDS)
        mistakes += filter(None, ray.get(ready))
        before, done = done, _finished(run_path(config, dataset))
        advance(done - before, 0)
    if len(mistakes) == count:
        raise UserError(mistakes[0])
    run = Run.open(run_path(config, dataset))
    run.tidy()
    return run


def _shard(config: RunConfig) -> str:
    """One worker's part; the user's mistake, if there is one."""
    try:
        generate_here(config, configured_dataset(config), configured_method(config), silent)
    except UserError as error:
        return str(error)
    return ""


def _finished(path: Path) -> int:
    return len(Run.open(path).ledger()) if (path / "run.json").exists() else 0
