"""Seconds of the main job, a run of BrushNet on PaperCut on the CPU, in this checkout and in another one.

    python benchmarks/main_job.py ROOT [--limit 16] [--rounds 5]

Both take turns, in processes of their own, and begin anew each time. Prints CPU-seconds and wall seconds of each round
and, of the fastest rounds, this checkout's by the other's: 1 is as fast, less is faster. Nothing is written into the
other checkout.
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
    """What one process took, in seconds."""

    cpu: float
    """All of its threads, and the system's part."""
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
    """The fewest seconds of each kind."""
    return Cost(min(cost.cpu for cost in costs), min(cost.wall for cost in costs))


def main() -> None:
    """Take turns, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="The other checkout.")
    parser.add_argument("--limit", type=int, default=16, help="Images.")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    roots = {"this": HERE, "other": asked.root.resolve()}
    costs: dict[str, list[Cost]] = {name: [] for name in roots}
    with tempfile.TemporaryDirectory() as scratch:
        for root in roots.values():
            # Compiles what is imported, and brings files into memory.
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
