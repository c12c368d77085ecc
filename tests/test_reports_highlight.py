"""Which cells of a table are marked: the best and the second best, or all that may be as good as the best."""

import json
from pathlib import Path

import numpy as np
from report_runs import Made

from brushbench.reports.formats import render
from brushbench.reports.tables import TableOptions, make_report
from brushbench.runs.folder import Run


def marks_of(runs: list[Run], wanted: TableOptions, metric: str) -> dict[str, str]:
    """Return the marks by method."""
    records = json.loads(render(make_report(runs, wanted), "json"))
    return {row["method"]: row["mark"] for row in records if row["metric"] == metric}


def test_equal_prints_have_equal_marks(tmp_path: Path) -> None:
    means = {"a": 20.004, "b": 20.001, "c": 19.0, "d": 18.0, "e": 19.004}
    runs = [Made(name, {"psnr": [mean], "mse": [1.0]}).write(tmp_path / name) for name, mean in means.items()]
    marks = marks_of(runs, TableOptions(), "psnr")
    assert marks == {"a": "best", "b": "best", "c": "second", "d": "", "e": "second"}
    # All equal, or alone: nothing is the best.
    assert set(marks_of(runs, TableOptions(), "mse").values()) == {""}
    assert marks_of(runs[:1], TableOptions(), "psnr") == {"a": ""}


def test_lower_is_better_where_it_is(tmp_path: Path) -> None:
    scores = {"a": [0.2], "b": [0.1], "c": [0.3]}
    runs = [Made(name, {"lpips": values}).write(tmp_path / name) for name, values in scores.items()]
    marks = marks_of(runs, TableOptions(), "lpips")
    assert marks == {"a": "second", "b": "best", "c": ""}


def test_significant_marks_all_that_may_be_as_good(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    base = generator.normal(20, 3, 40)
    scores = {"best": base + 0.1, "close": base + generator.normal(0, 1, 40), "worse": base - 0.5}
    runs = [Made(name, {"psnr": list(values)}).write(tmp_path / name) for name, values in scores.items()]
    marks = marks_of(runs, TableOptions(significant=True), "psnr")
    # `worse` is half a decibel below on every image, which the spread of 3 dB between images would hide.
    assert marks == {"best": "best", "close": "best", "worse": ""}
