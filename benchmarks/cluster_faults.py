"""Break a Ray cluster while it generates: every run must end complete, with the bytes of a single process.

    python benchmarks/cluster_faults.py --count 30 [--faults kill,freeze,...] [--seed 0]

The cluster has four raylets on this machine: a head without cores, and three nodes with a core each. Every run draws
the moment of its fault between the first and the last line of the ledger. Two faults need the right to mount (root), as
a node gets an empty output folder or another file in its own view of the file system.

Prints a table of faults; the exit code is 1 if a run wasn't complete, lost or doubled a sample, or has other bytes.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import ray
from ray.cluster_utils import Cluster
from tabulate import tabulate

METHOD = """
import time
import torch

def generated(batch, seeds):
    time.sleep(0.15)
    # Every image depends on its place in the batch and on the batch's size, as in half precision.
    noise = [
        torch.randint(0, 256, image.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
        + 10 * place + len(batch)
        for place, (image, seed) in enumerate(zip(batch.images, seeds))
    ]
    return torch.where(batch.masks, torch.stack(noise), batch.images)
"""
SAMPLES = 40
LIMIT_SECONDS = 240.0
POLL = 0.02
REMEMBERED = Path("/tmp/ray/ray_current_cluster")


@dataclass
class Trial:
    """One run that is broken."""

    cluster: Cluster
    nodes: list[Any]
    """Nodes of the cluster, which a fault may remove or add to."""
    folder: Path
    method: Path
    draw: random.Random
    more: list[str] = field(default_factory=list)
    """More arguments of the command."""
    process: subprocess.Popen[str] | None = None

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / "runs" / "papercut-inside" / "generated"

    def start(self) -> None:
        """Start the command."""
        command = [sys.executable, "-m", "brushbench", "generate", *arguments(self.method, self.folder / "runs")]
        self.process = subprocess.Popen(
            [*command, "--engine", "ray", *self.more],
            env=os.environ | {"RAY_ADDRESS": self.cluster.address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_lines(self, count: int) -> None:
        """Wait until the ledger has that many lines, or the command ends."""
        ledger = self.run / "samples.jsonl"
        while self.process and self.process.poll() is None and lines_of(ledger) < count:
            time.sleep(POLL)

    def worker(self) -> int:
        """The process of a worker that takes part."""
        began = [json.loads(line) for line in (self.run / "workers.jsonl").read_text().splitlines()]
        return int(self.draw.choice([line["pid"] for line in began if "began" in line]))


def arguments(method: Path, output: Path) -> list[str]:
    """The arguments of every run."""
    place = ["--method", f"{method}:generated", "--dataset", "papercut", "--limit", str(SAMPLES)]
    return [*place, "--batch-size", "2", "--output", str(output)]


def lines_of(file: Path) -> int:
    """The number of lines of a file that may not exist."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def kill(trial: Trial) -> None:
    """SIGKILL of a worker."""
    with suppress(ProcessLookupError):
        os.kill(trial.worker(), signal.SIGKILL)


def freeze(trial: Trial) -> None:
    """SIGSTOP of a worker, for good."""
    with suppress(ProcessLookupError):
        os.kill(trial.worker(), signal.SIGSTOP)


def lose_node(trial: Trial) -> None:
    """A raylet is killed with its workers."""
    node = trial.nodes.pop(trial.draw.randrange(len(trial.nodes)))
    trial.cluster.remove_node(node, allow_graceful=False)


def add_node(trial: Trial) -> None:
    """A raylet joins."""
    trial.nodes.append(trial.cluster.add_node(num_cpus=1))


def kill_driver(trial: Trial) -> None:
    """SIGKILL of the process that hands out the work, which is then started again."""
    assert trial.process is not None
    trial.process.kill()
    trial.process.wait()
    trial.start()


def fill_store(trial: Trial) -> None:
    """Another program fills the object store for three seconds."""
    code = f"""
import time, numpy as np, ray
ray.init({trial.cluster.address!r}, log_to_driver=False, logging_level="ERROR")
held, end = [], time.monotonic() + 3
while time.monotonic() < end:
    try:
        held.append(ray.put(np.ones(4 << 20, np.uint8)))
    except ray.exceptions.RayError:
        time.sleep(0.1)
"""
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)


def isolated(trial: Trial, mount: str) -> None:
    """Start a node that sees the file system as `mount` makes it, while the cluster's other nodes stay."""
    start = f"ray start --address={trial.cluster.address} --num-cpus=1 --block"
    log = (trial.folder / "node.log").open("wb")
    node = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"{mount} && exec {start}"], stdout=log, stderr=log, start_new_session=True
    )
    trial.nodes.append(node)
    while ray.cluster_resources().get("CPU", 0) < len(trial.nodes):
        time.sleep(POLL)


def no_folder(trial: Trial) -> None:
    """A node that doesn't have the output folder; the workers don't need it."""
    (trial.folder / "runs").mkdir(exist_ok=True)
    isolated(trial, f"mount -t tmpfs tmpfs {trial.folder / 'runs'}")


def no_shared_folder(trial: Trial) -> None:
    """A node that doesn't have the output folder, which all share."""
    no_folder(trial)
    trial.more += ["--store", "shared"]


