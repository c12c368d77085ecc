"""Run a method over a data set and store the images that it generates."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol as Interface
from typing import final, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.errors import ComputeError, UserError
from brushbench.core.notes import collecting_of_samples
from brushbench.core.progress import ProgressCallback
from brushbench.core.protocol import Protocol
from brushbench.core.types import Dataset, Method, Sample
from brushbench.evaluation.call import MethodCall
from brushbench.imaging.images import Size, encode_image
from brushbench.imaging.padding import padded_size
from brushbench.runs.config import Shard
from brushbench.runs.error_files import error_name
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.weights.memory import any_loaded, release

SUFFIX = {"PNG": ".png", "JPEG": ".jpg"}


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
        loaded = any_loaded()
        release()
        return loaded


@dataclass(frozen=True, slots=True)
class _Result:
    sample_id: str
    image: UInt8[Tensor, "3 h w"] | Failure
    seconds: float
    note: str | None = None
    """What a user must know about how the image was generated."""
    padded: Size | None = None
    """The padded size at which it was generated; None if it wasn't padded."""


@final
class Generation:
    """Generate the samples of a run that have no intact image yet, in the data set's order.

    Every call of the method gets a full batch: each sample keeps its place, and the places of finished samples are
    filled with copies of the first unfinished one. So a sample is computed in the same way, and its image has the same
    bytes, whether or not the run was interrupted.

    Worker threads decode samples ahead, and encode and write images. The calling thread writes the ledger in order,
    batch by batch, once all images of the batch are on the disk.
    """

    def __init__(
        self, run: Run, method: Method, dataset: Dataset, protocol: Protocol, plan: Plan, beside: Beside | None = None
    ) -> None:
        self._run = run
        self._call = MethodCall(method, protocol, plan.seed, plan.side_multiple)
        self._dataset = dataset
        self._protocol = protocol
        self._plan = plan
        self._beside = beside or Idle()
        self._ledger = run.ledger()
        self._done = run.intact()
        self._failures: dict[str, Failure] = {}
        self.stored = 0
        """Number of images added to the run."""

    def unfinished(self) -> list[str]:
        """The ids of the samples to generate."""
        ids = (self._dataset.ids[index] for index in self._plan.positions())
        return [name for name in ids if name not in self._done]

    def __call__(self, watch: ProgressCallback) -> GenerationOutcome:
        """Generate to the end, or until too many samples have failed."""
        positions = self._plan.positions()
        finished = sum(self._dataset.ids[index] in self._done for index in positions)
        method = self._run.record.identity.method.name
        advance = watch(f"generating {method}, {self._dataset.name}/{self._dataset.split}", len(positions), finished)
        with ThreadPoolExecutor(THREADS) as pool:
            storing: deque[list[tuple[LedgerEntry, Future[str] | None]]] = deque()
            try:
                for slots in prefetch(self._decoded(pool)):
                    results = self._painted(slots)
                    storing.append([self._stored(pool, results[place]) for place in sorted(results)])
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
            yield {place: pool.submit(self._sample, index) for place, index in wanted.items()}

    def _sample(self, index: int) -> tuple[str, Sample | Failure]:
        return self._dataset.ids[index], capture(self._dataset.__getitem__, index)

    def _painted(self, slots: Mapping[int, tuple[str, Sample | Failure]]) -> dict[int, _Result]:
        """Generate one chunk; the results by place. Each size needs its own call: different sizes can't be stacked."""
        samples = {place: sample for place, (_, sample) in slots.items() if isinstance(sample, Sample)}
        results = {
            place: _Result(name, failure, 0.0)
            for place, (name, failure) in slots.items()
            if isinstance(failure, Failure)
        }
        for size in dict.fromkeys(sample.image.shape for sample in samples.values()):
            results |= self._paint({place: sample for place, sample in samples.items() if sample.image.shape == size})
        return results

    def _paint(self, samples: Mapping[int, Sample]) -> dict[int, _Result]:
        filler = next(iter(samples.values()))
        places = [samples.get(place, filler) for place in range(self._plan.batch_size)]
        start = time.perf_counter()
        with collecting_of_samples() as notes:
            images = capture(self._call, places, passing=(ComputeError,))
            if isinstance(images, Failure) and images.out_of_memory and self._beside.make_room():
                notes.clear()
                images = capture(self._call, places, passing=(ComputeError,))
        seconds = (time.perf_counter() - start) / len(samples)
        if not isinstance(images, Failure):
            height, width = filler.image.shape[1:]
            larger = padded_size(height, width, self._plan.side_multiple)
            was_padded = larger if larger != (height, width) else None
            return {
                place: _Result(sample.id, images[place], seconds, "; ".join(notes.get(place, [])) or None, was_padded)
                for place, sample in samples.items()
            }
        if images.out_of_memory:
            smaller = "a smaller --batch-size" if self._plan.batch_size > 1 else "another --device or --dtype"
            anew = ", with --fresh" if self._done else ""
            rest = "; or -o offload=model, which changes no image" if self._plan.can_offload else ""
            raise UserError(
                f"out of memory with {self._plan.batch_size} samples per call; valid: {smaller}{anew}{rest}"
            )
        if len(samples) == 1:
            return {place: _Result(sample.id, images, seconds) for place, sample in samples.items()}
        # One bad sample must not spoil the rest of its batch: call the method for each sample by itself, in its place.
        results: dict[int, _Result] = {}
        for place, sample in samples.items():
            results |= self._paint({place: sample})
        return results

    def _stored(self, pool: ThreadPoolExecutor, result: _Result) -> tuple[LedgerEntry, Future[str] | None]:
        if isinstance(result.image, Failure):
            self._failures[result.sample_id] = result.image
            return LedgerEntry(id=result.sample_id, status="failed", error=result.image.error), None
        name = result.sample_id + SUFFIX[self._protocol.image_format]
        seconds = round(result.seconds, 4)
        entry = LedgerEntry(
            id=result.sample_id,
            status="done",
            image=name,
            seconds=seconds,
            note=result.note,
            padded=result.padded,
        )
        return entry, pool.submit(self._store, name, result.image)

    def _store(self, name: str, image: UInt8[Tensor, "3 h w"]) -> str:
        return self._run.write_image(name, encode_image(image, self._protocol.image_format))

    def _commit(self, stored: Sequence[tuple[LedgerEntry, Future[str] | None]]) -> tuple[int, int]:
        entries: list[LedgerEntry] = []
        try:
            for pending, future in stored:
                entry = pending.model_copy(update={"sha256": future.result()}) if future else pending
                self._explain(entry)
                entries.append(entry)
        finally:
            # Record the images before one that could not be written: they are on the disk.
            self._append(entries)
        self._beside.committed(entries)
        return len(stored), sum(future is None for _, future in stored)

    def _explain(self, entry: LedgerEntry) -> None:
        """Store why a sample failed; if it succeeded, remove the explanation of an earlier failure."""
        if entry.status == "failed":
            self._run.write_error(error_name(entry.id), _explained(entry, self._failures[entry.id]))
        elif entry.id in self._ledger:
            self._run.error_path(error_name(entry.id)).unlink(missing_ok=True)

    def _append(self, entries: Sequence[LedgerEntry]) -> None:
        # A sample that fails again with the same error needs no second line.
        news = [entry for entry in entries if entry.status == "done" or not self._is_known(entry)]
        self._run.append(*news)
        self.stored += sum(entry.status == "done" for entry in news)

    def _is_known(self, entry: LedgerEntry) -> bool:
        return entry.same_outcome(self._ledger.get(entry.id))

    def _too_many(self) -> bool:
        return self._plan.max_failures is not None and len(self._failures) > self._plan.max_failures


def _explained(entry: LedgerEntry, failure: Failure) -> str:
    return f"{entry.id}: {failure.error}\n\n{failure.traceback}"
