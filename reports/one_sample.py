"""Collect what is known of one sample in several runs: status, scores, percentiles, and how to make its image again."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.protocol import protocol_named
from brushbench.core.types import Dataset, Sample
from brushbench.reports.failures import stored_error
from brushbench.reports.frame import datasets_of, labels_of
from brushbench.reports.gallery.again import again
from brushbench.reports.sample_scores import SampleScores, sample_scores
from brushbench.runs.data import dataset_of
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.storage.places import spoken

NOT_GENERATED = "not generated yet"
NEAR = 3
"""Most similar ids that the message about an unknown id names."""


@dataclass(frozen=True, slots=True)
class SampleInRun:
    """The sample in one run."""

    run: Run
    label: str
    sample: str
    status: str
    """`done`, or what is wrong."""
    facts: tuple[str, ...]
    """What else the ledger says: seconds, size of the padding, a note, the sample's seed."""
    traceback: tuple[str, ...]
    """Lines; empty if the sample didn't fail."""
    command: str
    """Makes its image again; empty if the suite can't."""
    alone: bool
    """Whether the command makes only this image."""
    scores: SampleScores


@dataclass(frozen=True, slots=True)
class Sight:
    """The sample on one split of one data set, in all runs on it by one protocol."""

    title: str
    about: tuple[str, ...]
    """Caption, mask and tags, or why they aren't known."""
    shown: tuple[SampleInRun, ...]


def sights_of(runs: Sequence[Run], sample: str) -> list[Sight]:
    """Look a sample up in runs, grouped by data set, split and protocol.

    Raises `UserError`, with close matches, for an id that none of the runs has.
    """
    groups: dict[tuple[str, str, str], list[tuple[Run, str]]] = {}
    for run, label, dataset in zip(runs, labels_of(runs), datasets_of(runs), strict=True):
        identity = run.record.identity
        groups.setdefault((dataset, identity.dataset.split, identity.protocol), []).append((run, label))
    protocols = {protocol for _, _, protocol in groups}
    known: dict[str, None] = {}
    sights = []
    for (dataset, split, protocol), pairs in groups.items():
        data = capture(dataset_of, pairs[0][0])
        ids = _ids([run for run, _ in pairs], data)
        known |= dict.fromkeys(ids)
        if sample in ids:
            place = f"{dataset}, split {split}{f', protocol {protocol}' * (len(protocols) > 1)}"
            shown = tuple(_shown(run, label, sample, data) for run, label in pairs)
            sights.append(Sight(f"{sample} on {place}", tuple(_about(sample, data)), shown))
    if not sights:
        raise _unknown(sample, list(known))
    return sights


def _ids(runs: Sequence[Run], data: Dataset | Failure) -> dict[str, None]:
    """The ids of a data set; if it can't be read, those that its runs have images, failures or scores of."""
    if not isinstance(data, Failure):
        return dict.fromkeys(data.ids)
    found = dict.fromkeys(name for run in runs for name in run.statuses())
    return found | dict.fromkeys(str(name) for run in runs for name in sample_scores(run).values.index)


def _unknown(sample: str, ids: Sequence[str]) -> UserError:
    stem = sample.lower().lstrip("0")
    alike = [name for name in ids if stem and name.lower().lstrip("0") == stem]
    alike += [name for name in ids if stem and stem in name.lower()]
    near = list(dict.fromkeys([*alike[:NEAR], *get_close_matches(sample, ids, n=NEAR)]))[:NEAR]
    hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
    valid = f"{len(ids)} ids, {ids[0]!r} to {ids[-1]!r}" if ids else "none"
    return UserError(one_line(f"unknown sample {sample!r}:{hint} valid: {valid}"))


def _about(sample: str, data: Dataset | Failure) -> Iterator[str]:
    if isinstance(data, Failure):
        yield f"its caption and mask aren't known: {data.error}"
        return
    found = capture(data.__getitem__, data.ids.index(sample))
    if isinstance(found, Failure):
        yield f"it can't be used: {found.error}"
        return
    yield from _described(found)


def _described(sample: Sample) -> Iterator[str]:
    height, width = sample.mask.shape[1:]
    yield one_line(f"caption: {sample.caption}", 2000)
    yield f"mask: {100 * sample.mask.float().mean().item():.1f} % of {width}x{height} pixels"
    if sample.tags:
        yield one_line(f"tags: {', '.join(f'{name}={value}' for name, value in sample.tags.items())}", 2000)


def _shown(run: Run, label: str, sample: str, data: Dataset | Failure) -> SampleInRun:
    entry = run.entries_of({sample}).get(sample)
    total = None if isinstance(data, Failure) else len(data)
    made = again(run, total or 1)
    place = None if isinstance(data, Failure) else data.ids.index(sample) + 1
    words = [*made.words, *(["--shard", f"{place}/{total}"] if place and made.words else [])]
    return SampleInRun(
        run,
        label,
        sample,
        _status(run, entry),
        tuple(_facts(run, sample, entry)),
        tuple(_traceback(run, entry)),
        shlex.join(words),
        place is not None,
        sample_scores(run),
    )


def _status(run: Run, entry: LedgerEntry | None) -> str:
    if entry is None:
        return NOT_GENERATED
    if entry.status == "failed":
        return one_line(f"failed: {entry.error}")
    return run.images.damage(run.images.path_of(entry.id, entry.image).name, entry.sha256) or "done"


def _facts(run: Run, sample: str, entry: LedgerEntry | None) -> Iterator[str]:
    if entry and entry.image:
        yield one_line(f"image: {spoken(run.images.path_of(entry.id, entry.image))}", 1000)
    if entry and entry.seconds is not None:
        yield f"seconds: {entry.seconds:g}"
    if entry and entry.padded:
        yield f"padded by reflection to {entry.padded[1]}x{entry.padded[0]}, then cropped"
    if entry and entry.note:
        yield one_line(f"note: {entry.note}", 1000)
    identity = run.record.identity
    yield f"seed: {protocol_named(identity.protocol).sample_seed(identity.seed, sample)}"


def _traceback(run: Run, entry: LedgerEntry | None) -> Iterator[str]:
    """The lines of the stored traceback, without terminal escapes."""
    text = stored_error(run, entry.id) if entry and entry.status == "failed" else ""
    # The first line repeats the status.
    for line in text.partition("\n\n")[2].splitlines():
        yield "".join(letter if letter.isprintable() else " " for letter in line).rstrip()
