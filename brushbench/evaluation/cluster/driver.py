"""Hand out the work of a run to workers until all is done, whatever happens to the workers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, final

from brushbench.core.errors import UserError, one_line
from brushbench.core.progress import ProgressCallback, announce
from brushbench.evaluation.cluster.agreement import Agreement, difference_between
from brushbench.evaluation.cluster.messages import FolderSeen, Generated, Loaded, Location, ScoredPieces, WorkerError
from brushbench.evaluation.cluster.pool import Event, Lost, NoRoom, WorkerPool
from brushbench.evaluation.cluster.work import Order, Work
from brushbench.runs.folder import Run

Stage = Literal["starting", "loading", "sharing", "idle", "busy", "refused"]
MOST_VAIN = 3
"""The most workers, for each that there should be, that may end before any has done anything."""
MOST_FULL = 10
"""The most times in a row that results may find no room in the object store."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds."""

    poll: int | float = 0.5
    capacity: int | float = 2.0
    """Until the cluster is asked again how many workers it has room for."""
    grace: int | float = 60.0
    """For workers that start or load, once one has loaded: most of them decide with what the run is made."""
    silent: int | float = 60.0
    """For a worker that doesn't answer, until it is ended."""
    loading: int | float = 600.0
    """For one that doesn't answer while it loads."""
    start: int | float = 60.0
    """Until it is said that the cluster has no room for any worker."""
    rest: int | float = 2.0
    """Until a worker whose results found no room gets work again."""
    parting: int | float = 30.0
    """For images that are being generated when the run is interrupted."""


USUAL = Patience()


@dataclass(slots=True)
class _Member:
    stage: Stage
    since: int | float
    """When it reached the stage."""
    where: Location | None = None
    loaded: Loaded | None = None
    joined: int | float = 0.0
    line: str = ""
    """Its name in workers.jsonl; empty until it has joined, and once its last line is written."""
    images: int = 0


