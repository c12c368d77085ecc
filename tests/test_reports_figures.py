"""Figures: every format, the same bytes each time, and text from anywhere."""

import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.axes import Axes
from report_runs import Made
from support import assert_one_line, run_on

from brushbench import frame
from brushbench.core.metric_info import MetricInfo
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.reports.figure_style import FigureStyle
from brushbench.reports.figures import MISSING, check_suffix, mark_of, readable
from brushbench.reports.formats import render
from brushbench.reports.intervals import table_interval
from brushbench.reports.tables import TableOptions, make_report
from brushbench.reports.trade_off import CurvePoint, write_trade_off
from brushbench.runs.folder import Run
from brushbench.runs.folders import expand

HOSTILE = "東京 $x_1$ \\alpha $ 🍰 \u202eabc\u202c \x1b[31m العربية & % # {} ~^ <b> " + "x" * 300
BEGINNINGS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
KINDS = ("distributions", "trade-off")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods on two splits of PaperCut."""
    from brushbench import RunConfig, run

    output = tmp_path_factory.mktemp("figures") / "runs"
    for split in ("inside", "outside"):
        for method in ("telea", "mean-fill"):
            done = run(RunConfig(method, "papercut", split=split, limit=4, output=output, metrics="psnr,papercut-clip"))
    _blur_known(done)
    return output


def _blur_known(run: Run) -> None:
    """Give the last run PSNR values, as methods that change known pixels have them."""
    table = pq.read_table(run.scores_path())
    columns = table.column_names
    table = table.set_column(columns.index("psnr"), "psnr", pa.array([20.0, 25.0, 30.0, None]))
    table = table.set_column(columns.index("psnr.status"), "psnr.status", pa.array(["", "", "", "identical"]))
    pq.write_table(table, run.scores_path())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_every_format_and_the_same_bytes_again(kind: str, suffix: str, runs: Path, brushbench, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        code, out, _ = brushbench("report", runs, "--figure", file, "--kind", kind)
        assert code == 0
        assert "mean-fill" in out
    first, second = (file.read_bytes() for file in files)
    assert first == second
    assert first.startswith(BEGINNINGS[suffix])
    assert not re.search(rb"Date|Matplotlib v|matplotlib v", first)
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in files}


@pytest.mark.parametrize("suffix", [".svg", ".pdf"])
def test_contact_sheets_too(suffix: str, runs: Path, brushbench, tmp_path: Path) -> None:
    assert brushbench("report", runs, "--sheet", tmp_path / f"s{suffix}", "--samples", 1)[0] == 0
    content = (tmp_path / f"s{suffix}").read_bytes()
    assert content.startswith(BEGINNINGS[suffix])
    # Every picture by itself, in its own pixels: source, masked input and two methods on two splits.
    pictures = content.count(b"<image ") if suffix == ".svg" else content.count(b"/Subtype /Image")
    assert pictures == 8


def test_a_figure_is_not_changed_by_the_user_s_style(runs: Path, brushbench, tmp_path: Path) -> None:
    brushbench("report", runs, "--figure", tmp_path / "a.svg")
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True, "savefig.dpi": 20, "axes.grid": True}):
        brushbench("report", runs, "--figure", tmp_path / "b.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_names_from_anywhere(suffix: str, runs: Path, tmp_path: Path) -> None:
    opened = [Run.open(path.parent) for path in sorted(runs.rglob("run.json"))]
    names = {str(run.path): CurvePoint(f"{place} {HOSTILE}", HOSTILE) for place, run in enumerate(opened)}
    write_trade_off(opened, tmp_path / f"f{suffix}", names)
    assert (tmp_path / f"f{suffix}").stat().st_size > 1000


def test_bars_are_the_intervals_of_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends count, as bars of skewed scores are asymmetric; fewer than six samples have no bar."""
    generator = np.random.default_rng(0)
    for method, count in (("hd-painter", 12), ("brushnet", 12), ("few", 5)):
        psnr, clip = generator.gamma(1, 6, count) + 15, 30 - generator.gamma(1, 4, count)
        Made(method, {"psnr": [*psnr[1:], np.inf], "clip": list(clip)}).write(tmp_path / "runs" / method)
    drawn: dict[str, tuple[float, ...]] = {}

    def errorbar(self: Axes, x: float, y: float, up: list[list[float]], across: list[list[float]], **_: object) -> None:
        ends = (x - across[0][0], x + across[1][0], y - up[0][0], y + up[1][0])
        drawn[f"{x:.9g}"] = ends

    monkeypatch.setattr(Axes, "errorbar", errorbar)
    runs = expand([tmp_path / "runs"])
    write_trade_off(runs, tmp_path / "f.svg")
    assert len(drawn) == 3
    tidy = frame(tmp_path / "runs")
    for method in ("hd-painter", "brushnet", "few"):
        own = tidy[tidy["method"] == method]
        psnr = own[own["metric"] == "psnr"]["value"].fillna(60.0).to_numpy()
        clip = own[own["metric"] == "clip"]["value"].to_numpy()
        left, right, bottom, top = drawn[f"{psnr.mean():.9g}"]
        if method == "few":
            assert (left, right, bottom, top) == pytest.approx((psnr.mean(), psnr.mean(), clip.mean(), clip.mean()))
            continue
        for values, ends, name in ((psnr, (left, right), "psnr"), (clip, (bottom, top), "clip")):
            expected = table_interval(values, None, CATALOGUE[name])
            assert ends == pytest.approx((expected.low, expected.high))
            assert ends[1] - values.mean() != pytest.approx(values.mean() - ends[0], rel=0.1)
    rows = json.loads(render(make_report(runs, TableOptions()), "json"))
    cell = next(row for row in rows if row["method"] == "brushnet" and row["metric"] == "clip")
    assert any(ends[2:] == pytest.approx((cell["low"], cell["high"])) for ends in drawn.values())


