"""Decide which worker generates which batches, from what is done and how long it took. No clock and no cluster here.

Batches are handed out in the run's own order, a few at a time: so many as take about two seconds, and fewer towards the
end. What a lost worker had, or one that is overdue, goes back to the front. Once all batches are handed out, an idle
worker repeats those of the worker that would take longest. A batch counts once, whoever finishes it first.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import final

TARGET_SECONDS = 2.0
"""The time that the batches of one message should take; messages cost milliseconds."""
MOST_BATCHES = 64
"""The most batches in one message, which bounds the memory for their results."""
PATIENCE = 4.0
"""A worker is overdue after this many times the time that its batches are expected to take."""
LEAST_PATIENCE = 5.0
"""Seconds that no worker is overdue before."""
RECENT = 64
"""The number of latest times that expectations are learned from."""
MOST_LOSSES = 5
"""A batch that this many workers were lost with isn't tried again."""


@dataclass(slots=True)
class Flight:
    """Batches that a worker has."""

    batches: tuple[int, ...]
    since: int | float
    overdue: bool = False


@final
class Schedule:
    """The batches of a run that are to be generated. Times are seconds of any clock that doesn't go back."""

    def __init__(self, batches: Iterable[int]) -> None:
        """`batches` are their numbers, in order."""
        self._waiting = deque(batches)
        self._flights: dict[str, Flight] = {}
        self._done: set[int] = set()
        self._total = len(self._waiting)
        self._recent: deque[float] = deque(maxlen=RECENT)
        """Latest times per batch, of all workers."""
        self._usual: float | None = None
        """The median of these."""
        self._own: dict[str, float] = {}
        """The latest time per batch of each worker."""
        self._losses: Counter[int] = Counter()
        self._most = MOST_BATCHES
        self._longest: tuple[int | float, float, tuple[int, ...]] | None = None
        """The time of the last search for what takes longest, its seconds and batches; None if it no longer holds."""

    @property
    def remaining(self) -> int:
        """The number of batches that aren't done."""
        return self._total - len(self._done)

    @property
    def busy(self) -> dict[str, Flight]:
        """The batches in flight, by worker."""
        return dict(self._flights)

    def given_up(self) -> list[int]:
        """The batches that aren't tried again."""
        return [batch for batch, count in self._losses.items() if count >= MOST_LOSSES and batch not in self._done]

    def hand_out(self, worker: str, workers: int, now: int | float) -> tuple[int, ...]:
        """The next batches for an idle worker, one of `workers`; none if there is nothing useful to do."""
        batches = self._next(worker, workers) or self._repeated(worker, now)
        if batches:
            self._flights[worker] = Flight(batches, now)
            self._longest = None
        return batches

    def finished(self, worker: str, now: int | float) -> tuple[int, ...]:
        """Take note that a worker has finished what it had; returns the batches that nobody had finished before."""
        flight, self._longest = self._flights.pop(worker), None
        seconds = (now - flight.since) / len(flight.batches)
        self._own[worker] = seconds
        self._recent.append(seconds)
        self._usual = median(self._recent)
        new = tuple(batch for batch in flight.batches if batch not in self._done)
        self._done |= set(new)
        return new

    def lost(self, worker: str, *, blame: bool) -> None:
        """Take note that a worker is gone; `blame` tells whether its batches may have ended it."""
        self._own.pop(worker, None)
        flight, self._longest = self._flights.pop(worker, None), None
        if flight is not None:
            if blame:
                self._losses.update(batch for batch in flight.batches if batch not in self._done)
            self._give_back(flight)

    def halve(self) -> None:
        """Hand out at most half as many batches at once as so far, as their results take too much room."""
        self._most = max(1, self._most // 2)

    def overdue(self, now: int | float) -> list[str]:
        """The workers that have just become overdue; others will get their batches, too."""
        late = []
        for worker, flight in self._flights.items():
            each = self._expected(worker)
            if not flight.overdue and each is not None:
                limit = max(LEAST_PATIENCE, PATIENCE * each * len(flight.batches))
                if now - flight.since > limit:
                    flight.overdue = True
                    late.append(worker)
        for worker in late:
            self._give_back(self._flights[worker])
        return late

    def _give_back(self, flight: Flight) -> None:
        held = {batch for other in self._flights.values() if not other.overdue for batch in other.batches}
        again = [batch for batch in flight.batches if batch not in self._done | held | set(self._waiting)]
        # Batches that workers were lost with come last, so that all others are done if they end every worker.
        self._waiting.extend(batch for batch in again if self._losses[batch])
        self._waiting.extendleft(reversed([batch for batch in again if not self._losses[batch]]))

    def _next(self, worker: str, workers: int) -> tuple[int, ...]:
        taken: list[int] = []
        limit = self._count(worker, workers)
        while self._waiting and len(taken) < limit:
            batch = self._waiting.popleft()
            if batch in self._done:
                continue
            if self._losses[batch]:
                # A batch that a worker was lost with goes alone, so that no other one is blamed.
                if taken:
                    self._waiting.appendleft(batch)
                    break
                limit = 1
            taken.append(batch)
        return tuple(taken)

    def _count(self, worker: str, workers: int) -> int:
        """The number of batches to hand out at once."""
        each = self._expected(worker)
        if each is None:
            return 1
        share = len(self._waiting) // (2 * max(1, workers))
        return max(1, min(share, self._most, int(TARGET_SECONDS / max(each, 1e-6))))

    def _expected(self, worker: str) -> float | None:
        """The seconds that a worker should take for a batch; None if nothing was learned yet."""
        return self._own.get(worker) or self._usual

    def _repeated(self, worker: str, now: int | float) -> tuple[int, ...]:
        """The batches of the worker that will take longest, if this one should be faster."""
        each = self._expected(worker)
        if each is None:
            return ()
        if self._longest is None or self._longest[0] != now:
            self._longest = now, *self._find_longest(now)
        _, seconds, batches = self._longest
        return batches if seconds > each * len(batches) else ()

    def _find_longest(self, now: int | float) -> tuple[float, tuple[int, ...]]:
        """Batches that only one worker has, and the most seconds that one should still take for them."""
        counts = Counter(batch for flight in self._flights.values() for batch in flight.batches)
        found: tuple[float, tuple[int, ...]] = (0.0, ())
        for worker, flight in self._flights.items():
            left = tuple(batch for batch in flight.batches if batch not in self._done and counts[batch] == 1)
            if left and (seconds := self._time_left(worker, flight, now)) > found[0]:
                found = seconds, left
        return found

    def _time_left(self, worker: str, flight: Flight, now: int | float) -> float:
        """The seconds that a worker should still take: half of its time at least, as nobody knows how far it is."""
        expected = (self._expected(worker) or 0.0) * len(flight.batches)
        elapsed = float(now - flight.since)
        return max(expected - elapsed, expected / 2, elapsed - expected)
