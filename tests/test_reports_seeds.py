"""Runs that differ only in their seed as one row: the mean over samples and seeds, in tables and figures."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from report_runs import Made
from support import assert_one_line

from brushbench import UserError
from brushbench.reports import trade_off
from brushbench.reports.figure_style import FigureStyle, shown_of
from brushbench.reports.statistics import mean_interval
from brushbench.reports.style import Style
from brushbench.reports.summary import summarise
from brushbench.runs.folders import expand

COUNT, SEEDS = 12, (1, 2, 3)
METRICS = ("psnr", "mse", "clip")
Outcome = tuple[int, str, str]


def scores(method: int, seed: int, count: int = COUNT) -> dict[str, list[float]]:
    """Scores of samples that are hard or easy for every method and seed."""
    hard = np.random.default_rng(0).normal(0, 1, count)
    own = np.random.default_rng((method, seed)).normal(0, 0.5, (len(METRICS), count))
    scale = {"psnr": (25, 2), "mse": (0.01, 0.002), "clip": (26, 1)}
    return {
        name: list((scale[name][0] + method * 0.1 + scale[name][1] * (hard + noise)).round(6).tolist())
        for name, noise in zip(METRICS, own, strict=True)
    }


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods under three seeds, and one under a single seed, on inside and outside."""
    for split in ("inside", "outside"):
        for place, (method, seeds) in enumerate((("mine", SEEDS), ("brushnet", SEEDS), ("telea", (7,)))):
            for seed in seeds:
                own = scores(place + 10 * (split == "outside"), seed)
                Made(method, own, split=split, seed=seed).write(tmp_path / "runs" / f"{split}-{method}-{seed}")
    return tmp_path / "runs"


@pytest.fixture
def report(runs: Path, brushbench: Callable[..., Outcome]) -> Callable[..., str]:
    def call(*more: object) -> str:
        code, out, err = brushbench("report", runs, *more)
        assert code == 0, err
        return out

    return call


def cells(text: str) -> dict[tuple[str, str, str], dict[str, object]]:
    return {(row["method"], row["split"], row["metric"]): row for row in json.loads(text)}


