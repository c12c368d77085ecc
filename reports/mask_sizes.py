"""Find how large the masks of a data set are, from all of its runs together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from brushbench.runs.folder import Run
from brushbench.runs.scores import MASK_SHARE, Scores

MASK_SIZE = "mask_size"
MASK_SIZES = (("small", 0.215), ("medium", 0.369), ("large", 1.0))
"""EditBench's classes of masks (arXiv:2212.06909), each with its largest share of the pixels to inpaint."""
OPPOSITE = {"inside": "outside", "outside": "inside"}
Values = Float64[np.ndarray, " n"]
SampleKey = tuple[str, str, str]
"""Data set, options of the data set, and split."""


@dataclass(frozen=True, slots=True)
class MaskShares:
    """The share of the pixels to inpaint, by split and sample, if any run knows it.

    A run does not know it for a sample whose image it never read; another run of the same data may.
    """

    known: Mapping[SampleKey, Mapping[str, float]]

    @classmethod
    def of(cls, runs: Sequence[tuple[Run, str, Scores]]) -> "MaskShares":
        """Collect the shares from runs, each given with the label of its data set and its scores."""
        known: dict[SampleKey, dict[str, float]] = {}
        for run, dataset, scores in runs:
            if MASK_SHARE in scores.table:
                shares = scores.table[MASK_SHARE].dropna()
                found = zip(map(str, shares.index), shares.to_numpy(np.float64).tolist(), strict=True)
                known.setdefault(_place(run, dataset), {}).update(found)
        return cls(known)

    def columns(self, run: Run, dataset: str, names: Sequence[str]) -> dict[str, pd.Series]:
        """Return `mask_share` and `mask_size` of a run's samples, missing if unknown; no columns if all are unknown.

        The class is that of the inside mask, also for outside, whose share is what the inside mask leaves.
        """
        data, options, split = _place(run, dataset)
        own = self._shares((data, options, split), names)
        sizes = own
        if split in OPPOSITE:
            opposite = self._shares((data, options, OPPOSITE[split]), names)
            inside, outside = (own, opposite) if split == "inside" else (opposite, own)
            sizes = np.where(np.isnan(inside), 1 - outside, inside)
        if np.isnan(sizes).all():
            return {}
        return {MASK_SHARE: pd.Series(own), MASK_SIZE: _classes(sizes)}

    def _shares(self, place: SampleKey, names: Sequence[str]) -> Values:
        found = self.known.get(place, {})
        return np.array([found.get(name, np.nan) for name in names], dtype=np.float64)


def _classes(shares: Values) -> pd.Series:
    places = np.searchsorted([end for _, end in MASK_SIZES[:-1]], shares)
    return pd.Series([MASK_SIZES[place][0] for place in places], dtype="string").where(~np.isnan(shares))


def _place(run: Run, dataset: str) -> SampleKey:
    identity = run.record.identity.dataset
    return dataset, str(sorted(identity.options.items())), identity.split
