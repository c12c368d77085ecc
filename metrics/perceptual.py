"""LPIPS, a perceptual distance between images from a network's features: Zhang et al., arXiv:1801.03924."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
import torchvision
from accelerate import init_empty_weights
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from brushbench.core.errors import UserError
from brushbench.core.metric_info import MetricInfo, Region
from brushbench.core.protocol import ProtocolName
from brushbench.core.types import Batch
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.metrics.pixel import region_of
from brushbench.weights.memory import loaded_once
from brushbench.weights.metrics import described
from brushbench.weights.runtime import device_named
from brushbench.weights.sources import Source, WebFile, digest_of_files
from brushbench.weights.tensors import load_checked, read_tensors

NetName = Literal["squeeze", "alex", "vgg"]
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""Means and standard deviations with which the paper's code normalises images on [-1, 1], as in backbone training."""
Filling = tuple[Int64[Tensor, "2 _"], Int64[Tensor, "2 _"]]
"""Rows and columns of the pixels of a hole, and of those to fill them with."""
EPSILON = 1e-8
"""Added under the root of a feature's norm, as in torchmetrics; the `lpips` package adds 1e-10 to the root instead."""


@dataclass(frozen=True, slots=True)
class _Net:
    model: str
    """The name of the model in torchvision."""
    taps: tuple[int, ...]
    """Indices of the feature layers whose outputs are compared."""
    smallest: int
    """The shortest side in pixels for which every layer has an output."""
    address: str
    digest: str


NETS: dict[NetName, _Net] = {
    "squeeze": _Net(
        "squeezenet1_1",
        (1, 4, 7, 9, 10, 11, 12),
        17,
        "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        "b8a52dc0",
    ),
    "alex": _Net(
        "alexnet",
        (1, 4, 7, 9, 11),
        31,
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "7be5be79",
    ),
    "vgg": _Net(
        "vgg16",
        (3, 8, 15, 22, 29),
        16,
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "397923af",
    ),
}


@dataclass(frozen=True, slots=True)
class _Judge:
    stages: tuple[nn.Module, ...]
    """The backbone split after each tap."""
    weights: tuple[Float[Tensor, "_ 1 1"], ...]
    """The weights of the channels at each tap."""
    smallest: int
    device: torch.device


@final
@dataclass(frozen=True, slots=True)
class LPIPS:
    """Learned perceptual distance between image and source; lower is better, 0 for identical images.

    It is the sum over a backbone's taps of the mean over positions of w . (f(a) - f(b))^2, f being features of unit
    length. The linear layers are version 0.1 of the `lpips` package; the arithmetic is that of torchmetrics.

    On a region, `strict` fills the rest of both images by mirroring at the region's border, and weights each position
    by the region's share of its cell. So no pixel outside the region affects the score, and the score doesn't depend on
    the size of the hole. (The alternative, only positions whose receptive field lies in the region, leaves none: in the
    deepest layers the field is as large as most pictures.) `paper` blackens the rest in both images, as the official
    script does, so that it counts as equal.

    Input uint8 [n, 3, h, w]; output float64 [n], NaN where the region is empty or a side is too short for the network
    (less than 17 pixels for squeeze, 31 for alex, 16 for vgg). Raises `UserError` for a backbone that isn't available.
    """

    net: NetName = "squeeze"
    """Backbone whose features are compared. Paper: Zhang et al., arXiv:1801.03924, which compares them."""
    backbone: str | None = None
    """A safetensors file or torch checkpoint of torchvision's feature layers; None: torchvision's own weights."""
    region: Region = "known"
    """Pixels that are scored; `METRIC@REGION` means the same."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""
    protocol: ProtocolName = "strict"
    """Rules for the computation; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are printed x 1e3, as in the paper."""
        official = self.protocol == "paper" or self.region == "whole"
        number = "1" if official else CATALOGUE["lpips"].version
        number = number if self.net == "squeeze" else f"{number} {self.net}"
        return described(CATALOGUE["lpips"], self.region, number, self.weights(), _installed(self.net))

    def weights(self) -> Sequence[Source]:
        """The source of the backbone; the linear layers come with an installed package."""
        net = NETS[self.net]
        return (WebFile("backbone", self.backbone, net.address, net.digest),)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        judge = self._loaded()
        region = region_of(batch, self.region)
        if min(images.shape[2:]) < judge.smallest:
            return torch.full((len(images),), torch.nan, dtype=torch.float64)
        if self.protocol == "paper":
            seen, counting = [images * region, batch.images * region], torch.ones_like(region)
        else:
            # Image and source have the same holes, and to find out how to fill them takes longer than to do it.
            holes = [_filling(each) for each in region]
            seen, counting = [_filled(part, holes) for part in (images, batch.images)], region
        own, source = (_prepared(part, judge) for part in seen)
        distances = _distances(judge, own, source, counting.to(judge.device).float())
        return torch.where(region.flatten(1).any(dim=1), distances, torch.nan)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for a backbone that can't be used."""
        self._loaded()

    def _loaded(self) -> _Judge:
        file = self.weights()[0].get()
        return _judge(self.net, file, digest_of_files([file]), device_named(self.device))


