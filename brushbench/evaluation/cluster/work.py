"""The run folder as the process that hands out the work sees it: what is missing, and where results go."""

import os
import socket
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import final

from brushbench.core.concurrency import THREADS
from brushbench.core.errors import KEPT, doing
from brushbench.core.progress import ProgressCallback
from brushbench.evaluation.cluster.schedule import Schedule
from brushbench.evaluation.cluster.worker import Assignment, EncodedResult, Generated, Loaded, Location
from brushbench.evaluation.generate import GenerationOutcome, Plan, stage_of
from brushbench.evaluation.local import judge, where_from
from brushbench.evaluation.recording import Ended, Recorder
from brushbench.evaluation.resolve import Task
from brushbench.runs.adoption import adopt
from brushbench.runs.config import WHOLE
from brushbench.runs.folder import Run
from brushbench.runs.record import Identity
from brushbench.runs.starting import has_run
from brushbench.runs.workers import began, ended, now


@final
class Work:
    """The batches of a run that aren't complete, cut as a single process cuts them."""

    def __init__(self, task: Task, loaded: Loaded, watch: ProgressCallback) -> None:
        """Start or resume the run with what a worker has loaded. Raises `UserError` as `Run.start` does."""
        self._task = task
        begun = {**loaded.provenance, "begun": now()}
        self.identity = loaded.identity
        self.run = Run.start(task.path, loaded.identity, task.requested, begun, loaded.role, claim=True)
        with ExitStack() as stack:
            stack.callback(self.run.release)
            adopt(self.run)
            self.run.add_notes(loaded.notes)
            done = self.run.intact()
            self._recorder = Recorder(self.run)
            stack.pop_all()
        config = task.config
        self._plan = Plan(task.requested, WHOLE, loaded.batch_size, config.seed, config.max_failures)
        self._missing = self._without(done)
        self.resumed = bool(done)
        self.schedule = Schedule(self._missing)
        finished = sum(name in done for name in task.dataset.ids[: task.requested])
        self._advance = watch(stage_of(self.run), task.requested, finished)

    @property
    def claim(self) -> str:
        """The name of this process's claim on the run folder."""
        return self.run.claim or ""

    def assignment(self, batches: Iterable[int]) -> Assignment:
        """What a worker is to generate of some batches."""
        return {number: self._missing[number] for number in batches}

    def ids(self, batches: Iterable[int]) -> list[str]:
        """The ids of the samples in batches that are to be generated."""
        return [self._task.dataset.ids[index] for number in batches for index in self._missing[number].values()]

    def record(self, generated: Generated, new: Iterable[int]) -> int:
        """Store the images of the batches that are new, and write their ledger lines; returns how many images."""
        before, results = self._recorder.stored, [each for number in new for each in generated.batches[number]]
        self.run.add_notes(generated.notes)
        with doing(KEPT), ThreadPoolExecutor(THREADS) as pool:
            self._recorder.commit([self._ended(pool, result) for result in results])
        self._advance(len(results), sum(result.failure is not None for result in results))
        return self._recorder.stored - before

    def too_many_failures(self) -> bool:
        """Whether more samples have failed than may."""
        return self._plan.too_many(len(self._recorder.failures))

    def begin_worker(self, where: Location, loaded: Loaded) -> str:
        """Write the line of a worker that begins, and return its name there."""
        about = {"host": where.node, "pid": where.pid, "engine": "ray", "driver": [socket.gethostname(), os.getpid()]}
        return began(self.run, {**loaded.provenance, **where_from(self._task.config), **about})

    def end_worker(self, name: str, seconds: int | float, images: int, *, finished: bool) -> None:
        """Write the line of a worker that ends, or that is lost."""
        ended(self.run, name, seconds, images, finished=finished)

    def end(self) -> Run:
        """The run. Raises `UserError` if every sample failed by the user's mistake."""
        judge(self.run, GenerationOutcome(self._recorder.failures, self.too_many_failures()))
        return self.run

    def _without(self, done: Container[str]) -> dict[int, dict[int, int]]:
        """By batch, the position in the data set of each sample to generate, by its place in the batch."""
        ids = self._task.dataset.ids
        found = {
            number: {place: index for place, index in enumerate(chunk) if ids[index] not in done}
            for number, chunk in enumerate(self._plan.chunks())
        }
        return {number: places for number, places in found.items() if places}

    def _ended(self, pool: ThreadPoolExecutor, result: EncodedResult) -> Ended:
        if result.content is None:
            return Ended(result.entry, None, result.failure)
        return Ended(result.entry, pool.submit(self.run.write_image, str(result.entry.image), result.content))


def found_in(path: Path) -> tuple[Identity | None, int]:
    """The identity of the run in a folder, None if it has no image yet, and its number of images."""
    if not has_run(path):
        return None, 0
    run = Run.open(path)
    done = list(run.statuses().values()).count("done")
    return run.record.identity if done else None, done
