"""CPU-seconds that commands take before they do anything: python benchmarks/start_up.py"""

import resource
import statistics
import subprocess
import sys

COMMANDS = (
    [],
    ["--help"],
    ["run", "--help"],
    ["list", "methods"],
    ["list", "metrics"],
    ["list", "datasets"],
    ["list", "weights"],
    ["list", "published"],
    ["doctor"],
)
REPEATS = 5


def seconds(command: list[str]) -> float:
    """CPU-seconds of a process, all of its threads and the system's part included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print the median of each command, and Python's own start for comparison."""
    print(
        f"{'python -c pass':22} {statistics.median(seconds([sys.executable, '-c', 'pass']) for _ in range(REPEATS)):.2f}"
    )
    for arguments in COMMANDS:
        median = statistics.median(seconds([sys.executable, "-m", "brushbench", *arguments]) for _ in range(REPEATS))
        print(f"{' '.join(['brushbench', *arguments]):22} {median:.2f}")


if __name__ == "__main__":
    main()
