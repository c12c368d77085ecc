"""Looking at one sample: by its files, or as its reader gives it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brushbench.core.errors import SampleError
from brushbench.core.types import Dataset, Sample
from brushbench.curation.captions import bad_caption, caption_findings, count_tokens
from brushbench.curation.defects import KINDS, Finding
from brushbench.curation.entries import Entry, Runs
from brushbench.curation.mask_findings import OUTSIDE, draw, mask_findings
from brushbench.curation.pictures import Picture, inspect_picture, picture_of
from brushbench.imaging.images import Size

_NONE = Picture(())


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered of one sample."""

    id: str
    caption: str
    """Empty if there is none."""
    tokens: int
    picture: Picture
    shares: Mapping[str, float]
    """How much of the picture is painted, by split."""
    read: Mapping[str, Size]
    """The splits whose reader takes the sample, and the size that it then has."""
    findings: Sequence[Finding]


def inspect_entry(
    entry: Entry, usual: Size | None, datasets: Mapping[str, Dataset], index: int, *, bad: bool = False
) -> Seen:
    """A sample by its files. If nothing is wrong with them, its readers in `datasets` have to take it too.

    `bad`: something that makes it unusable is known already.
    """
    picture = inspect_picture(entry.image, entry.id) if entry.image else _NONE
    findings = list(picture.findings)
    size = usual or picture.size
    drawn = {split: draw(entry.id, source, size, findings) for split, source in entry.masks.items()} if size else {}
    # A folder's files are of the inside.
    masks = {
        split: ~mask if split == OUTSIDE and not isinstance(entry.masks[split], Runs) else mask
        for split, mask in drawn.items()
        if mask is not None
    }
    findings += mask_findings(entry.id, masks)
    tokens = _caption(entry.id, entry.caption, findings) if entry.caption is not None else 0
    shares = {split: float(mask.float().mean()) for split, mask in masks.items()}
    usable = all(KINDS[finding.kind].usable for finding in findings) and picture.size == size
    # Of a full mask of a folder, the other split is an empty one.
    samples, refusals = _tried(entry.id, datasets, index)
    if usable and not bad and entry.image and entry.caption is not None and 1 not in shares.values():
        findings += refusals
    return Seen(entry.id, entry.caption or "", tokens, picture, shares, _sizes(samples), findings)


def read_sample(datasets: Mapping[str, Dataset], index: int) -> Seen:
    """A sample as its reader gives it."""
    name = next(iter(datasets.values())).ids[index]
    samples, findings = _tried(name, datasets, index)
    if not samples:
        return Seen(name, "", 0, _NONE, {}, {}, findings)
    sample = next(iter(samples.values()))
    masks = {split: found.mask[0] for split, found in samples.items()}
    findings += mask_findings(name, masks)
    tokens = _caption(name, sample.caption, findings)
    shares = {split: float(mask.float().mean()) for split, mask in masks.items()}
    return Seen(name, sample.caption, tokens, picture_of(sample.image), shares, _sizes(samples), findings)


def _caption(name: str, caption: str, findings: list[Finding]) -> int:
    """The number of its tokens."""
    if bad := bad_caption(name, caption):
        findings.append(bad)
        return 0
    tokens = count_tokens(caption)
    findings += caption_findings(name, caption, tokens)
    return tokens


def _tried(name: str, datasets: Mapping[str, Dataset], index: int) -> tuple[dict[str, Sample], list[Finding]]:
    """The sample by split, and a finding for each split whose reader refuses it, as it does in a run."""
    samples: dict[str, Sample] = {}
    findings: list[Finding] = []
    for split, dataset in datasets.items():
        try:
            samples[split] = dataset[index]
        except SampleError as error:
            findings.append(Finding("unusable-sample", name, f"{split}: {error}"))
    return samples, findings


def _sizes(samples: Mapping[str, Sample]) -> dict[str, Size]:
    return {split: (sample.image.shape[1], sample.image.shape[2]) for split, sample in samples.items()}
