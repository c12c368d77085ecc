"""How large, how fast and how smooth is a gallery of many samples?

    python benchmarks/gallery.py                         # 10,000 samples of 128x128, four methods; 20 minutes
    python benchmarks/gallery.py --samples 300 --side 512

Makes a data set and runs of synthetic pictures, builds their gallery in a process of its own, and again, and opens it
in Chromium from `file://`. Prints CPU time per picture and peak memory of both builds, the first paint, and the longest
task while the grid is scrolled from end to end. To see whether memory grows, a tenth of the samples is built first.
"""

import argparse
import csv
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from usage import usage_of

from brushbench.core.registry import metric_info
from brushbench.datasets.open import open_dataset
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.record import DatasetIdentity, Identity, MethodIdentity
from brushbench.runs.scores import MASK_SHARE, Scores, status_column, write_scores

METHODS = ("alpha", "beta", "gamma", "delta")
METRICS = {"psnr": 25.0, "mse": 0.01, "lpips": 0.05, "clip": 26.0}
"""Each with a typical score."""
WORDS = ("red", "blue", "green", "small", "large", "tree", "house", "boat", "moon", "cat", "dog", "sea", "night")
PAINT, LONGEST_TASK, CPU = 2000.0, 200.0, 40.0
"""What must hold: milliseconds until the first paint, of a task while scrolling, and of CPU time per picture."""
GROWTH, SCORE = 1.05, 8
"""Most that peak memory may grow by for ten times the samples, beside the scores of so many bytes each."""
SECONDS = 20


