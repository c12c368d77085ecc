"""How do the time and the memory of each command grow with the number of samples?

    python benchmarks/growth.py                              # up to 100,000 samples; an hour of CPU time
    python benchmarks/growth.py --sizes 1000,10000 --only 'compare/report*'
    python benchmarks/growth.py --write                      # also store the table in benchmarks/results/growth.txt

Writes complete runs of synthetic scores (`growing_runs.py`), and runs each command in a process of its own. Prints its
CPU-seconds, its peak of resident memory, and exponents: 1 is linear growth, 2 is quadratic. What a command needs for
ten samples, which is mostly its start, is subtracted before. Ends with 1 if an exponent is over the limit, or `compare`
needs more memory than it may.
"""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path

from usage import Used, usage_of

ROOT = Path(__file__).parent.parent
KEPT = Path(__file__).parent / "results" / "growth.txt"
START = 10
"""Samples of the runs that show what a command needs to start."""
MOST_EXPONENT, MOST_OF_COMPARE = 1.1, 1024
"""The limits: of every exponent, and MiB of `compare`."""
CLEAR = {"seconds": 1.5, "memory": 40.0}
"""What a command must need beside its start, in seconds and MiB, at the smaller of two sizes for an exponent."""
DATA = ("--dataset", "folder", "--root", "{place}/data", "--batch-size", "4", "--device", "cpu")
NO_NETWORKS = ("--metrics", "psnr,mse,ssim,seam")
RUNS, ONE, OTHER = (
    "{place}/runs/folder-inside",
    "{place}/runs/folder-inside/telea",
    "{place}/runs/folder-inside/navier-stokes",
)
PART_OF_REPORT = """
import sys
from brushbench.reports.frame import frame
print(len(frame(sys.argv[1])))
"""
COMMANDS: Mapping[str, Sequence[str]] = {
    "status": ("status", RUNS),
    "show": ("show", RUNS, "000007"),
    "report": ("report", RUNS),
    "report, JSON": ("report", RUNS, "--format", "json"),
    "report, HTML": ("report", RUNS, "--format", "html"),
    "report, paper, LaTeX": ("report", RUNS, "--table", "paper", "--format", "latex"),
    "report, significant": ("report", RUNS, "--significant"),
    "report, by tag": ("report", RUNS, "--by", "subject"),
    "report, by mask size": ("report", RUNS, "--by", "mask-size"),
    "report, distributions": ("report", RUNS, "--figure", "{work}/figure.png"),
    "report, trade-off": ("report", RUNS, "--figure", "{work}/figure.png", "--kind", "trade-off"),
    "report, sheet": ("report", RUNS, "--sheet", "{work}/sheet.png"),
    "report, worst": ("report", RUNS, "--sheet", "{work}/sheet.png", "--worst", "4", "--metric", "psnr"),
    "compare": ("compare", ONE, OTHER, "--output", "{work}/comparison"),
    "compare, JSON": ("compare", ONE, OTHER, "--output", "{work}/comparison", "--format", "json"),
    "check --write": ("check", RUNS, "--write", "{place}/baseline.json"),
    "check --against": ("check", RUNS, "--against", "{place}/baseline.json"),
    "frame (Python)": ("-c", PART_OF_REPORT, RUNS),
    "score, complete": ("score", ONE, *NO_NETWORKS, "--root", "{place}/data"),
    "run, complete": ("run", "--method", "telea", *DATA, *NO_NETWORKS, "--output", "{place}/runs", "-q"),
    "sweep, complete": (
        *("sweep", "--method", "telea", "--vary", "radius=3,5", *DATA, *NO_NETWORKS, "--output", "{place}/runs", "-q"),
        *("--figure", "{work}/sweep.png"),
    ),
    "gallery": ("gallery", RUNS, "--output", "{place}/gallery", "-q"),
    "gallery, again": ("gallery", RUNS, "--output", "{place}/gallery", "-q"),
}
"""Each with its arguments; `{place}` is the folder of its runs, `{work}` one for what it writes."""
ALIKE = ("report, JSON", "report, HTML", "report, paper, LaTeX", "report, by*", "report, trade-off", "compare, JSON")
MOST_ALIKE = 10_000
"""These do nearly what another command does, so that they aren't measured with more samples."""