def other_weights(trial: Trial) -> None:
    """A node whose file of the method is another one."""
    other = trial.folder / "other.py"
    other.write_text(METHOD.replace("+ len(batch)", "+ 1"))
    isolated(trial, f"mount --bind {other} {trial.method}")


@dataclass(frozen=True)
class Fault:
    """What is done to a run, and when."""

    name: str
    act: Callable[[Trial], None]
    before: bool = False
    """Done before the run instead of while it is at work."""
    says: str = ""
    """What the command must say about it."""


FAULTS = (
    Fault("kill", kill),
    Fault("freeze", freeze),
    Fault("lose-node", lose_node),
    Fault("add-node", add_node),
    Fault("kill-driver", kill_driver),
    Fault("fill-store", fill_store),
    Fault("no-folder", no_folder, before=True),
    Fault("no-shared-folder", no_shared_folder, before=True, says="is not the run's folder there"),
    Fault("other-weights", other_weights, before=True, says="it differs from the other workers in the files of file"),
)


def digests(run: Path) -> dict[str, str]:
    """The digest of each image of a run; raises `AssertionError` if its ledger lacks or doubles a sample."""
    entries = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    names = [entry["id"] for entry in entries if entry["status"] == "done"]
    assert len(names) == len(set(names)) == SAMPLES, f"{len(names)} lines for {len(set(names))} samples"
    found = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in (run / "images").iterdir()}
    assert found == {entry["id"]: entry["sha256"] for entry in entries}, "the ledger has other digests"
    return found


def tried(trial: Trial, fault: Fault, expected: dict[str, str]) -> str:
    """Break a run; returns what is wrong with it in the end, or an empty text."""
    if fault.before:
        fault.act(trial)
    trial.start()
    assert trial.process is not None
    if not fault.before:
        trial.wait_for_lines(trial.draw.randrange(1, SAMPLES - 8))
        if trial.process.poll() is None:
            fault.act(trial)
    try:
        _, err = trial.process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        trial.process.kill()
        return "it didn't end"
    if trial.process.returncode:
        return err.strip().splitlines()[-1]
    if fault.says not in err:
        return f"it didn't say: {fault.says}"
    try:
        return "" if digests(trial.run) == expected else "other bytes"
    except AssertionError as error:
        return str(error)


def restored(trial: Trial) -> None:
    """Give the cluster three nodes again, all of which see the whole file system."""
    for node in [node for node in trial.nodes if isinstance(node, subprocess.Popen)]:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()
        trial.nodes.remove(node)
    while len(trial.nodes) > 3:
        trial.cluster.remove_node(trial.nodes.pop(), allow_graceful=False)
    while len(trial.nodes) < 3:
        trial.nodes.append(trial.cluster.add_node(num_cpus=1))
    # Nodes that were started by hand leave an address behind that later programs would connect to.
    if REMEMBERED.exists() and REMEMBERED.read_text() == trial.cluster.address:
        REMEMBERED.unlink()
    # A process that is stopped ends only now.
    subprocess.run(["pkill", "-CONT", "-f", "ray::ClusterWorker"], check=False)
    end = time.monotonic() + 60
    while ray.cluster_resources().get("CPU", 0) != 3 and time.monotonic() < end:
        time.sleep(POLL)


def broken(faults: Sequence[Fault], count: int, seed: int, folder: Path) -> list[list[object]]:
    """The rows of the table."""
    method = folder / "noise.py"
    method.write_text(METHOD)
    subprocess.run(
        [sys.executable, "-m", "brushbench", "generate", *arguments(method, folder / "whole")],
        check=True,
        capture_output=True,
    )
    expected = digests(folder / "whole" / "papercut-inside" / "generated")
    system = {
        "automatic_object_spilling_enabled": False,
        "max_direct_call_object_size": 0,
        "health_check_period_ms": 500,
        "health_check_failure_threshold": 10,
    }
    head = {"num_cpus": 0, "_system_config": system, "object_store_memory": 80 << 20}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(3)]
    rows = []
    for fault in faults:
        wrong = []
        begun = time.monotonic()
        for number in range(count):
            place = folder / f"{fault.name}-{number}"
            place.mkdir()
            trial = Trial(cluster, nodes, place, method, random.Random(f"{seed} {fault.name} {number}"))
            found = tried(trial, fault, expected)
            restored(trial)
            if found:
                wrong.append(found)
                print(f"{fault.name} {number}: {found}", file=sys.stderr, flush=True)
            shutil.rmtree(place)
        seconds = (time.monotonic() - begun) / count
        rows.append([fault.act.__doc__, count, count - len(wrong), f"{seconds:.1f}"])
        print(f"{fault.name}: {count - len(wrong)} of {count}", file=sys.stderr, flush=True)
    ray.shutdown()
    cluster.shutdown()
    return rows


def main() -> int:
    """Break runs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=30, metavar="N", help="runs of each fault")
    parser.add_argument("--faults", default=",".join(fault.name for fault in FAULTS), metavar="A[,B...]")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    asked = parser.parse_args()
    faults = [fault for fault in FAULTS if fault.name in asked.faults.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        rows = broken(faults, asked.count, asked.seed, Path(folder))
    print(tabulate(rows, ["fault", "runs", "complete, equal bytes", "seconds each"], tablefmt="github"))
    return int(any(row[1] != row[2] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
