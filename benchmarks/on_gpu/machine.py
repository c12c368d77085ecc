"""Describe the machine, measure how fast it multiplies, copies and launches, and make the models for the rest."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from brushbench import __version__
from brushbench.core.installed import version_of
from on_gpu.models import build
from on_gpu.setting import Record, Setting

PACKAGES = ("torch", "diffusers", "transformers", "triton", "numpy", "pillow")
LAUNCHES = 2000


def card_of(setting: Setting) -> str:
    """Return the name of the card, or `cpu`."""
    return torch.cuda.get_device_name() if setting.cuda else "cpu"


def versions() -> dict[str, str]:
    """Return the versions that numbers may depend on; `-` if unknown."""
    root = Path(__file__).parents[2]
    return {
        "brushbench": __version__,
        "commit": _told("git", "-C", str(root), "describe", "--always", "--dirty"),
        "python": sys.version.split()[0],
        **{name: version_of(name) for name in PACKAGES},
        "cuda": torch.version.cuda or "-",
        "cudnn": str(torch.backends.cudnn.version() or "-"),
        "driver": _told("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
    }


def _told(*command: str) -> str:
    """Return the first line that a program prints, or `-` if it is missing or fails."""
    if shutil.which(command[0]) is None:
        return "-"
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return (done.stdout.splitlines() or ["-"])[0] if done.returncode == 0 else "-"


def machine(setting: Setting, _: str) -> Iterator[Record]:
    """Measure the card's limits: bytes and matrix products per second, and the time of a small operation."""
    yield {
        "card": card_of(setting),
        "memory_gb": torch.cuda.get_device_properties(0).total_memory / 1e9 if setting.cuda else None,
        "cores": os.cpu_count(),
        "copy_tb_s": _copy_rate(setting) / 1e12,
        "matmul_tflop_s": _matrix_rate(setting) / 1e12,
        "launch_us": _launch_seconds(setting) * 1e6,
    }


def _copy_rate(setting: Setting) -> float:
    """Measure the bytes per second, read and written."""
    source = torch.randn(1 << (30 if setting.cuda else 20), device=setting.device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * source.nbytes / setting.seconds(lambda: target.copy_(source), 5)


def _matrix_rate(setting: Setting) -> float:
    """Measure the FLOP per second of products of large square matrices, in bfloat16 on a GPU."""
    side, dtype = (8192, torch.bfloat16) if setting.cuda else (256, torch.float32)
    one, other = (torch.randn(side, side, device=setting.device, dtype=dtype) for _ in range(2))
    _ = one @ other
    return 10 * 2 * side**3 / setting.seconds(lambda: [one @ other for _ in range(10)], 3)


def _launch_seconds(setting: Setting) -> float:
    """Measure the processor's time for one small operation, a lower bound for many of them."""
    small = torch.zeros(8, device=setting.device)
    small.add_(1)
    setting.sync()
    start = time.perf_counter()
    for _ in range(LAUNCHES):
        small.add_(1)
    enqueued = time.perf_counter() - start
    setting.sync()
    return enqueued / LAUNCHES


def models(setting: Setting, _: str) -> Iterator[Record]:
    """Make the models with random weights, unless they exist."""
    start = time.perf_counter()
    build(setting.folders, tiny=setting.tiny, device=setting.device)
    files = setting.folders.root.rglob("*.safetensors")
    yield {"made_s": time.perf_counter() - start, "disk_gb": sum(file.stat().st_size for file in files) / 1e9}
