"""What the driver of a cluster hands out, whether images are generated or scored."""

from collections.abc import Iterable, Sequence
from typing import Protocol as Interface
from typing import runtime_checkable

from brushbench.core.progress import ProgressCallback
from brushbench.evaluation.cluster.messages import Assignment, Generated, Loaded, Location, ScoredPieces, Terms
from brushbench.evaluation.cluster.schedule import Schedule
from brushbench.runs.folder import Run


@runtime_checkable
class Work(Interface):
    """What is to be done for a run, cut as a single process cuts it, and where the results go."""

    run: Run
    identity: Terms
    """What the work is done with; a worker with another one can't take part."""
    schedule: Schedule
    keeps_unfinished: bool
    """Whether results are kept if the work is interrupted."""

    @property
    def token(self) -> str:
        """What a worker finds in the run folder if it sees the right one; empty if workers don't need the folder."""
        ...

    def sees(self, name: str, *, yes: bool) -> None:
        """Take note whether a worker sees the run folder."""
        ...

    def assignment(self, name: str, batches: Iterable[int]) -> Assignment:
        """What a worker is told to do of some batches."""
        ...

    def ids(self, batches: Iterable[int]) -> Sequence[str]:
        """The ids of the samples in batches."""
        ...

    def record(self, results: Generated | ScoredPieces, new: Iterable[int]) -> int:
        """Take over the results for the batches that are new; returns the number of new images."""
        ...

    def is_stopped(self) -> bool:
        """Whether the work is to end before it is complete."""
        ...

    def begin_worker(self, where: Location, loaded: Loaded) -> str:
        """Write the line of a worker that begins, and return its name there; empty without such a line."""
        ...

    def end_worker(self, name: str, seconds: int | float, images: int, *, finished: bool) -> None:
        """Write the line of a worker that ends, or that is lost."""
        ...

    def end(self) -> Run:
        """Finish the work. Raises `UserError` if nothing could be done."""
        ...

    def release(self) -> None:
        """Give up what other processes wait for."""
        ...


@runtime_checkable
class Order(Interface):
    """Work that begins once it is known with what workers do it."""

    stored: Terms | None
    """What the run in the output folder was made with; None if nothing binds the workers yet."""
    most_workers: int
    """The most workers that could be useful."""
    verb: str
    """What workers do, for messages."""
    instead: str
    """What takes no room in the object store, for a message."""

    def begin(self, loaded: Loaded, watch: ProgressCallback) -> Work:
        """Begin with what a worker has loaded. Raises `UserError` if the run folder forbids that."""
        ...
