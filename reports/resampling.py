"""Draw whole clusters with replacement, block by block: memory doesn't grow with the number of draws.

Pure functions of float64 arrays, like those of `brushbench.reports.statistics`, which are made of them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64, Int

AT_ONCE = 1 << 22
"""Most numbers in a block: 32 MiB."""
PARTS = 8
"""Parts of a block that are drawn one after the other."""
PerCluster = Float64[np.ndarray, " clusters"]
PerDraw = Float64[np.ndarray, " draws"]
Sample = tuple[Float64[np.ndarray, " _"], Float64[np.ndarray, " _"]]
"""The deviations of a sample's clusters from the mean, and their sizes; samples differ in their number."""


def resampled(count: int, seed: int, draws: int) -> Iterator[Float64[np.ndarray, "draws clusters"]]:
    """Yield how often each of `count` clusters is in each draw with replacement, several draws at once."""
    generator = np.random.default_rng(seed)
    for start in range(0, draws, step := max(1, AT_ONCE // count)):
        rows = min(step, draws - start)
        block = np.empty((rows, count))
        # The block is filled bit by bit, as integers would take as much memory again, twice.
        for part in np.array_split(block, min(rows, PARTS)):
            part[:] = _counted(generator.integers(0, count, part.shape))
        yield block
        # What has taken it may forget it before the next one is made.
        del block, part


def _counted(chosen: Int[np.ndarray, "draws clusters"]) -> Int[np.ndarray, "draws clusters"]:
    """Count in each draw how often each cluster was chosen; the array that it is given is changed."""
    rows, count = chosen.shape
    chosen += np.arange(rows)[:, None] * count
    return np.bincount(chosen.ravel(), minlength=rows * count).reshape(rows, count)


def distances(samples: Sequence[Sample], seed: int, draws: int) -> list[PerDraw]:
    """Return, for each sample, |t| of every draw: how far the drawn mean is from the sample's own, in standard errors.

    Samples with the same number of clusters share the draws, which take longer than what is computed from them.
    """
    found: list[list[PerDraw]] = [[] for _ in samples]
    for count in dict.fromkeys(len(sizes) for _, sizes in samples):
        own = {place: _moments(*sample) for place, sample in enumerate(samples) if len(sample[1]) == count}
        tiny = {place: 1e-12 * float(np.mean(samples[place][0] ** 2)) for place in own}
        for times in resampled(count, seed, draws):
            for place, moments in own.items():
                found[place].append(_distance(times @ moments, tiny[place]))
            del times
    return [np.concatenate(blocks) for blocks in found]


def _moments(deviations: PerCluster, sizes: PerCluster) -> Float64[np.ndarray, "clusters 5"]:
    return np.stack([deviations, sizes, deviations**2, deviations * sizes, sizes**2], axis=1)


def _distance(totals: Float64[np.ndarray, "draws 5"], tiny: float) -> PerDraw:
    """Return |t| of draws, given their sums of `_moments`; infinite if all clusters of a draw are equal."""
    moved, total, squares, mixed, square_sizes = totals.T
    shift = moved / total
    # Sum of (deviation - size * shift)^2, expanded: both terms are small, so nothing cancels.
    spread = squares - 2 * shift * mixed + shift**2 * square_sizes
    flat = spread <= tiny
    error = np.sqrt(np.where(flat, 1.0, spread)) / total
    found: PerDraw = np.where(flat, np.where(np.abs(shift) > 0, np.inf, 0.0), np.abs(shift) / error)
    return found
