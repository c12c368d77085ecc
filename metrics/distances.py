"""Distances between two sets of features, as functions of how often each row counts.

Everything is float64 and needs no torch, so reports can resample images. The two sets are called references and images,
in this order; each row is a picture's features. A distance first prepares what doesn't depend on the counts, so that a
bootstrap of hundreds of draws stays cheap.
"""

from collections.abc import Mapping
from typing import Final, Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Float64
from scipy import linalg

Features = Float64[np.ndarray, "_ d"]
Counts = Float64[np.ndarray, " _"]
CMMD_WIDTH = 10.0
"""Width of CMMD's Gaussian kernel."""
CMMD_SCALE = 1000.0
"""Factor of CMMD, as in its authors' code."""


@runtime_checkable
class Reweighted(Protocol):
    """The distance of two prepared sets."""

    def __call__(self, references: Counts, images: Counts) -> float:
        """The distance when each row counts as often as stated, with at least two rows on each side."""
        ...


@runtime_checkable
class Distance(Protocol):
    """Prepares two sets of features."""

    def __call__(self, references: Features, images: Features) -> Reweighted:
        """The distance of these sets as a function of how often each row counts."""
        ...


def distance_between(distance: Distance, references: Features, images: Features) -> float:
    """The distance of two sets in which each row counts once."""
    return distance(references, images)(np.ones(len(references)), np.ones(len(images)))


@final
class Frechet:
    """The Frechet distance of the Gaussians with the sets' means and covariances: Heusel et al., arXiv:1706.08500.

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), with covariances over N - 1. With centred and weighted features
    X and Y, S1 = X'X and S2 = Y'Y, the last trace is the sum of the singular values of X Y'. X Y' has the rows of both
    sets as its sides, or, after a QR decomposition of each, at most the number of features: whichever is smaller is
    decomposed. So singular covariances need no care.
    """

    def __init__(self, references: Features, images: Features) -> None:
        # Common to both sets, so that no digits are lost to a large mean.
        centre = references.mean(axis=0)
        self._references, self._images = references - centre, images - centre
        few = len(references) + len(images) <= 2 * references.shape[1]
        self._products = self._references @ self._images.T if few else None

    def __call__(self, references: Counts, images: Counts) -> float:
        """See `Reweighted`."""
        mean, trace = _moments(self._references, references)
        other, other_trace = _moments(self._images, images)
        shift = float(((mean - other) ** 2).sum())
        crossed = self._crossed(references, images, mean, other)
        common = float(linalg.svdvals(crossed, check_finite=False).sum())
        return shift + trace + other_trace - 2 * common

    def _crossed(
        self, references: Counts, images: Counts, mean: Float64[np.ndarray, " d"], other: Float64[np.ndarray, " d"]
    ) -> Float64[np.ndarray, "_ _"]:
        """A matrix with the singular values of X Y'; rows that don't count are left out."""
        rows, columns = references > 0, images > 0
        left, right = (
            np.sqrt(counts[chosen] / (counts.sum() - 1)) for counts, chosen in ((references, rows), (images, columns))
        )
        if self._products is None:
            first = _triangle((self._references[rows] - mean) * left[:, None])
            second = _triangle((self._images[columns] - other) * right[:, None])
            product: Float64[np.ndarray, "_ _"] = first @ second.T
            return product
        centred = self._products[np.ix_(rows, columns)]
        centred = centred - self._references[rows] @ other[:, None] - (self._images[columns] @ mean)[None, :]
        found: Float64[np.ndarray, "_ _"] = (centred + mean @ other) * left[:, None] * right[None, :]
        return found


def _moments(rows: Features, counts: Counts) -> tuple[Float64[np.ndarray, " d"], float]:
    """The mean, and the trace of the covariance."""
    total = counts.sum()
    mean = counts @ rows / total
    trace = float(counts @ (rows**2).sum(axis=1) - total * mean @ mean) / (total - 1)
    return mean, trace


def _triangle(rows: Features) -> Float64[np.ndarray, "_ d"]:
    """A matrix R of at most d rows with R'R = rows'rows."""
    if len(rows) <= rows.shape[1]:
        return rows
    found: Float64[np.ndarray, "_ d"] = linalg.qr(rows, mode="r", check_finite=False)[0][: rows.shape[1]]
    return found


@final
class KernelDistance:
    """The squared maximum mean discrepancy under a kernel: Gretton et al., JMLR 13, 2012, 723-773.

    `unbiased` leaves out the pairs of a row with itself, also of those that count several times; the number can then be
    negative.
    """

    def __init__(
        self,
        within: tuple[Float64[np.ndarray, "m m"], Float64[np.ndarray, "n n"]],
        between: Float64[np.ndarray, "m n"],
        *,
        unbiased: bool,
        scale: float = 1.0,
    ) -> None:
        """The kernel's values within the references and within the images, and between both."""
        self._within = within
        self._between = between
        self._unbiased = unbiased
        self._scale = scale

    def __call__(self, references: Counts, images: Counts) -> float:
        """See `Reweighted`."""
        own = self._mean(self._within[0], references) + self._mean(self._within[1], images)
        crossed = float(references @ self._between @ images) / float(references.sum() * images.sum())
        return self._scale * (own - 2 * crossed)

    def _mean(self, kernel: Float64[np.ndarray, "_ _"], counts: Counts) -> float:
        total, pairs = float(counts @ kernel @ counts), counts.sum() ** 2
        if self._unbiased:
            squares = counts**2
            total, pairs = total - float(squares @ np.diag(kernel)), pairs - squares.sum()
        return total / float(pairs)


def kid(references: Features, images: Features) -> KernelDistance:
    """The kernel distance of Binkowski et al., arXiv:1801.01401: unbiased, with the kernel (x.y / d + 1)^3.

    It takes all rows at once, not the mean over random subsets that torch-fidelity reports.
    """

    def kernel(left: Features, right: Features) -> Float64[np.ndarray, "_ _"]:
        found: Float64[np.ndarray, "_ _"] = (left @ right.T / left.shape[1] + 1) ** 3
        return found

    within = kernel(references, references), kernel(images, images)
    return KernelDistance(within, kernel(references, images), unbiased=True)


def cmmd(references: Features, images: Features) -> KernelDistance:
    """CMMD, Jayasumana et al., arXiv:2401.09603: biased, with a Gaussian kernel of width 10, times 1000.

    The kernel's values lie near 1, so their differences from 1 are summed: nothing cancels.
    """

    def kernel(left: Features, right: Features) -> Float64[np.ndarray, "_ _"]:
        squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
        found: Float64[np.ndarray, "_ _"] = np.expm1(-np.maximum(squares, 0) / (2 * CMMD_WIDTH**2))
        return found

    within = kernel(references, references), kernel(images, images)
    return KernelDistance(within, kernel(references, images), unbiased=False, scale=CMMD_SCALE)


DISTANCES: Final[Mapping[str, Distance]] = {"fid": Frechet, "kid": kid, "cmmd": cmmd, "papercut-fd": Frechet}
"""The distances of the suite's own set metrics, by the metric's name."""
