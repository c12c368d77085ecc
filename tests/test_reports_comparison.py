"""Two runs sample by sample: differences, tests, what only one side has, and pictures of the extremes."""

import csv
import io
import json
import math
import re
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
from brushbench.reports.comparison import Change, Comparison, compare, improvements
from brushbench.reports.comparison_tables import file_name, render_comparison
from brushbench.reports.pairing import RunPair
from brushbench.reports.statistics import bootstrap_test, holm, wilcoxon_test
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand
from brushbench.runs.scores import read_scores, write_scores

COUNT = 30
BASE = np.random.default_rng(0).normal(20, 3, COUNT)
STEP = np.random.default_rng(1).normal(0.5, 0.6, COUNT)


def write(folder: Path, method: str, **scores: list[float | None]) -> Run:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Made(method, scores).write(folder)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Run, Run]:
    """B has half a decibel more, and a little more error too."""
    first = write(tmp_path / "a", "hd-painter", psnr=list(BASE), lpips=list(BASE / 1000))
    return first, write(tmp_path / "b", "brushnet", psnr=list(BASE + STEP), lpips=list((BASE + STEP) / 1000))


def by_metric(comparison: Comparison) -> dict[str, Change]:
    return {change.info.name: change for change in comparison.changes}


def test_differences_are_paired(pair: tuple[Run, Run]) -> None:
    change = by_metric(compare([pair[0]], [pair[1]]))["psnr"]
    found, expected = change.difference, stats.ttest_rel(BASE + STEP, BASE).confidence_interval(0.95)
    # Of differences as good as normal, the bootstrap's interval is nearly Student's.
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.05)
    assert (change.mean_a, change.mean_b) == pytest.approx((BASE.mean(), (BASE + STEP).mean()))
    assert found.mean == pytest.approx(STEP.mean())
    assert change.wilcoxon == pytest.approx(wilcoxon_test(BASE + STEP - BASE))
    assert change.bootstrap == bootstrap_test(BASE + STEP - BASE)
    same = int((np.abs(STEP) <= 0.005).sum())
    assert (change.better, change.same, change.worse) == (
        int((STEP > 0.005).sum()), same, COUNT - same - int((STEP > 0.005).sum())
    )  # fmt: skip
    assert change.verdict == "better"


def test_positive_is_better_also_where_low_scores_are(pair: tuple[Run, Run]) -> None:
    changes = by_metric(compare([pair[0]], [pair[1]]))
    assert changes["lpips"].verdict == "worse"
    assert changes["psnr"].difference.mean > 0 > changes["lpips"].difference.mean
    assert changes["lpips"].difference.high < 0
    other = by_metric(compare([pair[1]], [pair[0]]))
    for name, verdict in (("psnr", "worse"), ("lpips", "better")):
        assert other[name].difference.mean == pytest.approx(-changes[name].difference.mean)
        assert other[name].verdict == verdict
    text = render_comparison(compare([pair[0]], [pair[1]]), "text")
    assert "change (positive = better)" in text
    assert f"+{STEP.mean():.2f}" in text


def test_errors_are_compared_by_the_ratio_of_geometric_means(tmp_path: Path) -> None:
    """A third less error on every image, as printed; the arithmetic means follow one image, and say the opposite."""
    generator = np.random.default_rng(3)
    error = np.exp(generator.normal(-7, 0.5, 40))
    factors = np.exp(generator.normal(np.log(2 / 3), 0.2, 40))
    factors[error.argmax()] = 4.0
    first = write(tmp_path / "a", "hd-painter", mse=list(error))
    second = write(tmp_path / "b", "brushnet", mse=list(error * factors))
    comparison = compare([first], [second])
    change = by_metric(comparison)["mse"]
    assert change.ratio is not None
    assert change.ratio[0] == pytest.approx(stats.gmean(error * factors) / stats.gmean(error))
    assert change.ratio[1] < change.ratio[0] < change.ratio[2] < 1
    assert change.mean_b > change.mean_a
    assert change.bootstrap == bootstrap_test(-np.log(factors))
    row = json.loads(render_comparison(comparison, "json"))["changes"][0]
    assert row["difference"] == pytest.approx(-np.log(row["ratio"]))
    assert row["ratio_low"] == pytest.approx(np.exp(-row["high"]))
    text = render_comparison(comparison, "text")
    assert f"x{change.ratio[0]:.3f} (+{100 * (1 - change.ratio[0]):.1f} %)" in text
    assert f"x[{change.ratio[1]:.3f}, {change.ratio[2]:.3f}]" in text
    # Twice the effect is a factor, not a sum.
    assert change.detectable > 0
    assert f"x{np.exp(change.detectable):.3f}" in text


