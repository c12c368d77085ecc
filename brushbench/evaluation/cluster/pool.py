"""The workers of a Ray cluster as the process that hands out the work sees them: calls, answers, losses."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final, runtime_checkable
from typing import Protocol as Interface

from brushbench.core.errors import one_line
from brushbench.evaluation.cluster.messages import (
    Assignment,
    FolderSeen,
    Generated,
    Loaded,
    Location,
    ScoredPieces,
    WorkerError,
)
from brushbench.evaluation.cluster.worker import ClusterWorker, WorkerSetting

PING_SECONDS = 5.0
"""Time between two questions whether a worker is alive."""
ALIVE = "alive"
"""The group of a worker's threads that answers them while it computes."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker has ended, or its machine can't be reached."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A worker's results, or what is sent to it, found no room in the cluster's object store."""

    reason: str


Answer = Location | Loaded | WorkerError | Lost | NoRoom | FolderSeen | Generated | ScoredPieces | bool
Step = Literal["here", "load", "share", "do", "alive"]


@dataclass(frozen=True, slots=True)
class Event:
    """The answer of a worker to a call."""

    worker: str
    step: Step
    answer: Answer


@runtime_checkable
class WorkerPool(Interface):
    """The workers of a cluster; see `RayWorkerPool`."""

    @property
    def needs(self) -> str:
        """What each worker needs, in words."""
        ...

    def capacity(self) -> int:
        """The number of workers that there should be now."""
        ...

    def start(self, name: str) -> None:
        """Start a worker."""
        ...

    def load(self, name: str) -> None:
        """Tell a worker to load what its errand needs."""
        ...

    def share(self, name: str, folder: str, token: str) -> None:
        """Tell a worker to use the run folder itself, if it sees the token in it."""
        ...

    def do(self, name: str, assignment: Assignment) -> None:
        """Give a worker something to do."""
        ...

    def rest(self, name: str) -> None:
        """Tell a worker to give up what it has loaded, but to stay in its place."""
        ...

    def kill(self, name: str) -> None:
        """End a worker."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...

    def events(self, timeout: int | float) -> list[Event]:
        """The answers that have come, after at most `timeout` seconds."""
        ...

    def ask(self, names: Sequence[str], now: int | float) -> Mapping[str, int | float]:
        """Ask workers whether they are alive; returns for how many seconds each has not answered."""
        ...


@final
class RayWorkerPool:
    """Actors of a Ray cluster that this process is connected to."""

    def __init__(self, setting: WorkerSetting, workers: int | None) -> None:
        """`workers` is their number; None stands for one per GPU, or per core if the cluster has no GPU."""
        import ray

        self._ray: Any = ray
        self._full = (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError)
        self._setting = setting
        self._workers = workers
        self._gpus = int(ray.cluster_resources().get("GPU", 0)) > 0
        # Any: actors and references of Ray.
        self._actors: dict[str, Any] = {}
        self._calls: dict[Any, tuple[str, Step]] = {}
        self._asked: dict[str, int | float] = {}
        """The time of the last question to each worker whether it is alive."""
        self._unanswered: set[str] = set()
        """The workers that haven't answered it yet."""
        self._unsent: list[Event] = []
        """Calls that found no room in the object store."""

    @property
    def needs(self) -> str:
        """See `WorkerPool`."""
        return "a GPU" if self._gpus else "a CPU core"

    def capacity(self) -> int:
        """The number of workers that the cluster should have now."""
        return self._workers or self._units()

    def start(self, name: str) -> None:
        """Start a worker; its first answer comes once the cluster has room for it."""
        share = self._share()
        resources = {"num_cpus": 0 if self._gpus else share, "num_gpus": share if self._gpus else 0}
        kind = self._ray.remote(concurrency_groups={ALIVE: 1}, **resources)(ClusterWorker)
        self._actors[name] = kind.remote(self._setting)
        self._call(name, "here")

    def load(self, name: str) -> None:
        """See `WorkerPool`."""
        self._call(name, "load")

    def share(self, name: str, folder: str, token: str) -> None:
        """See `WorkerPool`."""
        self._call(name, "share", folder, token)

    def do(self, name: str, assignment: Assignment) -> None:
        """See `WorkerPool`."""
        self._call(name, "do", assignment)

    def rest(self, name: str) -> None:
        """See `WorkerPool`."""
        self._actors[name].rest.remote()

    def kill(self, name: str) -> None:
        """End a worker, whatever it is doing."""
        self._ray.kill(self._actors.pop(name), no_restart=True)
        self._calls = {call: about for call, about in self._calls.items() if about[0] != name}
        self._unanswered.discard(name)

    def events(self, timeout: int | float) -> list[Event]:
        """See `WorkerPool`."""
        if self._unsent:
            unsent, self._unsent = self._unsent, []
            return unsent
        if not self._calls:
            time.sleep(timeout)
            return []
        ready, waiting = self._ray.wait(list(self._calls), num_returns=1, timeout=timeout)
        if waiting:
            ready += self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]
        events = [Event(*self._calls.pop(call), self._answer(call)) for call in ready]
        self._unanswered -= {event.worker for event in events}
        return events

    def ask(self, names: Sequence[str], now: int | float) -> Mapping[str, int | float]:
        """See `WorkerPool`."""
        for name in names:
            if name not in self._unanswered and now - self._asked.get(name, -PING_SECONDS) >= PING_SECONDS:
                self._asked[name] = now
                self._unanswered.add(name)
                call = self._actors[name].alive.options(concurrency_group=ALIVE).remote()
                self._calls[call] = name, "alive"
        return {name: now - self._asked[name] for name in names if name in self._unanswered}

    def close(self) -> None:
        """See `WorkerPool`."""
        for name in list(self._actors):
            self.kill(name)

    def _call(self, name: str, step: Step, *arguments: object) -> None:
        try:
            self._calls[getattr(self._actors[name], step).remote(*arguments)] = name, step
        except self._full as error:
            self._unsent.append(Event(name, step, NoRoom(_first_line(error))))

    # Any: a reference of Ray, and what it stands for.
    def _answer(self, call: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(call)
        except self._full as error:
            return NoRoom(_first_line(error))
        except errors.RayTaskError as error:
            cause = error.cause or error
            return NoRoom(_first_line(cause)) if isinstance(cause, self._full) else WorkerError(_first_line(cause))
        except errors.RayError as error:
            return Lost(_first_line(error))

    def _units(self) -> int:
        return int(self._ray.cluster_resources().get("GPU" if self._gpus else "CPU", 0))

    def _share(self) -> float:
        """The GPUs, or cores, of each worker: a part of one if there are more workers than that."""
        units = max(1, self._units())
        return 1.0 if not self._workers or self._workers <= units else 1 / -(-self._workers // units)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
