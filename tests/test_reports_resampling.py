"""Draws in blocks: whatever the size of a block, the numbers are those of one draw, and memory is that of a block."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from brushbench.reports import multiple_comparisons, resampling
from brushbench.reports.multiple_comparisons import beaten
from brushbench.reports.resampling import distances, resampled
from brushbench.reports.statistics import paired_bootstrap, paired_bootstraps

COUNT, DRAWS = 51, 199
BLOCKS = [1, 2 * COUNT, 7 * COUNT + 3, DRAWS * COUNT, 10**9]
"""Numbers drawn at once: a draw each, two, seven, and all of them."""


def skewed(count: int = COUNT, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(0, 0.7, count) - 1.2


def at_once() -> np.ndarray:
    """All draws from the same stream of numbers, counted one by one."""
    chosen = np.random.default_rng(3).integers(0, COUNT, (DRAWS, COUNT))
    return np.array([[np.sum(row == place) for place in range(COUNT)] for row in chosen], dtype=np.float64)


def peak(make: Callable[[], object]) -> int:
    """The most bytes that are in use at once meanwhile."""
    tracemalloc.start()
    try:
        make()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_are_parts_of_one_draw(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(resampling, "AT_ONCE", block)
    parts = list(resampled(COUNT, 3, DRAWS))
    assert [len(part) for part in parts[:-1]] == [max(1, block // COUNT)] * (len(parts) - 1)
    assert (np.concatenate(parts) == at_once()).all()


@pytest.mark.parametrize("block", BLOCKS)
def test_a_test_has_one_result_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    whole = paired_bootstrap(skewed(), seed=3, draws=DRAWS)
    monkeypatch.setattr(resampling, "AT_ONCE", block)
    p_value, interval = paired_bootstrap(skewed(), seed=3, draws=DRAWS)
    assert p_value == whole[0]
    # Products of matrices may be rounded in another way if they have fewer rows.
    assert (interval.low, interval.high) == pytest.approx((whole[1].low, whole[1].high), rel=1e-12)


def test_tests_together_have_the_results_of_each_alone() -> None:
    images = np.arange(COUNT) // 2
    tests = [
        (skewed(), None),
        (skewed(seed=1), images),
        (skewed(seed=2), None),
        (skewed(COUNT // 2, 3), None),
        (np.zeros(COUNT), None),
        (np.ones(COUNT), images),
        (skewed(1), None),
    ]
    found = paired_bootstraps(tests, seed=3, draws=DRAWS)
    alone = [paired_bootstrap(*test, seed=3, draws=DRAWS) for test in tests]
    assert list(map(repr, found)) == list(map(repr, alone))
    assert paired_bootstraps([]) == []


def test_the_draws_of_equal_counts_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counting(count: int, seed: int, draws: int) -> object:
        made.append(count)
        return resampled(count, seed, draws)

    monkeypatch.setattr(resampling, "resampled", counting)
    ones = np.ones
    distances([(skewed(), ones(COUNT)), (skewed(9), ones(9)), (skewed(seed=4), ones(COUNT))], 0, DRAWS)
    assert made == [COUNT, 9]


@pytest.mark.parametrize("tests", [1, 4])
def test_memory_is_that_of_a_block_however_many_draws(monkeypatch: pytest.MonkeyPatch, tests: int) -> None:
    block, count = 1 << 16, 2000
    monkeypatch.setattr(resampling, "AT_ONCE", block)
    values = [(skewed(count, seed), None) for seed in range(tests)]
    paired_bootstraps(values, draws=99)
    few, many = (peak(lambda draws=draws: paired_bootstraps(values, draws=draws)) for draws in (99, 1999))
    # Of every further draw, only the |t| of each test is kept: 8 bytes, twice while the blocks are put together.
    assert many - few <= 3 * 8 * 1900 * tests
    assert few < 2 * 8 * block + tests * 20 * 8 * count


def test_the_best_of_many_images_need_no_matrix_of_images_by_images(monkeypatch: pytest.MonkeyPatch) -> None:
    count, block = 4000, 1 << 14
    monkeypatch.setattr(multiple_comparisons, "AT_ONCE", block)
    scores = np.random.default_rng(0).normal([0.0, 0.0, 1.0], size=(count, 3))
    images = np.arange(count)

    def found() -> np.ndarray:
        return beaten(scores, images, np.zeros(count), draws=99)

    assert found() == pytest.approx([0.01, 0.01, 1.0])
    assert peak(found) < 50 * 8 * count < count**2
