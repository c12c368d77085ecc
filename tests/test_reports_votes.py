"""Counting the votes of blind comparisons."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from support import assert_one_line

from brushbench.reports.preference import DRAWS, bradley_terry, pair_counts, strengths
from brushbench.reports.votes import Vote, read_votes

HEADER = "time,voter,dataset,protocol,split,sample,left,right,choice"


def write(folder: Path, *lines: str) -> Path:
    file = folder / "votes.csv"
    file.write_text("\n".join([HEADER, *lines]) + "\n")
    return file


def vote(sample: int, left: str, right: str, choice: str) -> Vote:
    return Vote(("d", "strict", "inside", str(sample)), left, right, choice)


def line(sample: int, left: str, right: str, choice: str, voter: str = "v") -> str:
    return f"2026-11-30T12:00:00Z,{voter},d,strict,inside,{sample},{left},{right},{choice}"


def test_wins_are_those_of_the_method_whatever_its_side() -> None:
    votes = [vote(1, "x", "y", "left"), vote(2, "y", "x", "right"), vote(3, "y", "x", "left"), vote(4, "x", "y", "tie")]
    (count,) = pair_counts(votes)
    assert (count.a, count.b, count.wins, count.ties, count.losses, count.samples) == ("x", "y", 2, 1, 1, 4)
    assert count.rate == 2.5 / 4


@pytest.mark.parametrize(("wins", "losses"), [(7, 3), (0, 5), (20, 0), (1, 0)])
def test_the_interval_of_independent_votes_is_wilson_s(wins: int, losses: int) -> None:
    votes = [vote(k, "x", "y", "left" if k < wins else "right") for k in range(wins + losses)]
    (count,) = pair_counts(votes)
    expected = binomtest(wins, wins + losses).proportion_ci(0.95, method="wilson")
    assert (count.low, count.high) == pytest.approx((expected.low, expected.high))


def test_votes_that_say_the_same_of_a_sample_are_worth_one() -> None:
    once = [vote(k, "x", "y", "left" if k < 12 else "right") for k in range(20)]
    (alone,), (repeated,) = pair_counts(once), pair_counts(once * 5)
    assert repeated.rate == alone.rate
    # As wide as on 19 samples, not on a hundred: a variance between 20 groups has 19 degrees of freedom.
    expected = binomtest(12, 20).proportion_ci(0.95, method="wilson")
    assert repeated.high - repeated.low == pytest.approx(expected.high - expected.low, rel=0.05)


def test_no_repetition_makes_votes_worth_more_than_they_are() -> None:
    votes = [vote(k // 2, "x", "y", ("left", "right")[k % 2]) for k in range(20)]
    (count,) = pair_counts(votes)
    expected = binomtest(10, 20).proportion_ci(0.95, method="wilson")
    assert (count.low, count.high) == pytest.approx((expected.low, expected.high))


def test_strengths_are_found_again() -> None:
    true = np.array([-1.0, 0.0, 0.3, 0.7])
    wins = 10_000 / (1 + np.exp(true - true[:, None]))
    np.fill_diagonal(wins, 0)
    assert bradley_terry(wins) == pytest.approx(true - true.mean(), abs=0.002)


def test_two_methods_have_the_log_odds_of_their_votes() -> None:
    found = bradley_terry(np.array([[0.0, 3000.0], [1000.0, 0.0]]))
    assert found[0] - found[1] == pytest.approx(math.log(3), abs=0.01)


def test_a_method_that_always_wins_has_a_finite_strength() -> None:
    votes = [vote(k, *pair, "left") for k in range(10) for pair in (("x", "y"), ("x", "z"), ("y", "z"))]
    found = strengths(votes)
    assert [one.method for one in found] == ["x", "y", "z"]
    assert all(one.low <= one.strength <= one.high and math.isfinite(one.high) for one in found)
    assert sum(one.strength for one in found) == pytest.approx(0)
    assert [one.votes for one in found] == [20, 20, 20]
    assert strengths(votes) == found, "no draw of another time"
    assert DRAWS == 999


def test_few_samples_give_no_interval_of_strengths() -> None:
    votes = [vote(k, *pair, "left") for k in range(5) for pair in (("x", "y"), ("y", "z"))]
    assert all(math.isnan(one.low) for one in strengths(votes))


def test_report_prints_win_rates(brushbench, tmp_path: Path) -> None:
    file = write(tmp_path, line(1, "x", "y", "left"), line(2, "y", "x", "left"), line(3, "y", "x", "tie", "w"))
    code, out, _ = brushbench("report", "--votes", file)
    assert code == 0
    assert "50.0%" in out
    assert "3 votes by 2 voters on 3 samples" in out
    assert "the left image was preferred in 2 of 2 decided votes" in out
    assert "Bradley" not in out


def test_more_than_two_methods_have_strengths_if_votes_connect_them(brushbench, tmp_path: Path) -> None:
    connected = [line(k, *pair, "left") for k in range(8) for pair in (("x", "y"), ("y", "z"))]
    assert "Bradley and Terry" in brushbench("report", "--votes", write(tmp_path, *connected))[1]
    apart = [line(1, "x", "y", "left"), line(2, "z", "w", "left")]
    code, out, _ = brushbench("report", "--votes", write(tmp_path, *apart))
    assert (code, "no strengths: the votes don't connect all methods" in out) == (0, True)


def test_formats_have_the_same_numbers(brushbench, tmp_path: Path) -> None:
    lines = [line(k, *pair, "left") for k in range(8) for pair in (("x", "y"), ("y", "z"))]
    file = write(tmp_path, *lines)
    records = json.loads(brushbench("report", "--votes", file, "--format", "json")[1])
    assert [(one["kind"], one["a"]) for one in records] == [
        *(("pair", "x"), ("pair", "y")),
        *(("strength", "x"), ("strength", "y"), ("strength", "z")),
    ]
    rows = list(csv.DictReader(io.StringIO(brushbench("report", "--votes", file, "--format", "csv")[1])))
    assert [float(row["estimate"]) for row in rows] == pytest.approx([one["estimate"] for one in records])
    assert "| x " in brushbench("report", "--votes", file, "--format", "markdown")[1]
    assert_one_line(brushbench("report", "--votes", file, "--format", "latex"), "valid: csv, json, markdown, text")


def test_names_of_strangers_control_no_terminal(brushbench, tmp_path: Path) -> None:
    file = write(tmp_path, line(1, "\x1b[31mx", "y", "left"))
    assert "\x1b" not in brushbench("report", "--votes", file)[1]


def test_what_protects_a_spreadsheet_is_taken_off_again(tmp_path: Path) -> None:
    (found,) = read_votes(write(tmp_path, line(1, "'=x", "y", "left", "'+v")))
    assert (found.left, found.voter) == ("=x", "+v")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([line(1, "x", "y", "left"), line(2, "x", "y", "Left")], "line 3: choice 'Left'; valid: left, right, tie"),
        ([line(1, "x", "x", "left")], "line 2: left and right are both 'x'"),
        ([line(1, "", "y", "left")], "line 2: no left"),
        ([], "contains no vote"),
    ],
)
def test_what_can_t_be_counted_is_named(lines: list[str], told: str, brushbench, tmp_path: Path) -> None:
    assert_one_line(brushbench("report", "--votes", write(tmp_path, *lines)), told)


def test_other_mistakes_are_one_line(brushbench, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    assert_one_line(brushbench("report", "--votes", other), "column 'dataset' is missing")
    assert_one_line(brushbench("report", "--votes", tmp_path / "none.csv"), "none.csv")
    assert_one_line(brushbench("report", "runs", "--votes", other), "--votes needs no runs")
    assert_one_line(brushbench("report"), "Missing argument 'RUN...'")
