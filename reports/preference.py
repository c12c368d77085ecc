"""Count votes: how often one method is preferred to another, and, of more than two, how strong each is.

Ties count as half a win of each. Votes on one sample are a cluster: several people who see the same pair don't say as
much as as many people who see different ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int
from scipy import special

from brushbench.reports.intervals import FEWEST
from brushbench.reports.resampling import resampled
from brushbench.reports.statistics import LEVEL
from brushbench.reports.votes import Vote

DRAWS = 999
STEPS, CLOSE = 50, 1e-10
"""Most steps of Newton's method, and a step that is none."""
PRIOR = 0.5
"""Wins, and as many losses, that each method is given against one of mean strength: without them a method that has
always won would be infinitely strong."""
Wins = Float64[np.ndarray, "methods methods"]
Strengths = Float64[np.ndarray, " methods"]


@dataclass(frozen=True, slots=True)
class PairCount:
    """How two methods compare."""

    a: str
    b: str
    wins: int
    """Votes for A."""
    ties: int
    losses: int
    samples: int
    rate: float
    """Share of the votes that A has won, ties being half."""
    low: float
    """Ends of the 95 % interval of the rate."""
    high: float


@dataclass(frozen=True, slots=True)
class Strength:
    """A method among all, by the model of Bradley and Terry (Biometrika 39, 1952)."""

    method: str
    votes: int
    strength: float
    """Logarithm of its odds against a method of mean strength."""
    low: float
    """Ends of the 95 % interval; NaN on too few samples."""
    high: float


def pair_counts(votes: Sequence[Vote]) -> list[PairCount]:
    """Count the votes on every pair that was voted on, in the order of the names."""
    return [
        _counted(a, b, own)
        for a, b in combinations(methods_of(votes), 2)
        if (own := [vote for vote in votes if {vote.left, vote.right} == {a, b}])
    ]


def methods_of(votes: Sequence[Vote]) -> list[str]:
    """Return all methods that were voted on, by name."""
    return sorted({method for vote in votes for method in (vote.left, vote.right)})


def strengths(votes: Sequence[Vote], seed: int = 0) -> list[Strength]:
    """Fit the model of Bradley and Terry, the strongest method first; the intervals are a bootstrap of the samples."""
    methods = methods_of(votes)
    cluster = _clusters(votes)
    samples = int(cluster.max()) + 1
    left, right = (np.array([methods.index(getattr(vote, side)) for vote in votes]) for side in ("left", "right"))
    scores = np.array([vote.score(vote.left) for vote in votes])

    def wins(weights: Float64[np.ndarray, " votes"]) -> Wins:
        found: Wins = np.zeros((len(methods), len(methods)))
        np.add.at(found, (left, right), scores * weights)
        np.add.at(found, (right, left), (1 - scores) * weights)
        return found

    fitted = bradley_terry(wins(np.ones(len(votes))))
    low = high = np.full(len(methods), np.nan)
    if samples >= FEWEST:
        draws = [bradley_terry(wins(each[cluster])) for part in resampled(samples, seed, DRAWS) for each in part]
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    counts = [sum(method in (vote.left, vote.right) for vote in votes) for method in methods]
    found = zip(methods, counts, fitted.tolist(), low.tolist(), high.tolist(), strict=True)
    return sorted((Strength(*each) for each in found), key=lambda one: -one.strength)


def bradley_terry(wins: Wins) -> Strengths:
    """Return the strengths of the methods, whose mean is 0; `wins[i, j]` is how often i has won against j.

    Newton's method on the penalised likelihood, which has one maximum.
    """
    games, won = wins + wins.T, wins.sum(axis=1) + PRIOR
    strength = np.zeros(len(wins))
    for _ in range(STEPS):
        chance = special.expit(strength[:, None] - strength)
        own = special.expit(strength)
        gradient = won - (games * chance).sum(axis=1) - 2 * PRIOR * own
        curved = games * chance * (1 - chance)
        hessian = np.diag(curved.sum(axis=1) + 2 * PRIOR * own * (1 - own)) - curved
        step = np.linalg.solve(hessian, gradient)
        strength = strength + step
        if np.abs(step).max() < CLOSE:
            break
    found: Strengths = strength - strength.mean()
    return found


def is_connected(votes: Sequence[Vote]) -> bool:
    """Tell whether every method is compared with every other one, directly or by way of others."""
    methods = methods_of(votes)
    reached = set(methods[:1])
    pairs = {frozenset((vote.left, vote.right)) for vote in votes}
    while grown := {name for pair in pairs if pair & reached for name in pair - reached}:
        reached |= grown
    return len(reached) == len(methods)


def _counted(a: str, b: str, votes: Sequence[Vote]) -> PairCount:
    scores = np.array([vote.score(a) for vote in votes])
    clusters = _clusters(votes)
    rate = float(scores.mean())
    low, high = _wilson(rate, _effective(scores, clusters))
    wins, losses = int((scores == 1).sum()), int((scores == 0).sum())
    return PairCount(a, b, wins, len(votes) - wins - losses, losses, int(clusters.max()) + 1, rate, low, high)


def _clusters(votes: Sequence[Vote]) -> Int[np.ndarray, " n"]:
    """Return the number of each vote's sample."""
    numbers = {name: place for place, name in enumerate(dict.fromkeys(vote.sample for vote in votes))}
    return np.array([numbers[vote.sample] for vote in votes])


def _effective(scores: Float64[np.ndarray, " n"], clusters: Int[np.ndarray, " n"]) -> float:
    """Return how many independent votes these are worth: no more than there are."""
    count, groups = len(scores), int(clusters.max()) + 1
    rate = scores.mean()
    if groups == count:
        return float(count)
    if groups == 1 or rate in (0, 1):
        return float(groups)
    sums = np.bincount(clusters, scores - rate)
    found = (sums**2).sum() / count * groups / (groups - 1)
    return float(count / max(1.0, found / (rate * (1 - rate))))


def _wilson(rate: float, count: float) -> tuple[float, float]:
    """Return Wilson's interval of a share (J. Am. Stat. Assoc. 22, 1927), which stays within 0 and 1."""
    z = float(special.ndtri((1 + LEVEL) / 2))
    centre = (rate + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(rate * (1 - rate) / count + z**2 / (4 * count**2))
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))
