"""`--engine local`: generate one shard of a run in this process."""

from contextlib import nullcontext
from pathlib import Path

from brushbench.core.errors import KEPT, UserError, doing, one_line
from brushbench.core.plugins.files import plugin_file
from brushbench.core.progress import ProgressCallback
from brushbench.core.protocol import protocol_named
from brushbench.evaluation.generate import Generation, GenerationOutcome, Plan
from brushbench.evaluation.overlap import Ahead
from brushbench.evaluation.resolve import Job
from brushbench.runs.adoption import adopt
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.folders import set_aside
from brushbench.runs.workers import at_work, commit_of, now


def generate_here(job: Job, watch: ProgressCallback, ahead: Ahead | None = None) -> Run:
    """Inpaint the job's shard of its data set; `ahead` scores what is ready meanwhile.

    Raises `UserError` if the run folder contains another run, or if no sample could be used.
    """
    task, method = job.task, job.method
    provenance = job.provenance()
    if task.config.fresh:
        set_aside(task.path)
    begun = provenance | {"begun": now()}
    run = Run.start(task.path, job.identity, task.requested, begun, method.role, claim=True)
    try:
        adopt(run)
        run.add_notes(job.notes)
        protocol = protocol_named(task.config.protocol)
        generation = Generation(run, method.call, task.dataset, protocol, _plan(job), ahead)
        scoring = ahead.during(run, generation.unfinished()) if ahead else nullcontext()
        working = at_work(run, provenance | where_from(task.config), lambda: generation.stored)
        with working, doing(KEPT), run.noting(), scoring:
            outcome = generation(watch)
        judge(run, outcome)
    finally:
        run.release()
    return run


def _plan(job: Job) -> Plan:
    config = job.task.config
    return Plan(
        job.task.requested,
        config.part(),
        job.batch_size,
        config.seed,
        config.max_failures,
        job.method.side_multiple,
        job.method.offload == "none",
    )


def where_from(config: RunConfig) -> dict[str, str]:
    """The shard of this process, and the commit of the user's own repository."""
    file = plugin_file(config.method)
    commit = commit_of(file.parent if file else Path.cwd())
    shard = config.part()
    return {"shard": f"{shard.index}/{shard.count}"} | ({"commit": commit} if commit else {})


def judge(run: Run, outcome: GenerationOutcome) -> None:
    """Raise `UserError` if every sample failed by the user's mistake; tidy up a run that is complete."""
    done = {name for name, entry in run.ledger().items() if entry.status == "done"}
    if outcome.failures and not done and all(failure.by_user for failure in outcome.failures.values()):
        name, failure = next(iter(outcome.failures.items()))
        count = len(outcome.failures)
        others = f" (and {count - 1} more)" if count > 1 else ""
        raise UserError(one_line(f"no sample can be used: {name}: {failure.error}{others}"))
    if len(done) >= run.record.asked:
        run.tidy()
