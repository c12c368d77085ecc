"""Score the images of a run on a GPU while others are still generated.

What is computed ahead is no more than that: `Scoring` runs after generation as it always does, and takes from here the
parts that it would compute from the same images with the same metrics. So scores, notes and progress don't depend on
how far this came, and nothing is lost when it has to stop.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, final

import torch

from brushbench.core.capture import Failure, capture
from brushbench.core.compute import PLAIN
from brushbench.core.notes import apart, tell_again
from brushbench.core.registry import method_info, metric_info
from brushbench.core.types import Dataset
from brushbench.evaluation.memory import Free, device_of, total_bytes
from brushbench.evaluation.methods import LoadedMethod
from brushbench.evaluation.parts import Described, Part, UnsettledError
from brushbench.evaluation.resolve import Task
from brushbench.evaluation.score import LARGE_GPU, Scored, Scoring
from brushbench.evaluation.select_metrics import Selection
from brushbench.runs.config import WHOLE
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.weights.memory import any_loaded, release
from brushbench.weights.runtime import device_named

Overlaps = Callable[[Task, LoadedMethod], bool]


@dataclass(frozen=True, slots=True)
class _Result:
    scored: Scored
    found: Described
    notes: Sequence[str]


@final
class Ahead:
    """The parts of a run that are scored ahead, in order, each once all of its samples are in the ledger."""

    def __init__(self, dataset: Dataset, selection: Selection) -> None:
        self._dataset = dataset
        self._selection = selection
        self._worker: _Worker | None = None
        self._begun: dict[int, tuple[Part, Future[_Result]]] = {}
        """By the position of the part's first sample."""

    @contextmanager
    def during(self, run: Run, unfinished: Sequence[str]) -> Iterator[None]:
        """Score inside, while the `unfinished` samples are generated."""
        # Whatever is wrong with the run or its metrics is reported by the scoring that follows.
        begun = capture(self._worker_for, run, unfinished)
        self._worker = None if isinstance(begun, Failure) else begun
        self.committed([])
        try:
            yield
        finally:
            self._stop()

    def committed(self, entries: Sequence[LedgerEntry]) -> None:
        """Take note of samples that have just been recorded in the ledger, with their images on the disk."""
        if self._worker is not None:
            self._begun |= self._worker.begin_after(entries)

    def make_room(self) -> bool:
        """Stop, and give up the memory of all networks; returns whether there was any to give up."""
        loaded = any_loaded()
        self._stop()
        release()
        return loaded

    def take(self, part: Part, found: Described) -> Scored | None:
        """The scores of a part, None if it wasn't scored ahead; what was found out about its samples is added."""
        known, future = self._begun.get(next(iter(part.entries)), (None, None))
        if known is None or future is None or not known.includes(part) or future.cancelled() or future.exception():
            return None
        result = future.result()
        tell_again(result.notes)
        found.add(result.found)
        scores, failed = result.scored
        return {index: {name: by_metric[name] for name in part.metrics} for index, by_metric in scores.items()}, failed

    def _worker_for(self, run: Run, unfinished: Sequence[str]) -> "_Worker | None":
        scoring = Scoring(run, self._dataset, self._selection)
        if not scoring.fits():
            return None
        # What is heard of networks belongs to the scoring that follows, which asks for them again.
        with apart():
            scoring.load_networks()
        positions = {name: index for index, name in enumerate(self._dataset.ids)}
        device = device_of(self._selection.metrics)
        return _Worker(scoring, positions, {positions[name] for name in unfinished}, device)

    def _stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


@final
class _Worker:
    """A thread, on a GPU with a stream of its own."""

    def __init__(
        self, scoring: Scoring, positions: Mapping[str, int], unfinished: set[int], device: torch.device
    ) -> None:
        self._scoring = scoring
        self._positions = positions
        self._unfinished = unfinished
        self._waiting = deque(scoring.parts())
        self._made: dict[int, LedgerEntry] = {}
        self._short = False
        """Whether memory ran out."""
        self._stream = None
        if device.type == "cuda":
            # The networks were loaded in another stream.
            torch.cuda.synchronize(device)
            # Any: torch doesn't type it.
            stream: Any = torch.cuda.Stream
            self._stream = stream(device)
        self._pool = ThreadPoolExecutor(1)

    def begin_after(self, entries: Sequence[LedgerEntry]) -> dict[int, tuple[Part, Future[_Result]]]:
        """Begin the parts that are complete with these samples; returns them by the position of their first sample."""
        made = {self._positions[entry.id]: entry for entry in entries}
        self._made |= made
        self._unfinished -= made.keys()
        begun: dict[int, tuple[Part, Future[_Result]]] = {}
        while self._waiting and self._unfinished.isdisjoint(self._waiting[0].entries):
            planned = self._waiting.popleft()
            own = {index: self._made.get(index, entry) for index, entry in planned.entries.items()}
            part = Part(own, planned.metrics)
            future = capture(self._pool.submit, self._score, part)
            # Where no thread can be started, all is scored afterwards.
            if not isinstance(future, Failure):
                begun[next(iter(own))] = part, future
        return begun

    def stop(self) -> None:
        """Finish the part that is being scored, and begin no other."""
        self._pool.shutdown(cancel_futures=True)

    def _score(self, part: Part) -> _Result:
        if self._short:
            raise MemoryError
        try:
            with torch.cuda.stream(self._stream) if self._stream else nullcontext(), apart() as notes:
                scored, found = self._scoring.score_alone(part)
        except UnsettledError as error:
            self._short = error.out_of_memory
            raise
        return _Result(scored, found, notes)


def overlaps(task: Task, method: LoadedMethod) -> bool:
    """Whether a run is scored while it is generated: on a GPU with ample memory, where neither disturbs the other."""
    return (
        may_overlap(task)
        and method.device.startswith("cuda")
        # Attention by another recipe is a setting of the whole process.
        and method.compute == PLAIN
        # Whoever lets models leave the GPU has no memory to spare.
        and method.offload != "model"
    )


def may_overlap(task: Task, total: Free = total_bytes) -> bool:
    """Whether it may be, by what is known before the method is loaded.

    Other people's methods and metrics may use settings of the whole process, or its random numbers. A shard is scored
    afterwards, as its parts have samples of other shards.
    """
    info = method_info(task.config.method)
    if info is None or info.process_wide or task.config.engine != "local" or task.config.part() != WHOLE:
        return False
    metrics = task.selection.metrics if task.selection else ()
    if not metrics or not all(metric_info(metric.info.name) for metric in metrics):
        return False
    device = capture(device_named, task.config.device)
    return isinstance(device, torch.device) and device.type == "cuda" and total(device) >= LARGE_GPU
