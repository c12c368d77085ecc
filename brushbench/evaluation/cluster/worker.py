"""A worker of a cluster: it loads the method once and generates the batches that it is given."""

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

import torch

from brushbench.core.capture import Failure
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.errors import UserError, one_line
from brushbench.core.machine import refusal
from brushbench.core.method_info import Role
from brushbench.core.protocol import protocol_named
from brushbench.core.types import Sample
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.generate import Idle, decoded_sample
from brushbench.evaluation.paint import Painted, Painter
from brushbench.evaluation.resolve import Job, resolve
from brushbench.imaging.images import encode_image
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.owners import FOLDER
from brushbench.runs.record import Identity
from brushbench.weights.memory import release

T = TypeVar("T")
Wanted = Mapping[int, Mapping[int, int]]
"""What to generate: by the number of the batch, the position in the data set of each sample by its place."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a worker can't do what it was asked to: a user's mistake, or a refusal of its machine."""

    text: str


@dataclass(frozen=True, slots=True)
class Here:
    """Where a worker is."""

    node: str
    """The name of its machine, as people know it."""
    pid: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker has loaded."""

    identity: Identity
    batch_size: int
    provenance: Mapping[str, str]
    role: Role
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Made:
    """How a sample ended on a worker."""

    entry: LedgerEntry
    """With the digest of its image if the worker has stored it."""
    content: bytes | None = None
    """The encoded image; None if the sample failed, or if the worker has stored the image."""
    failure: Failure | None = None


Batches = Mapping[int, Sequence[Made]]
"""How the samples of batches ended, by the number of the batch."""


@dataclass(frozen=True, slots=True)
class WorkerSetting:
    """The conditions under which every worker computes, as the process that hands out the work does."""

    config: RunConfig
    folder: str
    """The working folder, which relative paths of options begin at."""
    threads: int
    """Threads of PyTorch on the CPU: with another number, sums are rounded otherwise."""


@final
class ClusterWorker:
    """One process of a cluster."""

    def __init__(self, setting: WorkerSetting) -> None:
        """Load nothing yet."""
        self._setting = setting
        self._job: Job | None = None
        self._run: Run | None = None

    def here(self) -> Here:
        """Where this worker is."""
        return Here(socket.gethostname(), os.getpid())

    def alive(self) -> bool:
        """Whether this worker is alive; a thread of its own answers."""
        return True

    def load(self) -> Loaded | Mistake:
        """Load the method and open the data set."""
        return _told(self._load)

    def share(self, folder: str, claim: str) -> Mistake | None:
        """Store images in the run folder from now on, if it is the one where the other process has made its claim."""
        if not (Path(folder) / FOLDER / f"{claim}.json").exists():
            told = f"{folder} is not the run's folder there; valid: a folder that all nodes share, or --store driver"
            return Mistake(one_line(told))
        self._run = Run.open(folder)
        return None

    def rest(self) -> None:
        """Give up what is loaded; the process stays, so that no other worker takes its place on this machine."""
        self._job = None
        release()

    def generate(self, wanted: Wanted, *, resumed: bool) -> Batches | Mistake:
        """Generate batches. `resumed` tells whether the run already has images."""
        return _told(lambda: self._generated(wanted, resumed))

    def _load(self) -> Loaded:
        torch.set_num_threads(self._setting.threads)
        if Path(self._setting.folder).is_dir():
            os.chdir(self._setting.folder)
        job = self._job = resolve(self._setting.config, scored=False)
        notes = (*job.task.notes, *job.notes)
        return Loaded(job.identity, job.batch_size, job.provenance(), job.method.role, notes)

    def _generated(self, wanted: Wanted, resumed: bool) -> Batches:
        torch.set_num_threads(self._setting.threads)
        job = self._loaded()
        protocol, method = protocol_named(job.task.config.protocol), job.method
        call = MethodCall(method.call, protocol, job.task.config.seed, method.side_multiple)
        painter = Painter(call, job.batch_size, Idle().make_room, method.offload == "none")
        with ThreadPoolExecutor(THREADS) as pool:
            encoding: dict[int, list[Future[Made]]] = {}
            for number, slots in zip(wanted, prefetch(self._decoded(pool, wanted)), strict=True):
                results = painter(slots, resumed=resumed)
                encoding[number] = [
                    pool.submit(self._made, results[place], protocol.image_format) for place in sorted(results)
                ]
            return {number: [future.result() for future in futures] for number, futures in encoding.items()}

    def _decoded(
        self, pool: ThreadPoolExecutor, wanted: Wanted
    ) -> Iterator[dict[int, Future[tuple[str, Sample | Failure]]]]:
        dataset = self._loaded().task.dataset
        for places in wanted.values():
            yield {place: pool.submit(decoded_sample, dataset, index) for place, index in places.items()}

    def _made(self, painted: Painted, image_format: str) -> Made:
        entry = painted.entry(image_format)
        if isinstance(painted.image, Failure):
            return Made(entry, failure=painted.image)
        content = encode_image(painted.image, image_format)
        if self._run is None:
            return Made(entry, content)
        digest = self._run.write_image(str(entry.image), content)
        return Made(entry.model_copy(update={"sha256": digest}))

    def _loaded(self) -> Job:
        assert self._job is not None
        return self._job


def _told(work: Callable[[], T]) -> T | Mistake:
    try:
        return work()
    except UserError as error:
        return Mistake(str(error))
    except (OSError, MemoryError) as error:
        return Mistake(str(refusal(error)))