def continued(images: UInt8[Tensor, "n 3 h w"], region: Bool[Tensor, "n 1 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """The images with all pixels outside the region replaced by their mirror image at the region's border.

    Where the mirror image isn't in the region either, the nearest pixel in the region is used.
    """
    return _filled(images, [_filling(each) for each in region])


def _filled(images: UInt8[Tensor, "n 3 h w"], holes: Sequence[Filling | None]) -> UInt8[Tensor, "n 3 h w"]:
    """The images with each hole filled; with None as they are."""
    made = images.clone()
    for image, hole in zip(made, holes, strict=True):
        if hole is not None:
            (rows, columns), (read_rows, read_columns) = hole
            image[:, rows, columns] = image[:, read_rows, read_columns]
    return made


def _filling(region: Bool[Tensor, "1 h w"]) -> Filling | None:
    """How to continue a region; None if there is nothing outside of it, or nothing inside."""
    if region.all() or not region.any():
        return None
    inside = region[0].numpy()
    # The nearest pixel of the region is never farther away than the hole's bounding box with a margin of one pixel.
    ends = [np.flatnonzero((~inside).any(axis=axis))[[0, -1]] for axis in (1, 0)]
    box = tuple(slice(max(0, first - 1), last + 2) for first, last in ends)
    nearest = distance_transform_edt(~inside[box], return_distances=False, return_indices=True)
    hole = np.array(np.nonzero(~inside[box]))
    start = np.array([[part.start] for part in box])
    nearest, hole = nearest[:, hole[0], hole[1]] + start, hole + start
    mirrored = 2 * nearest - hole
    within = ((mirrored >= 0) & (mirrored < np.array([inside.shape]).T)).all(axis=0)
    mirrored = np.where(within, mirrored, nearest)
    read = np.where(inside[tuple(mirrored)], mirrored, nearest)
    return torch.from_numpy(hole), torch.from_numpy(read)


def _prepared(images: UInt8[Tensor, "n 3 h w"], judge: _Judge) -> Float[Tensor, "n 3 h w"]:
    shift, scale = (torch.tensor(values, device=judge.device)[:, None, None] for values in (SHIFT, SCALE))
    unit = images.to(judge.device).float() / 255
    return (2 * unit - 1 - shift) / scale


@torch.inference_mode()
def _distances(
    judge: _Judge,
    images: Float[Tensor, "n 3 h w"],
    sources: Float[Tensor, "n 3 h w"],
    counting: Float[Tensor, "n 1 h w"],
) -> Float64[Tensor, " n"]:
    """The distances, on the CPU, computed layer by layer so that only one layer's features are kept.

    `counting` is the weight of each pixel. With equal weights, the mean over positions is that of the official code.
    """
    total = torch.zeros(len(images), dtype=torch.float64)
    features = torch.cat([images, sources]).contiguous(memory_format=torch.channels_last)
    for stage, weights in zip(judge.stages, judge.weights, strict=True):
        features = stage(features)
        own, other = (features / (features.square().sum(dim=1, keepdim=True) + EPSILON).sqrt()).chunk(2)
        total += _mean(((own - other).square() * weights).sum(dim=1, keepdim=True), counting).double().cpu()
    return total


def _mean(distances: Float[Tensor, "n 1 k l"], counting: Float[Tensor, "n 1 h w"]) -> Float[Tensor, " n"]:
    """The mean over positions, each weighted by the mean weight of the pixels in its cell."""
    if counting.all():
        return distances.mean(dim=(1, 2, 3))
    weights = adaptive_avg_pool2d(counting, (distances.shape[2], distances.shape[3]))
    return (distances * weights).sum(dim=(1, 2, 3)) / weights.sum(dim=(1, 2, 3))


@loaded_once
def _judge(name: NetName, file: Path, _digest: str, device: torch.device) -> _Judge:
    net = NETS[name]
    with init_empty_weights(include_buffers=False):
        features = getattr(torchvision.models, net.model)(weights=None).features
    filled = load_checked(features, _feature_layers(file), file, assign=True)
    layers = filled.to(device).to(memory_format=torch.channels_last)
    starts = (0, *(tap + 1 for tap in net.taps))
    stages = tuple(nn.Sequential(*list(layers.children())[start:end]) for start, end in pairwise(starts))
    linear = read_tensors(_linear_layers(name), for_scores=True)
    weights = tuple(linear[f"lin{index}.model.1.weight"][0].to(device) for index in range(len(stages)))
    return _Judge(stages, weights, net.smallest, device)


def _feature_layers(file: Path) -> dict[str, Tensor]:
    """A file's tensors by their names in a torchvision model's `features`, without the classifier."""
    tensors = read_tensors(file, for_scores=True)
    return {name.removeprefix("features."): tensors[name] for name in tensors if not name.startswith("classifier.")}


def _linear_layers(name: NetName) -> Path:
    if not (found := _installed(name)):
        raise UserError("lpips needs the linear layers of the package of the same name: pip install lpips")
    return found[0]


def _installed(name: NetName) -> tuple[Path, ...]:
    """The file of the linear layers, if the package is installed."""
    # The package isn't imported, which would take a second: only its files are needed.
    spec = importlib.util.find_spec("lpips")
    if spec is None or spec.origin is None:
        return ()
    return (Path(spec.origin).parent / "weights" / "v0.1" / f"{name}.pth",)
