"""Decide which worker does which batches, from what is done and how long it took. No clock and no cluster here.

Batches are handed out in the run's own order, a few at a time: so many as take about two seconds, and fewer towards the
end. What a lost worker had, or one that is overdue, goes back to the front. Once all batches are handed out, an idle
worker repeats those of the worker that would take longest. A batch counts once, whoever finishes it first.

Batches may be of several kinds, each of which a worker loads something for when it does the first: it gets batches of
the kinds that it has loaded first, and one message has batches of one kind.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
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


Topic = tuple[int, bool]
"""What times are learned about: a kind of batches, and whether the worker has to load something for it first."""


@dataclass(slots=True)
class Flight:
    """Batches that a worker has."""

    batches: tuple[int, ...]
    since: int | float
    topic: Topic
    overdue: bool = False


@final
class Schedule:
    """The batches of a run that are to be generated. Times are seconds of any clock that doesn't go back."""

    def __init__(self, batches: Iterable[int], kinds: Mapping[int, int] | None = None) -> None:
        """`batches` are their numbers, in order; `kinds` are theirs, None if all are of one that is loaded already."""
        self._kinds = kinds
        self._waiting: dict[int, deque[int]] = defaultdict(deque)
        """By kind."""
        self._total = 0
        for batch in batches:
            self._waiting[self._kind(batch)].append(batch)
            self._total += 1
        self._flights: dict[str, Flight] = {}
        self._done: set[int] = set()
        self._recent: dict[Topic, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))
        """Latest times per batch, of all workers."""
        self._usual: dict[Topic, float] = {}
        """The medians of these."""
        self._own: dict[str, dict[Topic, float]] = defaultdict(dict)
        """The latest times per batch of each worker."""
        self._warm: dict[str, set[int]] = defaultdict(set)
        """The kinds that each worker has loaded."""
        self._losses: Counter[int] = Counter()
        self._most = MOST_BATCHES
        self._longest: tuple[int | float, float, Flight | None, tuple[int, ...]] | None = None
        """The time of the last search for what takes longest, its seconds, flight and batches; None if outdated."""

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
            self._flights[worker] = Flight(batches, now, self._topic(worker, self._kind(batches[0])))
            self._longest = None
        return batches

    def finished(self, worker: str, now: int | float) -> tuple[int, ...]:
        """Take note that a worker has finished what it had; returns the batches that nobody had finished before."""
        flight, self._longest = self._flights.pop(worker), None
        seconds = (now - flight.since) / len(flight.batches)
        kind, _ = flight.topic
        self._warm[worker].add(kind)
        self._own[worker][flight.topic] = seconds
        self._recent[flight.topic].append(seconds)
        self._usual[flight.topic] = median(self._recent[flight.topic])
        new = tuple(batch for batch in flight.batches if batch not in self._done)
        self._done |= set(new)
        return new

    def lost(self, worker: str, *, blame: bool) -> None:
        """Take note that a worker is gone; `blame` tells whether its batches may have ended it."""
        self._own.pop(worker, None)
        self._warm.pop(worker, None)
        flight, self._longest = self._flights.pop(worker, None), None
        if flight is not None:
            if blame:
                self._losses.update(batch for batch in flight.batches if batch not in self._done)
            self._give_back(flight)

    def limit(self, batches: int) -> None:
        """Hand out at most so many batches at once."""
        self._most = max(1, min(self._most, batches))

    def halve(self) -> None:
        """Hand out at most half as many batches at once as so far, as their results take too much room."""
        self.limit(self._most // 2)

    def overdue(self, now: int | float) -> list[str]:
        """The workers that have just become overdue; others will get their batches, too."""
        late = []
        for worker, flight in self._flights.items():
            each = self._expected(worker, flight.topic)
            if not flight.overdue and each is not None:
                limit = max(LEAST_PATIENCE, PATIENCE * each * len(flight.batches))
                if now - flight.since > limit:
                    flight.overdue = True
                    late.append(worker)
        for worker in late:
            self._give_back(self._flights[worker])
        return late

    def _kind(self, batch: int) -> int:
        return self._kinds[batch] if self._kinds else 0

    def _topic(self, worker: str, kind: int) -> Topic:
        return kind, self._kinds is not None and kind not in self._warm[worker]

    def _give_back(self, flight: Flight) -> None:
        waiting = self._waiting[flight.topic[0]]
        held = {batch for other in self._flights.values() if not other.overdue for batch in other.batches}
        again = [batch for batch in flight.batches if batch not in self._done | held | set(waiting)]
        # Batches that workers were lost with come last, so that all others are done if they end every worker.
        waiting.extend(batch for batch in again if self._losses[batch])
        waiting.extendleft(reversed([batch for batch in again if not self._losses[batch]]))

    def _next(self, worker: str, workers: int) -> tuple[int, ...]:
        for kind in self._order_of_kinds(worker):
            if taken := self._next_of(kind, worker, workers):
                return taken
        return ()

    def _order_of_kinds(self, worker: str) -> list[int]:
        """The kinds with waiting batches: those that the worker has loaded, then those that have the fewest workers."""
        kinds = [kind for kind, waiting in self._waiting.items() if waiting]
        if len(kinds) < 2:
            return kinds
        busy = Counter(flight.topic[0] for flight in self._flights.values())
        own = self._warm[worker]
        return sorted(kinds, key=lambda kind: (kind not in own, -len(self._waiting[kind]) / (1 + busy[kind]), kind))

    def _next_of(self, kind: int, worker: str, workers: int) -> tuple[int, ...]:
        waiting, taken = self._waiting[kind], list[int]()
        limit = self._count(worker, kind, workers)
        while waiting and len(taken) < limit:
            batch = waiting.popleft()
            if batch in self._done:
                continue
            if self._losses[batch]:
                # A batch that a worker was lost with goes alone, so that no other one is blamed.
                if taken:
                    waiting.appendleft(batch)
                    break
                limit = 1
            taken.append(batch)
        return tuple(taken)

    def _count(self, worker: str, kind: int, workers: int) -> int:
        """The number of batches to hand out at once."""
        topic = self._topic(worker, kind)
        each = self._expected(worker, topic)
        if each is None or topic[1]:
            return 1
        share = len(self._waiting[kind]) // (2 * max(1, workers))
        return max(1, min(share, self._most, int(TARGET_SECONDS / max(each, 1e-6))))

    def _expected(self, worker: str, topic: Topic) -> float | None:
        """The seconds that a worker should take for a batch; None if nothing was learned yet."""
        return self._own[worker].get(topic) or self._usual.get(topic)

    def _repeated(self, worker: str, now: int | float) -> tuple[int, ...]:
        """The batches of the worker that will take longest, if this one should be faster."""
        if self._longest is None or self._longest[0] != now:
            self._longest = now, *self._find_longest(now)
        _, seconds, flight, batches = self._longest
        each = self._expected(worker, self._topic(worker, flight.topic[0])) if flight else None
        return batches if each is not None and seconds > each * len(batches) else ()

    def _find_longest(self, now: int | float) -> tuple[float, Flight | None, tuple[int, ...]]:
        """The most seconds that a worker should still take for batches that only it has, with its flight."""
        counts = Counter(batch for flight in self._flights.values() for batch in flight.batches)
        found: tuple[float, Flight | None, tuple[int, ...]] = (0.0, None, ())
        for worker, flight in self._flights.items():
            left = tuple(batch for batch in flight.batches if batch not in self._done and counts[batch] == 1)
            if left and (seconds := self._time_left(worker, flight, now)) > found[0]:
                found = seconds, flight, left
        return found

    def _time_left(self, worker: str, flight: Flight, now: int | float) -> float:
        """The seconds that a worker should still take: half of its time at least, as nobody knows how far it is."""
        expected = (self._expected(worker, flight.topic) or 0.0) * len(flight.batches)
        elapsed = float(now - flight.since)
        return max(expected - elapsed, expected / 2, elapsed - expected)
