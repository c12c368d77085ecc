"""Simulate a cluster of which one worker is ten times slower than the rest: what does it cost?

    python benchmarks/stragglers.py [--seconds FILE]

The schedule is that of `--engine ray`; workers and clock are simulated. Times per batch are drawn from measured ones:
those in benchmarks/results/batch_seconds.txt, which `python benchmarks/stragglers.py --measure FILE` writes, from
BrushNet on PaperCut. Each message takes 5 ms. The ideal time is that of a work that can be divided at will, shared by
the workers' speeds. Prints a table; the exit code is 1 if a straggler costs more than 1.3 times the ideal.
"""

import argparse
import heapq
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tabulate import tabulate

from brushbench.evaluation.cluster.schedule import Schedule

MEASURED = Path(__file__).with_name("results") / "batch_seconds.txt"
MESSAGE_SECONDS = 0.005
POLL_SECONDS = 0.5
"""The longest time without a look at who is late."""
SLOW = 10.0
"""How many times longer the straggler takes."""
WORKERS = (8, 64, 512)
PER_WORKER = 20
"""Batches for each worker."""
MOST = 1.3
"""The most that a straggler may cost, as a multiple of the ideal time."""


def finish_time(seconds: Sequence[float], factors: Sequence[float]) -> float:
    """Seconds until all batches are done: `seconds` for each at full speed, `factors` of time for each worker."""
    schedule = Schedule(range(len(seconds)))
    idle, now, looked = [f"w{number}" for number in range(len(factors))], 0.0, 0.0
    slowness = dict(zip(idle, factors, strict=True))
    answers: list[tuple[float, str]] = []
    while schedule.remaining:
        if now - looked >= POLL_SECONDS:
            schedule.overdue(looked := now)
        waiting = []
        for worker in idle:
            batches = schedule.hand_out(worker, len(factors), now)
            if batches:
                taken = sum(seconds[batch] for batch in batches) * slowness[worker] + MESSAGE_SECONDS
                heapq.heappush(answers, (now + taken, worker))
            else:
                waiting.append(worker)
        idle = waiting
        if answers[0][0] > now + POLL_SECONDS:
            now += POLL_SECONDS
            continue
        now, worker = heapq.heappop(answers)
        schedule.finished(worker, now)
        idle.append(worker)
    return now


def ideal_time(seconds: Sequence[float], factors: Sequence[float]) -> float:
    """Seconds for work that can be divided at will."""
    return sum(seconds) / sum(1 / factor for factor in factors)


def costs(measured: Sequence[float], workers: int, seed: int = 0) -> tuple[float, float]:
    """The ideal time with a straggler among the workers, and the time that the schedule takes."""
    draw = random.Random(seed)
    seconds = [draw.choice(measured) for _ in range(PER_WORKER * workers)]
    factors = [SLOW, *[1.0] * (workers - 1)]
    return ideal_time(seconds, factors), finish_time(seconds, factors)


def measured_seconds(count: int) -> Iterator[float]:
    """Generate batches with BrushNet on PaperCut, and yield the time of each."""
    from brushbench.core.types import Batch
    from brushbench.datasets.open import load_dataset
    from brushbench.evaluation.methods import load_method

    dataset = load_dataset("papercut", split="inside")
    method = load_method("brushnet", weights="papercut", device="cpu")
    for start in range(0, 4 * count, 4):
        batch = Batch.of([dataset[index % len(dataset)] for index in range(start, start + 4)])
        begun = time.perf_counter()
        method(batch, [1, 2, 3, 4])
        yield time.perf_counter() - begun


def main() -> int:
    """Print the table, or measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", type=Path, metavar="FILE", help="write measured times per batch, and end")
    parser.add_argument("--seconds", type=Path, default=MEASURED, metavar="FILE", help="times per batch, one per line")
    asked = parser.parse_args()
    if asked.measure:
        asked.measure.write_text("".join(f"{seconds:.4f}\n" for seconds in measured_seconds(40)))
        return 0
    measured = [float(line) for line in asked.seconds.read_text().split()]
    rows = [(workers, *costs(measured, workers)) for workers in WORKERS]
    table = [(workers, ideal, taken, taken / ideal) for workers, ideal, taken in rows]
    heads = ["workers", "ideal, s", "taken, s", "ratio"]
    print(tabulate(table, heads, tablefmt="github", floatfmt=(".0f", ".2f", ".2f", ".3f")))
    return int(any(ratio > MOST for *_, ratio in table))


if __name__ == "__main__":
    sys.exit(main())