@final
class Driver:
    """Does the work for a run with a pool. No byte depends on the number of workers, on their speed or on their end."""

    def __init__(
        self,
        order: Order,
        pool: WorkerPool,
        watch: ProgressCallback,
        patience: Patience = USUAL,
        clock: Callable[[], int | float] = time.monotonic,
    ) -> None:
        self._order = order
        self._pool = pool
        self._watch = watch
        self._patience = patience
        self._clock = clock
        self._agreement = Agreement(order.stored)
        self._work: Work | None = None
        self._members: dict[str, _Member] = {}
        self._started = 0
        self._refusals: list[tuple[str, str]] = []
        """The machine of each worker that was refused, and why."""
        self._vain = 0
        self._full = 0
        self._room: tuple[int, int | float] = (0, float("-inf"))
        """The number of workers that there should be, and when that was found out."""
        self._said_waiting = False
        self._looked = float("-inf")
        """When workers were last looked after."""

    def __call__(self) -> Run:
        """Work to the end. Raises `UserError` if no worker can, or for a sample that ends every worker."""
        try:
            while not self._is_over():
                self._step()
            return self._end()
        except KeyboardInterrupt:
            self._part()
            raise
        finally:
            self._pool.close()
            for name in self._members:
                self._end_line(name, finished=False)
            if self._work:
                self._work.release()

    def _is_over(self) -> bool:
        return self._work is not None and (self._work.schedule.remaining == 0 or self._work.is_stopped())

    def _step(self) -> None:
        self._hire()
        self._begin()
        for name in self._at("idle"):
            self._hand_out(name)
        if not self._is_over():
            for event in self._pool.events(self._patience.poll):
                self._heed(event)
            self._look_after()

    def _at(self, *stages: Stage) -> list[str]:
        return [name for name, member in self._members.items() if member.stage in stages]

    def _enter(self, name: str, stage: Stage) -> None:
        self._members[name].stage = stage
        self._members[name].since = self._clock()

    def _hire(self) -> None:
        """Start workers while there should be more of them. Those that were refused keep their places."""
        now = self._clock()
        if now - self._room[1] >= self._patience.capacity:
            self._room = self._pool.capacity(), now
        useful = (self._work.schedule.remaining if self._work else self._order.most_workers) + len(self._at("refused"))
        while len(self._members) < min(self._room[0], useful):
            self._started += 1
            name = f"worker {self._started}"
            self._members[name] = _Member("starting", now)
            self._pool.start(name)
        if len(self._at("refused")) == len(self._members) and self._refusals:
            raise UserError(self._why_none())

    def _begin(self) -> None:
        """Begin the work as soon as it is known with what the run is made."""
        if self._work is not None:
            return
        loaded = [member for member in self._members.values() if member.loaded]
        waited = loaded and self._clock() - min(member.since for member in loaded) > self._patience.grace
        agreed = self._agreement.decide(complete=bool(waited) or not self._at("starting", "loading"))
        if agreed is not None:
            self._work = self._order.begin(agreed, self._watch)
            for name, member in list(self._members.items()):
                if member.loaded:
                    self._admit(name, self._work, member.loaded)

    def _heed(self, event: Event) -> None:
        name, answer = event.worker, event.answer
        if name not in self._members:
            return
        match answer:
            case Lost():
                self._lose(name, answer.reason, blame=event.step == "do")
            case WorkerError():
                self._refuse(name, answer.text)
            case NoRoom():
                self._wait_for_room(name, answer.reason)
            case Location():
                self._members[name].where = answer
                self._enter(name, "loading")
                self._pool.load(name)
            case Loaded():
                self._loaded(name, answer)
            case FolderSeen():
                self._share(name, seen=answer.yes)
            case Generated() | ScoredPieces():
                self._take(name, answer)
            case _:
                # An answer that it is alive.
                return

    def _loaded(self, name: str, loaded: Loaded) -> None:
        self._members[name].loaded = loaded
        self._enter(name, "sharing")
        self._agreement.add(self._place(name), loaded)
        if self._work:
            self._admit(name, self._work, loaded)

    def _admit(self, name: str, work: Work, loaded: Loaded) -> None:
        """Let a worker join, if it would make the same run."""
        if loaded.identity.fingerprint() != work.identity.fingerprint():
            self._refuse(
                name, f"it differs from the other workers in {difference_between(work.identity, loaded.identity)}"
            )
            return
        member = self._members[name]
        member.joined = self._clock()
        member.line = work.begin_worker(member.where, loaded) if member.where else ""
        if work.token:
            self._enter(name, "sharing")
            self._pool.share(name, str(work.run.path.absolute()), work.token)
        else:
            self._enter(name, "idle")

    def _share(self, name: str, *, seen: bool) -> None:
        assert self._work is not None
        self._work.sees(name, yes=seen)
        self._enter(name, "idle")

    def _hand_out(self, name: str) -> None:
        if self._work is None or self._clock() < self._members[name].since:
            return
        batches = self._work.schedule.hand_out(name, len(self._at("idle", "busy")), self._clock())
        if batches:
            self._enter(name, "busy")
            self._pool.do(name, self._work.assignment(name, batches))

    def _take(self, name: str, results: Generated | ScoredPieces, *, last: bool = False) -> None:
        """Record what a worker has done, after it has got its next batches, unless these were its `last`."""
        assert self._work is not None
        new = self._work.schedule.finished(name, self._clock())
        self._vain = self._full = 0
        self._enter(name, "idle")
        if not last:
            self._hand_out(name)
        self._members[name].images += self._work.record(results, new)

    def _lose(self, name: str, reason: str, *, blame: bool) -> None:
        place, self._vain = self._place(name), self._vain + 1
        self._end_line(name, finished=False)
        del self._members[name]
        self._pool.kill(name)
        self._say(f"{place} was lost, and other workers do its part: {reason}")
        if self._work:
            self._work.schedule.lost(name, blame=blame)
            self._check_given_up(self._work, f"{place}: {reason}")
        if self._vain > MOST_VAIN * max(1, self._room[0]):
            raise UserError(
                one_line(f"workers of the cluster end before they have {self._order.verb}d anything: {reason}")
            )

    def _check_given_up(self, work: Work, reason: str) -> None:
        given_up = work.schedule.given_up()
        if given_up:
            names = ", ".join(work.ids(given_up)[:4])
            raise UserError(
                one_line(f"every worker that {self._order.verb}s these samples ends: {names}; the last one, {reason}")
            )

    def _refuse(self, name: str, text: str) -> None:
        """Leave out a worker that can't do its part. It keeps its place, so that no other one starts there."""
        if self._work:
            self._work.schedule.lost(name, blame=True)
        self._refusals.append((self._machine(name), text))
        self._enter(name, "refused")
        self._pool.rest(name)
        if len(self._at("refused")) < len(self._members):
            self._say(f"{self._place(name)} is left out: {text}")

    def _wait_for_room(self, name: str, reason: str) -> None:
        assert self._work is not None
        self._full += 1
        if self._full > MOST_FULL:
            raise UserError(
                one_line(f"the cluster's object store is full: {reason}; valid: more memory, or {self._order.instead}")
            )
        self._work.schedule.lost(name, blame=False)
        self._work.schedule.halve()
        self._enter(name, "idle")
        self._members[name].since += self._patience.rest

    def _look_after(self) -> None:
        """Find workers that are overdue, and end those that have stopped answering."""
        now = self._clock()
        if now - self._looked < self._patience.poll:
            return
        self._looked = now
        if self._work:
            for name in self._work.schedule.overdue(now):
                waited = now - self._members[name].since
                self._say(f"{self._place(name)} is overdue after {waited:.0f} s: other workers do its part, too")
        reachable = self._at("loading", "sharing", "idle", "busy")
        for name, seconds in self._pool.ask(reachable, now).items():
            loading = self._members[name].stage == "loading"
            if seconds > (self._patience.loading if loading else self._patience.silent):
                self._lose(name, f"it hasn't answered for {seconds:.0f} s", blame=False)
        waiting = [now - self._members[name].since for name in self._at("starting")]
        if not reachable and not self._said_waiting and waiting and max(waiting) > self._patience.start:
            self._said_waiting = True
            self._say(f"the cluster has had no room for a worker, which needs {self._pool.needs}; still waiting")

    def _end(self) -> Run:
        assert self._work is not None
        left = self._work.schedule.busy
        late = [self._place(name) for name, flight in left.items() if flight.overdue]
        if late:
            self._say(f"done without {', '.join(late)}, which had not answered yet")
        for name in self._members:
            self._end_line(name, finished=not (name in left and left[name].overdue))
        return self._work.end()

    def _end_line(self, name: str, *, finished: bool) -> None:
        """Write the last line of a worker that has joined."""
        member = self._members[name]
        if self._work and member.line:
            self._work.end_worker(member.line, self._clock() - member.joined, member.images, finished=finished)
            member.line = ""

    def _part(self) -> None:
        """Store the images that are being generated, as far as they come soon; a second Ctrl-C ends that, too."""
        until = self._clock() + self._patience.parting
        if self._is_finishing():
            seconds = f"{self._patience.parting:.0f} s"
            self._say(f"waiting up to {seconds} for the images that are being generated; interrupt again to stop now")
        while self._is_finishing() and (rest := until - self._clock()) > 0:
            for event in self._pool.events(min(rest, self._patience.poll)):
                if isinstance(event.answer, Generated | ScoredPieces):
                    self._take(event.worker, event.answer, last=True)
                elif event.step == "do" and self._work:
                    self._work.schedule.lost(event.worker, blame=False)

    def _is_finishing(self) -> bool:
        """Whether workers are at something that is kept even if the run is interrupted."""
        return self._work is not None and self._work.keeps_unfinished and bool(self._work.schedule.busy)

    def _machine(self, name: str) -> str:
        where = self._members[name].where
        return where.node if where else "a machine"

    def _place(self, name: str) -> str:
        where = self._members[name].where
        return f"{name} ({where.node}, process {where.pid})" if where else name

    def _say(self, line: str) -> None:
        announce(self._watch, one_line(line))

    def _why_none(self) -> str:
        """Why all workers were refused: the reason that was first, with the machines that it holds for."""
        reason = self._refusals[0][1]
        machines = dict.fromkeys(machine for machine, text in self._refusals if text == reason)
        return one_line(f"{', '.join(machines)}: {reason}")
