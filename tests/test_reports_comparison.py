"""Two runs sample by sample: differences, tests, what only one side has, and pictures of the extremes."""

import csv
import io
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_runs import Made
from scipy import stats
from support import assert_one_line

import brushbench as library
from brushbench.score_file import read_scores, write_scores
from brushbench.store import Run, expand
from reports.comparison import Change, Comparison, compare, improvements
from reports.comparison_tables import file_name, render
from reports.statistics import bootstrap_test, holm, wilcoxon_test

COUNT = 30
BASE = np.random.default_rng(0).normal(20, 3, COUNT)
STEP = np.random.default_rng(1).normal(0.5, 0.6, COUNT)


def write(folder: Path, method: str, **scores: list[float | None]) -> Run:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Made(method, scores).write(folder)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Run, Run]:
    """B has half a decibel more, and a little more error too."""
    first = write(tmp_path / "a", "telea", psnr=list(BASE), lpips=list(BASE / 1000))
    return first, write(tmp_path / "b", "brushnet", psnr=list(BASE + STEP), lpips=list((BASE + STEP) / 1000))


def by_metric(comparison: Comparison) -> dict[str, Change]:
    return {change.info.name: change for change in comparison.changes}


def test_differences_are_those_of_scipy(pair: tuple[Run, Run]) -> None:
    change = by_metric(compare([pair[0]], [pair[1]]))["psnr"]
    expected = stats.ttest_rel(BASE + STEP, BASE)
    found = change.difference
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert (change.mean_a, change.mean_b) == pytest.approx((BASE.mean(), (BASE + STEP).mean()))
    assert found.mean == pytest.approx(STEP.mean())
    assert change.wilcoxon == pytest.approx(wilcoxon_test(BASE + STEP - BASE))
    assert change.bootstrap == bootstrap_test(BASE + STEP - BASE)
    assert (change.better, change.same, change.worse) == (int((STEP > 0).sum()), 0, int((STEP < 0).sum()))
    assert change.verdict == "better"


def test_lower_can_be_better(pair: tuple[Run, Run]) -> None:
    changes = by_metric(compare([pair[0]], [pair[1]]))
    assert changes["lpips"].verdict == "worse"
    assert (changes["lpips"].better, changes["lpips"].worse) == (changes["psnr"].worse, changes["psnr"].better)
    other = by_metric(compare([pair[1]], [pair[0]]))
    assert other["psnr"].difference.mean == pytest.approx(-changes["psnr"].difference.mean)
    assert other["psnr"].verdict == "worse"


def test_p_values_are_corrected_together(pair: tuple[Run, Run]) -> None:
    changes = compare([pair[0]], [pair[1]]).changes
    for raw, corrected in (("bootstrap", "bootstrap_holm"), ("wilcoxon", "wilcoxon_holm")):
        expected = holm([getattr(change, raw) for change in changes])
        assert [getattr(change, corrected) for change in changes] == pytest.approx(list(expected))


