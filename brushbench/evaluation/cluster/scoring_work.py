"""The scoring of a run as the process that hands out the work sees it: pieces, the images they need, scores."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from typing import final

from brushbench.core.capture import capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.files import exists, read_bytes
from brushbench.core.notes import tell_again
from brushbench.core.progress import ProgressCallback
from brushbench.core.types import Dataset
from brushbench.evaluation.cluster.agreement import difference_between
from brushbench.evaluation.cluster.messages import Assignment, Generated, Loaded, Location, ScoredPieces, Terms
from brushbench.evaluation.cluster.schedule import Schedule
from brushbench.evaluation.cluster.scoring import identity_of_scoring
from brushbench.evaluation.memory import stages
from brushbench.evaluation.parts import Part, Score
from brushbench.evaluation.score import Scoring
from brushbench.evaluation.select_metrics import Selection
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.storage.places import url_of

MOST_BYTES = 64 << 20
"""The most bytes of images in one message to a worker that doesn't see the run folder."""


@final
class ScoringOrder:
    """The images of a run are to be scored."""

    verb = "score"
    instead = "a run folder that all nodes see"
    stored: Terms | None = None

    def __init__(self, run: Run, dataset: Dataset, selection: Selection) -> None:
        self._run = run
        self._dataset = dataset
        self._selection = selection
        self.scoring = Scoring(run, dataset, selection)
        self._groups = stages({metric.info.name: metric for metric in selection.metrics}, lambda _: 0)
        self.most_workers = len(self.scoring.parts()) * len(self._groups)

    def begin(self, loaded: Loaded, watch: ProgressCallback) -> "ScoringWork":
        """Begin with the metrics that the workers have. Raises `UserError` if this process has other ones."""
        own = identity_of_scoring(self._dataset, self._selection)
        if loaded.identity.fingerprint() != own.fingerprint():
            difference = difference_between(own, loaded.identity)
            raise UserError(
                one_line(f"this machine and most workers differ in {difference}; valid: the same on every machine")
            )
        return ScoringWork(self._run, self.scoring, self._groups, loaded, watch)


@final
class ScoringWork:
    """The parts of a run that lack scores, cut as a single process cuts them, for each group of metrics by itself."""

    keeps_unfinished = False
    """As with a single process, scores are written once all are there."""

    def __init__(
        self, run: Run, scoring: Scoring, groups: list[list[str]], loaded: Loaded, watch: ProgressCallback
    ) -> None:
        """Metrics of a group share weights. The lock for scores is held until `release`."""
        self.run = run
        self.identity = loaded.identity
        # A name that `tidy` removes, should this process be killed. No worker sees the files of a run in a store here.
        self.token = "" if url_of(run.path) else f".scoring-{uuid.uuid4().hex}.partial"
        self._scoring = scoring
        self._blind: set[str] = set()
        """The workers that don't see the run folder."""
        with ExitStack() as stack:
            stack.enter_context(run.scoring())
            if self.token:
                (run.path / self.token).touch()
                stack.callback(self._remove_token)
            self._missing = scoring.missing(loaded.batch_size)
            self._pieces = dict(enumerate(_pieces(self._missing.parts, groups)))
            self.schedule = Schedule(self._pieces, {number: group for number, (_, group, _) in self._pieces.items()})
            self._left = Counter(place for place, _, _ in self._pieces.values())
            """The number of pieces to do of each part."""
            self._scores: dict[int, dict[str, Score]] = {}
            if not self.token:
                self._keep_messages_small()
            self._advance = scoring.begin(self._missing, watch)
            self._release = stack.pop_all()

    def sees(self, name: str, *, yes: bool) -> None:
        """Take note whether a worker sees the run folder; from now on, messages with images are small."""
        if not yes:
            self._blind.add(name)
            self._keep_messages_small()

    def assignment(self, name: str, batches: Iterable[int]) -> Assignment:
        """The pieces for a worker, with their images if it doesn't see the run folder."""
        parts = {number: self._pieces[number][2] for number in batches}
        if self.token and name not in self._blind:
            return Assignment(parts=parts)
        entries = {entry.id: entry for part in parts.values() for entry in part.entries.values() if entry}
        found = {name: capture(self._content, entry) for name, entry in entries.items() if entry.status == "done"}
        return Assignment(parts=parts, images={name: each for name, each in found.items() if isinstance(each, bytes)})

    def ids(self, batches: Iterable[int]) -> list[str]:
        """The ids of the samples in pieces, as far as they were generated."""
        parts = [self._pieces[number][2] for number in batches]
        return [entry.id for part in parts for entry in part.entries.values() if entry]

    def record(self, results: Generated | ScoredPieces, new: Iterable[int]) -> int:
        """Remember the scores of the pieces that are new."""
        assert isinstance(results, ScoredPieces)
        tell_again(results.notes)
        self._scoring.learn(results.found)
        for number in new:
            for index, scores in results.scores[number].items():
                self._scores.setdefault(index, {}).update(scores)
            place = self._pieces[number][0]
            self._left[place] -= 1
            if not self._left[place]:
                self._advance(len(results.scores[number]), results.failed[number])
        return 0

    def is_stopped(self) -> bool:
        """Scoring ends when it is complete."""
        return False

    def begin_worker(self, _where: Location, _loaded: Loaded) -> str:
        """Whoever scores isn't among those that made the run."""
        return ""

    def end_worker(self, name: str, seconds: int | float, images: int, *, finished: bool) -> None:
        """See `begin_worker`."""

    def end(self) -> Run:
        """Write scores.parquet."""
        self._scoring.finish(self._missing, self._scores)
        return self.run

    def release(self) -> None:
        """Let other processes score the run."""
        self._release.close()

    def _keep_messages_small(self) -> None:
        self.schedule.limit(MOST_BYTES // max(1, self._bytes_of_a_part()))

    def _remove_token(self) -> None:
        with suppress(OSError):
            (self.run.path / self.token).unlink()

    def _content(self, entry: LedgerEntry) -> bytes | None:
        path = self.run.image_path(entry)
        return read_bytes(path) if exists(path) else None

    def _bytes_of_a_part(self) -> int:
        """About as many bytes as the images of a part have."""
        part = next(iter(self._missing.parts), Part({}, ()))
        found = [capture(self._content, entry) for entry in part.entries.values() if entry and entry.image]
        return sum(len(content) for content in found if isinstance(content, bytes))


def _pieces(parts: Iterable[Part], groups: list[list[str]]) -> Iterable[tuple[int, int, Part]]:
    """The place of a part among the parts, that of a group of metrics among the groups, and what is to be scored."""
    for place, part in enumerate(parts):
        needed: Mapping[int, tuple[str, ...]] = {
            number: names
            for number, group in enumerate(groups)
            if (names := tuple(name for name in group if name in part.metrics))
        }
        # A part whose samples are only to be described is read nevertheless.
        for number, names in needed.items() or [(0, ())]:
            yield place, number, Part(part.entries, names)
