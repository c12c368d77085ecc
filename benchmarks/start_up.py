"""Measure the CPU-seconds that commands take to start: python benchmarks/start_up.py"""

import resource
import statistics
import subprocess
import sys

COMMANDS = (
    [],
    ["--help"],
    ["run", "--help"],
    ["report", "--help"],
    ["list", "methods"],
    ["list", "methods", "brushnet"],
    ["list", "metrics"],
    ["list", "datasets"],
    ["list", "weights"],
    ["list", "published"],
    ["doctor"],
)
REPEATS = 5


def seconds(command: list[str]) -> float:
    """Return the CPU-seconds of a process, including all threads and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def median(command: list[str]) -> float:
    """Return the median time of several starts."""
    return statistics.median(seconds(command) for _ in range(REPEATS))


def main() -> None:
    """Print the median of each command, and Python's own start for comparison."""
    print(f"{'python -c pass':22} {median([sys.executable, '-c', 'pass']):.2f}")
    for arguments in COMMANDS:
        told = median([sys.executable, "-m", "brushbench", *arguments])
        print(f"{' '.join(['brushbench', *arguments]):22} {told:.2f}")


if __name__ == "__main__":
    main()
