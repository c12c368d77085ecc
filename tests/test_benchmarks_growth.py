"""The script that measures how commands grow: its exponents and limits, and one command on runs that it writes."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def growth() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("growth")
    sys.path.remove(str(BENCHMARKS))


def measured(growth: ModuleType, seconds: list[float], memory: list[float]) -> dict[int, object]:
    """What a command used for 10, 1,000, 10,000 and 100,000 samples."""
    each = zip((10, 1000, 10_000, 100_000), seconds, memory, strict=False)
    return {size: growth.Used(time, peak) for size, time, peak in each}


def test_an_exponent_is_the_slope_without_the_start(growth: ModuleType) -> None:
    linear = measured(growth, [3, 5, 23, 203], [800, 850, 1300, 5800])
    assert growth.exponent(linear, 1000, 10_000, "seconds") == pytest.approx(1)
    assert growth.exponent(linear, 10_000, 100_000, "seconds") == pytest.approx(1)
    assert growth.exponent(linear, 10_000, 100_000, "memory") == pytest.approx(1)
    quadratic = measured(growth, [3, 5, 203, 20_003], [0, 0, 0, 0])
    assert growth.exponent(quadratic, 1000, 10_000, "seconds") == pytest.approx(2)


@pytest.mark.parametrize("seconds", [[3, 3.2, 40, 400], [3, 2.5, 40, 400], [3]])
def test_without_enough_to_tell_there_is_no_exponent(growth: ModuleType, seconds: list[float]) -> None:
    found = measured(growth, seconds, [100] * 4)
    text, excess = growth.described({"report": found}, [1000, 10_000])
    assert not excess
    assert text.splitlines()[6].endswith("| - |")


@pytest.mark.parametrize(
    ("name", "seconds", "memory", "over"),
    [
        ("report", [3, 5, 23, 203], [800] * 4, ""),
        ("report", [3, 5, 23, 300], [800] * 4, "report: exponent 1.17 of seconds from 10000 to 100000"),
        ("report", [3, 5, 23, 203], [800, 850, 1300, 9000], "report: exponent 1.21 of memory from 10000 to 100000"),
        ("report", [3, 5, 23, 203], [800, 800, 800, 1200], ""),
        ("compare", [3, 5, 23, 203], [800, 800, 800, 1200], "compare: 1200 MiB"),
    ],
)
def test_what_is_over_a_limit_is_named(
    growth: ModuleType, name: str, seconds: list[float], memory: list[float], over: str
) -> None:
    text, excess = growth.described({name: measured(growth, seconds, memory)}, [1000, 10_000, 100_000])
    assert excess == ([over] if over else [])
    assert text.endswith(f"over them: {over or 'nothing'}")


def test_it_measures_a_command_on_runs_that_it_has_written(tmp_path: Path) -> None:
    words = [sys.executable, BENCHMARKS / "growth.py", "--sizes", "20", "--keep", tmp_path, "--only", "status/frame*"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heads = [line for line in done.stdout.splitlines() if line.startswith("| command")]
    assert heads == ["| command | 10 | 20 |"] * 2
    kept = json.loads((tmp_path / "used.json").read_text())
    assert set(kept) == {"status/10", "status/20", "frame (Python)/10", "frame (Python)/20"}
    assert all(each["seconds"] > 0 and each["memory"] > 10 for each in kept.values())
    # A second call measures nothing again.
    again = subprocess.run(words, check=False, capture_output=True, text=True)
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


def test_a_parents_memory_is_not_counted_as_its_childs(growth: ModuleType) -> None:
    filled = bytearray(300 << 20)
    filled[:: 1 << 12] = b"x" * len(filled[:: 1 << 12])
    assert growth.usage_of([sys.executable, "-c", "pass"]).memory < 100
    del filled
