"""P-IDS and U-IDS: whether a linear classifier can tell inpainted images from real ones. Only for large sets.

Zhao et al., arXiv:2103.10428. A linear support vector machine is fitted to the features of real and inpainted images,
and asked about the same images. So with few images it separates anything: on 600 images with 2048 features, two halves
of one distribution get 0 instead of 0.5, and even with twice as many images as features a perfect method gets about
0.29 (U-IDS) and 0.18 (P-IDS) instead of 0.5. These are functions, not metrics of a run, because the benchmark's data
sets are far too small for them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import linalg

from brushbench.core.errors import UserError
from brushbench.metrics.distances import Features

LEAST = 2
"""Least number of images in each set, in multiples of the number of features."""
STEPS = 100
"""Most steps of Newton's method; it takes about ten."""


@dataclass(frozen=True, slots=True)
class InceptionDiscriminative:
    """The scores of Zhao et al., from 0 to 1; 0.5 is ideal, and higher is better."""

    u_ids: float
    """Share of all images that the classifier gets wrong."""
    p_ids: float | None
    """Share of pairs whose inpainted image looks more real than its own source; None for sets that aren't paired."""


def inception_discriminative(sources: Features, images: Features, *, paired: bool = True) -> InceptionDiscriminative:
    """U-IDS and P-IDS of the features of two sets; row i of both is a pair unless `paired` is off.

    Raises `UserError` for a set with fewer than twice as many images as features, of which the scores say nothing.
    """
    least = LEAST * sources.shape[1]
    fewest = min(len(sources), len(images))
    if fewest < least:
        raise UserError(
            f"P-IDS and U-IDS say nothing about {fewest} images with {sources.shape[1]} features: a linear classifier "
            f"separates any two sets of that size; valid: at least {least} images in each set"
        )
    if paired and len(sources) != len(images):
        raise UserError(f"P-IDS needs pairs, but there are {len(sources)} sources and {len(images)} images")
    weights = support_vectors(sources, images)
    real, made = (rows @ weights[:-1] + weights[-1] for rows in (sources, images))
    wrong = int(np.count_nonzero(real <= 0) + np.count_nonzero(made > 0))
    found = float((made > real).mean()) if paired else None
    return InceptionDiscriminative(wrong / (len(real) + len(made)), found)


def support_vectors(sources: Features, images: Features) -> Float64[np.ndarray, " _"]:
    """The coefficients and the intercept of the classifier, positive for sources, fitted to the optimum.

    It minimises |w|^2 / 2 + the sum of max(0, 1 - t (w . x))^2, where x ends in a 1 for the intercept, by Newton's
    method with halved steps: the problem of scikit-learn's LinearSVC, whose solver stops a little earlier.
    """
    rows = np.hstack([np.vstack([sources, images]), np.ones((len(sources) + len(images), 1))])
    signed = rows * np.repeat([1.0, -1.0], [len(sources), len(images)])[:, None]
    weights = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        slack = 1 - signed @ weights
        inside = slack > 0
        gradient = weights - 2 * slack[inside] @ signed[inside]
        if np.abs(gradient).max() <= 1e-9 * max(1.0, np.abs(signed).sum(axis=0).max()):
            break
        curvature = np.eye(len(weights)) + 2 * signed[inside].T @ signed[inside]
        step = linalg.solve(curvature, gradient, assume_a="pos")
        size, now, slope = 1.0, _objective(signed, weights), float(gradient @ step)
        while _objective(signed, weights - size * step) > now - 1e-4 * size * slope and size > 1e-8:
            size /= 2
        weights = weights - size * step
    return weights


def _objective(signed: Features, weights: Float64[np.ndarray, " _"]) -> float:
    return float(weights @ weights / 2 + (np.maximum(0, 1 - signed @ weights) ** 2).sum())