@pytest.mark.parametrize("protocol", ["strict", "paper"])
def test_squared_errors_say_what_psnr_says(protocol: str, tmp_path: Path) -> None:
    """This includes images that equal their source, which count as 60 dB and as the error at 60 dB."""
    generator = np.random.default_rng(4)
    psnr = {"hd-painter": generator.normal(30, 3, 24), "brushnet": generator.normal(31, 3, 24)}
    if protocol == "strict":
        psnr["brushnet"][:3] = np.inf
        psnr["hd-painter"][3] = 71.0
    runs = [
        Made(name, {"psnr": list(own), "mse": list(10 ** (-own / 10))}, protocol=protocol).write(tmp_path / name)
        for name, own in psnr.items()
    ]
    changes = by_metric(compare([runs[0]], [runs[1]]))
    assert changes["psnr"].bootstrap == changes["mse"].bootstrap
    assert changes["psnr"].verdict == changes["mse"].verdict
    ratio = changes["mse"].ratio
    assert ratio is not None
    assert changes["psnr"].difference.mean == pytest.approx(-10 * np.log10(ratio[0]))


def test_perfect_samples_count_as_60_db(tmp_path: Path) -> None:
    """B keeps half of its known regions exactly, and is as good as A on the others."""
    noise = np.random.default_rng(0).normal(0, 0.1, 40)
    kept = [math.inf if place % 2 else float(30 + noise[place]) for place in range(40)]
    first = write(tmp_path / "a", "hd-painter", psnr=list(30.0 + noise), mse=list(10 ** (-3 - noise / 10)))
    second = write(tmp_path / "b", "brushnet", psnr=kept, mse=[10 ** (-value / 10) for value in kept])
    comparison = compare([first], [second])
    changes = by_metric(comparison)
    assert changes["psnr"].difference.mean == pytest.approx(15, abs=0.1)
    assert (changes["psnr"].verdict, changes["psnr"].better, changes["psnr"].same) == ("better", 20, 20)
    assert (changes["psnr"].capped_a, changes["psnr"].capped_b, changes["psnr"].neither) == (0, 20, 0)
    text = render_comparison(comparison, "text")
    assert "psnr: identical images and those above 60 dB count as 60 dB: 0 of A, 20 of B" in text
    assert changes["mse"].verdict == "better"


def test_p_values_are_corrected_for_the_primary_metrics_scored_or_not(tmp_path: Path) -> None:
    """Seven, whatever is scored besides: the verdict on one metric doesn't depend on the others that are installed."""
    step = {"psnr": STEP, "clip": STEP / 3, "ssim": STEP / 100, "seam": STEP}
    for count in (1, 2, 4):
        names = list(step)[:count]
        sides = [
            write(tmp_path / f"{side}{count}", side, **{name: list(BASE + factor * step[name]) for name in names})
            for side, factor in (("hd-painter", 0), ("brushnet", 1))
        ]
        comparison = compare([sides[0]], [sides[1]])
        changes = by_metric(comparison)
        family = [name for name in names if name in ("psnr", "clip")]
        for raw, corrected in (("bootstrap", "bootstrap_holm"), ("wilcoxon", "wilcoxon_holm")):
            expected = holm([getattr(changes[name], raw) for name in family], 7)
            assert [getattr(changes[name], corrected) for name in family] == pytest.approx(list(expected))
        for name in names:
            assert changes[name].family == (7 if name in family else 0)
        if count == 4:
            assert math.isnan(changes["ssim"].bootstrap_holm)
            assert (changes["ssim"].verdict, changes["seam"].verdict) == ("better", "no verdict")
            text = render_comparison(comparison, "text")
            assert "7 primary metrics, scored or not (image-reward, hps, aesthetic, psnr, mse, lpips, clip)" in text
            assert f"{changes['clip'].bootstrap:.4f}, {changes['clip'].bootstrap_holm:.4f}" in text
            assert re.search(r"^SSIM .* 0\.\d{4}, - .*\(better\)", text, re.MULTILINE)


def test_each_pair_is_a_family_of_its_own(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "x", "hd-painter", psnr=list(BASE))
    write(tmp_path / "b" / "y", "brushnet", psnr=list(BASE + STEP))
    alone = compare([first], expand([tmp_path / "b"])).changes[0]
    for place in range(4):
        write(tmp_path / "b" / f"z{place}", f"method-{place}", psnr=list(BASE))
    among = next(change for change in compare([first], expand([tmp_path / "b"])).changes if change.b == "brushnet")
    assert among.bootstrap_holm == alone.bootstrap_holm


def test_what_does_not_compete_is_in_no_family(tmp_path: Path) -> None:
    floor = write(tmp_path / "a", "telea", psnr=list(BASE))
    method = write(tmp_path / "b", "brushnet", psnr=list(BASE + STEP))
    comparison = compare([floor], [method])
    (change,) = comparison.changes
    assert (change.family, change.verdict) == (0, "better")
    assert math.isnan(change.bootstrap_holm)
    text = render_comparison(comparison, "text")
    assert "(better)" in text
    assert "in no family of tests, as only contenders are tested: telea is a floor" in text


