"""Time reports of six methods on 1,200 samples (inside and outside of 600 images), from the command line.

    python benchmarks/report.py [--repeat 3]

The runs are synthetic, without images: a report reads run.json and scores.parquet. The table has wall seconds and CPU
seconds with all imports, the best of the repeats. A report must change no file of a run; the script names any changed
file.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from tabulate import tabulate

from brushbench.metrics.catalogue import CATALOGUE
from brushbench.runs.folder import Run
from brushbench.runs.record import DatasetIdentity, Identity, MethodIdentity
from brushbench.runs.scores import MASK_SHARE, Scores, status_column, tag_column, write_scores

METHODS = ("blended-latent", "sd-inpainting", "hd-painter", "powerpaint", "controlnet", "brushnet")
METRICS = ("psnr", "mse", "ssim", "lpips", "clip", "aesthetic", "image-reward", "hps", "seam")
IMAGES = 600
COMMANDS = (
    ("report", "--table", "paper", "--format", "latex"),
    ("report", "--table", "paper", "--significant"),
    ("report", "--table", "paper", "--with-published", "--format", "html"),
    ("report", "--table", "ablation", "--format", "markdown"),
    ("report", "--table", "summary", "--format", "json"),
    ("report", "--table", "paper", "--by", "subject"),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "runs"
        for method in METHODS:
            for split in ("inside", "outside"):
                write_run(root / f"brushbench-{split}" / method, method, split)
        before = states(root)
        rows = []
        for command in COMMANDS:
            wall, cpu = min(timed([command[0], str(root), *command[1:]]) for _ in range(repeat))
            rows.append([" ".join(command), f"{wall:.2f}", f"{cpu:.2f}"])
        pair = [str(root / "brushbench-inside" / method) for method in METHODS[-2:]]
        wall, cpu = min(timed(["compare", *pair, "--output", folder]) for _ in range(repeat))
        rows.append(["compare (two runs of 600)", f"{wall:.2f}", f"{cpu:.2f}"])
        print(tabulate(rows, ["command", "wall seconds", "CPU seconds"], tablefmt="pipe", disable_numparse=True))
        if states(root) != before:
            sys.exit("a report changed the runs")


def write_run(path: Path, method: str, split: str) -> None:
    """Draw plausible scores."""
    generator = np.random.default_rng(len(method))
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = Identity(
        dataset=DatasetIdentity(name="brushbench", split=split, digest="0" * 64),
        method=MethodIdentity(name=method, options={"steps": 50, "guidance": 7.5, "blend": "none"}, digests={}),
        seed=1234,
        dtype="float16",
        protocol="paper",
    )
    run = Run.start(path, identity, IMAGES, {})
    columns: dict[str, pd.Series] = {"sha256": pd.Series(["0" * 64] * IMAGES, dtype="string")}
    for metric in METRICS:
        columns[metric] = pd.Series(generator.lognormal(0, 0.5, IMAGES), dtype="Float64")
        columns[status_column(metric)] = pd.Series([""] * IMAGES, dtype="string")
    subjects = np.array(["human", "animal", "indoor", "outdoor"])
    columns[tag_column("subject")] = pd.Series(subjects[np.arange(IMAGES) % 4], dtype="string")
    columns[MASK_SHARE] = pd.Series(generator.uniform(0, 1, IMAGES), dtype="Float64")
    index = pd.Index([f"{number:09d}" for number in range(IMAGES)], name="id", dtype="string")
    write_scores(run, Scores(pd.DataFrame(columns).set_axis(index), {name: CATALOGUE[name] for name in METRICS}))


def timed(arguments: list[str]) -> tuple[float, float]:
    """Return the wall and CPU seconds of one command."""
    start, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "brushbench", *arguments], check=True, capture_output=True)
    wall, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def states(root: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file with its time and content."""
    return {str(file): (file.stat().st_mtime_ns, file.read_bytes()) for file in root.rglob("*") if file.is_file()}


if __name__ == "__main__":
    main()