def test_a_method_that_keeps_everything_stands_beyond_the_axis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    for method, psnr in (("brushnet", [30.0] * 6), ("pastes", [np.inf] * 5 + [61.0])):
        Made(method, {"psnr": psnr, "clip": [20.0] * 6}).write(tmp_path / "runs" / method)
    monkeypatch.setattr(Axes, "set_xticks", lambda self, ticks, names: labels.extend(names))
    write_trade_off(expand([tmp_path / "runs"]), tmp_path / "f.svg")
    assert labels[-1] == "≥ 60"


def test_readable_text() -> None:
    assert readable("brushnet scale=0.5") == "brushnet scale=0.5"
    assert readable("a\x1b[31m\nb") == "a [31m b"
    assert readable("東b") == f"{MISSING}b"
    assert readable("$x$") == r"\$x\$"
    assert len(readable("x" * 1000)) == 40


def test_axis_labels() -> None:
    style = FigureStyle()
    assert style.label(MetricInfo("psnr", "dB", True, "known", "1"), {}) == ("PSNR (dB) ↑", "known region")
    mse = MetricInfo("mse@painted", "", False, "painted", "1", scale=1000.0)
    assert style.label(mse, {}) == ("MSE ×10³ ↓", "painted region")
    # Names are those of the tables, or the paper's.
    assert style.label(MetricInfo("papercut-clip", "", True, "whole", "1"), {})[0] == "papercut-clip ↑"
    assert style.label(mse, {"mse@painted": "Error"})[0] == "Error ×10³ ↓"


def test_series_can_be_told_apart() -> None:
    assert len({mark_of(index) for index in range(64)}) == 64


def test_mistakes_are_one_line(runs: Path, brushbench, tmp_path: Path, write_bench) -> None:
    assert_one_line(brushbench("report", runs, "--figure", tmp_path / "f.gif"), "f.gif: a figure must end in")
    assert_one_line(brushbench("report", runs, "--figure", tmp_path / "no" / "f.png"), "no such folder")
    assert_one_line(brushbench("report", runs, "--figure", tmp_path / "f.png", "--kind", "pie"), "'pie' is not one of")
    assert brushbench(*run_on(write_bench(), tmp_path / "runs", "--metrics", "psnr"))[0] == 0
    unaligned = brushbench("report", tmp_path / "runs", "--figure", tmp_path / "f.png", "--kind", "trade-off")
    assert_one_line(unaligned, "text alignment (papercut-clip or clip) is not scored")
    assert not list(tmp_path.glob("*.png"))
    assert check_suffix(tmp_path / "F.PNG") == ".png"
