"""A cluster in this process, with a clock of its own: workers end, freeze, slow down and join when a test says so."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from brushbench.core.progress import silent
from brushbench.evaluation.cluster.driver import USUAL, Driver, Patience
from brushbench.evaluation.cluster.generating import GenerationErrand
from brushbench.evaluation.cluster.generation_work import GenerationOrder
from brushbench.evaluation.cluster.messages import Assignment, Loaded, Location
from brushbench.evaluation.cluster.pool import Answer, Event, Lost, NoRoom
from brushbench.evaluation.cluster.scoring import errand_for
from brushbench.evaluation.cluster.scoring_work import ScoringOrder
from brushbench.evaluation.cluster.worker import ClusterWorker, Errand, WorkerSetting
from brushbench.evaluation.resolve import task_of
from brushbench.evaluation.select_metrics import Setting, select
from brushbench.runs.config import RunConfig
from brushbench.runs.data import opened_of
from brushbench.runs.folder import Run


@dataclass
class Say:
    """A progress callback that keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, _stage: str, _total: int, _finished: int) -> Callable[[int, int], None]:
        return lambda _done, _failed: None

    def announce(self, line: str) -> None:
        self.lines.append(line)


@dataclass
class FakePool:
    """Workers that compute in this process; what they answer comes at a time of the simulated clock."""

    setting: WorkerSetting
    room: int = 3
    """The number of workers that the cluster has room for."""
    seconds: int | float = 1.0
    """The time for a batch."""
    slow: Mapping[str, int | float] = field(default_factory=dict)
    """How many times longer a worker takes."""
    plan: list[tuple[int | float, Callable[["FakePool"], None]]] = field(default_factory=list)
    """What happens, and when."""
    loads: Callable[[str, Answer], Answer] = lambda _name, answer: answer
    """Changes what a worker answers when it has loaded."""
    machine: Callable[[str], str] = lambda _name: "node1"
    starts: Mapping[str, int | float] = field(default_factory=dict)
    """The time until the process of a worker has started, 0.1 if it isn't given."""
    handed_out: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    resting: list[str] = field(default_factory=list)
    now: float = 0.0
    frozen: set[str] = field(default_factory=set)
    there: list[str] = field(default_factory=list)
    full_until: float = 0.0
    needs = "a core"

    def __post_init__(self) -> None:
        self._due: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._asked: dict[str, float] = {}
        self._pids = itertools.count(100)
        self.workers: dict[str, ClusterWorker] = {}

    def clock(self) -> float:
        return self.now

    def capacity(self) -> int:
        return self.room

    def start(self, name: str) -> None:
        self.there.append(name)
        self.workers[name] = ClusterWorker(self.setting)
        self.later(name, "here", Location(self.machine(name), next(self._pids)), self.starts.get(name, 0.1))

    def load(self, name: str) -> None:
        self.later(name, "load", self.loads(name, self.workers[name].load()), 1.0)

    def share(self, name: str, folder: str, token: str) -> None:
        self.later(name, "share", self.workers[name].share(folder, token), 0.1)

    def do(self, name: str, assignment: Assignment) -> None:
        self.handed_out.append((name, assignment.numbers))
        answer: Answer = self.workers[name].do(assignment)
        if self.now < self.full_until:
            answer = NoRoom("ObjectStoreFullError: no room")
        self.later(name, "do", answer, self.seconds * len(assignment.numbers) * self.slow.get(name, 1.0))

    def rest(self, name: str) -> None:
        self.resting.append(name)

    def kill(self, name: str) -> None:
        self.there.remove(name)
        self._due = [due for due in self._due if due[2].worker != name]

    def close(self) -> None:
        self.there.clear()

    def ask(self, names: Sequence[str], now: int | float) -> Mapping[str, int | float]:
        for name in names:
            if name not in self.frozen:
                self._asked[name] = now
        return {name: now - self._asked.setdefault(name, now) for name in names if name in self.frozen}

    def events(self, timeout: int | float) -> list[Event]:
        until = self.now + timeout
        due = sorted(self._due, key=lambda one: one[:2])
        soonest = min([until, *[time for time, _, event in due if event.worker not in self.frozen]])
        self.now = max(self.now, min([soonest, *[time for time, _ in self.plan]]))
        for time, act in [step for step in self.plan if step[0] <= self.now]:
            self.plan.remove((time, act))
            act(self)
        ready = [one for one in due if one in self._due and one[0] <= self.now and one[2].worker not in self.frozen]
        self._due = [one for one in self._due if one not in ready]
        return [event for _, _, event in ready]

    def later(self, name: str, step: str, answer: Answer, seconds: int | float) -> None:
        self._due.append((self.now + seconds, next(self._order), Event(name, step, answer)))

    def end(self, name: str) -> None:
        """The process of a worker ends, as by SIGKILL."""
        busy = [one for one in self._due if one[2].worker == name]
        self._due = [one for one in self._due if one[2].worker != name]
        if name in self.there:
            self.later(name, busy[0][2].step if busy else "alive", Lost("ActorDiedError: The actor died."), 0.2)


def pool_of(errand: Errand, **more: object) -> FakePool:
    """A pool whose workers have an errand."""
    return FakePool(WorkerSetting(errand, str(Path.cwd()), 1), **more)


def pool_for(config: RunConfig, **more: object) -> FakePool:
    """A pool whose workers load a configuration."""
    return pool_of(GenerationErrand(config), **more)


def made_by(config: RunConfig, pool: FakePool, say: Say | None = None, patience: Patience = USUAL) -> Run:
    """The run that a pool makes."""
    return Driver(GenerationOrder(task_of(config, scored=False)), pool, say or silent, patience, pool.clock)()


def scored_by(run: Run, pool_of_errand: Callable[[Errand], FakePool], say: Say | None = None, **asked: object) -> None:
    """Score a run with the workers of a pool, with metrics and options as `brushbench.score` takes them."""
    found = opened_of(run)
    setting = Setting(run.record.identity.protocol, found.info, found.data.split, options=asked.get("options", {}))
    selection = select(asked.get("metrics"), setting)
    pool = pool_of_errand(errand_for(found, selection, setting))
    with run.noting():
        Driver(ScoringOrder(run, found.data, selection), pool, say or silent, USUAL, pool.clock)()


def loaded_with(change: Callable[[Loaded], Loaded]) -> Callable[[str, Answer], Answer]:
    """Changes what the second worker has loaded."""
    return lambda name, answer: change(answer) if name == "worker 2" and isinstance(answer, Loaded) else answer
