"""Run a method over a data set and store the images that it generates."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol as Interface
from typing import final, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.progress import ProgressCallback
from brushbench.core.protocol import Protocol
from brushbench.core.types import Dataset, Method, Sample
from brushbench.evaluation.batch_inpainting import BatchInpainter, SampleResult
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.recording import Ended, Recorder
from brushbench.imaging.images import encode_image
from brushbench.runs.config import Shard
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.seed_folders import seed_told
from brushbench.weights.memory import make_room


@dataclass(frozen=True, slots=True)
class Plan:
    """Which samples to generate, and in which batches."""

    asked: int
    """Number of samples requested, from the first of the data set."""
    shard: Shard
    batch_size: int
    seed: int
    max_failures: int | None
    side_multiple: int = 1
    """The method needs images whose sides are multiples of it."""
    can_offload: bool = False
    """Whether the method's option `offload` could save memory."""

    def positions(self) -> range:
        """The positions of the shard's samples in the data set."""
        return range(self.shard.index - 1, self.asked, self.shard.count)

    def too_many(self, failures: int) -> bool:
        """Whether more samples have failed than may."""
        return self.max_failures is not None and failures > self.max_failures

    def chunks(self) -> Iterator[Sequence[int]]:
        """The positions of the shard's samples, batch by batch, independent of what is already generated."""
        mine = self.positions()
        return (mine[start : start + self.batch_size] for start in range(0, len(mine), self.batch_size))


@dataclass(frozen=True, slots=True)
class GenerationOutcome:
    """How the generation of a run ended."""

    failures: dict[str, Failure]
    stopped: bool
    """Whether it ended early, because too many samples failed."""


@runtime_checkable
class Beside(Interface):
    """What goes on beside generation in the same process, and uses its memory."""

    def committed(self, entries: Sequence[LedgerEntry]) -> None:
        """Take note of samples that have just been recorded in the ledger, with their images on the disk."""
        ...

    def make_room(self) -> bool:
        """Give up memory; returns whether there was any to give up."""
        ...


@final
class Idle:
    """Nothing goes on beside generation, but networks of metrics may still be in memory."""

    def committed(self, entries: Sequence[LedgerEntry]) -> None:
        """See `Beside`."""

    def make_room(self) -> bool:
        """See `Beside`."""
        return make_room()


@final
class Generation:
    """Generate the samples of a run that have no intact image yet, in the data set's order, batch by batch.

    Worker threads decode samples ahead, and encode and write images. The calling thread writes the ledger in order,
    batch by batch, once all images of the batch are on the disk.
    """

    def __init__(
        self, run: Run, method: Method, dataset: Dataset, protocol: Protocol, plan: Plan, beside: Beside | None = None
    ) -> None:
        self._run = run
        self._dataset = dataset
        self._protocol = protocol
        self._plan = plan
        self._beside = beside or Idle()
        call = MethodCall(method, protocol, plan.seed, plan.side_multiple)
        self._inpaint = BatchInpainter(call, plan.batch_size, self._beside.make_room, plan.can_offload)
        self._recorder = Recorder(run)
        self._done = run.intact({dataset.ids[index] for index in plan.positions()})
        self._failures: dict[str, Failure] = {}

    @property
    def stored(self) -> int:
        """Number of images added to the run."""
        return self._recorder.stored

    def unfinished(self) -> list[str]:
        """The ids of the samples to generate."""
        ids = (self._dataset.ids[index] for index in self._plan.positions())
        return [name for name in ids if name not in self._done]

    def __call__(self, watch: ProgressCallback) -> GenerationOutcome:
        """Generate to the end, or until too many samples have failed."""
        positions = self._plan.positions()
        finished = sum(self._dataset.ids[index] in self._done for index in positions)
        advance = watch(stage_of(self._run), len(positions), finished)
        with ThreadPoolExecutor(THREADS) as pool:
            storing: deque[list[Ended]] = deque()
            try:
                for slots in prefetch(self._decoded(pool)):
                    results = self._inpaint(slots, resumed=bool(self._done))
                    storing.append([self._storing(pool, results[place]) for place in sorted(results)])
                    if len(storing) > 1:
                        advance(*self._commit(storing.popleft()))
                    if self._too_many():
                        break
            finally:
                # Images that are already generated are kept, also after an interruption.
                while storing:
                    advance(*self._commit(storing.popleft()))
        return GenerationOutcome(self._failures, self._too_many())

    def _decoded(self, pool: ThreadPoolExecutor) -> Iterator[dict[int, Future[tuple[str, Sample | Failure]]]]:
        """Decode the unfinished samples of each chunk, by their place in it."""
        for chunk in self._plan.chunks():
            wanted = {place: index for place, index in enumerate(chunk) if self._dataset.ids[index] not in self._done}
            yield {place: pool.submit(decoded_sample, self._dataset, index) for place, index in wanted.items()}

    def _storing(self, pool: ThreadPoolExecutor, result: SampleResult) -> Ended:
        entry = result.entry(self._protocol.image_format)
        if isinstance(result.image, Failure):
            self._failures[result.sample_id] = result.image
            return Ended(entry, None, result.image)
        return Ended(entry, pool.submit(self._store, str(entry.image), result.image))

    def _store(self, name: str, image: UInt8[Tensor, "3 h w"]) -> str:
        return self._run.write_image(name, encode_image(image, self._protocol.image_format))

    def _commit(self, batch: Sequence[Ended]) -> tuple[int, int]:
        self._beside.committed(self._recorder.commit(batch))
        return len(batch), sum(ended.failure is not None for ended in batch)

    def _too_many(self) -> bool:
        return self._plan.too_many(len(self._failures))


def stage_of(run: Run) -> str:
    """What is said while a run is generated."""
    identity = run.record.identity
    return f"generating {identity.method.name}, {identity.dataset.name}/{identity.dataset.split}{seed_told(run.path)}"


def decoded_sample(dataset: Dataset, index: int) -> tuple[str, Sample | Failure]:
    """The id at a position of a data set, and the sample or why it can't be read."""
    return dataset.ids[index], capture(dataset.__getitem__, index)
