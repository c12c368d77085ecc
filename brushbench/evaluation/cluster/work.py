"""The run folder as the process that hands out the work sees it: what is missing, and where results go."""

import os
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import final

from brushbench.core.concurrency import THREADS
from brushbench.core.progress import ProgressCallback
from brushbench.evaluation.cluster.schedule import Schedule
from brushbench.evaluation.cluster.worker import Here, Loaded, Made, Wanted
from brushbench.evaluation.generate import GenerationOutcome, Plan
from brushbench.evaluation.local import judge
from brushbench.evaluation.recording import Ended, Recorder
from brushbench.evaluation.resolve import Task
from brushbench.runs.adoption import adopt
from brushbench.runs.config import WHOLE
from brushbench.runs.folder import Run
from brushbench.runs.record import Identity
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
        adopt(self.run)
        self.run.add_notes([*loaded.notes])
        done = self.run.intact()
        self.resumed = bool(done)
        self._wanted = self._missing(loaded.batch_size, done)
        self.schedule = Schedule(self._wanted)
        self._recorder = Recorder(self.run)
        dataset = task.dataset
        finished = sum(name in done for name in dataset.ids[: task.requested])
        stage = f"generating {task.config.method}, {dataset.name}/{dataset.split}"
        self._advance = watch(stage, task.requested, finished)

    @property
    def claim(self) -> str:
        """The name of this process's claim on the run folder."""
        return self.run.claim or ""

    def wanted(self, batches: Iterable[int]) -> Wanted:
        """What to generate of some batches."""
        return {number: self._wanted[number] for number in batches}

    def ids(self, batches: Iterable[int]) -> list[str]:
        """The ids of the samples in batches that are to be generated."""
        return [self._task.dataset.ids[index] for number in batches for index in self._wanted[number].values()]

    def record(self, results: Iterable[Sequence[Made]]) -> int:
        """Store the images of finished batches and write their ledger lines; returns the number of images."""
        before = self._recorder.stored
        with ThreadPoolExecutor(THREADS) as pool:
            batches = [[self._ended(pool, made) for made in batch] for batch in results]
        for batch in batches:
            self._recorder.commit(batch)
            self._advance(len(batch), sum(made.failure is not None for made in batch))
        return self._recorder.stored - before

    def too_many_failures(self) -> bool:
        """Whether more samples have failed than may."""
        most = self._task.config.max_failures
        return most is not None and len(self._recorder.failures) > most

    def begin_worker(self, where: Here, loaded: Loaded) -> str:
        """Write the line of a worker that begins, and return its name there."""
        about = {"host": where.node, "pid": where.pid, "engine": "ray", "driver": [socket.gethostname(), os.getpid()]}
        return began(self.run, {**loaded.provenance, **about})

    def end_worker(self, name: str, seconds: int | float, images: int, *, finished: bool) -> None:
        """Write the line of a worker that ends, or that is lost."""
        ended(self.run, name, seconds, images, finished=finished)

    def end(self) -> Run:
        """The run. Raises `UserError` if every sample failed by the user's mistake."""
        judge(self.run, GenerationOutcome(self._recorder.failures, self.too_many_failures()))
        return self.run

    def _missing(self, batch_size: int, done: Iterable[str]) -> dict[int, dict[int, int]]:
        """By batch, the position in the data set of each sample to generate, by its place in the batch."""
        known, ids = set(done), self._task.dataset.ids
        plan = Plan(self._task.requested, WHOLE, batch_size, self._task.config.seed, None)
        found = {
            number: {place: index for place, index in enumerate(chunk) if ids[index] not in known}
            for number, chunk in enumerate(plan.chunks())
        }
        return {number: places for number, places in found.items() if places}

    def _ended(self, pool: ThreadPoolExecutor, made: Made) -> Ended:
        if made.content is None:
            return Ended(made.entry, None, made.failure)
        return Ended(made.entry, pool.submit(self.run.write_image, str(made.entry.image), made.content))


def stored_identity(path: Path) -> Identity | None:
    """The identity of the run in a folder that already has images; None if there is none."""
    if not (path / "run.json").exists():
        return None
    run = Run.open(path)
    return run.record.identity if any(entry.status == "done" for entry in run.ledger().values()) else None


def unfinished(task: Task) -> int:
    """The number of requested samples that aren't in the ledger, at least 1."""
    there = Run.open(task.path).ledger() if (task.path / "run.json").exists() else {}
    return max(1, task.requested - sum(entry.status == "done" for entry in there.values()))
