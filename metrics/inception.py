"""The Inception network of FID and KID, as the optional package torch-fidelity defines it."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from brushbench.core.errors import UserError
from brushbench.weights.memory import loaded_once
from brushbench.weights.sources import WebFile, digest_of_files
from brushbench.weights.tensors import read_tensors

ADDRESS = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"
LAYER = "2048"
"""The last pooling layer, by torch-fidelity's name, which is also the number of its features."""
PACKAGE = "torch_fidelity"
REMEDY = 'FID and KID need the package torch-fidelity: pip install "brushbench[fid]"'


def inception_file(weights: str | None) -> WebFile:
    """The weights of 2015 that FID is defined with, or a file of one's own."""
    return WebFile("weights", weights, ADDRESS, DIGEST)


def check_installed() -> None:
    """Raise `UserError` without torch-fidelity."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(REMEDY)


def inception_features(
    images: UInt8[Tensor, "n 3 h w"], source: WebFile, device: torch.device
) -> Float[Tensor, "n 2048"]:
    """The features of images, which the network resizes to 299 pixels itself, as TensorFlow 1 did."""
    network = load_inception(source, device)
    with torch.inference_mode():
        return cast(Sequence[Tensor], network(images.to(device)))[0].cpu()


def load_inception(source: WebFile, device: torch.device) -> nn.Module:
    """The network. Raises `UserError` without torch-fidelity, and for weights that can't be used."""
    check_installed()
    return _load(source.get(), digest_of_files(source.files()), device)


@loaded_once
def _load(file: Path, _digest: str, device: torch.device) -> nn.Module:
    module = importlib.import_module(f"{PACKAGE}.feature_extractor_inceptionv3")
    # torch-fidelity would run code in a pickle; it gets a file that contains nothing but tensors.
    tensors = read_tensors(file, for_scores=True)
    with TemporaryDirectory() as folder:
        checked = Path(folder) / "inception.pth"
        torch.save(tensors, checked)
        network = module.FeatureExtractorInceptionV3("inception", [LAYER], str(checked))
    return cast(nn.Module, network.to(device))
