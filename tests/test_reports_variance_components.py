"""How much of the scores' variance is between images, between seeds, and neither: by hand, simulated, and printed."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from report_goldens import terminal
from report_runs import Made
from rich.cells import cell_len
from support import assert_one_line

from brushbench.reports.formats.variances import terminal_variances
from brushbench.reports.style import Style
from brushbench.reports.variance_components import components_of
from brushbench.reports.variance_tables import variances_of
from brushbench.runs.folders import expand

Outcome = tuple[int, str, str]
STYLE = re.compile(r"\x1b\[[0-9;]*m")
BY_HAND = [[20.0, 22.0], [24.0, 27.0], [31.0, 32.0]]
"""Means of images 21, 25.5, 31.5 and of seeds 25, 27 around 26. The mean squares are 55.5 (images, 111 / 2),
6 (seeds, 6 / 1) and 0.5 (rest, 1 / 2), so the components are (55.5 - 0.5) / 2, (6 - 0.5) / 3 and 0.5."""


def test_an_example_by_hand() -> None:
    found = components_of(np.array(BY_HAND))
    assert (found.images, found.seeds, found.rest) == pytest.approx((27.5, 5.5 / 3, 0.5))
    assert (found.count, found.seed_count, found.negative) == (3, 2, ())
    total = 27.5 + 5.5 / 3 + 0.5
    assert found.shares == pytest.approx((27.5 / total, 5.5 / 3 / total, 0.5 / total))
    # The mean of one run has the seed's effect and a third of the rest.
    assert found.seed_deviation == pytest.approx((5.5 / 3 + 0.5 / 3) ** 0.5)


def test_a_negative_estimate_counts_as_zero_and_is_named() -> None:
    # Both seeds have the mean 2, so their mean square of 0 is below that of the rest.
    found = components_of(np.array([[1.0, 2.0], [3.0, 2.0], [2.0, 2.0]]))
    assert found.seeds == 0
    # The images' mean square of 0.5 equals that of the rest.
    assert found.images == pytest.approx(0)
    assert found.negative == ("seeds",)
    assert found.rest == pytest.approx(0.5)
    assert found.shares == (0, 0, 1)


def test_scores_that_do_not_vary_have_no_shares() -> None:
    for value in (0.0, 0.1, 1e9 / 3):
        found = components_of(np.full((7, 3), value))
        assert (found.images, found.seeds, found.rest, found.negative) == (0, 0, 0, ())
        assert np.isnan(found.shares).all()
        assert found.seed_deviation == 0


def test_only_images_or_only_seeds_differ() -> None:
    images = components_of(np.repeat([[1.0], [4.0], [7.0]], 3, axis=1))
    assert (images.images, images.seeds, images.rest) == pytest.approx((9, 0, 0))
    assert images.shares == pytest.approx((1, 0, 0))
    seeds = components_of(np.repeat([[1.0, 4.0, 7.0]], 5, axis=0))
    assert (seeds.images, seeds.seeds, seeds.rest) == pytest.approx((0, 9, 0))


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (0, 0)])
def test_one_image_or_one_seed_has_no_components(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="two images and two seeds"):
        components_of(np.zeros(shape))


def test_simulated_components_are_found_on_average() -> None:
    draw = np.random.default_rng(0)
    true = np.array([9.0, 1.0, 4.0])

    def once() -> list[float]:
        images, seeds, rest = (
            draw.normal(0, np.sqrt(part), size) for part, size in zip(true, ((40, 1), (1, 6), (40, 6)), strict=True)
        )
        found = components_of(30 + images + seeds + rest)
        return [found.images, found.seeds, found.rest]

    found = np.array([once() for _ in range(2000)])
    errors = found.std(axis=0) / np.sqrt(len(found))
    # Unbiased, but for the few estimates of seeds that were below 0.
    assert np.all(np.abs(found.mean(axis=0) - true) < 4 * errors + np.array([0, 0.01, 0]))


def test_components_scale_with_the_square_of_the_unit_and_do_not_know_the_order() -> None:
    draw = np.random.default_rng(1)
    scores = draw.normal(0, 1, (9, 4)) + draw.normal(0, 3, (9, 1))
    found, other = components_of(scores), components_of(100 + 10 * scores[::-1, [2, 0, 3, 1]])
    assert other.images == pytest.approx(100 * found.images)
    assert other.rest == pytest.approx(100 * found.rest)
    assert other.shares == pytest.approx(found.shares)
    assert other.negative == found.negative


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A method under two seeds, with a sample that failed under one, and one under a single seed."""
    psnr = np.array([*BY_HAND, [50.0, np.nan]])
    for place, seed in enumerate((3, 8)):
        scores: dict[str, list[float | None]] = {
            "psnr": [None if np.isnan(value) else float(value) for value in psnr[:, place]],
            "mse": [0.001 * (1 + place), 0.002, 0.003, 0.004],
        }
        Made("mine", scores, seed=seed).write(tmp_path / "runs" / f"mine-{seed}")
    Made("telea", {"psnr": [20.0] * 4, "mse": [0.1] * 4}, seed=3).write(tmp_path / "runs" / "telea")
    return tmp_path / "runs"