def test_seeded(pair: tuple[Run, Run]) -> None:
    first, again, other = (render(compare([pair[0]], [pair[1]], seed), "json") for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_only_shared_samples_count_and_the_others_are_said(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "telea", psnr=[10.0, 20.0, 30.0, 40.0, None, math.inf])
    second = write(tmp_path / "b", "copy", psnr=[11.0, 22.0, None, math.inf, 50.0, math.inf, 70.0])
    comparison = compare([first], [second])
    (change,) = comparison.changes
    assert (change.difference.count, change.only_a, change.only_b, change.neither) == (2, 2, 2, 1)
    assert (change.mean_a, change.mean_b) == (15.0, 16.5)
    text = render(comparison, "text")
    assert "2/2" in text
    assert "psnr: 2 images of B are identical to their source" in text
    assert "scored by neither (failed, or identical to the source): psnr 1" in text


def test_nothing_shared_is_no_test(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "telea", psnr=[10.0, None], mse=[0.1, 0.2])
    second = write(tmp_path / "b", "copy", psnr=[None, 20.0], mse=[0.1, 0.3])
    changes = by_metric(compare([first], [second]))
    assert math.isnan(changes["psnr"].difference.mean)
    assert not changes["psnr"].tested
    # One test is left, so there is nothing to correct.
    assert changes["mse"].bootstrap_holm == changes["mse"].bootstrap
    assert "corrected by Holm for 1 metrics" in render(compare([first], [second]), "text")


def test_both_splits_together_are_clustered_by_image(tmp_path: Path) -> None:
    sides = [
        [
            Made(method, {"psnr": list(BASE + change)}, split=split).write(tmp_path / f"{method}-{split}")
            for split in ("inside", "outside")
        ]
        for method, change in (("telea", np.zeros(COUNT)), ("brushnet", STEP))
    ]
    alone, _, both = compare(*sides).changes
    assert both.split == "mean of inside and outside"
    assert (both.difference.count, both.difference.clusters) == (2 * COUNT, COUNT)
    assert (both.difference.low, both.difference.high) == pytest.approx((alone.difference.low, alone.difference.high))
    assert both.bootstrap == pytest.approx(alone.bootstrap)


def test_sets_of_runs_pair_by_method(tmp_path: Path) -> None:
    for side, change in (("before", 0), ("after", 1)):
        for method in ("telea", "copy"):
            write(tmp_path / side / method, method, psnr=list(BASE + change * STEP))
    write(tmp_path / "after" / "new", "mean-fill", psnr=list(BASE))
    comparison = compare(expand([tmp_path / "before"]), expand([tmp_path / "after"]))
    assert [(change.a, change.b) for change in comparison.changes] == [("copy", "copy"), ("telea", "telea")]
    assert any("only in B: mean-fill" in remark for remark in comparison.remarks)
    one = compare(expand([tmp_path / "before" / "copy"]), expand([tmp_path / "after"]))
    assert [change.b for change in one.changes] == ["copy", "mean-fill", "telea"]


@pytest.mark.parametrize("change", [{"split": "outside"}, {"protocol": "paper"}, {"digest": "1" * 64}])
def test_what_cannot_be_compared(change: dict[str, str], tmp_path: Path) -> None:
    made = Made("telea", {"psnr": [1.0, 2.0]})
    runs = made.write(tmp_path / "a"), replace(made, method="copy", **change).write(tmp_path / "b")
    with pytest.raises(library.UserError, match=r"nothing to compare.*only in A: telea"):
        compare([runs[0]], [runs[1]])


def test_another_version_of_a_metric_is_not_compared(pair: tuple[Run, Run]) -> None:
    scores = read_scores(pair[1])
    assert scores is not None
    metrics = scores.metrics | {"psnr": replace(scores.metrics["psnr"], version="2")}
    write_scores(pair[1], replace(scores, metrics=metrics))
    comparison = compare([pair[0]], [pair[1]])
    assert list(by_metric(comparison)) == ["lpips"]
    assert any("psnr is not compared" in remark for remark in comparison.remarks)


def test_improvements_are_ranked(pair: tuple[Run, Run]) -> None:
    from reports.comparison import Pair

    one = Pair(*pair, "telea", "brushnet")
    ranked = improvements(one, "psnr")
    assert list(ranked) == pytest.approx(sorted(STEP, reverse=True))
    assert list(improvements(one, "lpips").index) == list(ranked.index[::-1])
    with pytest.raises(library.UserError, match="did you mean 'psnr'"):
        improvements(one, "psrn")


def test_formats_say_the_same(pair: tuple[Run, Run]) -> None:
    comparison = compare([pair[0]], [pair[1]])
    content = json.loads(render(comparison, "json"))
    rows = list(csv.DictReader(io.StringIO(render(comparison, "csv"))))
    assert [float(row["difference"]) for row in rows] == [row["difference"] for row in content["changes"]]
    for name in ("text", "markdown"):
        assert f"{STEP.mean():.2f}" in render(comparison, name)


def test_file_names_are_harmless_and_differ(pair: tuple[Run, Run]) -> None:
    from reports.comparison import Pair

    names = [file_name(Pair(*pair, label, "b"), "psnr") for label in ("../../x", "..?..?x", "a b", "x" * 500)]
    assert len(set(names)) == 4
    assert all(Path(name).name == name and len(name) < 200 and name.isascii() for name in names)


@pytest.fixture
def painted(tmp_path: Path, write_bench) -> Path:
    root = write_bench(count=4)
    for method in ("telea", "mean-fill"):
        library.run(library.RunConfig(method, "brushbench", root, output=tmp_path / "runs", metrics=["ssim@whole"]))
    return tmp_path / "runs" / "brushbench-inside"


def test_the_command(painted: Path, brushbench, tmp_path: Path) -> None:
    sides = painted / "telea", painted / "mean-fill"
    code, out, err = brushbench("compare", *sides, "--output", tmp_path / "out", "--samples", 1)
    assert (code, err) == (0, "")
    (file,) = (tmp_path / "out").iterdir()
    assert f"pictures: {file}" in out
    assert file.name.startswith("brushbench-inside-telea-to-mean-fill-ssim_whole-")
    with Image.open(file) as sheet:
        assert sheet.height < 400
    assert "SSIM whole" in out
    assert "best:" in out
    again = tmp_path / "again"
    assert brushbench("compare", *sides, "--output", again, "--samples", 1)[1].replace("again", "out") == out
    assert (again / file.name).read_bytes() == file.read_bytes()


def test_without_the_data_there_are_no_pictures(painted: Path, brushbench, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "bench")
    sides = painted / "telea", painted / "mean-fill"
    code, out, err = brushbench("compare", *sides, "--output", tmp_path / "out", "--format", "json")
    assert code == 0
    assert json.loads(out)["changes"]
    assert err.startswith("no pictures: ")
    assert not (tmp_path / "out").exists()


def test_mistakes(painted: Path, brushbench, tmp_path: Path) -> None:
    telea = painted / "telea"
    for arguments in ((telea, telea), (telea, tmp_path / "none"), (telea, painted / "mean-fill", "--metric", "psrn")):
        assert_one_line(brushbench("compare", *arguments, "--output", tmp_path / "out"))
