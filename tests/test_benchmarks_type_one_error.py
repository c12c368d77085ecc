"""The simulation that the rules of `compare` were chosen by: its test is the suite's, its scores are real."""

import sys
from pathlib import Path

import numpy as np
import pytest

from brushbench.reports.statistics import paired_bootstrap
from brushbench.reports.verdicts import FEWEST, fewest_of, no_verdict

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from type_one_error import info_of, p_values, rates, read_scores


def test_the_scores_are_of_all_scenes() -> None:
    scores = read_scores()
    assert {"psnr", "mse", "ssim", "ssim@whole", "lpips", "seam", "papercut-clip"} == set(scores)
    for table in scores.values():
        assert table.shape == (200, 4)
        assert np.isfinite(table.to_numpy()).all()
    # On the scale of the test, squared errors are PSNRs.
    assert scores["mse"].to_numpy() == pytest.approx(-scores["psnr"].to_numpy() * np.log(10) / 10, abs=1e-4)


def test_many_tests_at_once_are_the_same_tests() -> None:
    rows = np.random.default_rng(0).lognormal(0, 0.5, (6, 15)) - 1
    expected = [paired_bootstrap(row, draws=499, seed=3)[0] for row in rows]
    assert p_values(rows, 499, seed=3) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["mse", "lpips", "papercut-clip"])
def test_real_scores_without_a_difference(metric: str) -> None:
    """With 30 images, 3 to 7 % within three standard errors of these few repeats; with 10 images, no verdict."""
    table = read_scores()[metric]
    differences = (table["sd-inpainting"] - table["brushnet"]).to_numpy()
    found = rates(differences - differences.mean(), 30, info_of(metric), 750, seed=0)
    assert 0.03 - 0.02 < found.of_verdicts < 0.07 + 0.02
    assert found.verdicts > 0.9
    assert rates(differences - differences.mean(), 10, info_of(metric), 5, seed=0).verdicts == 0


def test_a_verdict_needs_as_many_images_as_the_rule_says() -> None:
    for metric in ("psnr", "seam", "papercut-clip", "ssim@whole"):
        info, fewest = info_of(metric), fewest_of(info_of(metric))
        assert fewest == FEWEST.get(metric, 30)
        differences = np.random.default_rng(0).normal(size=fewest)
        assert no_verdict(differences, None, info, 1.0) == ""
        assert f"fewer than {fewest}" in no_verdict(differences[1:], None, info, 1.0)
        # Two masks of an image are one image.
        assert f"fewer than {fewest}" in no_verdict(differences, np.arange(fewest) // 2, info, 1.0)
