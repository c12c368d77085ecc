"""Measure the time and memory for reading a data set: a synthetic BrushBench of JPEGs of 512x512.

    python benchmarks/loading.py                 # 600 samples, all splits; memory also with a tenth of them
    python benchmarks/loading.py --profile brush # where the time goes

Times are CPU-seconds of one thread, so other work on the machine doesn't count. They include opening the data set, not
making it.
"""

import argparse
import cProfile
import json
import multiprocessing
import pstats
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from tabulate import tabulate

from brushbench.datasets.open import load_dataset
from brushbench.imaging.masks import encode_rle

SIDE, COUNT = 512, 600
SPLITS = ("inside", "outside", "brush")
DEMANDED = 100
"""Required samples per second on one core."""


def write(root: Path, count: int) -> None:
    """Write a data set in BrushBench's format, with pictures as detailed as photographs and hand-drawn-like masks."""
    (root / "images").mkdir(parents=True)
    mapping = {}
    for index in range(count):
        draw = np.random.default_rng(index)
        file = f"images/{index:09d}.jpg"
        Image.fromarray(_picture(draw)).save(root / file, quality=90)
        mask = _outlined(draw)
        mapping[f"{index:09d}"] = {
            "image": file,
            "caption": f"picture number {index}",
            "inpainting_mask": encode_rle(mask),
            "outpainting_mask": encode_rle(~mask),
        }
    (root / "mapping_file.json").write_text(json.dumps(mapping))


def _picture(draw: np.random.Generator) -> np.ndarray:
    """Draw noise at all scales, strongest at the coarsest, as in photographs."""
    total = np.full((SIDE, SIDE, 3), 128.0)
    for step in (4, 16, 64, 256, SIDE):
        noise = Image.fromarray(draw.integers(0, 256, (step, step, 3), dtype=np.uint8))
        total += (np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=float) - 128) * 2 / step**0.5
    return total.clip(0, 255).astype(np.uint8)


def _outlined(draw: np.random.Generator) -> torch.Tensor:
    """Draw a mask of round shapes with rough borders: two to six runs in most rows."""
    canvas = Image.new("1", (SIDE, SIDE))
    for _ in range(4):
        angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
        radii = draw.uniform(30, 110) * draw.uniform(0.8, 1.2, 90)
        x, y = draw.uniform(100, SIDE - 100, 2)
        points = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
        ImageDraw.Draw(canvas).polygon([tuple(map(float, point)) for point in points], fill=1)
    return torch.from_numpy(np.array(canvas))


def samples_per_second(root: Path, split: str) -> float:
    """Open a split and read it to the end."""
    start = time.process_time()
    count = read(root, split)
    return count / (time.process_time() - start)


def read(root: Path, split: str) -> int:
    """Read every sample, keep none, and return their number."""
    return sum(1 for _ in load_dataset("brushbench", root=root, split=split))


def _peak_of(root: Path, split: str, answers: "multiprocessing.Queue[tuple[float, float]]") -> None:
    torch.set_num_threads(1)
    # Load everything that reading needs only once.
    load_dataset("photos")[0]
    # Linux: reset the peak of memory.
    Path("/proc/self/clear_refs").write_text("5")
    before = _mebibytes("VmRSS")
    read(root, split)
    answers.put((before, _mebibytes("VmHWM")))


def _mebibytes(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def peak_mebibytes(root: Path, split: str) -> tuple[float, float]:
    """Return the peak memory of a separate process before and after it reads."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[tuple[float, float]] = context.Queue()
    process = context.Process(target=_peak_of, args=(root, split, answers))
    process.start()
    result = answers.get(timeout=600)
    process.join()
    return result


def show_profile(root: Path, split: str) -> None:
    """Print the functions that take the most time."""
    profile = cProfile.Profile()
    profile.runcall(read, root, split)
    pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(16)


def report(roots: Iterable[tuple[int, Path]]) -> None:
    """Print the table."""
    rows = []
    for count, root in roots:
        for split in SPLITS:
            speed = samples_per_second(root, split)
            before, peak = peak_mebibytes(root, split)
            rows.append([split, count, round(speed), round(before), round(peak), round(peak - before)])
    headers = ("split", "samples", "samples per CPU-second", "MiB before", "peak MiB", "MiB for reading")
    print(tabulate(rows, headers=headers))
    print(f"\nrequired: {DEMANDED} samples per second on one core, and memory that doesn't grow with the data set")


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--profile", choices=SPLITS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        roots = [(count, Path(folder) / str(count)) for count in (max(1, asked.count // 10), asked.count)]
        for count, root in roots:
            write(root, count)
        if asked.profile:
            show_profile(roots[-1][1], asked.profile)
        else:
            report(roots)


if __name__ == "__main__":
    main()
