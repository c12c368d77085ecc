"""What the process that hands out the work and the workers of a cluster tell each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol as Interface
from typing import runtime_checkable

from brushbench.core.capture import Failure
from brushbench.core.method_info import Role
from brushbench.evaluation.parts import Described, Part, Score
from brushbench.runs.ledger import LedgerEntry


@runtime_checkable
class Terms(Interface):
    """What must be equal on all workers, so that no number depends on which of them computes it."""

    def fingerprint(self) -> str:
        """Hash of everything in it."""
        ...

    def model_dump(self) -> dict[str, object]:
        """Its values by name, some of them mappings themselves."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerError:
    """Why a worker can't do what it was asked to: a user's mistake, or a refusal of its machine."""

    text: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where a worker is."""

    node: str
    """The name of its machine, as people know it."""
    pid: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker has loaded."""

    identity: Terms
    batch_size: int
    """Samples per call of the method, or of the metrics."""
    provenance: Mapping[str, str]
    role: Role | None
    """The method's role; None where metrics are loaded."""
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """Whether a worker sees the run folder."""

    yes: bool


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is to do next."""

    batches: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    """What to generate: by the number of the batch, the position in the data set of each sample by its place."""
    resumed: bool = False
    """Whether the run already has images."""
    parts: Mapping[int, Part] = field(default_factory=dict)
    """What to score, by the number of the piece."""
    images: Mapping[str, bytes] | None = None
    """The files of the images to score, by the sample's id, for a worker that doesn't see the run folder."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its batches, or of its pieces."""
        return (*self.batches, *self.parts)


@dataclass(frozen=True, slots=True)
class EncodedResult:
    """How a sample ended on a worker."""

    entry: LedgerEntry
    """With the digest of its image if the worker has stored it."""
    content: bytes | None = None
    """The encoded image; None if the sample failed, or if the worker has stored the image."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """What a worker has generated."""

    batches: Mapping[int, Sequence[EncodedResult]]
    """How the samples of each batch ended, by its number."""
    notes: Sequence[str]
    """What a reader of the run must know, and the warnings of libraries meanwhile."""


@dataclass(frozen=True, slots=True)
class ScoredPieces:
    """What a worker has scored."""

    scores: Mapping[int, Mapping[int, Mapping[str, Score]]]
    """By the number of the piece, the sample's position in the data set, and the metric."""
    failed: Mapping[int, int]
    """The number of samples of each piece that have no score."""
    found: Described
    """What was found out about the samples."""
    notes: Sequence[str]
    """The warnings of libraries meanwhile."""
