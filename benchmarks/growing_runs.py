"""Write a data set of any number of samples, and complete, scored runs on it: python benchmarks/growing_runs.py DIR N

For `benchmarks/growth.py`, which runs it as a process of its own. Every image is a hard link to one of a few tiny
pictures, as what grows is the number of samples and not their size. The runs are those that `brushbench run` and
`brushbench sweep` would have made with these options, so both commands find nothing left to do; their scores are drawn
at random.
"""

import csv
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brushbench.core.metric_info import MetricInfo
from brushbench.core.registry import metric_info
from brushbench.evaluation.grid import expand_jobs, parse_variation, plan
from brushbench.evaluation.resolve import Job, resolve
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.ledger import LedgerEntry
from brushbench.runs.scores import MASK_SHARE, SIZE, Scores, status_column, tag_column, write_scores

METHODS = ("telea", "navier-stokes")
VARIED = "radius=3,5"
METRICS = ("psnr", "mse", "ssim", "lpips", "clip", "aesthetic", "image-reward", "hps", "seam")
SIDE, PICTURES = 24, 16
"""Pixels of a side, and the number of different pictures; a file can have only so many links."""
SUBJECTS = np.array(["human", "animal", "indoor", "outdoor"])


def main(place: Path, count: int) -> None:
    """Write the data set and the runs."""
    data = place / "data"
    write_data(data, count)
    template = RunConfig(method=METHODS[0], dataset="folder", root=str(data), output=str(place / "runs"), batch_size=4)
    made = [config for configs in expand_jobs(template, METHODS, ["inside"]) for config in configs]
    swept = plan(template, METHODS[:1], ["inside"], [parse_variation(VARIED)])
    made += [config for planned in swept for config in planned.configs]
    for number, config in enumerate(made, 1):
        write_run(resolve(config, scored=False), count, number)


def write_data(data: Path, count: int) -> None:
    """Write images, masks and captions."""
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
        originals = pictures(data / f".{folder}", 0 if folder == "images" else -1)
        for index in range(count):
            os.link(originals[index % PICTURES], data / folder / f"{index:06d}.png")
    with (data / "captions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "caption", "subject"])
        writer.writerows([f"{index:06d}", f"picture {index}", SUBJECTS[index % 4]] for index in range(count))


def pictures(folder: Path, variant: int) -> list[Path]:
    """Write the pictures that others are links to: masks for -1, else those of a data set or of a method."""
    folder.mkdir()
    found = [folder / f"{index}.png" for index in range(PICTURES)]
    for index, file in enumerate(found):
        pixels = np.random.default_rng([index, variant + 1]).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        if variant < 0:
            pixels[:] = 0
            pixels[4 : 8 + index // 2, 4:12] = 255
        Image.fromarray(pixels).save(file)
    return found


def write_run(job: Job, count: int, number: int) -> None:
    """Write the images, the ledger and the scores of a complete run."""
    path = job.task.path
    path.parent.mkdir(parents=True, exist_ok=True)
    originals = pictures(path.parent / f".{path.name}", number)
    run = Run.start(path, job.identity, count, job.provenance(), "contender")
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in originals]
    names = [f"{index:06d}" for index in range(count)]
    with run.ledger_path().open("w") as ledger, run.images.sums_path.open("w") as sums:
        for index, name in enumerate(names):
            digest = digests[index % PICTURES]
            os.link(originals[index % PICTURES], run.images.folder / f"{name}.png")
            entry = LedgerEntry(
                id=name,
                status="done",
                image=f"{name}.png",
                sha256=digest,
                seconds=0.5,
                fingerprint=run.record.fingerprint,
            )
            ledger.write(f"{entry.model_dump_json(exclude_none=True)}\n")
            sums.write(f"{digest}  images/{name}.png\n")
    infos = {name: info for name in METRICS if (info := metric_info(name))}
    write_scores(run, Scores(table_of(names, digests, infos, number), infos))


def table_of(names: Sequence[str], digests: Sequence[str], infos: dict[str, MetricInfo], number: int) -> pd.DataFrame:
    """Draw plausible scores, which a method shares in part with the others."""
    count, shared, own = len(names), np.random.default_rng(0), np.random.default_rng(number)
    whole = np.tile(digests, count // PICTURES + 1)[:count]
    columns: dict[str, pd.Series] = {"sha256": pd.Series(whole, dtype="string")}
    for metric in infos:
        values = np.exp(shared.normal(0, 0.4, count) + own.normal(0.002 * number, 0.1, count))
        columns[metric] = pd.Series(20 * values if metric == "psnr" else values / 20, dtype="Float64")
        columns[status_column(metric)] = pd.Series([""] * count, dtype="string")
    columns[tag_column("subject")] = pd.Series(SUBJECTS[np.arange(count) % 4], dtype="string")
    columns[MASK_SHARE] = pd.Series(shared.uniform(0.05, 0.6, count), dtype="Float64")
    columns[SIZE] = pd.Series([f"{SIDE}x{SIDE}"] * count, dtype="string")
    return pd.DataFrame(columns).set_axis(pd.Index(names, name="id", dtype="string"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
