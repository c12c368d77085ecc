"""LaMa's generator: Suvorov et al., arXiv:2109.07161, section 2 and figure 2, and the official `ffc.py`.

Feature maps are pairs: a local part, which is convolved as usual, and a global part, which is convolved in the
frequency domain. Layers outside the residual blocks have no global part. Parameters have the official names.
"""

from itertools import pairwise
from typing import NamedTuple, final

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

INPUT_CHANNELS = 4
"""Three of the picture with its hole set to zero, and the mask."""
DOWNSAMPLINGS = 3
MULTIPLE = 2**DOWNSAMPLINGS
"""Height and width of the input must be multiples of it."""
_GLOBAL_SHARE = 0.75
Maps = Float[Tensor, "..."]
Features = tuple[Maps, Maps]
"""The local and the global part of a feature map."""


class Channels(NamedTuple):
    """The number of channels of each part of a feature map."""

    of_local: int
    of_global: int

    @classmethod
    def divided(cls, channels: int) -> "Channels":
        """Divide channels among the two parts by the published share."""
        of_global = int(channels * _GLOBAL_SHARE)
        return cls(channels - of_global, of_global)


@final
class FourierUnit(nn.Module):
    """A 1x1 convolution of the whole picture's spectrum: section 2.1, without the local Fourier unit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_layer = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(2 * channels)

    def forward(self, maps: Maps) -> Maps:
        """Transform maps to the frequency domain, convolve real and imaginary parts there, and transform them back."""
        spectrum = torch.fft.rfft2(maps, norm="ortho")
        # Channel 2c has the real part of channel c, and channel 2c + 1 its imaginary part.
        parts = torch.stack([spectrum.real, spectrum.imag], dim=2).flatten(1, 2)
        parts = F.relu(self.bn(self.conv_layer(parts)))
        return inverse_spectrum(torch.complex(parts[:, 0::2], parts[:, 1::2]), maps.shape[-1])


def inverse_spectrum(spectrum: Complex[Tensor, "n c h half"], width: int) -> Float[Tensor, "n c h {width}"]:
    """Return the inverse of `rfft2`, norm "ortho", for a half spectrum that needn't be one of real numbers.

    After the ReLU it never is, and `irfft2` then depends on the device. These are the three steps that it takes on the
    CPU: the inverse transform of the columns; the imaginary parts of the frequencies 0 and `width` / 2 dropped; the
    inverse real transform of the rows.
    """
    columns = torch.fft.ifft(spectrum, dim=-2, norm="ortho")
    imaginary = columns.imag.clone()
    imaginary[..., 0] = 0
    if width % 2 == 0:
        imaginary[..., -1] = 0
    inverse: Tensor = torch.fft.irfft(torch.complex(columns.real, imaginary), n=width, dim=-1, norm="ortho")
    return inverse


@final
class SpectralTransform(nn.Module):
    """The path from global to global: a Fourier unit with a shortcut, between two 1x1 convolutions (figure 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Sequential(nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU())
        self.fu = FourierUnit(half)
        self.conv2 = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, maps: Maps) -> Maps:
        """Transform the global part of a feature map."""
        reduced: Maps = self.conv1(maps)
        transformed: Maps = self.conv2(reduced + self.fu(reduced))
        return transformed