@pytest.mark.parametrize(
    ("metric", "count", "reason"),
    [
        ("psnr", 14, "14 images, fewer than 15"),
        ("clip", 29, "29 images, fewer than 30"),
        ("seam", 99, "fewer than 100"),
    ],
)
def test_too_few_images_have_no_verdict(metric: str, count: int, reason: str, tmp_path: Path) -> None:
    """Only shared samples count, however clear the difference looks."""
    scores = np.random.default_rng(0).normal(20, 3, count + 1)
    first = write(tmp_path / "a", "hd-painter", **{metric: list(scores)})
    second = write(tmp_path / "b", "brushnet", **{metric: [*(scores[:-1] + 5 + scores[1:] / 100), None]})
    comparison = compare([first], [second])
    (change,) = comparison.changes
    assert change.verdict == "no verdict"
    text = render_comparison(comparison, "text")
    assert f"no verdict on {metric}: " in text
    assert reason in text
    row = json.loads(render_comparison(comparison, "json"))["changes"][0]
    assert (row["verdict"], row["p_bootstrap"], row["p_bootstrap_holm"]) == ("no verdict", None, None)
    assert reason in row["no_verdict"]
    enough = [
        write(tmp_path / f"{side}2", side, **{metric: list(values)})
        for side, values in (("hd-painter", scores), ("brushnet", scores + 5 + scores[::-1] / 100))
    ]
    assert compare([enough[0]], [enough[1]]).changes[0].verdict in ("better", "worse")


@pytest.mark.parametrize(
    ("outlier", "shift", "verdict"),
    [(12, 0, "no verdict"), (-90, 1, "no verdict"), (12, 1, "no verdict"), (-1, 1, "better")],
)
def test_what_one_image_decides_has_no_verdict(outlier: float, shift: float, verdict: str, tmp_path: Path) -> None:
    """Unless there is a difference that all others show by themselves."""
    noise = shift + np.random.default_rng(1).normal(0, 0.1, 40)
    noise[7] = outlier
    first = write(tmp_path / "a", "hd-painter", psnr=list(np.full(40, 25.0)))
    comparison = compare([first], [write(tmp_path / "b", "brushnet", psnr=list(25 + noise))])
    assert comparison.changes[0].verdict == verdict
    assert ("no verdict on psnr: one of 40 images decides" in render_comparison(comparison, "text")) == (
        verdict == "no verdict"
    )


def test_seeded(pair: tuple[Run, Run]) -> None:
    first, again, other = (render_comparison(compare([pair[0]], [pair[1]], seed), "json") for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_only_shared_samples_count_and_the_others_are_said(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "telea", psnr=[10.0, 20.0, 30.0, 40.0, None, math.inf])
    second = write(tmp_path / "b", "copy", psnr=[11.0, 22.0, None, math.inf, 50.0, math.inf, 70.0])
    comparison = compare([first], [second])
    (change,) = comparison.changes
    assert (change.difference.count, change.only_a, change.only_b, change.neither) == (4, 1, 2, 0)
    assert (change.mean_a, change.mean_b) == (32.5, 38.25)
    text = render_comparison(comparison, "text")
    assert "1/2" in text
    assert "psnr: identical images and those above 60 dB count as 60 dB: 1 of A, 3 of B" in text


def test_what_neither_scores_is_said(tmp_path: Path) -> None:
    sides = [write(tmp_path / name, name, clip=[20.0, None, 21.0, None]) for name in ("hd-painter", "brushnet")]
    assert "scored on neither side: clip 2" in render_comparison(compare([sides[0]], [sides[1]]), "text")


def test_nothing_shared_is_no_test(tmp_path: Path) -> None:
    first = write(tmp_path / "a", "telea", psnr=[10.0, None], mse=[0.1, 0.2])
    second = write(tmp_path / "b", "copy", psnr=[None, 20.0], mse=[0.1, 0.3])
    change = by_metric(compare([first], [second]))["psnr"]
    assert math.isnan(change.difference.mean)
    assert (change.tested, change.verdict, change.unsafe) == (False, "no verdict", "0 images, fewer than 15")


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
    one = RunPair(*pair, "telea", "brushnet")
    ranked = improvements(one, "psnr")
    assert list(ranked) == pytest.approx(sorted(STEP, reverse=True))
    assert list(improvements(one, "lpips").index) == list(ranked.index[::-1])
    with pytest.raises(library.UserError, match="did you mean 'psnr'"):
        improvements(one, "psrn")


def test_formats_say_the_same(pair: tuple[Run, Run]) -> None:
    comparison = compare([pair[0]], [pair[1]])
    content = json.loads(render_comparison(comparison, "json"))
    rows = list(csv.DictReader(io.StringIO(render_comparison(comparison, "csv"))))
    assert [float(row["difference"]) for row in rows] == [row["difference"] for row in content["changes"]]
    for name in ("text", "markdown"):
        assert f"{STEP.mean():.2f}" in render_comparison(comparison, name)


def test_file_names_are_harmless_and_differ(pair: tuple[Run, Run]) -> None:
    names = [file_name(RunPair(*pair, label, "b"), "psnr") for label in ("../../x", "..?..?x", "a b", "x" * 500)]
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
