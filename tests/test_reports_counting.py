"""Perfect samples in tables: they count as 60 dB, so that keeping pixels never ranks lower."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from report_runs import Made

import brushbench
from brushbench.core.metric_info import IDENTICAL, NOTHING
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.reports.counting import ceiling_of, counted, is_capped
from brushbench.reports.formats import render
from brushbench.reports.summary import summarise
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run

PSNR, SSIM = CATALOGUE["psnr"], CATALOGUE["ssim"]
FORMATS = {"text": ">= 60", "markdown": "≥ 60", "html": "≥ 60", "latex": r"$\geq$ 60"}


def rows_of(runs: list[Run], wanted: TableOptions, metric: str) -> dict[str, dict[str, object]]:
    """The records of a table, by method; of the first split."""
    records = json.loads(render(make_report(runs, wanted), "json"))
    return {row["method"]: row for row in reversed(records) if row["metric"] == metric}


def line_of(text: str, method: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(method))


def test_the_rule() -> None:
    values = np.array([20.0, 60.0, 71.3, math.nan, math.nan, math.nan])
    statuses = np.array(["", "", "", IDENTICAL, NOTHING, "failed: lost"], dtype=object)
    np.testing.assert_array_equal(
        counted(values, statuses, PSNR, "strict"), [20.0, 60.0, 60.0, 60.0, math.nan, math.nan]
    )
    assert is_capped(values, statuses, PSNR, "strict").tolist() == [False, True, True, True, False, False]
    for info, protocol in ((PSNR, "paper"), (SSIM, "strict")):
        np.testing.assert_array_equal(counted(values, statuses, info, protocol), values)
        assert not is_capped(values, statuses, info, protocol).any()
    assert (ceiling_of(PSNR.named("painted", "1"), "strict"), ceiling_of(PSNR, "paper")) == (60.0, None)


@pytest.mark.parametrize("table", ["summary", "paper", "ablation"])
def test_a_method_that_keeps_pixels_never_ranks_lower(table: str, tmp_path: Path) -> None:
    """A keeps half of the known regions exactly and equals B on the others; B is worse or equal on every image."""
    both = list(np.random.default_rng(0).normal(30, 3, 20))
    scores = {"keeps": [math.inf] * 20 + both, "rival": [35.0] * 20 + both, "worst": [20.0] * 40}
    runs = [
        Made(name, {"psnr": values}, split=split).write(tmp_path / f"{name}-{split}")
        for name, values in scores.items()
        for split in ("inside", "outside")
    ]
    rows = rows_of(runs, TableOptions(table), "psnr")
    assert rows["keeps"]["mean"] == pytest.approx((60 * 20 + sum(both)) / 40)
    assert [rows[name]["mark"] for name in scores] == ["best", "second", ""]
    count = 80 if table == "ablation" else 40
    assert [rows[name]["n_scored"] for name in scores] == [count] * 3
    assert [rows[name]["n_capped"] for name in scores] == [count // 2, 0, 0]
    text = render(make_report(runs, TableOptions(table)), "text")
    assert "(20 at the cap)" in text if table == "summary" else f"{count // 2} of keeps" in text
    assert "psnr: each sample is capped at 60 dB" in text
    assert not any(row["fewer_samples"] for row in rows.values())


def test_where_all_are_perfect_the_table_says_at_least(tmp_path: Path) -> None:
    scores = {"pastes": [math.inf, 81.0], "rounds": [59.0, 58.0], "worse": [30.0, 31.0]}
    runs = [Made(name, {"psnr": values}).write(tmp_path / name) for name, values in scores.items()]
    rows = rows_of(runs, TableOptions("paper"), "psnr")
    assert [row["mark"] for row in rows.values()].count("best") == 1
    assert (rows["pastes"]["mean"], rows["pastes"]["n_capped"], rows["pastes"]["mark"]) == (60.0, 2, "best")
    assert rows["rounds"]["mark"] == "second"
    for table_format, printed in FORMATS.items():
        text = render(make_report(runs, TableOptions("paper")), table_format)
        assert printed in text
        assert "identical" not in text
    lines = csv.DictReader(io.StringIO(render(make_report(runs, TableOptions("paper")), "csv")))
    assert [(line["n_scored"], line["n_capped"]) for line in lines] == [("2", "2"), ("2", "0"), ("2", "0")]
    # The frame keeps what was stored.
    tidy = brushbench.frame(runs)
    assert tidy[tidy["method"] == "pastes"]["value"].tolist()[1] == 81.0
    assert tidy[tidy["method"] == "pastes"]["status"].tolist()[0] == IDENTICAL


def test_capped_samples_are_not_missing(tmp_path: Path) -> None:
    run = Made("pastes", {"psnr": [math.inf, 30.0]}).write(tmp_path / "run")
    make_report([run], TableOptions(strict=True))
    failed = Made("pastes", {"psnr": [math.inf, None]}).write(tmp_path / "failed")
    with pytest.raises(brushbench.UserError, match="1 of 2 samples"):
        make_report([failed], TableOptions(strict=True))


def test_paper_keeps_the_official_thousand_and_says_so(tmp_path: Path) -> None:
    scores = {"one": [1000.0, 30.0], "two": [70.0, 30.0]}
    runs = [Made(name, {"psnr": values}, protocol="paper").write(tmp_path / name) for name, values in scores.items()]
    for table in ("paper", "summary"):
        rows = rows_of(runs, TableOptions(table), "psnr")
        assert [rows[name]["mean"] for name in scores] == [515.0, 50.0]
        assert {row["n_capped"] for row in rows.values()} == {0}
        text = render(make_report(runs, TableOptions(table)), "text")
        assert "psnr: no pixel differs in 1 of one; each counts as 1000 dB, as in the official script" in text
        assert "at most 60 dB" not in text
        assert "share one seed" in text
    without = render(make_report(runs[1:], TableOptions()), "text")
    assert "1000" not in without
    strict = Made("one", {"psnr": [30.0]}).write(tmp_path / "strict")
    assert "seed" not in render(make_report([strict], TableOptions()), "text")


def test_the_psnr_of_the_mean_mse_stands_beside(tmp_path: Path) -> None:
    errors = {"even": [0.001] * 6, "uneven": [0.0] * 5 + [0.01], "exact": [0.0] * 6}
    runs = [
        Made(
            name,
            {
                "psnr": [-10 * math.log10(error) if error else math.inf for error in values],
                "mse": values,
                "mse@painted": [0.1] * 6,
            },
        ).write(tmp_path / name)
        for name, values in errors.items()
    ]
    rows = rows_of(runs, TableOptions(), "psnr-of-mean-mse")
    assert rows["even"]["mean"] == pytest.approx(30.0)
    assert rows["uneven"]["mean"] == pytest.approx(10 * math.log10(600))
    # One bad image of six: the mean of PSNRs hides it, this doesn't.
    assert rows_of(runs, TableOptions(), "psnr")["uneven"]["mean"] == pytest.approx((5 * 60 + 20) / 6)
    assert [rows[name]["mark"] for name in errors] == ["second", "", "best"]
    assert (rows["exact"]["mean"], rows["exact"]["n_capped"]) == (60.0, 6)
    assert (rows["even"]["low"], rows["even"]["high"]) == pytest.approx((30.0, 30.0))
    error = rows_of(runs, TableOptions(), "mse")["uneven"]
    assert rows["uneven"]["low"] == pytest.approx(-10 * math.log10(error["high"]))
    assert rows["uneven"]["high"] == 60.0
    (table,) = make_report(runs, TableOptions()).tables
    assert table.headings[:3] == ("PSNR known dB ↑", "PSNR of mean MSE known dB ↑", "MSE known x1e3 ↓")
    assert "PSNR of mean MSE: 10 log10(1 / mean MSE)" in render(make_report(runs, TableOptions()), "text")
    # Without a PSNR there is nothing that it stands beside, and the paper has no such column.
    assert "PSNR of mean MSE" not in render(make_report(runs, TableOptions("paper")), "text")
    assert "psnr-of-mean-mse@painted" not in set(summarise(runs).rows["metric"])


def test_each_region_has_its_own_and_paper_the_protocols(tmp_path: Path) -> None:
    scores = {"psnr": [20.0], "psnr@painted": [10.0], "psnr@whole": [15.0], "mse": [0.02], "mse@painted": [0.1]}
    for protocol in ("strict", "paper"):
        run = Made("own", scores, protocol=protocol).write(tmp_path / protocol)
        rows = {row["metric"]: row for row in json.loads(render(make_report([run], TableOptions()), "json"))}
        assert rows["psnr-of-mean-mse"]["mean"] == pytest.approx(10 * math.log10(50))
        assert rows["psnr-of-mean-mse@painted"]["mean"] == pytest.approx(10.0)
        assert "psnr-of-mean-mse@whole" not in rows
    exact = Made("own", {"psnr": [1000.0], "mse": [0.0]}, protocol="paper").write(tmp_path / "exact")
    assert rows_of([exact], TableOptions(), "psnr-of-mean-mse")["own"]["mean"] == 1000.0


@pytest.mark.parametrize("table", ["summary", "paper", "ablation"])
def test_a_mean_over_fewer_samples_is_marked_and_not_ranked(table: str, tmp_path: Path) -> None:
    """The one that fails on the hardest image has the highest mean of all."""
    scores = {"fails": [30.0, 31.0, None], "all": [29.0, 30.0, 10.0], "other": [28.0, 29.0, 9.0]}
    runs = [
        Made(name, {"psnr": values}, split=split).write(tmp_path / f"{name}-{split}")
        for name, values in scores.items()
        for split in ("inside", "outside")
    ]
    rows = rows_of(runs, TableOptions(table), "psnr")
    assert rows["fails"]["mean"] == 30.5
    assert [rows[name]["mark"] for name in scores] == ["", "best", "second"]
    assert [rows[name]["fewer_samples"] for name in scores] == [True, False, False]
    for table_format, printed in {
        "text": "30.50†",
        "markdown": "30.50†",
        "html": "30.50</span><sup>†</sup>",
        "latex": r"30.50$^\dagger$",
    }.items():
        text = render(make_report(runs, TableOptions(table)), table_format)
        assert printed in text
        # LaTeX has one line of notes unless more are asked for.
        brief, full = "fewer samples, not ranked", "mean lacks samples that other methods have, so not ranked"
        assert (brief if table_format == "latex" else full) in text
    whole = [run for run in runs if "fails" not in str(run.path)]
    assert "†" not in render(make_report(whole, TableOptions(table)), "text")


def test_a_reference_that_never_fails_takes_no_rank_from_the_others(tmp_path: Path) -> None:
    scores = {"a": [30.0, None], "b": [29.0, None], "copy": [math.inf] * 2}
    runs = [Made(name, {"psnr": values}).write(tmp_path / name) for name, values in scores.items()]
    rows = rows_of(runs, TableOptions(), "psnr")
    assert [rows[name]["mark"] for name in scores] == ["best", "second", ""]
    assert not any(row["fewer_samples"] for row in rows.values())


def test_below_six_samples_no_interval_is_printed(tmp_path: Path) -> None:
    values = [20.0, 21.0, 22.5, 26.0, 31.0]
    few = Made("few", {"psnr": values, "lpips": [0.1] * 5}).write(tmp_path / "few")
    row = rows_of([few], TableOptions(), "psnr")["few"]
    assert (row["low"], row["high"]) == (None, None)
    assert row["standard_error"] == pytest.approx(np.std(values, ddof=1) / math.sqrt(5))
    assert line_of(render(make_report([few], TableOptions()), "text"), "few").split() == ["few", "24.10", "100.00"]
    many = Made("many", {"psnr": [*values, 40.0], "lpips": [0.0] * 5 + [0.9]}).write(tmp_path / "many")
    row = rows_of([many], TableOptions(), "lpips")["many"]
    assert row["low"] == 0.0
    printed = line_of(render(make_report([many], TableOptions()), "text"), "many")
    assert f"150.00 [0.00, {row['high'] * 1e3:.2f}]" in printed
    assert "±" not in printed
    # Five images with two masks each are five images.
    runs = [Made("few", {"psnr": values}, split=split).write(tmp_path / split) for split in ("inside", "outside")]
    assert rows_of(runs, TableOptions("ablation"), "psnr")["few"]["low"] is None
