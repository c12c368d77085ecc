"""The script that times scoring against the official loop still runs, and both give the same values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "score.py"


@pytest.mark.slow
def test_our_scores_are_those_of_the_official_loop() -> None:
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent.parent)}
    done = subprocess.run(
        [sys.executable, SCRIPT, "--size", "tiny", "--limit", "1"],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    largest = {row[0]: float(row[-1]) for row in rows if row and row[0] in ("psnr", "mse", "lpips", "clip", "hps")}
    assert len(largest) == 5
    assert max(largest.values()) < 1e-4
