"""Runs to a frame to tables."""

import csv
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

import brushbench
from brushbench.store import Run, expand
from reports.formats import render
from reports.summary import summarise
from reports.tables import Wanted, report


@pytest.fixture
def runs(tmp_path: Path, write_bench) -> list[Run]:
    root = write_bench(count=3, entries={"broken": {"image": "images/none.png", "caption": ""}})
    configs = [("telea", {"radius": 3}), ("copy", {})]
    made = [
        brushbench.run(brushbench.RunConfig(name, "brushbench", root, options=options, output=tmp_path / "runs"))
        for name, options in configs
    ]
    other = brushbench.RunConfig("telea", "brushbench", root, options={"radius": 9}, output=tmp_path / "other")
    return [*made, brushbench.run(other)]


def test_the_frame_has_a_row_per_sample_and_metric(runs: list[Run]) -> None:
    tidy = brushbench.frame(runs)
    assert len(tidy) == 3 * 4 * 5
    assert list(tidy.columns) == [
        *("run", "dataset", "split", "protocol", "method", "sample", "metric", "value", "status", "note"),
        *("mask_share", "mask_size"),
    ]
    broken = tidy[tidy["sample"] == "broken"]
    assert broken["value"].isna().all()
    assert broken["status"].str.startswith("failed: image not found").all()
    identical = tidy[(tidy["method"] == "copy") & (tidy["metric"] == "psnr") & (tidy["sample"] != "broken")]
    assert (identical["status"] == "identical").all()
    assert set(tidy["method"]) == {"telea radius=3.0", "telea radius=9.0", "copy"}


def test_runs_that_differ_in_something_else_are_told_apart(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=1)
    runs = [
        brushbench.run(brushbench.RunConfig("telea", "brushbench", root, output=tmp_path / str(seed), seed=seed))
        for seed in (1, 2)
    ]
    assert set(brushbench.frame(runs)["method"]) == {"telea seed=1", "telea seed=2"}
    copy = shutil.copytree(runs[0].path, tmp_path / "copy")
    with pytest.raises(brushbench.UserError, match="two runs are of telea"):
        summarise(expand([runs[0], copy]))
    assert len(expand([tmp_path / "1", runs[0], runs[0]])) == 1


def test_folders_of_runs_are_runs_too(runs: list[Run], tmp_path: Path) -> None:
    assert len(brushbench.frame(tmp_path)) == len(brushbench.frame([run.path for run in runs]))
    assert set(brushbench.frame(str(runs[0].path))["method"]) == {"telea"}


def test_means_and_standard_errors(runs: list[Run]) -> None:
    rows = json.loads(render(report(runs, Wanted()), "json"))
    row = next(row for row in rows if row["method"] == "telea radius=9.0" and row["metric"] == "ssim@whole")
    tidy = brushbench.frame(runs)
    values = (
        tidy[(tidy["method"] == "telea radius=9.0") & (tidy["metric"] == "ssim@whole")]["value"].dropna().to_numpy()
    )
    assert row["mean"] == pytest.approx(sum(values) / 3)
    assert row["standard_error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    assert (row["n_scored"], row["n_asked"], row["n_identical"]) == (3, 4, 0)
    copied = next(row for row in rows if row["method"] == "copy" and row["metric"] == "psnr")
    assert (copied["mean"], copied["n_scored"], copied["n_identical"]) == (None, 0, 3)


def test_text_names_everything(runs: list[Run]) -> None:
    text = render(report(runs, Wanted()), "text")
    for part in ("brushbench, split inside, protocol strict", "3/4", "PSNR known dB ↑", "MSE known x1e3 ↓", "±"):
        assert part in text
    assert "(3 identical) [3/4]" in text


def test_csv_can_be_read_back(runs: list[Run]) -> None:
    rows = list(csv.DictReader(io.StringIO(render(report(runs, Wanted()), "csv"))))
    assert len(rows) == 3 * 5
    assert {row["protocol"] for row in rows} == {"strict"}


def test_markdown_is_escaped(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=2)
    name = "a_b[c]"
    config = brushbench.RunConfig("copy", "brushbench", root, output=tmp_path / "runs")
    from brushbench.benchmark import score_images

    run = score_images(root / "images", name, config)[0].run
    markdown = render(report([run], Wanted()), "markdown")
    assert "a\\_b\\[c\\]" in markdown
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_one_sample_has_no_standard_error(tmp_path: Path, write_bench) -> None:
    run = brushbench.run(
        brushbench.RunConfig("telea", "brushbench", write_bench(count=1), output=tmp_path, metrics=["ssim@whole"])
    )
    rows = json.loads(render(report([run], Wanted()), "json"))
    assert [row["standard_error"] for row in rows] == [None]
    assert "±" not in render(report([run], Wanted()), "text").split("mean ±")[0]


def test_a_run_that_is_not_scored(tmp_path: Path, write_bench) -> None:
    from brushbench.benchmark import generate

    run = generate(brushbench.RunConfig("copy", "brushbench", write_bench(count=1), output=tmp_path))
    assert len(brushbench.frame(run)) == 0
    with pytest.raises(brushbench.UserError, match="none of these runs is scored"):
        summarise([run])


def test_more_metrics_can_be_added_later(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=2)
    run = brushbench.run(brushbench.RunConfig("telea", "brushbench", root, output=tmp_path, metrics=["mse"]))
    first = brushbench.frame(run)
    brushbench.score(run, metrics=["psnr@painted"])
    tidy = brushbench.frame(run)
    assert set(tidy["metric"]) == {"mse", "psnr@painted"}
    assert tidy[tidy["metric"] == "mse"].equals(first)
    (root / "images" / "000000001.png").write_bytes((root / "images" / "000000000.png").read_bytes())
    with pytest.raises(brushbench.UserError, match="not the data set the run was made with"):
        brushbench.score(run)


def test_damaged_files_are_user_errors(tmp_path: Path, write_bench) -> None:
    run = brushbench.run(brushbench.RunConfig("copy", "brushbench", write_bench(count=1), output=tmp_path))
    run.scores_path().write_bytes(b"no parquet")
    with pytest.raises(brushbench.UserError, match="damaged"):
        brushbench.frame(run)
    record = (run.path / "run.json").read_text()
    (run.path / "run.json").write_text(record.replace('"seed": 1234', '"seed": 1'))
    with pytest.raises(brushbench.UserError, match="changed by hand"):
        brushbench.frame(run)
    (run.path / "run.json").write_text("{}")
    with pytest.raises(brushbench.UserError, match=r"run\.json"):
        brushbench.frame(run)
