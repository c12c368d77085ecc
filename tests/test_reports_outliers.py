"""`report` names the outliers of each run, and its failures by file."""

import json
from pathlib import Path

import numpy as np
import pytest
from report_runs import Made
from support import run_on
from terminal import in_forked_terminal

from brushbench.reports.outliers import LIMIT, RULE, deviations

USUAL = [30.0, 31.0, 29.5, 30.5, 30.2, 29.8, 30.1, 30.4]
FAILING = """
class Odd:
    def __call__(self, batch, seeds):
        if batch.ids[0].endswith(("1", "3")):
            raise ValueError("odd")
        return batch.images
"""


def outliers(out: str) -> list[str]:
    """The lines below the rule."""
    return [] if RULE not in out else out.partition(f"{RULE}\n")[2].partition("\n\n")[0].splitlines()


@pytest.mark.parametrize(
    ("values", "far"),
    [
        ([1.0, 2.0, 3.0, 4.0, 100.0], 97 / 1.4826),
        ([5.0, 5.0, 5.0, 5.0, 5.0, 11.0], 6 / 1.2533),
        ([7.0, 7.0, 7.0], 0.0),
    ],
)
def test_a_deviation_is_the_scaled_median_one_else_the_scaled_mean_one(values: list[float], far: float) -> None:
    assert deviations(np.array(values))[-1] == pytest.approx(far)


def test_each_run_s_outliers_are_named_with_the_rule_once(brushbench, tmp_path: Path) -> None:
    inverted = [*USUAL[:3], 4.0, *USUAL[4:]]
    Made("a", {"psnr": inverted, "ssim": [0.9, 0.91, 0.92, 0.1, 0.93, 0.9, 0.91, 0.92]}).write(tmp_path / "a")
    Made("b", {"psnr": [*USUAL[:-1], 58.25]}).write(tmp_path / "b")
    Made("c", {"psnr": USUAL}).write(tmp_path / "c")
    code, _, err = brushbench("report", tmp_path)
    assert code == 0
    assert err.count(RULE) == 1
    assert outliers(err) == [
        f"  {tmp_path / 'a'}: 1 of 8 samples",
        "    000000003: psnr 4.00 (low), ssim 0.1000 (low)",
        f"  {tmp_path / 'b'}: 1 of 8 samples",
        "    000000007: psnr 58.25 (high)",
    ]


def test_the_rule_states_what_is_computed() -> None:
    assert f"over {LIMIT:g} deviations from the median of their run" in RULE
    assert "1.4826 x the median absolute deviation" in RULE


def test_without_outliers_there_is_no_rule(brushbench, tmp_path: Path) -> None:
    Made("a", {"psnr": USUAL}).write(tmp_path / "a")
    # Four scores are too few to say what is usual.
    Made("b", {"psnr": [1.0, 1.0, 1.0, 50.0]}).write(tmp_path / "b")
    assert RULE not in "".join(brushbench("report", tmp_path)[1:])


def test_identical_images_count_as_the_ceiling(brushbench, tmp_path: Path) -> None:
    Made("a", {"psnr": [*USUAL, np.inf]}).write(tmp_path / "a")
    assert outliers(brushbench("report", tmp_path)[2])[1] == "    000000008: psnr 60.00 (high)"


def test_of_many_outliers_the_largest_are_named(brushbench, tmp_path: Path) -> None:
    Made("a", {"mse": [*(value / 3e4 for value in USUAL * 5), *map(float, range(1, 8))]}).write(tmp_path / "a")
    lines = outliers(brushbench("report", tmp_path)[2])
    assert lines[0] == f"  {tmp_path / 'a'}: 7 of 47 samples"
    assert lines[1] == "    000000046: mse 7000.00 (high)"
    assert lines[-1] == "    and 2 more"


@pytest.mark.parametrize("table_format", ["text", "markdown", "csv", "json", "latex", "html"])
def test_standard_output_has_only_the_table(table_format: str, brushbench, tmp_path: Path) -> None:
    Made("a", {"psnr": [*USUAL, 4.0]}).write(tmp_path / "a")
    code, out, err = brushbench("report", tmp_path, "--format", table_format)
    assert code == 0
    assert RULE not in out
    assert RULE in err
    assert table_format != "json" or json.loads(out)


def test_failures_are_named_by_file(brushbench, tmp_path: Path, write_bench) -> None:
    (tmp_path / "odd.py").write_text(FAILING)
    method = f"{tmp_path}/odd.py:Odd"
    brushbench(*run_on(write_bench(), tmp_path / "runs", "--batch-size", "1", method=method))
    run = tmp_path / "runs" / "brushbench-inside" / "Odd"
    code, _, err = brushbench("report", run)
    assert code == 0
    told = err.partition("Failures: samples without an image, each with the file that says why.\n")[2].splitlines()
    assert told == [f"  {run}/errors/00000000{index}.txt: ValueError: odd" for index in (1, 3)]
    assert "Traceback" in (run / "errors" / "000000001.txt").read_text()


def test_in_a_terminal_they_are_fitted_to_its_width(tmp_path: Path) -> None:
    Made("a", {"psnr": [*USUAL, 4.0]}).write(tmp_path / "a")
    seen = in_forked_terminal("report", "a", folder=tmp_path, columns=60)
    lines = seen.plain().replace("\r", "").partition("Outliers: ")[2].splitlines()
    assert "    000000008: psnr 4.00 (low)" in lines
    assert max(map(len, lines)) <= 60
