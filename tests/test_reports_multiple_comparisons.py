"""Which of several methods may be the best: max-t over joint sign flips, against enumeration and by simulation."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from report_runs import Made
from scipy import stats

from brushbench.reports.formats import render
from brushbench.reports.multiple_comparisons import beaten
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run


def p_values(scores: np.ndarray, clusters: np.ndarray | None = None, **more: int) -> np.ndarray:
    """The p-values of samples without strata."""
    images = np.arange(len(scores)) if clusters is None else clusters
    return beaten(scores, images, np.zeros(len(scores)), **more)


def enumerated(scores: np.ndarray) -> np.ndarray:
    """Compute the definition: all signs of all images, scipy's t of every pair, the largest of them."""
    count, methods = scores.shape
    pairs = list(itertools.combinations(range(methods), 2))
    differences = np.stack([scores[:, one] - scores[:, other] for one, other in pairs])
    observed = stats.ttest_1samp(differences, 0, axis=1).statistic
    largest = [
        np.abs(stats.ttest_1samp(differences * np.array(signs), 0, axis=1).statistic).max()
        for signs in itertools.product((-1, 1), repeat=count)
    ]
    found = np.ones(methods)
    for (one, other), t in zip(pairs, observed, strict=True):
        loser = other if t > 0 else one
        found[loser] = min(found[loser], np.mean(np.array(largest) >= abs(t) - 1e-9))
    return found


@pytest.mark.parametrize("methods", [2, 3, 4])
def test_few_images_are_enumerated(methods: int) -> None:
    generator = np.random.default_rng(methods)
    scores = generator.normal(size=(8, 1)) + generator.normal(size=(8, methods)) + 0.8 * np.arange(methods)
    assert p_values(scores) == pytest.approx(enumerated(scores))
    # Drawn instead of enumerated, it is nearly the same.
    assert p_values(scores, draws=120) == pytest.approx(enumerated(scores), abs=0.15)


def test_many_images_are_drawn() -> None:
    generator = np.random.default_rng(5)
    scores = generator.normal([0.0, 0.3, 0.9], size=(15, 3))
    assert p_values(scores, draws=9999) == pytest.approx(p_values(scores, draws=2**15), abs=0.01)
    assert (p_values(scores) == p_values(scores)).all()


@pytest.mark.parametrize("count", [2, 3, 5, 6, 9])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-4])
def test_no_p_value_is_below_that_of_equal_signs(count: int, spread: float) -> None:
    noise = spread * np.random.default_rng(0).normal(size=(count, 3))
    found = p_values(np.array([0.0, 1.0, 2.0]) + noise + np.arange(count)[:, None])
    assert found[2] == 1
    assert found[:2] == pytest.approx([2 / 2**count] * 2)


def test_equal_methods_are_not_beaten() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 1)).repeat(3, axis=1)
    assert (p_values(scores) == 1).all()
    assert (p_values(np.zeros((0, 3))) == 1).all()
    assert (p_values(np.zeros((5, 1))) == 1).all()


def test_a_pair_is_compared_on_the_samples_that_both_have() -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(30, 3)) * 0.1 + [0.0, 1.0, 1.0]
    scores[10:, 2] = np.nan
    scores[:10, 0] = np.nan
    found = p_values(scores)
    # The first is beaten by the second, and shares nothing with the third.
    assert found[0] < 0.01
    assert (found[1:] > 0.05).all()
    alone = p_values(scores[:, :2])
    assert found[0] == pytest.approx(alone[0], abs=0.005)


def test_the_masks_of_an_image_keep_one_sign() -> None:
    scores = np.random.default_rng(2).normal([0.0, 0.7, 1.4], size=(7, 3))
    twice, clusters = np.repeat(scores, 2, axis=0), np.repeat(np.arange(7), 2)
    assert p_values(twice, clusters) == pytest.approx(p_values(scores))
    assert p_values(twice)[0] < p_values(scores)[0]


@pytest.mark.parametrize("methods", [2, 3, 6, 10])
def test_equally_good_methods_keep_their_marks(methods: int) -> None:
    """One loses its mark in about 5 % of the tables, however many there are; skewed scores are no other."""
    generator = np.random.default_rng(methods)
    lost = 0
    for _ in range(300):
        scores = np.exp(0.7 * generator.normal(size=(24, 1)) + 0.5 * generator.normal(size=(24, methods)))
        lost += bool((p_values(scores, draws=199) <= 0.05).any())
    assert 15 - 3.5 * 3.8 < lost < 15 + 3.5 * 3.8


def marked(runs: list[Run], metric: str, **wanted: object) -> set[str]:
    """Methods with the mark of the best."""
    records = json.loads(render(make_report(runs, TableOptions(significant=True, **wanted)), "json"))
    return {row["method"] for row in records if row["metric"] == metric and row["mark"] == "best"}


def test_marks_of_errors_are_given_on_the_log_scale(tmp_path: Path) -> None:
    """A tenth more error on every image, of which one has a hundred times that of the others."""
    error = np.exp(np.random.default_rng(0).normal(-7, 0.3, 40))
    error[3] = 0.2
    noise = np.exp(np.random.default_rng(1).normal(0, 0.05, (3, 40)))
    noise[:, 3] = [1.0, 1.02, 0.99]
    scores = {"good": error * noise[0], "same": error * noise[1], "worse": 1.1 * error * noise[2]}
    runs = [Made(name, {"mse": list(own)}).write(tmp_path / name) for name, own in scores.items()]
    assert marked(runs, "mse") == {"good", "same"}


def test_perfect_samples_take_part_in_marks(tmp_path: Path) -> None:
    kept = np.random.default_rng(0).normal(30, 1, 40)
    scores = {"keeps": np.where(np.arange(40) % 2, np.inf, kept), "rival": kept + 0.1}
    runs = [Made(name, {"psnr": list(own)}).write(tmp_path / name) for name, own in scores.items()]
    assert "keeps" in marked(runs, "psnr")


def test_fewer_than_six_images_take_no_mark_away(tmp_path: Path) -> None:
    """For five images, two of the 32 choices of signs are all equal: 6 %."""
    scores = np.random.default_rng(0).normal(20, 0.1, 6)
    for count, expected in ((5, {"good", "bad"}), (6, {"good"})):
        runs = [
            Made(name, {"clip": list(scores[:count] + shift)}).write(tmp_path / f"{name}{count}")
            for name, shift in (("good", 1), ("bad", 0))
        ]
        assert marked(runs, "clip") == expected
