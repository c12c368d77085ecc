"""Runs to a frame to tables."""

import csv
import io
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from report_runs import Made, plausible

import brushbench
from brushbench.reports.formats import render
from brushbench.reports.summary import summarise
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand


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
    assert len(tidy) == 3 * 4 * 4
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
    with pytest.raises(brushbench.UserError, match="two runs are telea"):
        summarise(expand([runs[0], copy]))
    assert len(expand([tmp_path / "1", runs[0], runs[0]])) == 1


def test_folders_of_runs_are_runs_too(runs: list[Run], tmp_path: Path) -> None:
    assert len(brushbench.frame(tmp_path)) == len(brushbench.frame([run.path for run in runs]))
    assert set(brushbench.frame(str(runs[0].path))["method"]) == {"telea"}


def test_means_and_standard_errors(runs: list[Run]) -> None:
    rows = json.loads(render(make_report(runs, TableOptions()), "json"))
    row = next(row for row in rows if row["method"] == "telea radius=9.0" and row["metric"] == "ssim@whole")
    tidy = brushbench.frame(runs)
    values = (
        tidy[(tidy["method"] == "telea radius=9.0") & (tidy["metric"] == "ssim@whole")]["value"].dropna().to_numpy()
    )
    assert row["mean"] == pytest.approx(sum(values) / 3)
    assert row["standard_error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    assert (row["n_scored"], row["n_asked"], row["n_capped"]) == (3, 4, 0)
    copied = next(row for row in rows if row["method"] == "copy" and row["metric"] == "psnr")
    assert (copied["mean"], copied["n_scored"], copied["n_capped"]) == (60.0, 3, 3)


def test_text_names_everything(runs: list[Run]) -> None:
    text = render(make_report(runs, TableOptions()), "text")
    for part in ("brushbench, split inside, protocol strict", "3/4", "PSNR known dB ↑", "MSE known x1e3 ↓", "±"):
        assert part in text
    assert "(3 at the cap) [3/4]" in text


def test_csv_can_be_read_back(runs: list[Run]) -> None:
    rows = list(csv.DictReader(io.StringIO(render(make_report(runs, TableOptions()), "csv"))))
    # Four metrics, and the PSNR of the mean MSE.
    assert len(rows) == 3 * 5
    assert {row["protocol"] for row in rows} == {"strict"}


def test_markdown_is_escaped(tmp_path: Path, write_bench) -> None:
    root = write_bench(count=2)
    name = "a_b[c]"
    config = brushbench.RunConfig("copy", "brushbench", root, output=tmp_path / "runs")
    from brushbench.evaluation.evaluate import score_images

    run = score_images(root / "images", name, config)[0].run
    markdown = render(make_report([run], TableOptions()), "markdown")
    assert "a\\_b\\[c\\]" in markdown
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_one_sample_has_no_standard_error(tmp_path: Path, write_bench) -> None:
    run = brushbench.run(
        brushbench.RunConfig("telea", "brushbench", write_bench(count=1), output=tmp_path, metrics=["ssim@whole"])
    )
    rows = json.loads(render(make_report([run], TableOptions()), "json"))
    assert [row["standard_error"] for row in rows] == [None]
    assert "±" not in render(make_report([run], TableOptions()), "text").split("mean with 95 %")[0]


def test_a_run_that_is_not_scored(tmp_path: Path, write_bench) -> None:
    from brushbench.evaluation.evaluate import generate

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
    with pytest.raises(brushbench.UserError, match="was made with another data set than the one found"):
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


def rows_of(runs: list[Run], wanted: TableOptions) -> dict[tuple[str, str, str], dict[str, object]]:
    """The records of a table, by method, split and metric."""
    records = json.loads(render(make_report(runs, wanted), "json"))
    return {(row["method"], row["split"], row["metric"]): row for row in records}


@pytest.fixture
def paper_runs(tmp_path: Path) -> list[Run]:
    """Three methods on two splits with all of the paper's metrics, and two others."""
    return [
        Made(method, plausible(8, 10 * seed + place) | {"seam": [1.0] * 8, "ssim": [0.5] * 8}, split=split).write(
            tmp_path / f"{method}-{split}"
        )
        for seed, method in enumerate(("brushnet", "telea", "copy"))
        for place, split in enumerate(("outside", "inside"))
    ]


def test_the_papers_table_is_laid_out_as_the_paper_prints_it(paper_runs: list[Run]) -> None:
    found = make_report(paper_runs, TableOptions("paper"))
    (table,) = found.tables
    assert table.headings == 2 * (
        *("IR x10 ↑", "HPS x100 ↑", "AS ↑"),
        *("PSNR dB ↑", "MSE x1e3 ↓", "LPIPS x1e3 ↓", "CLIP Sim ↑"),
    )
    groups = [("image quality", 3), ("masked-region preservation", 3), ("text alignment", 1)]
    assert table.levels() == [[("inside", 7), ("outside", 7)], groups * 2]
    text = render(found, "text")
    tidy = brushbench.frame(paper_runs)
    chosen = (tidy["method"] == "telea") & (tidy["split"] == "outside") & (tidy["metric"] == "image-reward")
    assert f"{tidy[chosen]['value'].mean() * 10:.2f}" in text
    assert "scored/requested: 8/8 for each" in text
    assert "protocol strict" in text


def test_other_splits_have_tables_of_their_own(paper_runs: list[Run], tmp_path: Path) -> None:
    brush = Made("brushnet", plausible(3, 1), split="brush").write(tmp_path / "brush")
    found = make_report([brush, *paper_runs], TableOptions("paper"))
    assert [table.title.split(", ")[1] for table in found.tables] == ["splits inside and outside", "split brush"]


def test_protocols_and_data_sets_are_never_in_one_table(paper_runs: list[Run], tmp_path: Path) -> None:
    scores = plausible(8, 1)
    others = [
        Made("brushnet", scores, protocol="paper").write(tmp_path / "p"),
        Made("brushnet", scores, dataset="photos").write(tmp_path / "d"),
        Made("brushnet", scores, digest="1" * 64).write(tmp_path / "b"),
    ]
    found = make_report([*paper_runs, *others], TableOptions("paper"))
    assert sorted(table.title for table in found.tables) == [
        "brushbench@00000000, split inside, protocol paper",
        "brushbench@00000000, splits inside and outside, protocol strict",
        "brushbench@11111111, split inside, protocol strict",
        "photos, split inside, protocol strict",
    ]


def test_an_ablation_is_the_mean_of_the_rows(tmp_path: Path) -> None:
    inside, outside = [10.0, 20.0, 30.0, None], [40.0, 60.0]
    runs = [
        Made("brushnet", {"psnr": inside}).write(tmp_path / "inside"),
        Made("brushnet", {"psnr": outside}, split="outside").write(tmp_path / "outside"),
        Made("telea", {"psnr": outside}, split="outside").write(tmp_path / "telea"),
    ]
    rows = rows_of(runs, TableOptions("ablation"))
    row = rows["brushnet", "mean of inside and outside", "psnr"]
    assert (row["mean"], row["n_scored"], row["n_asked"]) == (35.0, 5, 6)
    assert "left out, as they aren't scored on both inside and outside: telea" in render(
        make_report(runs, TableOptions("ablation")), "text"
    )
    with pytest.raises(brushbench.UserError, match="both inside and outside"):
        make_report(runs[:1], TableOptions("ablation"))


def test_an_ablations_interval_keeps_the_masks_of_an_image_together(tmp_path: Path) -> None:
    hard = list(np.random.default_rng(0).normal(20, 3, 30))
    runs = [Made("brushnet", {"psnr": hard}, split=split).write(tmp_path / split) for split in ("inside", "outside")]
    both = rows_of(runs, TableOptions("ablation"))["brushnet", "mean of inside and outside", "psnr"]
    alone = rows_of(runs[:1], TableOptions("summary"))["brushnet", "inside", "psnr"]
    # The second mask of the same pictures says nothing new here.
    assert (both["low"], both["high"]) == pytest.approx((alone["low"], alone["high"]))


def test_sections_by_tag(tmp_path: Path) -> None:
    tags = {"source": ["natural", "artificial", "natural", None]}
    shares = [0.1, 0.3, 0.5, None]
    run = Made("telea", {"psnr": [10.0, 20.0, 30.0, None]}, tags=tags, mask_shares=shares).write(tmp_path / "run")
    for by, means in (
        ("source", {"artificial": 20.0, "natural": 20.0, "unknown": None}),
        ("mask-size", {"small": 10.0, "medium": 20.0, "large": 30.0, "unknown": None}),
    ):
        records = json.loads(render(make_report([run], TableOptions("paper", by=by)), "json"))
        assert {row["section"]: row["mean"] for row in records} == means
        (table,) = make_report([run], TableOptions("paper", by=by)).tables
        assert [section.title for section in table.sections] == [f"{by}: {name}" for name in means]
        assert "0/1 for unknown" in render(make_report([run], TableOptions(by=by)), "text")
    with pytest.raises(brushbench.UserError, match=r"unknown tag 'subject'.* valid: mask-size, source"):
        make_report([run], TableOptions(by="subject"))
    old = Made("telea", {"psnr": [10.0]}).write(tmp_path / "old")
    with pytest.raises(brushbench.UserError, match="brushbench score RUN"):
        make_report([old], TableOptions(by="mask-size"))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    first = Made("telea", {"psnr": [20.0, math.inf, None], "mse": [0.1, 0.0, None]}).write(tmp_path / "a")
    second = Made("copy", {"psnr": [math.inf] * 2, "mse": [0.0, 0.0]}).write(tmp_path / "b")
    text = render(make_report([first, second], TableOptions("paper")), "text")
    assert "scored/requested: 2/3 for telea; 2/2 for copy" in text
    assert "1 of telea, 2 of copy" in text
    assert text.splitlines()[5].split() == ["copy", "(reference)", ">=", "60", "0.00"]
    assert text.splitlines()[6].split() == ["telea", "(floor)", "40.00", "50.00"]
    assert "the rows are means over different samples" in text
    with pytest.raises(brushbench.UserError, match=r"psnr of telea on brushbench/inside \(2 of 3 samples\)"):
        make_report([first, second], TableOptions("paper", strict=True))
    make_report([second], TableOptions("paper", strict=True))


def test_what_was_never_scored_is_asked_for_too(tmp_path: Path) -> None:
    run = Made("telea", {"psnr": [20.0, 21.0]}).write(tmp_path / "a")
    longer = Run.start(run.path, run.record.identity, 5, {})
    other = Run.start(tmp_path / "b", Made("copy", {"psnr": []}).identity(), 5, {})
    text = render(make_report([longer, other], TableOptions("paper")), "text")
    assert "scored/requested: 2/5 for each" in text
    assert "left out, as they aren't scored (`brushbench score RUN`): copy on brushbench/inside" in text
    with pytest.raises(brushbench.UserError, match="2 of 5 samples"):
        make_report([longer], TableOptions("paper", strict=True))


def test_mixed_versions_of_a_metric_are_said(tmp_path: Path) -> None:
    from dataclasses import replace

    from brushbench.runs.scores import read_scores, write_scores

    runs = [Made(name, {"psnr": [20.0]}).write(tmp_path / name) for name in ("telea", "copy")]
    scores = read_scores(runs[1])
    assert scores is not None
    changed = {"psnr": replace(scores.metrics["psnr"], version="2")}
    write_scores(runs[1], replace(scores, metrics=changed))
    assert "psnr: mixed versions (1, 2)" in render(make_report(runs, TableOptions()), "text")


def test_the_miniature_world_is_labelled(tmp_path: Path) -> None:
    run = Made("telea", {"psnr": [20.0], "papercut-clip": [80.0]}, dataset="papercut").write(tmp_path / "run")
    text = render(make_report([run], TableOptions("paper")), "text")
    assert "papercut-clip ↑" in text
    assert "CLIP Sim ↑" not in text
    assert "do not compare its numbers with published results" in text


def test_intervals_are_those_of_the_statistics(paper_runs: list[Run]) -> None:
    from brushbench.reports.statistics import mean_interval

    tidy = brushbench.frame(paper_runs)
    chosen = (tidy["method"] == "telea") & (tidy["split"] == "inside") & (tidy["metric"] == "lpips")
    expected = mean_interval(tidy[chosen]["value"].to_numpy())
    row = rows_of(paper_runs, TableOptions())["telea", "inside", "lpips"]
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert f"[{expected.low * 1e3:.2f}, {expected.high * 1e3:.2f}]" in render(
        make_report(paper_runs, TableOptions()), "text"
    )


def test_mistakes_are_user_errors(brushbench, paper_runs: list[Run]) -> None:
    folder = paper_runs[0].path
    for arguments, part in (
        (("--table", "papers"), "did you mean 'paper'?"),
        (("--format", "tex"), "unknown format 'tex'"),
        (("--by", "sauce"), "unknown tag 'sauce'"),
    ):
        code, out, err = brushbench("report", folder, *arguments)
        assert (code, out) == (2, "")
        assert part in err
        assert len(err.splitlines()) == 1


def test_a_report_changes_nothing(brushbench, paper_runs: list[Run]) -> None:
    root = paper_runs[0].path.parent
    before = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in root.rglob("*") if file.is_file()}
    for table in ("paper", "summary", "ablation"):
        assert brushbench("report", root, "--table", table, "--significant")[0] == 0
    assert {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in root.rglob("*") if file.is_file()} == before
