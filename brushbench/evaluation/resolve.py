"""Resolve a configuration to a `Job`: locate, open, load and identify everything that a run needs, once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from brushbench.core.errors import UserError, one_line
from brushbench.core.notes import hearing
from brushbench.core.sizes import SIZE
from brushbench.core.types import Dataset, Sample
from brushbench.datasets.open import OpenedDataset
from brushbench.datasets.resized import resized_sample, squares
from brushbench.evaluation.batch_size import automatic_batch
from brushbench.evaluation.fetch import open_or_fetch
from brushbench.evaluation.identity import identity_of, identity_of_method, provenance_of, run_path
from brushbench.evaluation.methods import FoundMethod, LoadedMethod, find_method
from brushbench.evaluation.select_metrics import Selection, Setting, select
from brushbench.runs.config import RunConfig
from brushbench.runs.record import WEIGHTS, Identity
from brushbench.storage.places import url_for
from brushbench.storage.store import Store
from brushbench.weights import Weights


@dataclass(frozen=True, slots=True)
class Task:
    """A configuration with its data set open and its metrics chosen, but its method not loaded yet."""

    config: RunConfig
    opened: OpenedDataset
    selection: Selection | None
    """None if the run isn't to be scored."""
    notes: Sequence[str] = ()
    """Warnings of libraries meanwhile."""

    @property
    def dataset(self) -> Dataset:
        """The open data set."""
        return self.opened.data

    @property
    def requested(self) -> int:
        """The number of samples requested."""
        return min(self.config.limit or len(self.dataset), len(self.dataset))

    @property
    def path(self) -> Path:
        """The run folder."""
        return run_path(self.config, self.dataset, self.config.method)


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is resolved, but not generated yet."""

    task: Task
    method: LoadedMethod
    identity: Identity
    batch_size: int
    notes: Sequence[str] = ()
    """Warnings of libraries while the method was loaded and the data set identified."""

    def provenance(self) -> dict[str, str]:
        """Where and with what this process computes, and where the method's weights come from."""
        method = self.method
        found = provenance_of(self.task.opened, method.device or "cpu")
        found |= {"branch": method.branch} if method.branch else {}
        return found | {f"{WEIGHTS}{part}": place for part, place in method.places.items()}


def resolve(config: RunConfig, *, scored: bool = True, fetch: bool = False) -> Job:
    """Resolve a configuration. Raises `UserError` if anything is wrong with its data set, metrics, method or weights.

    If not `scored`, its metrics are ignored. With `fetch`, data and weights that this machine lacks are downloaded.
    """
    task = task_of(config, scored=scored, fetch=fetch)
    return job_of(task, load_configured(config, find_configured(task)))


def task_of(config: RunConfig, *, scored: bool = True, fetch: bool = False) -> Task:
    """Open the configured data set and choose the metrics. Raises `UserError` if anything is wrong with them.

    An output folder in an object store is looked up first, so that a wrong bucket is reported at once. With `fetch`, or
    if the configuration says so, what this machine lacks is downloaded.
    """
    if url := url_for(config.output):
        Store(url).check()
    fetch = fetch or config.fetch
    with hearing() as notes:
        opened = _opened(config, fetch=fetch)
        setting = setting_of(config, opened)
        selection = select(config.metric_names(), setting, download=fetch or None) if scored else None
    return Task(config, opened, selection, tuple(notes))


def _opened(config: RunConfig, *, fetch: bool) -> OpenedDataset:
    """The data set, with its samples resized if a size is configured."""
    own = dict(config.dataset_options)
    sized = own if config.size in (None, "native") else {**own, SIZE: config.size}
    opened = open_or_fetch(config.dataset, config.root, config.split, sized, fetch=fetch)
    if config.size != "native":
        return opened
    size = native_size_of(config.method, _found(config, opened).weights)
    config.check_official(size)
    return open_or_fetch(config.dataset, config.root, config.split, {**own, SIZE: size}, fetch=fetch)


def native_size_of(method: str, weights: Weights | None) -> int:
    """The size of the pictures that a method's models were made for. Raises `UserError` if it is unknown."""
    if weights is None or (size := weights.size) is None:
        why = "has no models" if weights is None else "doesn't say for which size its models were made"
        raise UserError(one_line(f"size=native: {method} {why}; valid: a number of pixels, such as 512"))
    return size


def job_of(task: Task, method: LoadedMethod) -> Job:
    """The job for a task and its loaded method."""
    with hearing() as notes:
        size = task.config.batch_size
        batch_size = automatic_batch(task.dataset, method) if isinstance(size, str) else size
        own = identity_of_method(method)
        identity = identity_of(task.config, task.opened, own, method.dtype, batch_size, method.compute)
    return Job(task, method, identity, batch_size, (*method.notes, *notes))


def find_configured(task: Task) -> FoundMethod:
    """Find the task's method; unless weights are named, it gets those that suit the data set and its masks."""
    return _found(task.config, task.opened)


def _found(config: RunConfig, opened: OpenedDataset) -> FoundMethod:
    return find_method(config.method, weights=config.weights, usual=opened.info.weights, masks=opened.masks)


def load_configured(config: RunConfig, found: FoundMethod) -> LoadedMethod:
    """Load the method as configured; warnings of libraries are in its notes."""
    with hearing() as notes:
        method = found.load(
            device=config.device, dtype=config.dtype, options=config.method_options(), compute=config.compute
        )
    return replace(method, notes=tuple(notes))


def load_alone(config: RunConfig) -> LoadedMethod:
    """Load the configured method for pictures that belong to no data set. Raises `UserError` as `resolve` does."""
    found = find_method(config.method, weights=config.weights)
    return found.load(device=config.device, dtype=config.dtype, options=config.method_options(), compute=config.compute)


def resized_alone(sample: Sample, config: RunConfig) -> Sample:
    """A picture that belongs to no data set, at the configured size. Raises `UserError` if that is unknown."""
    if config.size is None:
        return sample
    found = find_method(config.method, weights=config.weights)
    size = native_size_of(config.method, found.weights) if config.size == "native" else config.size
    return resized_sample(sample, squares(size))


def setting_of(config: RunConfig, opened: OpenedDataset) -> Setting:
    """What the configured run passes to metrics."""
    return Setting(config.protocol, opened.info, opened.data.split, config.device, options=config.metric_options)