def convolution(given: int, made: int, size: int = 3, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    """Make a convolution without bias; the padding reflects the picture, without the edge pixel itself."""
    return nn.Conv2d(given, made, size, stride, padding, bias=False, padding_mode="reflect")


@final
class LocalLayer(nn.Module):
    """A convolution of maps without a global part, then batch normalization and ReLU."""

    def __init__(self, given: int, made: int, size: int = 3, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.ffc = nn.ModuleDict({"convl2l": convolution(given, made, size, stride, padding)})
        self.bn_l = nn.BatchNorm2d(made)

    def forward(self, maps: Maps) -> Maps:
        """Convolve, normalize, and drop what is negative."""
        return F.relu(self.bn_l(self.ffc["convl2l"](maps)))


@final
class DividingLayer(nn.Module):
    """The last downsampling, which makes both parts from maps without a global part."""

    def __init__(self, given: int, made: Channels) -> None:
        super().__init__()
        self.ffc = nn.ModuleDict(
            {
                "convl2l": convolution(given, made.of_local, stride=2),
                "convl2g": convolution(given, made.of_global, stride=2),
            }
        )
        self.bn_l = nn.BatchNorm2d(made.of_local)
        self.bn_g = nn.BatchNorm2d(made.of_global)

    def forward(self, maps: Maps) -> Features:
        """Convolve, normalize, and drop what is negative, for each part."""
        return F.relu(self.bn_l(self.ffc["convl2l"](maps))), F.relu(self.bn_g(self.ffc["convl2g"](maps)))


@final
class FourierConvolution(nn.Module):
    """The fast Fourier convolution: four paths between the two parts (figure 2)."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.convl2l = convolution(channels.of_local, channels.of_local)
        self.convl2g = convolution(channels.of_local, channels.of_global)
        self.convg2l = convolution(channels.of_global, channels.of_local)
        self.convg2g = SpectralTransform(channels.of_global)

    def forward(self, features: Features) -> Features:
        """Add up the paths that end in each part."""
        of_local, of_global = features
        return (
            self.convl2l(of_local) + self.convg2l(of_global),
            self.convl2g(of_local) + self.convg2g(of_global),
        )


@final
class FourierLayer(nn.Module):
    """A fast Fourier convolution, then batch normalization and ReLU of each part."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.ffc = FourierConvolution(channels)
        self.bn_l = nn.BatchNorm2d(channels.of_local)
        self.bn_g = nn.BatchNorm2d(channels.of_global)

    def forward(self, features: Features) -> Features:
        """Convolve, normalize, and drop what is negative."""
        of_local, of_global = self.ffc(features)
        return F.relu(self.bn_l(of_local)), F.relu(self.bn_g(of_global))


@final
class ResidualBlock(nn.Module):
    """Two Fourier layers whose result is added to their input; no ReLU follows the sum."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self.conv1 = FourierLayer(channels)
        self.conv2 = FourierLayer(channels)

    def forward(self, features: Features) -> Features:
        """Add to each part what the two layers make of both."""
        of_local, of_global = features
        more_local, more_global = self.conv2(self.conv1(features))
        return of_local + more_local, of_global + more_global


@final
class Joining(nn.Module):
    """The two parts as channels of one map, the local part first."""

    def forward(self, features: Features) -> Maps:
        """Concatenate the parts."""
        return torch.cat(features, dim=1)


@final
class LaMaGenerator(nn.Module):
    """The whole network, `big-lama` by default; `lama-fourier` is the same with 9 blocks."""

    def __init__(self, width: int = 64, blocks: int = 18) -> None:
        super().__init__()
        widths = [width << level for level in range(DOWNSAMPLINGS + 1)]
        divided = Channels.divided(widths[-1])
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), LocalLayer(INPUT_CHANNELS, width, size=7, padding=0)]
        layers += [LocalLayer(given, made, stride=2) for given, made in pairwise(widths[:-1])]
        layers += [DividingLayer(widths[-2], divided)]
        layers += [ResidualBlock(divided) for _ in range(blocks)]
        layers += [Joining()]
        for given, made in pairwise(reversed(widths)):
            enlarging = nn.ConvTranspose2d(given, made, 3, stride=2, padding=1, output_padding=1)
            layers += [enlarging, nn.BatchNorm2d(made), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Sigmoid()]
        self.model = nn.Sequential(*layers)

    def forward(self, given: Float[Tensor, "n 4 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return a picture on [0, 1] for a picture without its hole, on [0, 1], and the hole's mask, 0 or 1."""
        made: Tensor = self.model(given)
        return made