def together(method: int, split: str, metric: str, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """A row for each seed, a column for each sample."""
    return np.array([scores(method + 10 * (split == "outside"), seed)[metric] for seed in seeds])


def test_a_row_is_the_mean_over_samples_and_seeds_with_an_interval_over_samples(report) -> None:
    found = cells(report("--format", "json", "--seeds", "mean"))
    assert {method for method, *_ in found} == {"mine", "brushnet", "telea"}
    for place, method in enumerate(("mine", "brushnet")):
        for split in ("inside", "outside"):
            for metric in METRICS:
                values, cell = together(place, split, metric), found[method, split, metric]
                expected = mean_interval(values.mean(axis=0))
                assert cell["mean"] == pytest.approx(values.mean())
                assert (cell["low"], cell["high"]) == pytest.approx((expected.low, expected.high))
                # The same as all scores, in clusters of one sample each.
                clustered = mean_interval(values.ravel(), np.tile(np.arange(COUNT), len(SEEDS)))
                assert cell["standard_error"] == pytest.approx(clustered.standard_error)
                assert (cell["n_scored"], cell["n_asked"], cell["seeds"]) == (36, 36, "1 2 3")
    assert found["telea", "inside", "psnr"]["seeds"] == "7"


def test_without_it_every_seed_has_a_row_and_no_table_speaks_of_seeds(report) -> None:
    found = report("--format", "json")
    assert found == report("--format", "json", "--seeds", "rows")
    assert "mine seed=2" in {method for method, *_ in cells(found)}
    assert "seeds" not in found
    assert "seeds" not in report()


def test_the_psnr_of_the_mean_error_is_over_all_seeds(report) -> None:
    cell = cells(report("--format", "json", "--seeds", "mean"))["mine", "inside", "psnr-of-mean-mse"]
    assert cell["mean"] == pytest.approx(-10 * np.log10(together(0, "inside", "mse").mean()))


def test_the_mean_of_both_splits_is_clustered_by_image(report) -> None:
    found = cells(report("--format", "json", "--table", "ablation", "--seeds", "mean", "--rows", "mine"))
    cell = found["mine", "mean of inside and outside", "psnr"]
    means = [together(0, split, "psnr").mean(axis=0) for split in ("inside", "outside")]
    own = [values - values.mean() + np.mean(means) for values in means]
    expected = mean_interval(np.concatenate(own), np.tile(np.arange(COUNT), 2))
    assert cell["mean"] == pytest.approx(np.mean(means))
    assert (cell["low"], cell["high"]) == pytest.approx((expected.low, expected.high))
    assert cell["seeds"] == "1 2 3"


def test_a_footnote_says_how_many_seeds_there_are(report) -> None:
    text = " ".join(report("--seeds", "mean", "--rows", "mine,brushnet").split())
    assert "scored/requested: 36/36 for each" in text
    assert "mean over 3 seeds (1, 2, 3): a sample's scores are averaged first" in text
    assert "counts are of samples x seeds" in text
    latex = report("--seeds", "mean", "--rows", "mine,brushnet", "--table", "paper", "--format", "latex")
    assert "samples x seeds: 36/36 for each; mean over 3 seeds (1, 2, 3); protocol strict" in latex


def test_the_footnote_names_rows_with_other_seeds(report) -> None:
    text = " ".join(report("--seeds", "mean").split())
    assert "mean over 3 seeds (1, 2, 3) for brushnet, mine; 1 seed (7) for telea" in text


def test_many_seeds_are_counted_and_not_listed(brushbench, tmp_path: Path) -> None:
    for seed in range(9):
        Made("mine", scores(0, seed), seed=seed).write(tmp_path / str(seed))
    code, out, err = brushbench("report", tmp_path, "--seeds", "mean")
    assert code == 0, err
    assert "mean over 9 seeds: a sample's" in " ".join(out.split())


def test_options_still_tell_rows_apart(brushbench, tmp_path: Path) -> None:
    for seed in (1, 2):
        for scale in (0.5, 1.0):
            made = Made("brushnet", scores(0, seed), options={"scale": scale}, seed=seed)
            made.write(tmp_path / f"{scale}-{seed}")
    code, out, err = brushbench("report", tmp_path, "--seeds", "mean", "--format", "json")
    assert code == 0, err
    assert {method for method, *_ in cells(out)} == {"brushnet scale=0.5", "brushnet scale=1.0"}
    chosen = ("--rows", "brushnet scale=0.5", "--rename", "brushnet scale=0.5=Half", "--order", "name")
    code, out, err = brushbench("report", tmp_path, "--seeds", "mean", "--format", "json", *chosen)
    assert code == 0, err
    assert {method for method, *_ in cells(out)} == {"Half"}


def test_a_sample_that_lacks_one_seed_keeps_its_place(brushbench, tmp_path: Path) -> None:
    whole = {seed: scores(0, seed)["psnr"] for seed in (1, 2)}
    for seed, values in whole.items():
        Made("whole", {"psnr": values}, seed=seed).write(tmp_path / f"whole-{seed}")
        failed = [None, *values[1:]] if seed == 2 else values
        Made("mine", {"psnr": failed}, seed=seed).write(tmp_path / f"mine-{seed}")
    code, out, err = brushbench("report", tmp_path, "--seeds", "mean", "--format", "json")
    assert code == 0, err
    cell = cells(out)["mine", "inside", "psnr"]
    means = np.mean(list(whole.values()), axis=0)
    means[0] = whole[1][0]
    assert cell["mean"] == pytest.approx(means.mean())
    assert (cell["n_scored"], cell["n_asked"], cell["fewer_samples"]) == (23, 24, False)
    assert "[23/24]" in brushbench("report", tmp_path, "--seeds", "mean")[1]
    assert_one_line(brushbench("report", tmp_path, "--seeds", "mean", "--strict"), "mine", "23 of 24")


def test_a_sample_that_fails_under_every_seed_is_missing(brushbench, tmp_path: Path) -> None:
    for seed in (1, 2):
        values = scores(0, seed)["psnr"]
        Made("whole", {"psnr": values}, seed=seed).write(tmp_path / f"whole-{seed}")
        Made("mine", {"psnr": [None, *values[1:]]}, seed=seed).write(tmp_path / f"mine-{seed}")
    found = cells(brushbench("report", tmp_path, "--seeds", "mean", "--format", "json")[1])
    assert found["mine", "inside", "psnr"]["fewer_samples"] is True
    assert found["whole", "inside", "psnr"]["fewer_samples"] is False


def test_repeats_of_equal_images_prove_nothing_more(brushbench, tmp_path: Path) -> None:
    """A method whose images don't depend on the seed has the same interval and marks, however many seeds it has."""
    for seed in range(5):
        for place, method in enumerate(("one", "two", "three")):
            Made(method, scores(place, 0), seed=seed).write(tmp_path / method / str(seed))
    single = [tmp_path / method / "0" for method in ("one", "two", "three")]
    asked = ("--format", "json", "--significant", "--seeds", "mean")
    once, often = (cells(brushbench("report", *given, *asked)[1]) for given in (single, [tmp_path]))
    for key, cell in once.items():
        names = ["mean", "low", "high", "mark"]
        for name in names:
            assert often[key][name] == (cell[name] if name == "mark" else pytest.approx(cell[name])), (key, name)


def test_two_runs_with_one_seed_cannot_share_a_row(brushbench, tmp_path: Path) -> None:
    for name in "ab":
        Made("mine", scores(0, 1), seed=1).write(tmp_path / name)
    Made("mine", scores(0, 2), seed=2).write(tmp_path / "c")
    # The command keeps one run of each fingerprint; from Python all are given.
    with pytest.raises(UserError, match="two runs are mine on brushbench/inside"):
        summarise(expand([tmp_path]), over_seeds=True)


def test_published_numbers_do_not_stand_beside_means(report, runs: Path, brushbench) -> None:
    asked = ("report", runs, "--table", "paper", "--with-published")
    assert_one_line(brushbench(*asked, "--seeds", "mean"), "one seed", "--seeds rows")
    assert "published" in report("--table", "paper", "--with-published", "--rows", "brushnet")


def test_samples_of_the_official_protocol_share_noise_under_each_seed(brushbench, tmp_path: Path) -> None:
    for seed in (1, 2):
        Made("mine", scores(0, seed), protocol="paper", seed=seed).write(tmp_path / str(seed))
    text = " ".join(brushbench("report", tmp_path, "--seeds", "mean")[1].split())
    assert "protocol paper share their noise under each seed" in text
    assert "share one seed" not in text


def test_formats_and_notes_of_all_seeds_are_told_together(brushbench, tmp_path: Path) -> None:
    for seed, suffix in ((1, ".png"), (2, ".jpg")):
        Made("mine", scores(0, seed), seed=seed, suffix=suffix).write(tmp_path / str(seed))
        ledger = tmp_path / str(seed) / "samples.jsonl"
        lines = ledger.read_text().splitlines()
        first = json.dumps(json.loads(lines[0]) | {"note": "a remark"})
        ledger.write_text("".join(f"{line}\n" for line in (first, *lines[1:])))
    text = " ".join(brushbench("report", tmp_path, "--seeds", "mean")[1].split())
    assert "stored as JPEG and PNG" in text
    assert "mine, inside: 2 samples: a remark" in text


def test_a_wrong_value_is_one_line(runs: Path, brushbench) -> None:
    code, _, err = brushbench("report", runs, "--seeds", "average")
    assert code == 2
    assert "'rows', 'mean'" in err


def test_a_style_file_may_say_so(report, tmp_path: Path) -> None:
    (tmp_path / "paper.toml").write_text('seeds = "mean"\nformat = "json"\n')
    assert report("--style", tmp_path / "paper.toml") == report("--seeds", "mean", "--format", "json")


def test_figures_have_the_rows_and_the_means_of_the_table(
    runs: Path, report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    original = trade_off.view_of
    monkeypatch.setattr(trade_off, "view_of", lambda points, *more: drawn.extend(points) or original(points, *more))
    style = FigureStyle(width="text", table=Style(seeds="mean", splits=("inside",)))
    trade_off.write_trade_off(expand([runs]), tmp_path / "a.svg", style=style)
    cell = cells(report("--format", "json", "--seeds", "mean"))
    assert {point.named.series for point in drawn} == {"mine", "brushnet", "telea"}
    for point in drawn:
        for metric, found in (("psnr", point.kept), ("clip", point.aligned)):
            own = cell[point.named.series, "inside", metric]
            assert (found.mean, found.low, found.high) == pytest.approx((own["mean"], own["low"], own["high"]))
    svg = (tmp_path / "a.svg").read_text()
    assert "mean over 3 seeds" in svg


def test_distributions_have_a_box_for_each_row(runs: Path, report, tmp_path: Path) -> None:
    report("--seeds", "mean", "--figure", tmp_path / "a.svg", "--metrics", "psnr")
    svg = (tmp_path / "a.svg").read_text()
    assert "12 samples x 3 seeds" in svg
    assert "seed=" not in svg
    shown = shown_of(expand([runs]), FigureStyle(table=Style(seeds="mean")))
    assert set(shown.tidy["method"]) == {"mine", "brushnet", "telea"}
