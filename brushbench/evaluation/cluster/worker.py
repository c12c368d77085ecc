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
from brushbench.core.notes import hearing
from brushbench.core.protocol import protocol_named
from brushbench.core.types import Dataset, Sample
from brushbench.evaluation.batch_inpainting import BatchInpainter, SampleResult
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.generate import decoded_sample
from brushbench.evaluation.resolve import Job, resolve
from brushbench.imaging.images import encode_image
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.owners import is_entered
from brushbench.runs.record import Identity
from brushbench.weights.memory import make_room, release

T = TypeVar("T")
Assignment = Mapping[int, Mapping[int, int]]
"""What to generate: by the number of the batch, the position in the data set of each sample by its place."""


@dataclass(frozen=True, slots=True)
class WorkerError:
    """Why a worker can't do what it was asked to: a user's mistake, or a refusal of its machine."""

    text: str


@dataclass(frozen=True, slots=True)
class Location:
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
class EncodedResult:
    """How a sample ended on a worker."""

    entry: LedgerEntry
    """With the digest of its image if the worker has stored it."""
    content: bytes | None = None
    """The encoded image; None if the sample failed, or if the worker has stored the image."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """What a worker has generated."""

    batches: Mapping[int, Sequence[EncodedResult]]
    """How the samples of each batch ended, by its number."""
    notes: Sequence[str]
    """What a reader of the run must know, and the warnings of libraries meanwhile."""


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

    def here(self) -> Location:
        """Where this worker is."""
        return Location(socket.gethostname(), os.getpid())

    def alive(self) -> bool:
        """Whether this worker is alive; a thread of its own answers."""
        return True

    def load(self) -> Loaded | WorkerError:
        """Load the method and open the data set."""
        return self._do(self._load)

    def share(self, folder: str, claim: str) -> WorkerError | None:
        """Store images in the run folder from now on, if it is the one where the other process has made its claim."""
        if not is_entered(Path(folder), claim):
            told = f"{folder} is not the run's folder there; valid: a folder that all nodes share, or --store driver"
            return WorkerError(one_line(told))
        self._run = Run.open(folder)
        return None

    def rest(self) -> None:
        """Give up what is loaded; the process stays, so that no other worker takes its place on this machine."""
        self._job = None
        release()

    def generate(self, assignment: Assignment, *, resumed: bool) -> Generated | WorkerError:
        """Generate batches. `resumed` tells whether the run already has images."""
        if (job := self._job) is None:
            return WorkerError("the worker was given work before it had loaded the method")
        return self._do(lambda: self._generated(job, assignment, resumed))

    def _do(self, work: Callable[[], T]) -> T | WorkerError:
        # The number holds for this thread, which Ray has started.
        torch.set_num_threads(self._setting.threads)
        try:
            return work()
        except UserError as error:
            return WorkerError(str(error))
        except (OSError, MemoryError) as error:
            return WorkerError(str(refusal(error)))

    def _load(self) -> Loaded:
        if Path(self._setting.folder).is_dir():
            os.chdir(self._setting.folder)
        job = self._job = resolve(self._setting.config, scored=False)
        notes = (*job.task.notes, *job.notes)
        return Loaded(job.identity, job.batch_size, job.provenance(), job.method.role, notes)

    def _generated(self, job: Job, assignment: Assignment, resumed: bool) -> Generated:
        config, method = job.task.config, job.method
        protocol = protocol_named(config.protocol)
        call = MethodCall(method.call, protocol, config.seed, method.side_multiple)
        inpaint = BatchInpainter(call, job.batch_size, make_room, method.offload == "none")
        encoding: dict[int, list[Future[EncodedResult]]] = {}
        with hearing() as notes, ThreadPoolExecutor(THREADS) as pool:
            decoded = prefetch(_decoded(pool, job.task.dataset, assignment))
            for number, slots in zip(assignment, decoded, strict=True):
                results = inpaint(slots, resumed=resumed)
                encoding[number] = [
                    pool.submit(self._encoded, results[place], protocol.image_format) for place in sorted(results)
                ]
        return Generated({number: [each.result() for each in batch] for number, batch in encoding.items()}, notes)

    def _encoded(self, result: SampleResult, image_format: str) -> EncodedResult:
        entry = result.entry(image_format)
        if isinstance(result.image, Failure):
            return EncodedResult(entry, failure=result.image)
        content = encode_image(result.image, image_format)
        if self._run is None:
            return EncodedResult(entry, content)
        digest = self._run.write_image(str(entry.image), content)
        return EncodedResult(entry.model_copy(update={"sha256": digest}))


def _decoded(
    pool: ThreadPoolExecutor, dataset: Dataset, assignment: Assignment
) -> Iterator[dict[int, Future[tuple[str, Sample | Failure]]]]:
    for places in assignment.values():
        yield {place: pool.submit(decoded_sample, dataset, index) for place, index in places.items()}
