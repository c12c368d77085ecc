"""Check every file and every sample of a data set."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from brushbench.core.concurrency import THREADS
from brushbench.core.errors import UserError
from brushbench.core.options import Value
from brushbench.core.progress import ProgressCallback, silent
from brushbench.core.registry import load_class, short_name
from brushbench.core.types import Dataset
from brushbench.curation.captions import comparable
from brushbench.curation.inspection import Seen, inspect_files, read_sample
from brushbench.curation.sources import STORED, find_meant, open_splits, splits_of
from brushbench.datasets.defects import KINDS, DataFinding, unreadable
from brushbench.datasets.listing import DataListing, Listable
from brushbench.datasets.source import usual_size
from brushbench.imaging.images import Size, size_or_none


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of checking a data set."""

    name: str
    root: Path | None
    """None if the data set needs no folder."""
    splits: Sequence[str]
    """Splits whose masks were checked."""
    digest: str | None
    """The digest that a run's fingerprint has; None if the data set can't be opened."""
    seen: Sequence[Seen]
    tags: Mapping[str, Mapping[str, str]]
    notes: Sequence[str]
    findings: Sequence[DataFinding]

    def sizes(self) -> Counter[Size]:
        """Count the pictures of each (height, width)."""
        return Counter(sample.picture.size for sample in self.seen if sample.picture.size)

    def formats(self) -> Counter[str]:
        """Count the pictures in each file format."""
        return Counter(sample.picture.file_format for sample in self.seen if sample.picture.file_format)

    def usable(self) -> dict[str, int]:
        """Count the samples that a run can read, by split."""
        return {split: sum(split in sample.read for sample in self.seen) for split in self.splits}

    def sound(self) -> int:
        """Count the samples without any defect."""
        subjects = {finding.subject for finding in self.findings}
        return sum(sample.id not in subjects for sample in self.seen)

    def shares(self, split: str) -> Sequence[float]:
        """Return the painted share of each picture, sorted."""
        return sorted(sample.shares[split] for sample in self.seen if split in sample.shares)


def verify_dataset(
    name: str | None,
    root: str | Path | None,
    splits: Sequence[str] | None = None,
    watch: ProgressCallback = silent,
    options: Mapping[str, Value] | None = None,
) -> Verification:
    """Check every file and sample. Raises `UserError` only if there is nothing to check.

    Without a name, the data set found in `root` is checked; without splits, all splits whose masks are stored.
    `options` are those of the data set.
    """
    name, folder = find_meant(name, root)
    # If a file has no masks, opening this split raises the error that says what is valid.
    checked = splits_of(name, folder, splits) or STORED[:1]
    findings: list[DataFinding] = []
    reader = load_class("dataset", name)
    # The files of any other data set are its reader's business.
    listed = isinstance(reader, Listable)
    listing = reader.listed(folder, checked, options or {}, findings.append) if listed else None
    datasets: Mapping[str, Dataset] = {}
    try:
        datasets = open_splits(name, folder, checked, options or {})
    except UserError as error:
        if listing is None:
            raise
        if not any(finding.refusal for finding in findings):
            # An option that the data set does not accept.
            findings.append(unreadable("data set", error))
    if listing:
        findings += [*(defect for sample in listing.samples for defect in sample.defects), *listing.further()]
    first = next(iter(datasets.values()), None)
    bad = {finding.subject for finding in findings if not KINDS[finding.kind].usable}
    seen = _samples(listing, datasets, bad, watch)
    findings += [finding for sample in seen for finding in sample.findings]
    findings += [
        *_duplicates(seen, {finding.subject for finding in findings if finding.kind == "shared-image"}),
        *(_wrong_sizes(seen) if listing and listing.one_size else ()),
    ]
    notes = [*(listing.notes if listing else ()), *_notes(seen)]
    digest, tags = (first.digest(), first.tags()) if first else (None, {})
    order = {kind: place for place, kind in enumerate(KINDS)}
    findings.sort(key=lambda finding: order[finding.kind])
    return Verification(short_name(name), folder, checked, digest, seen, tags, notes, findings)


def _samples(
    listing: DataListing | None, datasets: Mapping[str, Dataset], bad: set[str], watch: ProgressCallback
) -> list[Seen]:
    if listing is None:
        count = len(next(iter(datasets.values())))
        looks = (partial(read_sample, datasets, index) for index in range(count))
    else:
        count = len(listing.samples)
        sizes = (size_or_none(sample.image_or_none()) for sample in listing.samples)
        usual = usual_size(sizes) if listing.one_size else None
        looks = (
            partial(inspect_files, sample, usual, datasets, index, bad=sample.id in bad)
            for index, sample in enumerate(listing.samples)
        )
    advance = watch("verifying", count, 0)
    seen = []
    with ThreadPoolExecutor(THREADS) as pool:
        for sample in pool.map(lambda look: look(), looks):
            seen.append(sample)
            advance(1, 0)
    return seen


def _duplicates(seen: Sequence[Seen], shared: set[str]) -> Iterator[DataFinding]:
    """Report each repetition with its first occurrence; samples that share a file are reported elsewhere."""
    files: dict[str, str] = {}
    pixels: dict[str, str] = {}
    captions: dict[str, str] = {}
    for sample in seen:
        picture = sample.picture
        same = files.setdefault(picture.bytes_digest or sample.id, sample.id)
        alike = pixels.setdefault(picture.pixels_digest or sample.id, sample.id)
        if sample.id in shared:
            pass
        elif same != sample.id:
            yield DataFinding("duplicate-image", sample.id, f"same as {same}")
        elif alike != sample.id:
            yield DataFinding("duplicate-pixels", sample.id, f"same as {alike}")
        first = captions.setdefault(comparable(sample.caption) or f"none, {sample.id}", sample.id)
        if first != sample.id:
            yield DataFinding("duplicate-caption", sample.id, f"same as {first}")


def _wrong_sizes(seen: Sequence[Seen]) -> Iterator[DataFinding]:
    usual = usual_size(sample.picture.size for sample in seen)
    for sample in seen:
        if usual and sample.picture.size and sample.picture.size != usual:
            found, most = ("x".join(map(str, size)) for size in (sample.picture.size, usual))
            yield DataFinding("wrong-size", sample.id, f"{found}; most are {most}")


def _notes(seen: Sequence[Seen]) -> Iterator[str]:
    odd = sum(any(side % 8 for size in sample.read.values() for side in size) for sample in seen)
    if odd:
        subject = "1 picture has" if odd == 1 else f"{odd} pictures have"
        yield f"{subject} sides that are not multiples of 8; diffusion methods pad them"
