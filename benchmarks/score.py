"""Time scoring by the official loop, by the suite, and the bare forward passes, on the same images in one run.

    python benchmarks/score.py --size tiny --limit 2      # to try the script
    python benchmarks/score.py --folder networks     # real size, random weights: 8 GB on disk, minutes per image
    python benchmarks/score.py --device cuda --repeat 60  # only the suite, wall seconds with warm models

Times are CPU-seconds of one thread, so other work on the machine doesn't count.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from official_loop import OfficialLoop
from score_networks import Networks, real, tiny
from tabulate import tabulate
from torch import Tensor

from brushbench.core.progress import silent
from brushbench.core.types import Batch, Dataset, Metric
from brushbench.datasets.open import load_dataset
from brushbench.evaluation.evaluate import generate
from brushbench.evaluation.score import CHUNK, Scoring
from brushbench.evaluation.select_metrics import Selection, load_metric
from brushbench.imaging.images import read_image
from brushbench.metrics import perceptual, preference
from brushbench.metrics.clip import clip_of
from brushbench.runs.config import RunConfig
from brushbench.runs.folder import Run
from brushbench.runs.scores import Scores
from brushbench.weights.runtime import device_named
from brushbench.weights.sources import digest_of_files

BASIC = ["psnr", "mse", "lpips", "clip", "aesthetic"]
ALL = [*BASIC, "image-reward", "hps"]
OURS = ["ssim", "ssim@whole", "seam"]
"""Metrics that the official evaluation lacks."""
DATASET = "photos"


def metrics_of(networks: Networks, names: list[str], device: str) -> list[Metric]:
    """Return the suite's metrics with these weights, under the protocol `paper`."""
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
    """Score a run from the beginning, as `brushbench score` does."""
    run.scores_path().unlink(missing_ok=True)
    return Scoring(run, dataset, Selection(tuple(metrics), {}))(silent)


def bare_seconds(networks: Networks, names: list[str], captions: list[str]) -> dict[str, float]:
    """Return the CPU-seconds of each backbone's forward passes alone: one per image and, if it reads text, per caption.

    LPIPS' backbone sees images and sources.
    """
    device = device_named("cpu")
    side, seconds = 224, dict.fromkeys(set(names) & {"clip", "lpips", "hps", "image-reward"}, 0.0)
    starts = range(0, len(captions), CHUNK)

    def timed(name: str, forward: Callable[[Tensor], object], inputs: list[Tensor]) -> None:
        start = time.process_time()
        with torch.inference_mode():
            for part in inputs:
                forward(part)
        seconds[name] += time.process_time() - start

    def pixels(length: int, times: int = 1) -> list[Tensor]:
        return [torch.randn(times * len(captions[start : start + CHUNK]), 3, length, length) for start in starts]

    def tokens(tokenize: Callable[[list[str]], Tensor]) -> list[Tensor]:
        return [tokenize(captions[start : start + CHUNK]) for start in starts]

    if "clip" in names:
        clip = clip_of(str(networks.clip), device)
        net = clip.model
        timed("clip", lambda seen: net.visual_projection(net.vision_model(seen).pooler_output), pixels(side))
        ids = tokens(lambda texts: clip.tokenizer(texts, padding=True, return_tensors="pt").input_ids)
        timed("clip", lambda read: net.text_projection(net.text_model(read).pooler_output), ids)
    if "lpips" in names:
        judge = perceptual._judge("squeeze", networks.squeeze, digest_of_files([networks.squeeze]), device)
        timed("lpips", lambda seen: _through(judge.stages, seen), pixels(512, times=2))
    if "hps" in names:
        hps = _hps(networks)
        timed("hps", hps.net.encode_image, pixels(side))
        timed("hps", hps.net.encode_text, tokens(hps.tokenizer))
    if "image-reward" in names:
        file = networks.reward / "ImageReward.safetensors"
        vocabulary = networks.reward / "tokenizer" / "vocab.txt"
        reward = preference._reward(file, digest_of_files([file]), vocabulary, device)
        read = iter(tokens(lambda texts: reward.tokenizer(texts, padding=True, return_tensors="pt").input_ids))
        timed("image-reward", lambda seen: _judged(reward.net, seen, next(read)), pixels(side))
    return seconds


def forget_captions(networks: Networks, names: list[str]) -> None:
    """Clear the cached captions, so that they are read again; cached image features are dropped with their images."""
    if {"clip", "aesthetic"} & set(names):
        clip_of(str(networks.clip), device_named("cpu")).read._kept.clear()
    if "hps" in names:
        _hps(networks).read._kept.clear()


def _hps(networks: Networks) -> preference._Preference:
    digest = digest_of_files([networks.hps])
    return preference._preference(networks.hps, digest, networks.hps_model, device_named("cpu"))


def _judged(net: torch.nn.Module, pixels: Tensor, ids: Tensor) -> Tensor:
    return net(pixels, ids, torch.ones_like(ids))


def _through(stages: tuple[torch.nn.Module, ...], pixels: Tensor) -> Tensor:
    for stage in stages:
        pixels = stage(pixels)
    return pixels


def our_seconds(run: Run, dataset: Dataset, metrics: list[Metric]) -> dict[str, float]:
    """Return CPU-seconds by metric, in order on one batch, so that a shared network counts for the first metric."""
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
    """Time both ways in turn in this process, with warm models; each part counts by its fastest round.

    Other work on the machine slows parts of a round, even in CPU-seconds, as cores share caches and memory.
    """
    metrics = metrics_of(networks, names, "cpu")
    basic = [metric for metric in metrics if metric.info.name in BASIC]
    entries = list(run.ledger().values())
    captions = [dataset[index].caption for index in range(len(entries))]
    first = Batch.of([dataset[0]])
    for metric in metrics:
        metric(first, first.images)
    kept: dict[str, list[dict[str, float]]] = {"official": [], "parts": [], "ours": [], "bare": []}
    for _ in range(rounds):
        seconds = {}
        for group, chosen in (("basic", basic), ("all", metrics)):
            forget_captions(networks, names)
            start = time.process_time()
            ours = scored(run, dataset, chosen)
            seconds[group] = time.process_time() - start
        kept["ours"].append(seconds)
        forget_captions(networks, names)
        kept["parts"].append(our_seconds(run, dataset, metrics))
        official = OfficialLoop(networks, names)
        for index, entry in enumerate(entries):
            official(dataset[index], run.image_path(entry))
        kept["official"].append(official.seconds)
        kept["bare"].append(bare_seconds(networks, names, captions))
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
    """Print the suite's wall seconds with warm models."""
    scored(run, dataset, metrics)
    start = time.perf_counter()
    for _ in range(repeat):
        scored(run, dataset, metrics)
    seconds = time.perf_counter() - start
    print(f"{repeat * len(run.ledger())} images: {seconds:.1f} s of wall time, models warm")


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["real", "tiny"], default="real")
    parser.add_argument("--folder", type=Path, help="Folder for the random weights of real size.")
    parser.add_argument("--metrics", default=",".join(ALL), help=f"Some of {','.join(ALL)}.")
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
