"""Start two processes at once in one output folder, with different and with the same settings.

    python benchmarks/two_at_once.py [--count 10]

With different settings, one process must end with exit code 2, and all images and all lines of the ledger must be from
the second process. With the same settings, both must end with exit code 0, and every image must exist once. Prints the
outcome of each pair; the exit code is 1 if any other outcome occurred.
"""

import argparse
import importlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kills import DATA, MODULES, done, images_and_scores, started

from brushbench.runs.folder import Run

ASKED = ("generate", "--method", "telea", *DATA, "--limit", "40", "--batch-size", "1")
RADII = ("3", "9")
PLACE = "papercut-inside/telea"


def exit_codes(folder: Path, radii: Sequence[str]) -> list[int]:
    """Start two processes with these settings, one right after the other, and return their exit codes."""
    children = [started([*ASKED, "-o", f"radius={radius}", "--output", str(folder)]) for radius in radii]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def mixed(folder: Path, wholes: dict[str, dict[str, bytes]]) -> list[str]:
    """List the files that differ from a run with run.json's settings by a single process."""
    run = Run.open(folder / PLACE)
    radius = run.record.identity.method.options["radius"]
    expected, found = wholes[f"{radius:g}"], images_and_scores(folder)
    return [name for name in expected.keys() | found.keys() if found.get(name) != expected.get(name)]


def main() -> int:
    """Start pairs of processes, check and print their outcomes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10)
    count = parser.parse_args().count
    for module in MODULES:
        importlib.import_module(module)
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        wholes = {}
        for radius in RADII:
            done([*ASKED, "-o", f"radius={radius}", "--output", f"{place}/whole{radius}"])
            wholes[radius] = images_and_scores(Path(place) / f"whole{radius}")
        for radii, valid in ((RADII, [0, 2]), (RADII[:1] * 2, [0, 0])):
            for number in range(count):
                folder = Path(place) / f"{'-'.join(radii)}-{number}"
                codes, others = exit_codes(folder, radii), mixed(folder, wholes)
                print(f"radius {' and '.join(radii)}: exit codes {codes}, {len(others)} files of another run")
                wrong += sorted(codes) != valid or bool(others)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
