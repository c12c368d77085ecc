"""Count the outcomes of reading mutated files: only the suite's own error, in one printable line, is allowed."""

import argparse
import random
import sys
import tempfile
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import torch

from brushbench.core.errors import UserError
from brushbench.core.notes import hearing

MEMORY = Path("/dev/shm")
SECONDS_BETWEEN_LINES = 60
LONGEST = 600
"""Most characters of a message, including a path."""


class Fuzz(ABC):
    """Intact files, one of which each case damages."""

    KINDS: ClassVar[dict[str, int]]
    """Kinds of cases with their weights; each kind is a method, whose name has an underscore in front."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.escaped: dict[str, tuple[int, str]] = {}

    @abstractmethod
    def mend(self) -> None:
        """Restore the files that a case has damaged."""

    def __call__(self, seed: int) -> None:
        """Run one case, and count its outcome."""
        draw = random.Random(seed)
        kind = draw.choices(list(self.KINDS), weights=list(self.KINDS.values()))[0]
        try:
            # A run stores libraries' warnings as notes: they are not errors.
            with hearing():
                getattr(self, f"_{kind}")(draw)
        except UserError as error:
            self._checked(seed, kind, str(error))
        # Every exception: finding them is the purpose.
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self._note(seed, f"{kind}: {type(error).__name__}: {str(error)[:80]}", traceback.format_exc())
        else:
            self.outcomes[f"{kind}: read"] += 1
        finally:
            self.mend()

    def _checked(self, seed: int, kind: str, message: str) -> None:
        if message.isprintable() and 0 < len(message) <= LONGEST:
            self.outcomes[f"{kind}: refused"] += 1
        else:
            self._note(seed, f"{kind}: a message that isn't one printable line", repr(message))

    def _note(self, seed: int, what: str, details: str) -> None:
        self.outcomes[f"ESCAPED {what}"] += 1
        if what not in self.escaped:
            self.escaped[what] = (seed, details)
            print(f"--seed {seed}: {what}", flush=True)


F = TypeVar("F", bound=Fuzz)


def run(make: Callable[[Path], F], count: int, seed: int, folder: Path) -> F:
    """Run this many cases, and print the progress now and then."""
    fuzz = make(folder)
    start = told = time.monotonic()
    for case in range(count):
        fuzz(seed + case)
        if time.monotonic() - told > SECONDS_BETWEEN_LINES:
            told = time.monotonic()
            print(f"{case + 1} cases, {(case + 1) / (told - start):.0f}/s, {len(fuzz.escaped)} escaped", flush=True)
    rate = count / max(time.monotonic() - start, 1e-9)
    print(f"{count} cases from seed {seed}, {rate:.0f} cases/s")
    for outcome, number in sorted(fuzz.outcomes.items()):
        print(f"{number:>9}  {outcome}")
    for what, (first, details) in fuzz.escaped.items():
        print(f"\n--seed {first}: {what}\n{details}")
    return fuzz


def main(make: Callable[[Path], Fuzz], description: str | None) -> None:
    """Run a fuzzing script's command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=MEMORY if MEMORY.is_dir() else None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        fuzz = run(make, asked.count, asked.seed, Path(folder))
    sys.exit(1 if fuzz.escaped else 0)
