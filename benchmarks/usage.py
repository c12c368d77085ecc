"""Run a command and print what it used, as JSON: python benchmarks/usage.py COMMAND...

A child's peak of memory begins at that of the process that started it: Linux counts the parent's memory until the
child has loaded its own program. Whoever has loaded arrays or PyTorch therefore can't measure its children, but this
process, which is small, can.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Used:
    """What a command needed."""

    seconds: float
    """CPU time of all threads, with that of the system."""
    memory: float
    """Peak of resident memory, MiB."""


def usage_of(
    command: Sequence[object], environment: Mapping[str, str] | None = None, place: Path | None = None
) -> Used:
    """Run a command in a process of its own, and return what it used. Ends this one if it fails."""
    words = [sys.executable, __file__, *map(str, command)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=environment, cwd=place)
    if done.returncode:
        raise SystemExit(done.stderr or done.returncode)
    return Used(**json.loads(done.stdout))


def main(command: Sequence[str]) -> int:
    """Run the command, and print what it used, or on stderr how it failed."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            text = said.read().decode(errors="replace")[-2000:]
            print(f"{' '.join(command)} ended with {process.returncode}:\n{text}", file=sys.stderr)
            return 1
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps(asdict(Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 2**20))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
