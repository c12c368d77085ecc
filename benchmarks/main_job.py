"""Time the main job, a run of BrushNet on PaperCut on the CPU, in this checkout and in another one.

    python benchmarks/main_job.py ROOT [--limit 16] [--rounds 5]

The checkouts take turns, in separate processes that start from nothing each time. Prints CPU-seconds and wall seconds
of each round, and the ratio of the fastest rounds, this checkout to the other: 1 is as fast, less is faster. Nothing is
written into the other checkout.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[1]
COMMAND = ("run", "--method", "brushnet", "--dataset", "papercut", "--device", "cpu")


@dataclass(frozen=True, slots=True)
class Cost:
    """The time of one process, in seconds."""

    cpu: float
    """All threads, including system time."""
    wall: float


def cost_of(root: Path, limit: int, scratch: Path) -> Cost:
    """Measure the main job in a checkout. Raises `CalledProcessError` if it fails."""
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}
    with tempfile.TemporaryDirectory(dir=scratch) as place:
        command = [sys.executable, "-m", "brushbench", *COMMAND, "--limit", str(limit), "--output", f"{place}/runs"]
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=place)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, wall)


def best(costs: list[Cost]) -> Cost:
    """Return the fewest seconds of each kind."""
    return Cost(min(cost.cpu for cost in costs), min(cost.wall for cost in costs))


def main() -> None:
    """Time both checkouts in turn, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="The other checkout.")
    parser.add_argument("--limit", type=int, default=16, help="Number of images.")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    roots = {"this": HERE, "other": asked.root.resolve()}
    costs: dict[str, list[Cost]] = {name: [] for name in roots}
    with tempfile.TemporaryDirectory() as scratch:
        for root in roots.values():
            # A first run compiles the imports and reads the files into memory.
            cost_of(root, 1, Path(scratch))
        for number in range(asked.rounds):
            for name in (*roots,) if number % 2 == 0 else reversed((*roots,)):
                costs[name].append(cost_of(roots[name], asked.limit, Path(scratch)))
                last = costs[name][-1]
                print(f"round {number + 1}, {name:5}: {last.cpu:.2f} s of CPU, {last.wall:.2f} s", flush=True)
    ours, theirs = best(costs["this"]), best(costs["other"])
    print(f"this / other: CPU {ours.cpu / theirs.cpu:.3f}, wall {ours.wall / theirs.wall:.3f}")


if __name__ == "__main__":
    main()
