"""What a worker of a cluster does to score: load the metrics, and score the pieces that it is given."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from pydantic import BaseModel

from brushbench.core.capture import Failure, capture
from brushbench.core.concurrency import THREADS, prefetch
from brushbench.core.metric_info import parted
from brushbench.core.notes import hearing
from brushbench.core.options import Value
from brushbench.core.plugins.files import plugin_file
from brushbench.core.types import Dataset, Metric
from brushbench.datasets.open import OpenedDataset
from brushbench.datasets.source import digest_of_parts
from brushbench.evaluation.cluster.messages import Assignment, FolderSeen, Loaded, ScoredPieces
from brushbench.evaluation.fetch import once_per_machine, open_or_fetch
from brushbench.evaluation.memory import device_of, stages
from brushbench.evaluation.networks import prepare
from brushbench.evaluation.pairs import PairReader, checked_image, stored_image
from brushbench.evaluation.parts import Described, SampleWithImage, Score, scores_of_pairs
from brushbench.evaluation.score import chunk_size
from brushbench.evaluation.select_metrics import Selection, Setting, select
from brushbench.imaging.images import EncodedImage
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.weights.memory import release


class ScoringIdentity(BaseModel, extra="forbid", frozen=True):
    """What may change a score, apart from the images."""

    dataset: dict[str, str]
    """The digest of the data set's files."""
    metrics: dict[str, str]
    """The version of each metric, which includes the digest of its weights."""
    code: dict[str, str]
    """The digest of the file of each metric that was given as a file."""

    def fingerprint(self) -> str:
        """Hash of the identity."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


@final
@dataclass(frozen=True, slots=True)
class ScoringErrand:
    """Score the images of a run."""

    dataset: str
    root: Path | None
    split: str
    dataset_options: Mapping[str, Value]
    metrics: Sequence[str]
    """The names of the metrics, as requested."""
    protocol: str
    device: str = "auto"
    metric_options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    fetch: str = ""
    """The run's token by which each machine downloads once what it lacks; empty if it is to have everything."""

    def load(self) -> tuple[Loaded, "Scorer"]:
        """Open the data set, and find the metrics; each network is loaded when it is first needed."""
        with hearing() as notes:
            opened, selection = once_per_machine(self.fetch, self._found)
            identity = identity_of_scoring(opened.data, selection)
        metrics = {metric.info.name: metric for metric in selection.metrics}
        size = chunk_size(device_of(metrics.values()))
        return Loaded(identity, size, {}, None, tuple(notes)), Scorer(opened.data, metrics)

    def _found(self) -> tuple[OpenedDataset, Selection]:
        fetch = bool(self.fetch)
        opened = open_or_fetch(self.dataset, self.root, self.split, self.dataset_options, fetch=fetch)
        setting = Setting(self.protocol, opened.info, opened.data.split, self.device, self.metric_options)
        return opened, select(self.metrics, setting, download=fetch)


def errand_for(opened: OpenedDataset, selection: Selection, setting: Setting, fetch: str = "") -> ScoringErrand:
    """What a worker needs to select the same metrics and to open the same data set."""
    return ScoringErrand(
        opened.name,
        None if opened.root is None else opened.root.absolute(),
        opened.data.split,
        {key: value for key, value in opened.options.items() if not isinstance(value, list | dict)},
        selection.names,
        setting.protocol,
        setting.device,
        setting.options,
        fetch,
    )


def identity_of_scoring(dataset: Dataset, selection: Selection) -> ScoringIdentity:
    """What may change a score, as it is on this machine."""
    infos = [metric.info for metric in selection.metrics]
    named = [parted(name)[0] for name in selection.names]
    files = {info.name: file for info, name in zip(infos, named, strict=True) if (file := plugin_file(name))}
    return ScoringIdentity(
        dataset={"digest": dataset.digest()},
        metrics={info.name: info.version for info in infos},
        code={name: digest_of_parts([file]) for name, file in files.items()},
    )


@final
class Scorer:
    """Scores pieces as a single process does."""

    def __init__(self, dataset: Dataset, metrics: Mapping[str, Metric]) -> None:
        self._dataset = dataset
        self._metrics = metrics
        self._run: Run | None = None
        self._loaded: set[str] = set()
        """The metrics whose networks were loaded."""

    def share(self, folder: str, token: str) -> FolderSeen:
        """Read images from the run folder from now on, if this machine sees the other process's file in it."""
        if not (Path(folder) / token).exists():
            return FolderSeen(False)
        self._run = Run.open(folder)
        return FolderSeen(True)

    def __call__(self, assignment: Assignment) -> ScoredPieces:
        """Score pieces. Raises `UserError` for a network that can't be loaded."""
        found = Described()
        read = PairReader(self._dataset, self._content(assignment.images))
        scores: dict[int, dict[int, dict[str, Score]]] = {}
        failed: dict[int, int] = {}
        with hearing() as notes, ThreadPoolExecutor(THREADS) as pool:
            decoded = prefetch(_decoding(pool, read, assignment, found))
            for (number, part), pairs in zip(assignment.parts.items(), decoded, strict=True):
                metrics = {name: self._metrics[name] for name in part.metrics}
                self._load(metrics)
                scores[number] = scores_of_pairs(metrics, pairs)
                failed[number] = part.failed(pairs)
        return ScoredPieces(scores, failed, found, notes)

    def _load(self, metrics: Mapping[str, Metric]) -> None:
        """Load networks that are new; if there isn't room for all metrics, those of other metrics are given up."""
        if metrics.keys() <= self._loaded:
            return
        if len(stages(self._metrics)) > 1:
            release()
            self._loaded.clear()
        prepare(metrics, keep=True)
        self._loaded |= metrics.keys()

    def _content(self, images: Mapping[str, bytes] | None) -> Callable[[LedgerEntry], EncodedImage]:
        run = self._run
        if images is not None:
            return lambda entry: checked_image(images.get(entry.id), str(entry.image), entry)
        assert run is not None
        return lambda entry: stored_image(run, entry)


def _decoding(
    pool: ThreadPoolExecutor, read: PairReader, assignment: Assignment, found: Described
) -> Iterator[dict[int, Future[SampleWithImage | Failure]]]:
    for part in assignment.parts.values():
        yield {index: pool.submit(capture, read, index, entry, found) for index, entry in part.entries.items()}