class Measured:
    """What is measured already, in a file: a call that is stopped, or measures something else, is carried on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: dict[str, dict[str, float]] = json.loads(file.read_text()) if file.exists() else {}

    def lacks(self, name: str, size: int) -> bool:
        """Tell whether a command is still to be measured."""
        alike = size > MOST_ALIKE and any(fnmatch(name, pattern) for pattern in ALIKE)
        return not alike and f"{name}/{size}" not in self._found

    def add(self, name: str, size: int, used: Used) -> None:
        """Store a measurement, and print it on stderr."""
        self._found[f"{name}/{size}"] = asdict(used)
        self._file.write_text(json.dumps(self._found, indent=1))
        print(f"{size:7} {name:24} {used.seconds:.1f} s, {used.memory:.0f} MiB", file=sys.stderr, flush=True)

    def by_size(self, name: str) -> dict[int, Used]:
        """Return what is known of a command, by the number of samples."""
        return {
            int(size): Used(**used)
            for key, used in self._found.items()
            for own, size in [key.split("/")]
            if own == name
        }


def main() -> int:
    """Print the table; return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000", help="numbers of samples, each ten times the last")
    parser.add_argument("--only", default="*", help="names of commands, with * for any text, separated by /")
    parser.add_argument("--keep", metavar="DIR", help="folder for runs and results, which are kept and used again")
    parser.add_argument("--write", action="store_true", help=f"store the table in {KEPT.relative_to(ROOT)}")
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    names = [name for name in COMMANDS if any(fnmatch(name, pattern) for pattern in given.only.split("/"))]
    place = Path(given.keep or tempfile.mkdtemp())
    place.mkdir(parents=True, exist_ok=True)
    try:
        found = Measured(place / "used.json")
        for size in (START, *sizes):
            for name in names:
                if found.lacks(name, size):
                    runs = made(place, size)
                    if name == "gallery":
                        shutil.rmtree(runs / name, ignore_errors=True)
                    found.add(name, size, used(COMMANDS[name], runs, place))
    finally:
        if not given.keep:
            shutil.rmtree(place)
    text, excess = described({name: found.by_size(name) for name in names}, sizes)
    print(text)
    if given.write:
        KEPT.write_text(f"{text}\n", encoding="utf-8")
    return int(bool(excess))


def made(place: Path, count: int) -> Path:
    """Write the data set and runs of so many samples, unless an earlier call has kept them."""
    folder, complete = place / f"{count}", place / f"{count}.complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        script = Path(__file__).with_name("growing_runs.py")
        subprocess.run([sys.executable, script, folder, str(count)], check=True, env=environment())
        complete.touch()
    return folder


def used(arguments: Sequence[str], runs: Path, place: Path) -> Used:
    """Run a command in a process of its own."""
    work = place / "work"
    work.mkdir(exist_ok=True)
    filled = [each.replace("{place}", str(runs)).replace("{work}", str(work)) for each in arguments]
    return usage_of(
        [sys.executable, *([] if filled[0] == "-c" else ["-m", "brushbench"]), *filled], environment(), work
    )


def environment() -> dict[str, str]:
    """Return that of the commands: one thread for arithmetic, as CPU time is counted, and nothing from a network."""
    return os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}


def exponent(found: Mapping[int, Used], small: int, large: int, what: str) -> float:
    """Return the slope between two sizes, logarithmic, without what the start needs; NaN if that is nearly all."""
    if not {START, small, large} <= found.keys():
        return math.nan
    low, high = (getattr(found[size], what) - getattr(found[START], what) for size in (small, large))
    if low < CLEAR[what] or high <= 0:
        return math.nan
    return math.log(high / low) / math.log(large / small)


def described(found: Mapping[str, Mapping[int, Used]], sizes: Sequence[int]) -> tuple[str, list[str]]:
    """Return the tables with everything that a reader must know, and what is over a limit."""
    excess = [
        f"{name}: exponent {slope:.2f} of {what} from {small} to {large}"
        for name, own in found.items()
        for what in CLEAR
        for small, large in pairs(sizes)
        if (slope := exponent(own, small, large, what)) > MOST_EXPONENT
    ]
    excess += [
        f"{name}: {most:.0f} MiB"
        for name, own in found.items()
        if name.startswith("compare")
        and (most := max((each.memory for each in own.values()), default=0.0)) > MOST_OF_COMPARE
    ]
    date = time.strftime("%Y-%m-%d", time.gmtime())
    machine = f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}"
    lines = [f"$ python benchmarks/growth.py   # {date}, {machine}, shared with other processes", ""]
    for title, what in (("CPU-seconds", "seconds"), ("peak memory, MiB", "memory")):
        lines += [title, "", *table(found, sizes, what), ""]
    limits = f"limits: exponent {MOST_EXPONENT}, {MOST_OF_COMPARE} MiB for compare"
    return "\n".join([*lines, f"{limits}; over them: {'; '.join(excess) or 'nothing'}"]), excess


def table(found: Mapping[str, Mapping[int, Used]], sizes: Sequence[int], what: str) -> list[str]:
    """Return the lines of a table: a command each, by the number of samples, then the exponents."""
    heads = ["command", f"{START}", *map(str, sizes), *(f"{small} to {large}" for small, large in pairs(sizes))]
    rows = [heads]
    for name, own in found.items():
        numbers = [cell(getattr(own.get(size), what, math.nan), what) for size in (START, *sizes)]
        slopes = [exponent(own, small, large, what) for small, large in pairs(sizes)]
        rows.append([name, *numbers, *(cell(slope, "slope") for slope in slopes)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|---" + "|---:" * (len(heads) - 1) + "|", *lines[1:]]


def cell(value: float, what: str) -> str:
    """Return a number for a table."""
    return "-" if math.isnan(value) else f"{value:.{ {'seconds': 1, 'memory': 0, 'slope': 2}[what] }f}"


def pairs(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Return the neighbours among the sizes."""
    return list(pairwise(sizes))


if __name__ == "__main__":
    sys.exit(main())
