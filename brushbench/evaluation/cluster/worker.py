"""A worker of a cluster: it loads once what its errand needs, and does the assignments that it is given."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface
from typing import TypeVar, final, runtime_checkable

import torch

from brushbench.core.errors import UserError
from brushbench.core.machine import refusal
from brushbench.evaluation.cluster.messages import (
    Assignment,
    FolderSeen,
    Generated,
    Loaded,
    Location,
    ScoredPieces,
    WorkerError,
)
from brushbench.weights.memory import release

T = TypeVar("T")


@runtime_checkable
class Craft(Interface):
    """What a worker has loaded, and how it works with it."""

    def share(self, folder: str, token: str) -> FolderSeen:
        """Use the run folder from now on, if it is the one where the other process has left its token.

        Raises `UserError` if the work can't be done without it.
        """
        ...

    def __call__(self, assignment: Assignment) -> Generated | ScoredPieces:
        """Do an assignment. Raises `UserError` if this machine can't."""
        ...


@runtime_checkable
class Errand(Interface):
    """What a worker is for; it is sent to the worker, which loads it."""

    def load(self) -> tuple[Loaded, Craft]:
        """Load what is needed. Raises `UserError` if this machine lacks something."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerSetting:
    """The conditions under which every worker computes, as the process that hands out the work does."""

    errand: Errand
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
        self._craft: Craft | None = None

    def here(self) -> Location:
        """Where this worker is."""
        return Location(socket.gethostname(), os.getpid())

    def alive(self) -> bool:
        """Whether this worker is alive; a thread of its own answers."""
        return True

    def load(self) -> Loaded | WorkerError:
        """Load the method or the metrics, and open the data set."""
        return self._do(self._load)

    def share(self, folder: str, token: str) -> FolderSeen | WorkerError:
        """Use the run folder from now on, if this machine sees it; see `Craft`."""
        if (craft := self._craft) is None:
            return WorkerError("the worker was told of the run folder before it had loaded anything")
        return self._do(lambda: craft.share(folder, token))

    def rest(self) -> None:
        """Give up what is loaded; the process stays, so that no other worker takes its place on this machine."""
        self._craft = None
        release()

    def do(self, assignment: Assignment) -> Generated | ScoredPieces | WorkerError:
        """Do an assignment."""
        if (craft := self._craft) is None:
            return WorkerError("the worker was given work before it had loaded anything")
        return self._do(lambda: craft(assignment))

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
        loaded, self._craft = self._setting.errand.load()
        return loaded
