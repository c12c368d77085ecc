"""Find what is wrong with the masks of a sample."""

from collections.abc import Iterator, Mapping

from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import SampleError
from brushbench.curation.pictures import grey_levels, is_truncated
from brushbench.datasets.defects import DataFinding, DefectError
from brushbench.datasets.listing import INSIDE, OUTSIDE, ListedSample, MaskFile
from brushbench.imaging.images import Size, read_mask

Mask = Bool[Tensor, "h w"]


def splits_with_masks(sample: ListedSample, findings: list[DataFinding]) -> Iterator[str]:
    """Yield the splits whose mask exists; add a finding for each of the others."""
    for split in sample.masks:
        try:
            path = sample.mask_file(split)
        except DefectError as error:
            findings.append(error.found_in(sample.id))
            continue
        if path is None or path.is_file():
            yield split
        else:
            findings.append(DataFinding("missing-mask", sample.id, path.name))


def draw(sample: ListedSample, split: str, size: Size, findings: list[DataFinding]) -> Mask | None:
    """Draw the mask of a split; return None and add a finding if that fails."""
    source, path = sample.masks[split], sample.mask_file(split)
    try:
        mask = sample.drawn(split, size)
    except DefectError as error:
        findings.append(error.found_in(sample.id))
        return None
    except SampleError as error:
        kind = "mask-truncated" if path and is_truncated(path) else "mask-undecodable"
        findings.append(DataFinding(kind, sample.id, str(error)))
        return None
    if path and isinstance(source, MaskFile) and source.read is read_mask and (levels := grey_levels(path)) > 2:
        findings.append(DataFinding("mask-grey", sample.id, f"{levels} values"))
    return mask


def mask_findings(name: str, masks: Mapping[str, Mask]) -> Iterator[DataFinding]:
    """Report empty and full masks, and inside and outside masks that do not complement each other.

    The second check is left out if a mask is empty or full.
    """
    extreme = False
    for split, mask in masks.items():
        painted, pixels = int(mask.sum()), mask.numel()
        if painted in (0, pixels):
            extreme = True
            yield DataFinding("mask-empty" if painted == 0 else "mask-full", name, split)
    if extreme or not {INSIDE, OUTSIDE} <= masks.keys():
        return
    both, none = masks[INSIDE] & masks[OUTSIDE], ~(masks[INSIDE] | masks[OUTSIDE])
    for kind, pixels in (("masks-overlap", int(both.sum())), ("masks-gap", int(none.sum()))):
        if pixels:
            yield DataFinding(kind, name, f"{pixels} pixels")
