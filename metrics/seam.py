"""How visible the border of the mask is. Ours: no published table measures it, though coherence there is the claim."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor
from torch.nn.functional import pad

from brushbench.core.dataset_info import MaskKind
from brushbench.core.metric_info import MetricInfo
from brushbench.core.types import Batch
from brushbench.metrics.catalogue import CATALOGUE

SCALES = (1, 2, 4)
"""Pixels on either side whose means are compared across the border."""
SHIFTS = range(4, 9)
"""Pixels by which the border is shifted, into the hole and out of it, to see what steps there are anyway."""
DEVIATIONS = 3.0
"""Standard errors by which an excess must stand out from what happened to all of the known pixels."""
DOUBT = 0.1
"""By how much of what an uncertain gain leaves open steps along the border may differ from those near it."""
RUN = 8
"""Pixels along the border whose noise may be one and the same, as in a block of JPEG."""
REACH = SHIFTS[-1] + SCALES[-1] + 1
"""Pixels from the border beyond which nothing is read."""
OBJECTS = "these masks follow objects, whose own edges can't be told from seams"
Places = tuple[Int64[Tensor, " k"], Int64[Tensor, " k"]]
"""Rows, and the left of the two columns between which a step is."""


@final
@dataclass(frozen=True, slots=True)
class Seam:
    """Steps across the border of the mask that stand out from those near it, and did less so in the source.

    Lower is better, 0 is seamless; a step of s levels between flat regions gives s. At a scale of 1, 2 and 4 pixels, a
    step is the difference between the means of so many pixels on either side of the border. Its square, averaged along
    the border, has two things taken off: that of steps across the border shifted by 4 to 8 pixels into the hole and out
    of it, their mean but no more than outside, so that texture is no seam and noise in the hole hides none; and what
    the source's own steps there stand out by, as far as the hole still shows the source, since a border may follow an
    object's edge. The source's steps count times the gain that is seen outside of the hole, and what remains must
    exceed three standard errors of the noise that is seen there: JPEG, noise or sharpening of the whole image is no
    seam either. The score is the root of what remains, at the scale where that is largest.

    It can't tell a new object's edge from a seam: where masks follow objects it says little, and has a note.

    Input uint8 [n, 3, h, w]; output float64 [n], in levels of 0..255, NaN where the mask has no border.
    """

    masks: MaskKind = "random"
    """Whether the masks follow objects (`segmentation`), in which case every score has a note."""

    @property
    def info(self) -> MetricInfo:
        """In levels, up to 255."""
        return CATALOGUE["seam"]

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """See the class."""
        scores = [_seam(*each) for each in zip(batch.masks, images, batch.images, strict=True)]
        return torch.tensor(scores, dtype=torch.float64)

    def notes(self, batch: Batch) -> list[str]:
        """For each sample what a reader must know of its score; empty for nothing."""
        return [OBJECTS if self.masks == "segmentation" else ""] * len(batch)


@final
@dataclass(frozen=True, slots=True)
class _View:
    """One sample, or its transpose: steps are between columns."""

    mask: Bool[Tensor, "h w"]
    sums: tuple[Float64[Tensor, "3 h w1"], Float64[Tensor, "3 h w1"]]
    """The sums of the pixels left of each column, in the image and in its source."""

    @classmethod
    def of(cls, mask: Tensor, image: Tensor, source: Tensor) -> "_View":
        first, second = (pad(part.double().cumsum(dim=2), (1, 0)) for part in (image, source))
        return cls(mask, (first, second))

    def steps(self, places: Places, scale: int) -> list[Float64[Tensor, "3 k"]]:
        """In the image and in its source."""
        rows, gaps = places
        ends = [gaps + 1 + offset for offset in (-scale, 0, scale)]
        found = []
        for sums in self.sums:
            left, middle, right = (sums[:, rows, end] for end in ends)
            found.append((right - 2 * middle + left) / scale)
        return found

    def places(self, scale: int) -> Iterator[Places]:
        """The places along the border, shifted into the hole, and out of it, where all that is read is on its side."""
        rows, gaps = (self.mask[:, 1:] != self.mask[:, :-1]).nonzero().T
        inward = torch.where(self.mask[rows, gaps + 1], 1, -1)
        painted = pad(self.mask.long().cumsum(dim=1), (1, 0))

        def one_sided(direction: Tensor, depth: int, side: int) -> Tensor:
            """Whether so many pixels from the border on, in a direction, are all of the hole (1), or all outside."""
            first = torch.where(direction > 0, gaps + 1, gaps + 1 - depth)
            valid = (first >= 0) & (first + depth <= self.mask.shape[1])
            first = first.clamp(0, max(0, self.mask.shape[1] - depth))
            return valid & (
                painted[rows, first + min(depth, self.mask.shape[1])] - painted[rows, first] == side * depth
            )

        whole = one_sided(inward, scale, 1) & one_sided(-inward, scale, 0)
        yield rows[whole], gaps[whole]
        for direction, side in ((inward, 1), (-inward, 0)):
            kept = [(shift, one_sided(direction, shift + scale, side)) for shift in SHIFTS]
            yield (
                torch.cat([rows[valid] for _, valid in kept]),
                torch.cat([(gaps + direction * shift)[valid] for shift, valid in kept]),
            )


@final
@dataclass(slots=True)
class _Steps:
    """Squared steps of an image and of its source, and their products, summed over places; mean over the channels."""

    count: int = 0
    own: float = 0.0
    before: float = 0.0
    both: float = 0.0

    def add(self, own: Float64[Tensor, "3 k"], before: Float64[Tensor, "3 k"]) -> None:
        """More places."""
        self.count += own.shape[1]
        self.own += (own * own).sum().item() / 3
        self.before += (before * before).sum().item() / 3
        self.both += (own * before).sum().item() / 3

    def gain(self) -> float:
        """What the image's steps are of the source's, by least squares; 1 where the source has none."""
        return self.both / self.before if self.before else 1.0

    def noise(self) -> float:
        """The variance of what the gain leaves unexplained."""
        return max(0.0, self.own - self.gain() * self.both) / self.count if self.count else 0.0


def _seam(mask: Bool[Tensor, "1 h w"], image: UInt8[Tensor, "3 h w"], source: UInt8[Tensor, "3 h w"]) -> float:
    rows, columns = (_near_border(mask[0], dim) for dim in (0, 1))
    if not (len(rows) and len(columns)):
        return float("nan")
    mask, image, source = (
        part[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] for part in (mask, image, source)
    )
    turned = (part.transpose(1, 2) for part in (mask, image, source))
    views = [_View.of(part[0], *pictures) for part, *pictures in ((mask, image, source), turned)]
    return math.sqrt(max(_excess(views, scale) for scale in SCALES))


def _near_border(mask: Bool[Tensor, "h w"], dim: int) -> Int64[Tensor, " k"]:
    """The rows (0) or columns (1) within reach of the border."""
    differs = torch.zeros_like(mask)
    for axis in (0, 1):
        crossing = mask.diff(dim=axis)
        differs.narrow(axis, 0, crossing.shape[axis]).logical_or_(crossing)
        differs.narrow(axis, 1, crossing.shape[axis]).logical_or_(crossing)
    found = differs.any(dim=1 - dim).nonzero().flatten()
    if not len(found):
        return found
    return torch.arange(max(0, int(found[0]) - REACH), min(mask.shape[dim], int(found[-1]) + REACH + 1))


def _excess(views: Sequence[_View], scale: int) -> float:
    """By how much squared steps across the border stand out, at least 0."""
    border, inside, outside = _Steps(), _Steps(), _Steps()
    for view in views:
        for steps, places in zip((border, inside, outside), view.places(scale), strict=True):
            steps.add(*view.steps(places, scale))
    if not border.count:
        return 0.0
    gain, noise = outside.gain(), outside.noise()
    # How well one gain tells of all steps is as far from certain as it is from 1.
    credited = abs(gain) + 2 * abs(gain - 1)
    before = border.before / border.count
    own_edge = max(0.0, before - _usual(inside.before, outside.before, inside.count, outside.count))
    # A hole without a trace of the source has a gain near 0 by chance.
    kept = min(1.0, max(0.0, 4 * inside.gain() / gain - 1)) if gain else 0.0
    error = math.sqrt((4 * gain**2 * before * noise + 2 * noise**2) * RUN / border.count)
    uncertain = DOUBT * (credited**2 - gain**2) * before
    excess = border.own / border.count - _usual(inside.own, outside.own, inside.count, outside.count)
    return max(0.0, excess - kept * credited**2 * own_edge - uncertain - DEVIATIONS * error)


def _usual(inside: float, outside: float, inner: int, outer: int) -> float:
    """The squared steps that there are near the border anyway: the mean of both sides, but no more than outside."""
    if not inner or not outer:
        return inside / inner if inner else outside / outer if outer else 0.0
    return min((inside / inner + outside / outer) / 2, outside / outer)