def main() -> int:
    """Make, build and look; return 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--keep", metavar="DIR", help="folder for everything that is made, kept")
    given = parser.parse_args()
    place = Path(given.keep or tempfile.mkdtemp())
    place.mkdir(parents=True, exist_ok=True)
    try:
        return measured(place, given.samples, given.side)
    finally:
        if not given.keep:
            shutil.rmtree(place)


def measured(place: Path, samples: int, side: int) -> int:
    """Print all numbers of galleries of a tenth, and of all samples."""
    print(f"{samples} samples of {side}x{side}, {len(METHODS)} methods, {len(METRICS)} metrics")
    peaks: list[int] = []
    for count in (samples // 10, samples):
        runs = make_runs(place / f"{count}", count, side)
        gallery = place / f"{count}" / "gallery"
        pictures = count * (1 + len(METHODS))
        first, memory = built(runs, gallery)
        print(f"{count} samples: {first / pictures * 1000:.1f} ms of CPU per picture, {memory} MiB at the peak")
        peaks.append(memory)
        again, memory = built(runs, gallery)
        print(f"  built again: {again / pictures * 1000:.1f} ms of CPU per picture, {memory} MiB at the peak")
        size = sum(file.stat().st_size for file in gallery.rglob("*") if file.is_file())
        print(f"  {size / 2**20:.0f} MiB in all, {size / pictures / 1024:.1f} KiB per picture")
    scores = samples * len(METHODS) * len(METRICS) * SCORE / 2**20
    print(
        f"peak memory: {100 * (peaks[1] / peaks[0] - 1):+.1f} % for 10 times the samples ({scores:.1f} MiB of scores)"
    )
    flat = peaks[1] <= peaks[0] * GROWTH + scores
    paint, thumbnails, longest, frames = looked_at(gallery / "index.html")
    print(f"first paint after {paint:.0f} ms, thumbnails after {thumbnails:.0f} ms")
    print(f"scrolled through {frames} screens: longest task {longest:.0f} ms")
    return int(paint > PAINT or longest > LONGEST_TASK or first / pictures * 1000 > CPU or not flat)


def make_runs(place: Path, count: int, side: int) -> Path:
    """Write a data set and a run of every method, as `brushbench run` would leave them."""
    data, runs = place / "data", place / "runs"
    if runs.exists():
        return runs
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    draw = np.random.default_rng(0)
    with (data / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "caption"])
        for index in range(count):
            writer.writerow([f"{index:06d}", " ".join(draw.choice(WORDS, 8))])
    for index in range(count):
        picture(index, side).save(data / "images" / f"{index:06d}.png", compress_level=1)
        mask(index, side).save(data / "masks" / f"{index:06d}.png", compress_level=1)
    opened = open_dataset("folder", data, "inside", {})
    identity = DatasetIdentity(name="folder", split="inside", digest=opened.data.digest(), options=dict(opened.options))
    for number, method in enumerate(METHODS):
        make_run(runs / method, identity, data, count, side, number)
    return runs


def make_run(path: Path, data: DatasetIdentity, root: Path, count: int, side: int, number: int) -> None:
    """Write the images, the ledger and the scores of one method."""
    method = MethodIdentity(name=METHODS[number], options={}, digests={})
    identity = Identity(dataset=data, method=method, seed=1, dtype="", protocol="strict")
    run = Run.start(path, identity, count, {"root": str(root)})
    names = [f"{index:06d}" for index in range(count)]
    with run.ledger_path().open("w") as ledger:
        for index, name in enumerate(names):
            file = path / "images" / f"{name}.png"
            picture(index, side, number + 1).save(file, compress_level=1)
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            entry = LedgerEntry(id=name, status="done", image=file.name, sha256=digest)
            ledger.write(f"{entry.model_dump_json(exclude_none=True)}\n")
            digests = [digest]
    draw = np.random.default_rng(number)
    columns: dict[str, pd.Series] = {"sha256": pd.Series(digests * count, dtype="string")}
    for metric, typical in METRICS.items():
        columns[metric] = pd.Series(draw.normal(typical, typical / 10, count), dtype="Float64")
        columns[status_column(metric)] = pd.Series([""] * count, dtype="string")
    columns[MASK_SHARE] = pd.Series(draw.uniform(0.05, 0.6, count), dtype="Float64")
    table = pd.DataFrame(columns).set_axis(pd.Index(names, name="id", dtype="string"))
    infos = {name: info for name in METRICS if (info := metric_info(name))}
    write_scores(run, Scores(table, infos))


def picture(index: int, side: int, variant: int = 0) -> Image.Image:
    """A smooth picture with some noise, another one for every index and variant."""
    draw = np.random.default_rng([index, variant])
    coarse = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=np.int16)
    noise = draw.integers(-4, 5, (side, side, 3), dtype=np.int16)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


def mask(index: int, side: int) -> Image.Image:
    """A disc, another one for every index."""
    draw = np.random.default_rng([index, 99])
    y, x, radius = draw.uniform(0.3, 0.7), draw.uniform(0.3, 0.7), draw.uniform(0.1, 0.4)
    rows, columns = np.mgrid[:side, :side] / side
    return Image.fromarray((((rows - y) ** 2 + (columns - x) ** 2 < radius**2) * 255).astype(np.uint8))


def built(runs: Path, gallery: Path) -> tuple[float, int]:
    """Build a gallery in a process of its own; return its CPU seconds and its peak of memory in MiB."""
    used = usage_of([sys.executable, "-m", "brushbench", "gallery", runs, "-o", gallery])
    return used.seconds, round(used.memory)


OBSERVE = """
window.tasks = [];
new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ entryTypes: ["longtask"] });
"""
THUMBNAILS = "[...document.querySelectorAll('#rows img')].filter((img) => img.complete && img.naturalWidth).length > 4"


def looked_at(page: Path) -> tuple[float, float, float, int]:
    """Return milliseconds until the first paint and the first thumbnails, of the longest task, and screens scrolled."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from browser import SIZE, started

    with started() as browser:
        opened = browser.new_page(viewport=SIZE)
        opened.add_init_script(OBSERVE)
        opened.goto(page.resolve().as_uri(), wait_until="commit")
        while not opened.evaluate(THUMBNAILS):
            time.sleep(0.02)
        thumbnails = opened.evaluate("performance.now()")
        paints = opened.evaluate(
            "performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)"
        )
        opened.wait_for_timeout(500)
        opened.evaluate("window.tasks.length = 0")
        opened.mouse.move(900, 600)
        end, screens = time.monotonic() + SECONDS, 0
        for step in steps():
            if time.monotonic() > end:
                break
            opened.mouse.wheel(0, step)
            opened.wait_for_timeout(30)
            screens += 1
        opened.wait_for_timeout(500)
        return float(paints[0]), float(thumbnails), float(max(opened.evaluate("window.tasks"), default=0)), screens


def steps() -> Iterator[int]:
    """Slowly, fast, and in leaps, in turn."""
    while True:
        yield from [120] * 40
        yield from [900] * 40
        yield from [40_000] * 10


if __name__ == "__main__":
    sys.exit(main())
