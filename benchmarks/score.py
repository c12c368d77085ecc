"""How long scoring takes: the official loop, ours, and the bare forward passes, on the same images in one run.

    python benchmarks/score.py --size tiny --limit 2      # to try it
    python benchmarks/score.py --folder networks     # real size, random weights: 8 GB on disk, minutes per image
    python benchmarks/score.py --device cuda --repeat 60  # ours only, wall seconds with warm models

CPU-seconds of one thread: what else the machine does doesn't count.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from official_loop import OfficialLoop
from score_networks import Networks, real, tiny
from tabulate import tabulate
from torch import Tensor

from brushbench.benchmark import generate
from brushbench.config import RunConfig
from brushbench.images import read_image
from brushbench.loading import device_named, load_dataset, load_metric
from brushbench.metric_selection import Selection
from brushbench.score_file import Scores
from brushbench.scoring import CHUNK, Scoring
from brushbench.store import Run
from brushbench.types import Batch, Dataset, Metric
from brushbench.work import silent
from metrics import perceptual, preference
from metrics.clip import clip_of

BASIC = ["psnr", "mse", "lpips", "clip", "aesthetic"]
ALL = [*BASIC, "image-reward", "hps"]
OURS = ["ssim", "ssim@whole", "seam"]
"""What the official evaluation hasn't."""
DATASET = "photos"


def metrics_of(networks: Networks, names: list[str], device: str) -> list[Metric]:
    """Ours, on these weights, as the paper's protocol has them."""
    options = {
        "psnr": {"protocol": "paper"},
        "mse": {"protocol": "paper"},
        "ssim": {"device": device},
        "ssim@whole": {"device": device},
        "seam": {},
        "lpips": {"backbone": networks.squeeze, "device": device},
        "clip": {"model": networks.clip, "device": device},
        "aesthetic": {"model": networks.clip, "linear": networks.linear, "device": device},
        "image-reward": {"checkpoint": networks.reward, "device": device},
        "hps": {"checkpoint": networks.hps, "model": networks.hps_model, "device": device},
    }
    return [load_metric(name, **options[name]) for name in names]


def scored(run: Run, dataset: Dataset, metrics: list[Metric]) -> Scores:
    """As `brushbench score` does it, from the beginning."""
    run.scores_path().unlink(missing_ok=True)
    return Scoring(run, dataset, Selection(tuple(metrics), {}))(silent)


def bare_seconds(networks: Networks, names: list[str], count: int) -> dict[str, float]:
    """CPU-seconds of each backbone's forward passes alone, once per image; for LPIPS also once per source."""
    device = device_named("cpu")
    side, seconds = 224, {}
    batches = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]

    def timed(name: str, forward: object, *shape: int, times: int = 1) -> None:
        inputs = [torch.randn(times * size, *shape) for size in batches]
        start = time.process_time()
        with torch.inference_mode():
            for part in inputs:
                forward(part)  # type: ignore[operator]
        seconds[name] = time.process_time() - start

    if {"clip", "aesthetic"} & set(names):
        clip = clip_of(str(networks.clip), device).model
        timed("clip", lambda pixels: clip.visual_projection(clip.vision_model(pixels).pooler_output), 3, side, side)
    if "lpips" in names:
        judge = perceptual._judge("squeeze", networks.squeeze, perceptual.digest_of(networks.squeeze), device)
        timed("lpips", lambda pixels: _through(judge.stages, pixels), 3, 512, 512, times=2)
    if "hps" in names:
        file = networks.hps
        hps = preference._preference(file, preference.digest_of(file), networks.hps_model, device).net
        timed("hps", hps.encode_image, 3, side, side)
    if "image-reward" in names:
        file = networks.reward / "ImageReward.safetensors"
        vocabulary = networks.reward / "tokenizer" / "vocab.txt"
        reward = preference._reward(file, preference.digest_of(file), vocabulary, device).net
        ids = torch.ones(CHUNK, 12, dtype=torch.int64)
        timed("image-reward", lambda pixels: reward(pixels, ids[: len(pixels)], ids[: len(pixels)]), 3, side, side)
    return seconds


def _through(stages: tuple[torch.nn.Module, ...], pixels: Tensor) -> Tensor:
    for stage in stages:
        pixels = stage(pixels)
    return pixels


