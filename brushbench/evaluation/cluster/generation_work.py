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
from brushbench.evaluation.cluster.messages import (
    Assignment,
    EncodedResult,
    Generated,
    Loaded,
    Location,
    ScoredPieces,
    Terms,
)
from brushbench.evaluation.cluster.schedule import Schedule
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
class GenerationOrder:
    """The images of a run are to be generated."""

    verb = "generate"
    instead = "--store shared"

    def __init__(self, task: Task) -> None:
        self._task = task
        found, done = found_in(task.path)
        self.stored: Terms | None = found
        self.most_workers = max(1, task.requested - done)

    def begin(self, loaded: Loaded, watch: ProgressCallback) -> "GenerationWork":
        """Start or resume the run with what a worker has loaded. Raises `UserError` as `Run.start` does."""
        return GenerationWork(self._task, loaded, watch)


@final
class GenerationWork:
    """The batches of a run that aren't complete, cut as a single process cuts them."""

    keeps_unfinished = True
    """Images that are stored are kept if the run is interrupted."""

    def __init__(self, task: Task, loaded: Loaded, watch: ProgressCallback) -> None:
        """See `GenerationOrder.begin`."""
        assert isinstance(loaded.identity, Identity)
        self._task = task
        begun = {**loaded.provenance, "begun": now()}
        self.identity: Terms = loaded.identity
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
        self._resumed = bool(done)
        self.schedule = Schedule(self._missing)
        finished = sum(name in done for name in task.dataset.ids[: task.requested])
        self._advance = watch(stage_of(self.run), task.requested, finished)

    @property
    def token(self) -> str:
        """This process's claim on the run folder, by which workers that store images themselves know the folder."""
        return self.run.claim or "" if self._task.config.store == "shared" else ""

    def sees(self, name: str, *, yes: bool) -> None:
        """Every worker that shares the folder sees it."""

    def assignment(self, _name: str, batches: Iterable[int]) -> Assignment:
        """What a worker is to generate of some batches."""
        return Assignment({number: self._missing[number] for number in batches}, self._resumed)

    def ids(self, batches: Iterable[int]) -> list[str]:
        """The ids of the samples in batches that are to be generated."""
        return [self._task.dataset.ids[index] for number in batches for index in self._missing[number].values()]

    def record(self, generated: Generated | ScoredPieces, new: Iterable[int]) -> int:
        """Store the images of the batches that are new, and write their ledger lines; returns how many images."""
        assert isinstance(generated, Generated)
        before, results = self._recorder.stored, [each for number in new for each in generated.batches[number]]
        self.run.add_notes(generated.notes)
        with doing(KEPT), ThreadPoolExecutor(THREADS) as pool:
            self._recorder.commit([self._ended(pool, result) for result in results])
        self._advance(len(results), sum(result.failure is not None for result in results))
        return self._recorder.stored - before

    def is_stopped(self) -> bool:
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
        judge(self.run, GenerationOutcome(self._recorder.failures, self.is_stopped()))
        return self.run

    def release(self) -> None:
        """Remove this process's claim on the run."""
        self.run.release()

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
