"""Measure the time of runs outside the method's calls, and of scoring."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from score_networks import Networks, real, tiny

from brushbench import RunConfig, run, score
from on_gpu.data import write_data
from on_gpu.setting import Record, Setting, load

METRICS = ("psnr", "mse", "ssim", "lpips", "clip", "aesthetic", "image-reward", "hps", "seam")
BATCHES = 3


def whole(setting: Setting, method: str) -> Iterator[Record]:
    """Time a run of three batches: reading, storing and waiting besides the method's calls."""
    size, number = setting.typical, setting.short[1]
    loading, calls = _loading_and_calls(setting, method)
    setting.clean()
    config = RunConfig(
        method,
        dataset="folder",
        root=_data(setting, BATCHES * size),
        weights=setting.folders.weights(method),
        options={"steps": number},
        batch_size=size,
        device=setting.device,
        dtype=setting.dtypes[0],
        output=_empty(setting.work / "whole-runs"),
        metrics="psnr",
    )
    seconds = setting.seconds(lambda: run(config))
    beside = seconds - loading - calls
    yield {
        "method": method,
        "dtype": setting.dtypes[0],
        "batch": size,
        "steps": number,
        "images": BATCHES * size,
        "run_s": seconds,
        "loading_s": loading,
        "calls_s": calls,
        "beside_image_ms": 1e3 * beside / (BATCHES * size),
    }


def _loading_and_calls(setting: Setting, method: str) -> tuple[float, float]:
    """The seconds for loading the method, and for its calls in a run of three batches."""
    start = time.perf_counter()
    loaded = load(setting, method)
    setting.sync()
    loading = time.perf_counter() - start
    call = loaded.call(setting.typical)
    call(setting.short[1])
    return loading, BATCHES * setting.seconds(lambda: call(setting.short[1]), 2)


def scoring(setting: Setting, _: str) -> Iterator[Record]:
    """Time all metrics with cold and with warm networks of real size, then each metric separately."""
    folder = setting.work / ("tiny-metrics" if setting.tiny else "metrics")
    folder.mkdir(parents=True, exist_ok=True)
    networks = tiny(_empty(folder)) if setting.tiny else real(folder)
    config = RunConfig(
        "mean-fill",
        dataset="folder",
        root=_data(setting, setting.samples),
        metrics="psnr",
        output=_empty(setting.work / "scored-runs"),
    )
    scored, options = run(config), _options(networks, setting.device)
    for kind, names in (("all, cold", METRICS), ("all, warm", METRICS), *((name, (name,)) for name in METRICS)):
        scored.scores_path().unlink()
        chosen = {name: options[name] for name in names if name in options}
        seconds = setting.seconds(lambda names=names, chosen=chosen: score(scored.path, names, metric_options=chosen))
        yield {
            "metrics": kind,
            "images": setting.samples,
            "seconds": seconds,
            "images_s": setting.samples / seconds,
        }


def _options(networks: Networks, device: str) -> dict[str, dict[str, str]]:
    return {
        "ssim": {"device": device},
        "lpips": {"backbone": str(networks.squeeze), "device": device},
        "clip": {"model": str(networks.clip), "device": device},
        "aesthetic": {"model": str(networks.clip), "linear": str(networks.linear), "device": device},
        "image-reward": {"checkpoint": str(networks.reward), "device": device},
        "hps": {"checkpoint": str(networks.hps), "model": networks.hps_model, "device": device},
    }


def _data(setting: Setting, count: int) -> Path:
    return write_data(setting.work / f"data-{setting.size}-{count}", count, setting.size)


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
