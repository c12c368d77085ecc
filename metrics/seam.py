"""How visible the border of the mask is: a metric of this suite's own, as no published table measures it."""

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
"""Numbers of pixels on either side of the border whose means are compared."""
SHIFTS = range(4, 9)
"""Pixels by which the border is shifted, into the hole and out of it, to measure the usual steps nearby."""
DEVIATIONS = 3.0
"""Standard errors by which an excess must exceed the noise of the known pixels."""
DOUBT = 0.1
"""Share of the gain's uncertainty by which steps at the border may differ from steps near it."""
RUN = 8
"""Pixels along the border that may share the same noise, as in a JPEG block."""
REACH = SHIFTS[-1] + SCALES[-1] + 1
"""Pixels from the border up to which the image is read."""
OBJECTS = "these masks follow objects, whose own edges can't be told from seams"
Places = tuple[Int64[Tensor, " k"], Int64[Tensor, " k"]]
"""(rows, columns) of steps; a step lies between this column and the next."""


@final
@dataclass(frozen=True, slots=True)
class Seam:
    """How much steps across the mask's border stand out from steps nearby, beyond those of the source; lower is better.

    0 is seamless; a step of s levels between flat regions gives s. At scales of 1, 2 and 4 pixels, a step is the
    difference between the means of that many pixels on either side of the border. From the mean squared step along the
    border, two terms are subtracted. One is the mean squared step along the border shifted by 4 to 8 pixels into the
    hole and out of it, limited to its value outside: texture is not a seam, and noise in the hole hides none. The other
    is how much the source's own steps stand out at the border, as far as the hole still shows the source, since a
    border may follow an object's edge. The source's steps are scaled by the gain measured outside the hole, and the
    remainder must exceed three standard errors of the noise measured there: JPEG, noise or sharpening of the whole
    image is not a seam either. The score is the root of the remainder at the scale where it is largest.

    The metric can't tell a new object's edge from a seam: where masks follow objects it means little, and adds a note.

    Input uint8 [n, 3, h, w]; output float64 [n], in levels of 0..255, NaN where the mask has no border.
    """

    masks: MaskKind = "random"
    """Whether the masks follow objects (`segmentation`), in which case every score gets a note."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are in levels, at most 255."""
        return CATALOGUE["seam"]

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        scores = [_seam(*each) for each in zip(batch.masks, images, batch.images, strict=True)]
        return torch.tensor(scores, dtype=torch.float64)

    def notes(self, batch: Batch) -> list[str]:
        """A note for each sample that readers need to interpret its score, or empty texts."""
        return [OBJECTS if self.masks == "segmentation" else ""] * len(batch)


@final
@dataclass(frozen=True, slots=True)
class _View:
    """One sample or its transpose; steps are taken between columns."""

    mask: Bool[Tensor, "h w"]
    sums: tuple[Float64[Tensor, "3 h w1"], Float64[Tensor, "3 h w1"]]
    """The sums of the pixels left of each column, in the image and in its source."""

    @classmethod
    def of(cls, mask: Tensor, image: Tensor, source: Tensor) -> "_View":
        first, second = (pad(part.double().cumsum(dim=2), (1, 0)) for part in (image, source))
        return cls(mask, (first, second))

    def steps(self, places: Places, scale: int) -> list[Float64[Tensor, "3 k"]]:
        """The steps at these places, in the image and in its source."""
        rows, gaps = places
        ends = [gaps + 1 + offset for offset in (-scale, 0, scale)]
        found = []
        for sums in self.sums:
            left, middle, right = (sums[:, rows, end] for end in ends)
            found.append((right - 2 * middle + left) / scale)
        return found

    def places(self, scale: int) -> Iterator[Places]:
        """The places along the border, along it shifted into the hole, and along it shifted out of the hole.

        Places are left out where a pixel to read lies on the wrong side of the border.
        """
        rows, gaps = (self.mask[:, 1:] != self.mask[:, :-1]).nonzero().T
        inward = torch.where(self.mask[rows, gaps + 1], 1, -1)
        masked = pad(self.mask.long().cumsum(dim=1), (1, 0))

        def one_sided(direction: Tensor, depth: int, side: int) -> Tensor:
            """Whether the first `depth` pixels from the border in a direction are all in the hole, or all outside."""
            first = torch.where(direction > 0, gaps + 1, gaps + 1 - depth)
            valid = (first >= 0) & (first + depth <= self.mask.shape[1])
            first = first.clamp(0, max(0, self.mask.shape[1] - depth))
            return valid & (masked[rows, first + min(depth, self.mask.shape[1])] - masked[rows, first] == side * depth)

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
    """Sums over places of an image's squared steps, its source's, and their products, averaged over the channels."""

    count: int = 0
    own: float = 0.0
    before: float = 0.0
    both: float = 0.0

    def add(self, own: Float64[Tensor, "3 k"], before: Float64[Tensor, "3 k"]) -> None:
        """Add the steps at more places."""
        self.count += own.shape[1]
        self.own += (own * own).sum().item() / 3
        self.before += (before * before).sum().item() / 3
        self.both += (own * before).sum().item() / 3

    def gain(self) -> float:
        """The least-squares factor from the source's steps to the image's; 1 where the source has none."""
        return self.both / self.before if self.before else 1.0

    def noise(self) -> float:
        """The variance of the image's steps that the gain leaves unexplained."""
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
    """By how much the mean squared step across the border stands out, at least 0."""
    border, inside, outside = _Steps(), _Steps(), _Steps()
    for view in views:
        for steps, places in zip((border, inside, outside), view.places(scale), strict=True):
            steps.add(*view.steps(places, scale))
    if not border.count:
        return 0.0
    gain, noise = outside.gain(), outside.noise()
    # The further the gain is from 1, the less certain it is that one gain describes all steps.
    credited = abs(gain) + 2 * abs(gain - 1)
    before = border.before / border.count
    own_edge = max(0.0, before - _usual(inside.before, outside.before, inside.count, outside.count))
    # A hole without any trace of the source has a gain near 0, by chance not exactly 0.
    kept = min(1.0, max(0.0, 4 * inside.gain() / gain - 1)) if gain else 0.0
    error = math.sqrt((4 * gain**2 * before * noise + 2 * noise**2) * RUN / border.count)
    uncertain = DOUBT * (credited**2 - gain**2) * before
    excess = border.own / border.count - _usual(inside.own, outside.own, inside.count, outside.count)
    return max(0.0, excess - kept * credited**2 * own_edge - uncertain - DEVIATIONS * error)


def _usual(inside: float, outside: float, inner: int, outer: int) -> float:
    """The usual mean squared step near the border: the mean of both sides, limited to its value outside."""
    if not inner or not outer:
        return inside / inner if inner else outside / outer if outer else 0.0
    return min((inside / inner + outside / outer) / 2, outside / outer)
