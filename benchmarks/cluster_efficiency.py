"""How well does a Ray cluster use its workers, and what does handing out cost?

    python benchmarks/cluster_efficiency.py [--sections straggler,equal,overhead] [--samples 100000]

The methods sleep, so that workers share no cores; ratios are of one run of this script, and count the time from the
first hand-out to the last result. Start-up is printed apart.

straggler   Ray, four workers, of which one takes ten times as long for each image: at most 1.3 times the ideal time
equal       Ray, one and two equal workers: two take half of the time, within 10 %
overhead    tiny samples through the driver with workers that answer at once: at most 2 ms of the driver for each, where
            workers store their images themselves, where the driver does, and for scoring

The exit code is 1 if a limit is missed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tabulate import tabulate

from brushbench.core.progress import silent
from brushbench.evaluation.cluster.driver import Driver
from brushbench.evaluation.cluster.generating import GenerationErrand
from brushbench.evaluation.cluster.generation_work import GenerationOrder
from brushbench.evaluation.cluster.messages import (
    Assignment,
    EncodedResult,
    FolderSeen,
    Generated,
    Loaded,
    Location,
    ScoredPieces,
)
from brushbench.evaluation.cluster.pool import Answer, Event, RayWorkerPool, WorkerPool
from brushbench.evaluation.cluster.scoring import errand_for
from brushbench.evaluation.cluster.scoring_work import ScoringOrder
from brushbench.evaluation.cluster.work import Order
from brushbench.evaluation.cluster.worker import Errand
from brushbench.evaluation.parts import Described, Score
from brushbench.evaluation.ray import conditions_for, connect
from brushbench.evaluation.resolve import resolve, task_of
from brushbench.evaluation.select_metrics import Setting, select
from brushbench.imaging.images import encode_image
from brushbench.runs.config import RunConfig
from brushbench.runs.data import opened_of
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry

SLOW, MOST_STRAGGLER, MOST_HALF, MOST_MS = 10, 1.3, 0.55, 2.0
"""How many times longer the straggler takes, and the limits."""
DATA = """
import hashlib
import torch
from brushbench import Sample

class Tiny:
    def __init__(self, split):
        self.split = split
        self.ids = [f"{number:07d}" for number in range(COUNT)]

    @classmethod
    def open(cls, root, split):
        return cls(split)

    def digest(self):
        return hashlib.sha256(b"COUNT").hexdigest()

    def tags(self):
        return {}

    def __getitem__(self, index):
        mask = torch.zeros(1, 8, 8, dtype=torch.bool)
        mask[:, 2:6, 2:6] = True
        return Sample(self.ids[index], torch.full((3, 8, 8), index % 256, dtype=torch.uint8), mask, "a square")
"""
METHOD = """
import os
import time

factor = None

def generated(batch, seeds):
    global factor
    if factor is None:
        try:
            os.close(os.open(FLAG, os.O_CREAT | os.O_EXCL))
            factor = SLOW
        except FileExistsError:
            factor = 1
    time.sleep(SECONDS * factor * len(batch))
    return batch.images
