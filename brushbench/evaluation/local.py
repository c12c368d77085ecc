"""`--engine local`: one shard of a run, by this process."""

from pathlib import Path

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import KEPT, UserError, doing, one_line
from brushbench.core.notes import hearing
from brushbench.core.plugins.files import file_of
from brushbench.core.progress import ProgressCallback
from brushbench.core.protocol import protocol_named
from brushbench.core.types import Dataset
from brushbench.evaluation.generate import Generation, Outcome, Plan
from brushbench.evaluation.identity import identity_of, identity_of_method, provenance_of, run_path
from brushbench.evaluation.methods import LoadedMethod
from brushbench.evaluation.resolve import branches_of
from brushbench.runs.adoption import adopt
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.folders import set_aside
from brushbench.runs.record import WEIGHTS
from brushbench.runs.workers import at_work, commit_of, now

GPU_BATCH = 4
CPU_BATCH = 8
CPU_PIXELS = 512 * 512
"""What one call paints on the CPU: small pictures one by one would mostly be overhead."""


def generate_here(config: RunConfig, dataset: Dataset, method: LoadedMethod, watch: ProgressCallback) -> Run:
    """Paint the configuration's shard of a data set with a loaded method.

    Raises `UserError` if the run folder contains another run, or if nothing at all could be made of what was asked.
    """
    with hearing() as notes:
        batch_size = _automatic_batch(dataset, method.device) if config.batch_size == "auto" else config.batch_size
        identity = identity_of(config, dataset, identity_of_method(method), method.dtype, batch_size)
        provenance = provenance_of(config, method.device or "cpu")
    if branches := branches_of(config):
        provenance["branch"] = branches
    provenance |= {f"{WEIGHTS}{part}": place for part, place in method.places.items()}
    asked = asked_of(config, dataset)
    path = run_path(config, dataset, config.method)
    if config.fresh:
        set_aside(path)
    begun = {"begun": now()}
    run = Run.start(path, identity, asked, provenance | begun, method.role, claim=True)
    try:
        adopt(run)
        run.add_notes([*method.notes, *notes])
        plan = Plan(asked, config.part(), batch_size, config.seed, config.max_failures, method.side_multiple)
        generation = Generation(run, method.call, dataset, protocol_named(config.protocol), plan)
        with at_work(run, provenance | _where(config), lambda: generation.stored), doing(KEPT), run.noting():
            outcome = generation(watch)
        _judge(run, outcome)
    finally:
        run.release()
    return run


def _where(config: RunConfig) -> dict[str, str]:
    """What this process is doing, and on which state of the user's own repository."""
    file = file_of(config.method)
    commit = commit_of(file.parent if file else Path.cwd())
    shard = config.part()
    return {"shard": f"{shard.index}/{shard.count}"} | ({"commit": commit} if commit else {})


def asked_of(config: RunConfig, dataset: Dataset) -> int:
    """How many samples of the data set are asked for."""
    return min(config.limit or len(dataset), len(dataset))


def _automatic_batch(dataset: Dataset, device: str) -> int:
    """Depends on nothing that changes when a run goes on."""
    if device.startswith("cuda"):
        return GPU_BATCH
    first = capture(dataset.__getitem__, 0)
    if isinstance(first, Failure):
        return 1
    height, width = first.image.shape[1:]
    return max(1, min(CPU_BATCH, CPU_PIXELS // (height * width)))


def _judge(run: Run, outcome: Outcome) -> None:
    """Nothing at all could be made of what was asked: then it was asked wrongly."""
    done = {name for name, entry in run.ledger().items() if entry.status == "done"}
    if outcome.failures and not done and all(failure.by_user for failure in outcome.failures.values()):
        name, failure = next(iter(outcome.failures.items()))
        count = len(outcome.failures)
        others = f" (and {count - 1} more)" if count > 1 else ""
        raise UserError(one_line(f"no sample can be used: {name}: {failure.error}{others}"))
    if len(done) >= run.record.asked:
        run.tidy()
