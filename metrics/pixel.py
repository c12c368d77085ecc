"""Pixel metrics: MSE, PSNR and SSIM on the known pixels, the inpainted pixels, or all of them.

`protocol="paper"` follows the BrushNet authors' code, `examples/brushnet/evaluate_brushnet.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Float64, UInt8
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from brushbench.core.metric_info import MetricInfo, Region
from brushbench.core.protocol import ProtocolName
from brushbench.core.types import Batch
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.weights.runtime import device_named

IDENTICAL_PSNR = 1000.0
"""The official code's PSNR of images whose MSE is below `IDENTICAL_MSE`."""
IDENTICAL_MSE = 1e-10
SUM_BUFFER = 8192
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
"""Side and sigma of the Gaussian window, in pixels."""


@final
@dataclass(frozen=True, slots=True)
class MSE:
    """Mean squared error between image and source, both on [0, 1]; lower is better.

    `strict`: the sum of (a - b)^2 over the region's pixels and channels, over 3 x pixels, from exact integer sums.
    `paper`: divided by the number of pixels only, so 3 times as much, in the official code's float32 arithmetic.

    Input uint8 [n, 3, h, w]; output float64 [n], NaN where the region is empty.
    """

    protocol: ProtocolName = "strict"
    """Rules for the computation; a run passes its own."""
    region: Region = "known"
    """Pixels that are scored; `METRIC@REGION` means the same."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are printed x 1e3, as in the paper."""
        return CATALOGUE["mse"].named(self.region, "1")

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        return mean_squared_error(images, batch.images, region_of(batch, self.region), self.protocol)


@final
@dataclass(frozen=True, slots=True)
class PSNR:
    """Peak signal-to-noise ratio in dB, 10 log10(1 / MSE) with the protocol's MSE; higher is better.

    For identical images, `strict` gives +inf, which is stored as the status `identical` and counted as 60 dB in
    reports. `paper` gives 1000 if the MSE is below 1e-10, as the official code does, and 1000 enters the mean.

    Input uint8 [n, 3, h, w]; output float64 [n], NaN where the region is empty.
    """

    protocol: ProtocolName = "strict"
    """Rules for the computation; a run passes its own."""
    region: Region = "known"
    """Pixels that are scored; `METRIC@REGION` means the same."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are in dB."""
        return CATALOGUE["psnr"].named(self.region, "1")

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        error = mean_squared_error(images, batch.images, region_of(batch, self.region), self.protocol)
        if self.protocol == "paper":
            return torch.tensor([_official_psnr(value) for value in error.tolist()], dtype=torch.float64)
        return -10 * torch.log10(error)


@final
@dataclass(frozen=True, slots=True)
class SSIM:
    """Structural similarity, Wang et al. 2004; higher is better, 1 for identical images.

    Gaussian window of 11x11 with sigma 1.5, k1 = 0.01, k2 = 0.03, biased covariance, mean over the windows inside the
    image and over the channels, in float64. This is scikit-image's `gaussian_weights=True`, and torchmetrics up to
    1.4.1, the version when the official code was written; later versions also average over windows that cross the
    image's edge.

    On a region, the mean is over the windows inside the region. So no pixel outside affects the score, and the score
    doesn't depend on the size of the hole. Both protocols are the same.

    Input uint8 [n, 3, h, w]; output float64 [n], NaN where no window lies in the region, for example because a side is
    shorter than 11 pixels.
    """

    protocol: ProtocolName = "strict"
    """Rules for the computation; a run passes its own."""
    region: Region = "known"
    """Pixels that are scored; `METRIC@REGION` means the same."""
    device: str = "auto"
    """On the CPU, scikit-image computes it; on a CUDA device torch does, equal to about 1e-12."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are at most 1."""
        return CATALOGUE["ssim"].named(self.region, "1" if self.region == "whole" else CATALOGUE["ssim"].version)

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        if min(images.shape[2:]) < SSIM_WINDOW:
            return torch.full((len(images),), torch.nan, dtype=torch.float64)
        windows = windows_in(region_of(batch, self.region)).flatten(1)
        maps = ssim_maps(images, batch.images, device_named(self.device)).flatten(1)
        # 0 / 0: no window lies in the region.
        return torch.where(windows, maps, 0).sum(dim=1) / windows.sum(dim=1)


def region_of(batch: Batch, region: Region) -> Bool[Tensor, "n 1 h w"]:
    """The region as a mask, True at the pixels that count."""
    regions: dict[Region, Callable[[], Tensor]] = {
        "known": lambda: ~batch.masks,
        "painted": lambda: batch.masks,
        "whole": lambda: torch.ones_like(batch.masks),
    }
    return regions[region]()


