"""What can be wrong with the masks of a sample."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from brushbench.core.errors import SampleError, UserError
from brushbench.curation.defects import Finding
from brushbench.curation.entries import Black, Runs
from brushbench.curation.pictures import grey_levels, is_truncated
from brushbench.datasets.editbench_masks import black_mask
from brushbench.imaging.images import read_mask
from brushbench.imaging.masks import decode_rle

INSIDE, OUTSIDE = "inside", "outside"
_OF_RUNS = {"out of bounds": "rle-out-of-bounds", "overlap": "rle-overlap"}
"""By what `decode_rle` says."""
Mask = Bool[Tensor, "h w"]


def draw(name: str, source: Runs | Path | Black, size: tuple[int, int], findings: list[Finding]) -> Mask | None:
    """The mask, or None with a finding."""
    return (
        _of_runs(name, source, size, findings) if isinstance(source, Runs) else _of_file(name, source, size, findings)
    )


def mask_findings(name: str, masks: Mapping[str, Mask]) -> Iterator[Finding]:
    """Empty and full masks; whether inside and outside complement each other, unless one is empty or full."""
    extreme = False
    for split, mask in masks.items():
        painted, pixels = int(mask.sum()), mask.numel()
        if painted in (0, pixels):
            extreme = True
            yield Finding("mask-empty" if painted == 0 else "mask-full", name, split)
    if extreme or not {INSIDE, OUTSIDE} <= masks.keys():
        return
    both, none = masks[INSIDE] & masks[OUTSIDE], ~(masks[INSIDE] | masks[OUTSIDE])
    for kind, pixels in (("masks-overlap", int(both.sum())), ("masks-gap", int(none.sum()))):
        if pixels:
            yield Finding(kind, name, f"{pixels} pixels")


def _of_runs(name: str, source: Runs, size: tuple[int, int], findings: list[Finding]) -> Mask | None:
    try:
        return decode_rle(source.numbers, *size)
    except UserError as error:
        kind = next((kind for words, kind in _OF_RUNS.items() if words in str(error)), "rle-malformed")
        findings.append(Finding(kind, name, str(error)))
        return None


def _of_file(name: str, source: Path | Black, size: tuple[int, int], findings: list[Finding]) -> Mask | None:
    path = source.file if isinstance(source, Black) else source
    try:
        mask = (black_mask if isinstance(source, Black) else read_mask)(path)[0]
    except SampleError as error:
        kind = "mask-truncated" if is_truncated(path) else "mask-undecodable"
        findings.append(Finding(kind, name, str(error)))
        return None
    if tuple(mask.shape) != size:
        found, needed = (f"{height}x{width}" for height, width in (tuple(mask.shape), size))
        findings.append(Finding("mask-size", name, f"{found}, its image is {needed}"))
        return None
    if isinstance(source, Path) and (levels := grey_levels(source)) > 2:
        findings.append(Finding("mask-grey", name, f"{levels} values"))
    return mask