"""


@dataclass
class Timed:
    """A pool that takes note of the first hand-out, the last result, and the time that is spent in it."""

    pool: WorkerPool
    first: float | None = None
    last: float = 0.0
    inside: float = 0.0

    @property
    def needs(self) -> str:
        """See `WorkerPool`."""
        return self.pool.needs

    def capacity(self) -> int:
        """See `WorkerPool`."""
        return self.pool.capacity()

    def start(self, name: str) -> None:
        """See `WorkerPool`."""
        self.pool.start(name)

    def load(self, name: str) -> None:
        """See `WorkerPool`."""
        self.pool.load(name)

    def share(self, name: str, folder: str, token: str) -> None:
        """See `WorkerPool`."""
        self.pool.share(name, folder, token)

    def do(self, name: str, assignment: Assignment) -> None:
        """See `WorkerPool`."""
        begun = time.perf_counter()
        self.first = self.first or begun
        self.pool.do(name, assignment)
        self.inside += time.perf_counter() - begun

    def rest(self, name: str) -> None:
        """See `WorkerPool`."""
        self.pool.rest(name)

    def kill(self, name: str) -> None:
        """See `WorkerPool`."""
        self.pool.kill(name)

    def close(self) -> None:
        """See `WorkerPool`."""
        self.pool.close()

    def ask(self, names: Sequence[str], now: int | float) -> Mapping[str, int | float]:
        """See `WorkerPool`."""
        return self.pool.ask(names, now)

    def events(self, timeout: int | float) -> list[Event]:
        """See `WorkerPool`."""
        begun = time.perf_counter()
        found = self.pool.events(timeout)
        now = time.perf_counter()
        self.inside += now - begun
        if any(event.step == "do" for event in found):
            self.last = now
        return found


@dataclass
class Prompt:
    """Workers that answer at once, with results that cost nothing."""

    loaded: Loaded
    answer: Callable[[Assignment], Answer]
    room: int = 4
    waiting: list[Event] = field(default_factory=list)
    needs = "nothing"

    def capacity(self) -> int:
        """See `WorkerPool`."""
        return self.room

    def start(self, name: str) -> None:
        """See `WorkerPool`."""
        self.waiting.append(Event(name, "here", Location("here", 1)))

    def load(self, name: str) -> None:
        """See `WorkerPool`."""
        self.waiting.append(Event(name, "load", self.loaded))

    def share(self, name: str, _folder: str, _token: str) -> None:
        """See `WorkerPool`."""
        self.waiting.append(Event(name, "share", FolderSeen(True)))

    def do(self, name: str, assignment: Assignment) -> None:
        """See `WorkerPool`."""
        self.waiting.append(Event(name, "do", self.answer(assignment)))

    def rest(self, _name: str) -> None:
        """See `WorkerPool`."""

    def kill(self, _name: str) -> None:
        """See `WorkerPool`."""

    def close(self) -> None:
        """See `WorkerPool`."""

    def ask(self, _names: Sequence[str], _now: int | float) -> Mapping[str, int | float]:
        """See `WorkerPool`."""
        return {}

    def events(self, _timeout: int | float) -> list[Event]:
        """See `WorkerPool`."""
        ready, self.waiting = self.waiting, []
        return ready


@contextmanager
def cluster(cores: int) -> Iterator[None]:
    """A Ray cluster on this machine, which sleeping workers needn't have as many cores for."""
    import ray

    ray.init(num_cpus=cores, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    try:
        connect()
        yield
    finally:
        ray.shutdown()


def configured(folder: Path, count: int, seconds: float, *, straggler: bool) -> RunConfig:
    """A run of `count` tiny samples, each of which takes so many seconds, or ten times as many on one worker."""
    folder.mkdir()
    (folder / "tiny.py").write_text(DATA.replace("COUNT", str(count)))
    method = METHOD.replace("SECONDS", str(seconds)).replace("SLOW", str(SLOW if straggler else 1))
    (folder / "sleeping.py").write_text(method.replace("FLAG", repr(str(folder / "flag"))))
    method, data = f"{folder}/sleeping.py:generated", f"{folder}/tiny.py:Tiny"
    return RunConfig(method, data, output=folder / "runs", batch_size=1)


def on_ray(config: RunConfig, workers: int) -> tuple[float, float]:
    """The seconds from the first hand-out to the last result, and those before."""
    begun = time.perf_counter()
    pool = Timed(RayWorkerPool(conditions_for(GenerationErrand(config)), workers))
    run = Driver(GenerationOrder(task_of(config, scored=False)), pool, silent)()
    assert len(run.statuses()) == run.record.asked
    assert pool.first is not None
    return pool.last - pool.first, pool.first - begun


def straggler(folder: Path) -> tuple[list[list[object]], bool]:
    """One of four workers takes ten times as long."""
    count, seconds = 360, 0.2
    with cluster(4):
        taken, start = on_ray(configured(folder / "straggler", count, seconds, straggler=True), 4)
    ideal = count * seconds / (3 + 1 / SLOW)
    row = ["straggler, 4 workers", f"{taken:.2f} s", f"ideal {ideal:.2f} s", f"{taken / ideal:.3f}", MOST_STRAGGLER]
    return [[*row, f"{start:.1f} s"]], taken <= MOST_STRAGGLER * ideal


def equal(folder: Path) -> tuple[list[list[object]], bool]:
    """One worker, and two."""
    count, seconds = 200, 0.1
    with cluster(2):
        times = {n: on_ray(configured(folder / f"equal{n}", count, seconds, straggler=False), n) for n in (1, 2)}
    rows = [
        ["1 worker", f"{times[1][0]:.2f} s", f"ideal {count * seconds:.2f} s", "", "", f"{times[1][1]:.1f} s"],
        [
            "2 workers",
            f"{times[2][0]:.2f} s",
            "",
            f"{times[2][0] / times[1][0]:.3f}",
            MOST_HALF,
            f"{times[2][1]:.1f} s",
        ],
    ]
    return rows, times[2][0] <= MOST_HALF * times[1][0]


def driven(order: Order, pool: Timed, count: int) -> float:
    """The driver's milliseconds for each sample, without those of its workers."""
    begun = time.perf_counter()
    Driver(order, pool, silent)()
    return 1000 * (time.perf_counter() - begun - pool.inside) / count


def overhead(folder: Path, count: int) -> tuple[list[list[object]], bool]:
    """Samples through the driver."""
    config = configured(folder / "overhead", count, 0.0, straggler=False)
    job = resolve(config, scored=False)
    loaded = Loaded(job.identity, 1, job.provenance(), job.method.role, ())
    ids = job.task.dataset.ids
    content = encode_image(job.task.dataset[0].image, "png")

    def generated(assignment: Assignment, *, stored: bool) -> Generated:
        entry = {"status": "done", "sha256": "0" * 64 if stored else None}
        return Generated(
            {
                number: [
                    EncodedResult(
                        LedgerEntry(id=ids[index], image=f"{ids[index]}.png", **entry), None if stored else content
                    )
                    for index in places.values()
                ]
                for number, places in assignment.batches.items()
            },
            (),
        )

    found = {}
    for name, stored in (("workers store images", True), ("the driver stores images", False)):
        own = RunConfig(
            config.method,
            config.dataset,
            output=folder / name.replace(" ", "-"),
            batch_size=1,
            engine="ray",
            store="shared" if stored else "driver",
        )
        pool = Timed(Prompt(loaded, lambda assignment, stored=stored: generated(assignment, stored=stored)))
        found[name] = driven(GenerationOrder(task_of(own, scored=False)), pool, count)
    found["scoring, 2 metrics"] = scoring(Run.open(folder / "the-driver-stores-images/Tiny-inside/generated"), count)
    rows = [
        [f"{name}, {count} samples", f"{ms:.3f} ms for each", "", "", f"{MOST_MS} ms", ""] for name, ms in found.items()
    ]
    return rows, all(ms <= MOST_MS for ms in found.values())


def scoring(run: Run, count: int) -> float:
    """The driver's milliseconds for each sample while a run is scored."""
    opened = opened_of(run)
    setting = Setting("strict", opened.info, opened.data.split)
    selection = select(["psnr", "ssim"], setting)
    errand: Errand = errand_for(opened, selection, setting)
    loaded, _ = errand.load()

    def scored(assignment: Assignment) -> ScoredPieces:
        one = {name: Score(1.0) for name in selection.names}
        found = Described()
        for part in assignment.parts.values():
            for entry in filter(None, part.entries.values()):
                found.sizes[entry.id], found.mask_shares[entry.id] = "8x8", 0.25
        scores = {number: dict.fromkeys(part.entries, one) for number, part in assignment.parts.items()}
        return ScoredPieces(scores, dict.fromkeys(assignment.parts, 0), found, ())

    return driven(ScoringOrder(run, opened.data, selection), Timed(Prompt(loaded, scored)), count)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sections", default="straggler,equal,overhead", metavar="A[,B...]")
    parser.add_argument("--samples", type=int, default=100_000, metavar="N", help="samples of the section `overhead`")
    asked = parser.parse_args()
    sections = {"straggler": straggler, "equal": equal, "overhead": lambda folder: overhead(folder, asked.samples)}
    rows: list[list[object]] = []
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.sections.split(","):
            found, kept = sections[name](Path(folder))
            rows += found
            missed |= not kept
    heads = ["", "time", "ideal", "ratio", "limit", "start-up"]
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