def mean_squared_error(
    images: UInt8[Tensor, "n 3 h w"],
    sources: UInt8[Tensor, "n 3 h w"],
    region: Bool[Tensor, "n 1 h w"],
    protocol: ProtocolName,
) -> Float64[Tensor, " n"]:
    """The protocol's MSE of each image over its region, on [0, 1]; NaN where the region is empty."""
    if protocol == "paper":
        return torch.tensor(
            [_official_mse(*triple) for triple in zip(images, sources, region, strict=True)], dtype=torch.float64
        )
    differences = ((images.short() - sources.short()) * region).int()
    squares = (differences * differences).flatten(1).sum(dim=1, dtype=torch.int64)
    pixels = region.flatten(1).sum(dim=1, dtype=torch.int64)
    return squares.double() / (255**2 * 3 * pixels).double()


def windows_in(region: Bool[Tensor, "n 1 h w"]) -> Bool[Tensor, "n 1 k l"]:
    """Which windows of the image lie entirely in the region."""
    return max_pool2d((~region).float(), SSIM_WINDOW, stride=1) == 0


def ssim_maps(
    images: UInt8[Tensor, "n 3 h w"], sources: UInt8[Tensor, "n 3 h w"], device: torch.device
) -> Float64[Tensor, "n 1 k l"]:
    """The similarity in each window inside the images, averaged over the channels."""
    if device.type == "cuda":
        return ssim_by_convolution(images.to(device), sources.to(device)).cpu()
    pairs = zip(images.double().numpy(), sources.double().numpy(), strict=True)
    return torch.stack([torch.from_numpy(_ssim(*pair)) for pair in pairs])[:, None]


def ssim_by_convolution(
    images: UInt8[Tensor, "n 3 h w"], sources: UInt8[Tensor, "n 3 h w"]
) -> Float64[Tensor, "n 1 k l"]:
    """`ssim_maps` on any device: slower than scikit-image on a CPU, but much faster on a GPU."""
    first, second = images.double().flatten(0, 1), sources.double().flatten(0, 1)
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float64, device=images.device) - SSIM_WINDOW // 2
    window = torch.softmax(-(offsets**2) / (2 * SSIM_SIGMA**2), dim=0)
    planes = torch.stack([first, second, first * first, second * second, first * second], dim=1).flatten(0, 1)[:, None]
    smoothed = conv2d(conv2d(planes, window[None, None, :, None]), window[None, None, None, :])
    height, width = smoothed.shape[2:]
    mean, other, square, other_square, product = smoothed.reshape(-1, 5, height, width).unbind(dim=1)
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance = product - mean * other
    variances = (square - mean * mean) + (other_square - other * other)
    similarity = (2 * mean * other + low) * (2 * covariance + high)
    similarity = similarity / ((mean * mean + other * other + low) * (variances + high))
    return similarity.reshape(len(images), 3, height, width).mean(dim=1, keepdim=True)


def _ssim(image: np.ndarray, source: np.ndarray) -> np.ndarray:
    _, similarity = structural_similarity(
        image,
        source,
        data_range=255,
        channel_axis=0,
        gaussian_weights=True,
        sigma=SSIM_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    # Windows beyond this slice cross the image's edge.
    inside = slice(SSIM_WINDOW // 2, -(SSIM_WINDOW // 2))
    found: np.ndarray = similarity[:, inside, inside].mean(axis=0)
    return found


def _official_psnr(error: float) -> float:
    # Written exactly as in the official code, on which the last digit depends.
    return IDENTICAL_PSNR if error < IDENTICAL_MSE else 20 * math.log10(1 / math.sqrt(error))


def _official_mse(
    image: UInt8[Tensor, "3 h w"], source: UInt8[Tensor, "3 h w"], region: Bool[Tensor, "1 h w"]
) -> float:
    """The official MSE: both float32 images times the region, squared differences summed, over the pixel count."""
    weights = region.permute(1, 2, 0).numpy().astype(np.uint8)
    planes = [part.permute(1, 2, 0).contiguous().numpy().astype(np.float32) / 255 for part in (image, source)]
    squares = ((planes[0] * weights - planes[1] * weights) ** 2).ravel()
    # The last digits of a float32 sum depend on its order: the official sum uses a buffer of 8,192 numbers.
    total = np.float32(0)
    for start in range(0, len(squares), SUM_BUFFER):
        total += squares[start : start + SUM_BUFFER].sum()
    pixels = weights.sum(dtype=np.int64)
    return float(total / np.float32(pixels)) if pixels else float("nan")