def our_seconds(run: Run, dataset: Dataset, metrics: list[Metric]) -> dict[str, float]:
    """CPU-seconds by metric, one after the other on the same batch, so that a shared network counts for the first."""
    seconds = {"decode": 0.0} | {metric.info.name: 0.0 for metric in metrics}
    ledger = run.ledger()
    for start in range(0, len(ledger), CHUNK):
        begin = time.process_time()
        entries = list(ledger.values())[start : start + CHUNK]
        batch = Batch.of([dataset[index] for index in range(start, start + len(entries))])
        images = torch.stack([read_image(run.image_path(entry)) for entry in entries])
        seconds["decode"] += time.process_time() - begin
        for metric in metrics:
            begin = time.process_time()
            metric(batch, images)
            seconds[metric.info.name] += time.process_time() - begin
    return seconds


def compare(run: Run, dataset: Dataset, networks: Networks, names: list[str], rounds: int) -> None:
    """Both ways in this process, models warm, one after the other in every round; of each part its fastest round.

    Whatever else the machine does slows parts of a round down, also in CPU-seconds: cores share caches and memory.
    """
    metrics = metrics_of(networks, names, "cpu")
    basic = [metric for metric in metrics if metric.info.name in BASIC]
    entries = list(run.ledger().values())
    first = Batch.of([dataset[0]])
    for metric in metrics:
        metric(first, first.images)
    kept: dict[str, list[dict[str, float]]] = {"official": [], "parts": [], "ours": [], "bare": []}
    for _ in range(rounds):
        start = time.process_time()
        ours = scored(run, dataset, metrics)
        middle = time.process_time()
        scored(run, dataset, basic)
        kept["ours"].append({"all": middle - start, "basic": time.process_time() - middle})
        kept["parts"].append(our_seconds(run, dataset, metrics))
        official = OfficialLoop(networks, names)
        for index, entry in enumerate(entries):
            official(dataset[index], run.image_path(entry))
        kept["official"].append(official.seconds)
        kept["bare"].append(bare_seconds(networks, names, len(entries)))
    best = {way: {part: min(found[part] for found in each) for part in each[0]} for way, each in kept.items()}
    rows = []
    for name in ("decode", *names):
        pairs = zip(official.values.get(name, ()), ours.table.get(name, ()), strict=True)
        apart = max((abs(one - other) for one, other in pairs), default="")
        rows.append([name, best["official"][name], best["parts"][name], best["bare"].get(name, ""), apart])
    parts = ["decode", *(metric.info.name for metric in basic)]
    whole, limit = sum(best["official"].values()), sum(best["bare"].values())
    few = sum(best["official"][name] for name in parts)
    some = sum(seconds for name, seconds in best["bare"].items() if name in parts)
    rows.append([f"these together: {', '.join(parts[1:])}", few, best["ours"]["basic"], some, ""])
    rows.append(["all", whole, best["ours"]["all"], limit, ""])
    print(f"{len(entries)} images, CPU-seconds on one thread, the fastest of {rounds} rounds")
    print(tabulate(rows, ["", "official loop", "ours", "bare forward passes", "largest difference"], floatfmt=".3g"))
    print(f"official / ours, {', '.join(parts[1:])}: {few / best['ours']['basic']:.2f}")
    print(f"official / ours, all: {whole / best['ours']['all']:.2f}; ours / bare: {best['ours']['all'] / limit:.2f}")


def on_device(run: Run, dataset: Dataset, metrics: list[Metric], repeat: int) -> None:
    """Wall seconds of ours, with warm models."""
    scored(run, dataset, metrics)
    start = time.perf_counter()
    for _ in range(repeat):
        scored(run, dataset, metrics)
    seconds = time.perf_counter() - start
    print(f"{repeat * len(run.ledger())} images: {seconds:.1f} s of wall time, models warm")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["real", "tiny"], default="real")
    parser.add_argument("--folder", type=Path, help="Where the random weights of real size are kept.")
    parser.add_argument("--metrics", default=",".join(ALL), help=f"Of {','.join(ALL)}.")
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch) / "networks"
        folder.mkdir(parents=True, exist_ok=True)
        networks = tiny(Path(scratch)) if asked.size == "tiny" else real(folder)
        names = asked.metrics.split(",")
        config = RunConfig("mean-fill", DATASET, limit=asked.limit, protocol="paper", output=Path(scratch) / "runs")
        run, dataset = generate(config), load_dataset(DATASET)
        if asked.device == "cpu":
            compare(run, dataset, networks, names, asked.rounds)
        else:
            on_device(run, dataset, metrics_of(networks, [*names, *OURS], asked.device), asked.repeat)


if __name__ == "__main__":
    main()
