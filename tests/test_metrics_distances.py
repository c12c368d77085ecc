"""Distances of sets of features, against numbers of the official code, torch-fidelity and scipy."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg

from brushbench.core.errors import UserError
from brushbench.metrics.distances import Frechet, cmmd, distance_between, kid
from brushbench.metrics.ids import inception_discriminative, support_vectors

GOLDEN = Path(__file__).parent / "golden" / "sets"
CASES = json.loads((GOLDEN / "cases.json").read_text(encoding="utf-8"))
Sets = tuple[np.ndarray, np.ndarray]


def features(name: str) -> Sets:
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return arrays["real"].astype(np.float64), arrays["fake"].astype(np.float64)


def unit(rows: np.ndarray) -> np.ndarray:
    single = rows.astype(np.float32)
    return (single / np.linalg.norm(single, axis=1, keepdims=True)).astype(np.float64)


def by_sqrtm(real: np.ndarray, fake: np.ndarray) -> float:
    """The definition, word by word, with scipy's matrix square root."""
    first, second = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = linalg.sqrtm(first @ second).real
    return float(((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))


@pytest.mark.parametrize("name", CASES)
def test_frechet_is_that_of_torch_fidelity(name: str) -> None:
    real, fake = features(name)
    assert distance_between(Frechet, real, fake) == pytest.approx(CASES[name]["fid"], abs=1e-6)
    assert distance_between(Frechet, fake, real) == pytest.approx(CASES[name]["fid"], abs=1e-6)


@pytest.mark.parametrize("rows", [(300, 250), (30, 40)])
def test_frechet_is_scipys_root(rows: tuple[int, int]) -> None:
    draw = np.random.default_rng(3)
    mixing = draw.normal(size=(12, 12))
    real, fake = draw.normal(size=(rows[0], 12)) @ mixing + 50, draw.normal(size=(rows[1], 12)) + 50.5
    assert distance_between(Frechet, real, fake) == pytest.approx(by_sqrtm(real, fake), rel=1e-9)


@pytest.mark.parametrize("rows", [(40, 40), (4, 5)])
def test_frechet_of_known_gaussians(rows: tuple[int, int]) -> None:
    """Diagonal covariances: the distance is that of means and standard deviations, by coordinate."""
    signs = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0])).reshape(2, -1).T
    real, fake = np.tile(signs, (rows[0], 1)) * [1.0, 2.0], np.tile(signs, (rows[1], 1)) * [3.0, 0.5] + [1.0, 0.0]
    scales = [np.sqrt(len(own) / (len(own) - 1)) for own in (real, fake)]
    first, second = np.array([1.0, 2.0]) * scales[0], np.array([3.0, 0.5]) * scales[1]
    assert distance_between(Frechet, real, fake) == pytest.approx(1 + ((first - second) ** 2).sum(), rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_cmmd_is_the_official_one_in_float64(name: str) -> None:
    real, fake = features(name)
    assert distance_between(cmmd, real, fake) == pytest.approx(CASES[name]["cmmd_raw"]["float64"], abs=1e-9)
    official = CASES[name]["cmmd_unit"]
    found = distance_between(cmmd, unit(real), unit(fake))
    assert found == pytest.approx(official["float64_of_same_float32_rows"], abs=1e-9)
    assert found == pytest.approx(official["float32"], abs=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_kid_over_the_official_subsets(name: str) -> None:
    """The official number is the mean over random subsets; each is what is computed here for all rows at once."""
    real, fake = features(name)
    for case in CASES[name]["kid"]:
        settings = case["settings"]
        if set(settings) <= {"kid_subsets", "kid_subset_size", "rng_seed"}:
            draw = np.random.RandomState(settings.get("rng_seed", 2020))
            size = settings["kid_subset_size"]
            found = [
                distance_between(kid, *(rows[draw.choice(len(rows), size, replace=False)] for rows in (real, fake)))
                for _ in range(settings["kid_subsets"])
            ]
            assert np.mean(found) == pytest.approx(case["mean_if_features_are_float64"], abs=1e-9)


@pytest.mark.parametrize("distance", [Frechet, cmmd])
@pytest.mark.parametrize("name", CASES)
def test_counts_stand_for_repeated_rows(name: str, distance: Callable[..., Callable[..., float]]) -> None:
    real, fake = features(name)
    draw = np.random.default_rng(0)
    counts = [draw.integers(0, 3, len(rows)) for rows in (real, fake)]
    repeated = [np.repeat(rows, own, axis=0) for rows, own in zip((real, fake), counts, strict=True)]
    found = distance(real, fake)(*(own.astype(np.float64) for own in counts))
    assert found == pytest.approx(distance_between(distance, *repeated), rel=1e-9)


def test_kid_leaves_out_pairs_of_a_row_with_itself() -> None:
    """Rows that are drawn twice don't bias it: the mean over all draws with replacement of two rows that differ."""
    real, fake = features("fewer_rows_than_columns_24x32")
    weighted = kid(real, fake)
    counts = np.ones(len(real))
    counts[3] = 2
    pairs = [(i, j) for i in range(len(real)) for j in range(len(real)) if i != j]

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / len(x) + 1) ** 3)

    def within(rows: np.ndarray) -> float:
        values = [counts[i] * counts[j] * kernel(rows[i], rows[j]) for i, j in pairs]
        return float(np.sum(values)) / sum(counts[i] * counts[j] for i, j in pairs)

    crossed = np.mean(
        [kernel(x, y) for x in np.repeat(real, counts.astype(int), 0) for y in np.repeat(fake, counts.astype(int), 0)]
    )
    assert weighted(counts, counts) == pytest.approx(within(real) + within(fake) - 2 * crossed, rel=1e-9)


@pytest.mark.parametrize("distance", [Frechet, cmmd])
def test_equal_sets_have_no_distance(distance: Callable[..., Callable[..., float]]) -> None:
    real, _ = features("unpaired_200x16_180x16")
    assert distance_between(distance, real, real[::-1].copy()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["unpaired_200x16_180x16", "paired_150x24"])
def test_ids_is_the_official_one(name: str) -> None:
    real, fake = features(name)
    official = CASES[name]["ids"]
    weights = support_vectors(real, fake)
    assert weights[:-1] == pytest.approx(official["fully_converged"]["coef"], abs=1e-6)
    assert weights[-1] == pytest.approx(official["fully_converged"]["intercept"], abs=1e-6)
    found = inception_discriminative(real, fake, paired="p_ids" in official)
    assert found.u_ids == pytest.approx(official["u_ids"], rel=1e-12)
    expected = official.get("p_ids")
    assert found.p_ids == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_ids_refuses_small_sets() -> None:
    rows = np.zeros((47, 24))
    with pytest.raises(UserError, match=r"47 images with 24 features.*at least 48"):
        inception_discriminative(rows, rows)
    with pytest.raises(UserError, match="needs pairs"):
        inception_discriminative(np.zeros((48, 24)), np.zeros((49, 24)))
