"""Inspect one sample: by its files, or as its reader returns it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brushbench.core.errors import SampleError
from brushbench.core.types import Dataset, Sample
from brushbench.curation.captions import inspect_caption
from brushbench.curation.mask_findings import draw, mask_findings, splits_with_masks
from brushbench.curation.pictures import Picture, inspect_picture, picture_of
from brushbench.datasets.defects import KINDS, DataFinding, DefectError
from brushbench.datasets.listing import ListedSample
from brushbench.imaging.images import Size

_NONE = Picture(())


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found about one sample."""

    id: str
    caption: str
    """Empty if there is none."""
    tokens: int
    picture: Picture
    shares: Mapping[str, float]
    """Painted share of the picture, by split."""
    read: Mapping[str, Size]
    """Size of the sample as read, for each split whose reader accepts it."""
    findings: Sequence[DataFinding]


def inspect_files(
    listed: ListedSample,
    usual: Size | None,
    datasets: Mapping[str, Dataset],
    index: int,
    *,
    bad: bool = False,
) -> Seen:
    """Inspect a sample by its files. If they are sound, its readers in `datasets` must accept it too.

    `usual` is the size that its image must have, None for any. `bad` means that it is already known to be unusable.
    """
    picture = _picture(listed)
    findings = list(picture.findings)
    size = usual or picture.size
    splits = list(splits_with_masks(listed, findings))
    drawn = {split: draw(listed, split, size, findings) for split in splits} if size else {}
    masks = {split: mask for split, mask in drawn.items() if mask is not None}
    findings += mask_findings(listed.id, masks)
    tokens = inspect_caption(listed.id, listed.caption, findings) if listed.caption is not None else 0
    shares = {split: float(mask.float().mean()) for split, mask in masks.items()}
    usable = all(KINDS[finding.kind].usable for finding in findings) and picture.size == size
    # In a folder, the complement of a full mask is empty, and its reader refuses it.
    samples, refusals = _tried(listed.id, datasets, index)
    if usable and not bad and listed.image and listed.caption is not None and 1 not in shares.values():
        findings += refusals
    return Seen(listed.id, listed.caption or "", tokens, picture, shares, _sizes(samples), findings)


def read_sample(datasets: Mapping[str, Dataset], index: int) -> Seen:
    """Inspect a sample as its reader returns it."""
    name = next(iter(datasets.values())).ids[index]
    samples, findings = _tried(name, datasets, index)
    if not samples:
        return Seen(name, "", 0, _NONE, {}, {}, findings)
    sample = next(iter(samples.values()))
    masks = {split: found.mask[0] for split, found in samples.items()}
    findings += mask_findings(name, masks)
    tokens = inspect_caption(name, sample.caption, findings)
    shares = {split: float(mask.float().mean()) for split, mask in masks.items()}
    return Seen(name, sample.caption, tokens, picture_of(sample.image), shares, _sizes(samples), findings)


def _picture(listed: ListedSample) -> Picture:
    if listed.image is None:
        return _NONE
    try:
        return inspect_picture(listed.image_file(), listed.id)
    except DefectError as error:
        return Picture((error.found_in(listed.id),))


def _tried(name: str, datasets: Mapping[str, Dataset], index: int) -> tuple[dict[str, Sample], list[DataFinding]]:
    """Return the sample by split, and a finding for each split whose reader refuses it, as it would in a run."""
    samples: dict[str, Sample] = {}
    findings: list[DataFinding] = []
    for split, dataset in datasets.items():
        try:
            samples[split] = dataset[index]
        except SampleError as error:
            findings.append(DataFinding("unusable-sample", name, f"{split}: {error}"))
    return samples, findings


def _sizes(samples: Mapping[str, Sample]) -> dict[str, Size]:
    return {split: (sample.image.shape[1], sample.image.shape[2]) for split, sample in samples.items()}