def test_the_table_of_a_report(runs: Path, brushbench: Callable[..., Outcome]) -> None:
    code, out, _ = brushbench("report", runs, "--table", "components")
    assert code == 0
    total = 27.5 + 5.5 / 3 + 0.5
    shares = [f"{100 * part / total:.1f} %" for part in (27.5, 5.5 / 3, 0.5)]
    cells = next(re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if "PSNR" in line)
    assert cells == ["mine", "PSNR known dB ↑", "2", "3", *shares, f"{(2 / 3 + 5.5 / 3 - 0.5) ** 0.5:.2f}"]
    assert "brushbench, split inside, protocol strict" in out
    assert "images left out, without a score under one of the seeds: 1 for psnr of mine on inside" in out
    assert "only one seed: telea on inside" in out
    assert "PSNR of mean MSE" not in out


def test_the_formats_hold_the_same_numbers(runs: Path, brushbench: Callable[..., Outcome]) -> None:
    def given(table_format: str) -> str:
        code, out, err = brushbench("report", runs, "--table", "components", "--format", table_format)
        assert code == 0, err
        return out

    psnr, mse = json.loads(given("json"))
    assert (psnr["method"], psnr["metric"], psnr["seeds"], psnr["n_images"], psnr["n_left_out"]) == (
        *("mine", "psnr", "3 8", 3, 1),
    )
    assert psnr["variance_images"] == pytest.approx(27.5)
    assert psnr["variance_seeds"] == pytest.approx(5.5 / 3)
    assert psnr["variance_rest"] == pytest.approx(0.5)
    assert mse["n_images"] == 4
    rows = list(csv.DictReader(io.StringIO(given("csv"))))
    assert [float(row["variance_images"]) for row in rows] == [psnr["variance_images"], mse["variance_images"]]
    assert "| mine     | PSNR known dB ↑" in given("markdown")
    assert_one_line(
        brushbench("report", runs, "--table", "components", "--format", "latex"), "valid: csv, json, markdown, text"
    )


def test_names_rows_and_decimals_are_those_of_the_style(runs: Path, brushbench: Callable[..., Outcome]) -> None:
    given = ("--rename", "mine=Ours", "--rename", "psnr=Fidelity", "--decimals", "psnr=4")
    code, out, err = brushbench("report", runs, "--table", "components", *given)
    assert code == 0, err
    assert re.search(r"^Ours +Fidelity known dB ↑ .* 1\.4142$", out, re.MULTILINE)
    code, out, err = brushbench("report", runs, "--table", "components", "--rows", "telea")
    assert_one_line((code, out, err), "under at least two seeds")


@pytest.mark.parametrize("more", [("--by", "mask-size"), ("--significant",), ("--strict",), ("--figure", "f.png")])
def test_what_the_table_cannot_have_is_a_mistake(more: tuple[str, ...], runs: Path, brushbench) -> None:
    assert_one_line(brushbench("report", runs, "--table", "components", *more), "--table components has no")


def test_too_few_images_are_a_dash(tmp_path: Path, brushbench: Callable[..., Outcome]) -> None:
    for seed, scores in ((1, [20.0, None]), (2, [21.0, 22.0])):
        Made("mine", {"psnr": scores}, seed=seed).write(tmp_path / "runs" / f"{seed}")
    code, out, _ = brushbench("report", tmp_path / "runs", "--table", "components")
    assert code == 0
    assert re.search(r"^mine +PSNR known dB ↑ +2( +-){5}$", out, re.MULTILINE)
    (record,) = json.loads(brushbench("report", tmp_path / "runs", "--table", "components", "--format", "json")[1])
    assert (record["variance_images"], record["seed_sd"], record["n_images"]) == (None, None, 0)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_a_terminal(width: int, runs: Path) -> None:
    text = STYLE.sub("", terminal_variances(variances_of(expand([runs]), Style()), terminal(width)))
    assert all(cell_len(line) <= width for line in text.splitlines())
    cells = {cell for line in text.splitlines() for cell in re.split(r"\s{2,}", line.strip())}
    assert {"PSNR known dB ↑", "MSE known x1e3 ↓", "between images", "92.2 %", "1.41"} <= cells
