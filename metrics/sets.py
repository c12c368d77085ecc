"""Set metrics: one number for all images of a run, by comparing what a network sees in them and in their sources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from torchvision.transforms.functional import center_crop
from transformers import ConvNextConfig, ConvNextForImageClassification

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line
from brushbench.core.metric_info import MetricInfo
from brushbench.core.types import Batch
from brushbench.metrics.alignment import bounding_crop
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.metrics.clip import clip_files, clip_of
from brushbench.metrics.distances import DISTANCES, distance_between
from brushbench.metrics.features import floor_offset
from brushbench.metrics.inception import inception_features, inception_file, load_inception
from brushbench.weights import families, read_family
from brushbench.weights.memory import loaded_once
from brushbench.weights.metrics import described
from brushbench.weights.runtime import device_named
from brushbench.weights.sources import Local, Source, digest_of_files
from brushbench.weights.tensors import load_checked, read_tensors

SetRegion = Literal["whole", "painted"]
CLIP_336 = "openai/clip-vit-large-patch14-336"
JUDGE = "papercut-judge"
SCALES = "feature_scales"
"""Key of the judge's configuration: the standard deviation of each feature among training scenes."""
Rows = Float64[np.ndarray, "_ d"]
Images = UInt8[Tensor, "n 3 h w"]


@final
@dataclass(frozen=True, slots=True)
class FID:
    """Frechet distance of the images' and the references' features of Inception v3; lower is better, 0 for equal sets.

    Heusel et al., arXiv:1706.08500, with the network of torch-fidelity, in float64: means and covariances (over N - 1)
    of 2048 features. With no more images than features, the covariances are singular and the number is far above that
    of a large set: compare it only with numbers over the same images.

    On `painted`, image and reference are first cropped as for `clip@painted`; a sample without a crop doesn't count.
    """

    weights_of: str | None = None
    """A file of Inception's weights in torch-fidelity's layout; None: the published ones."""
    region: SetRegion = "whole"
    """Pixels that are compared; `METRIC@REGION` means the same."""
    reference: str | None = None
    """A folder of pictures to compare with; None: the data set's images of the same samples."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts."""
        return described(CATALOGUE["fid"], self.region, "1", self.weights())

    @property
    def network(self) -> str:
        """See `Sharing`."""
        return f"inception {self.info.version}, {self.region}"

    def weights(self) -> Sequence[Source]:
        """The source of Inception."""
        return (inception_file(self.weights_of),)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` without torch-fidelity, and for weights that can't be used."""
        load_inception(inception_file(self.weights_of), device_named(self.device))

    def features(self, batch: Batch, images: Images) -> Float[Tensor, "n d"]:
        """The features of each image; NaN where there is nothing to compare."""
        source, device = inception_file(self.weights_of), device_named(self.device)
        return _in_region(batch, images, self.region, lambda seen: inception_features(seen, source, device))

    def distance(self, references: Rows, images: Rows) -> float:
        """The number, as the class describes."""
        return distance_between(DISTANCES["fid"], references, images)


@final
@dataclass(frozen=True, slots=True)
class KID:
    """Kernel distance of the images' and the references' features of Inception v3; lower is better.

    Binkowski et al., arXiv:1801.01401, with the network of torch-fidelity, in float64. All images are taken at once:
    torch-fidelity's number is the mean over 100 random subsets, which is the same on average and noisier. Unlike FID it
    isn't biased for small sets, and can be negative.

    On `painted`, image and reference are first cropped as for `clip@painted`; a sample without a crop doesn't count.
    """

    weights_of: str | None = None
    """A file of Inception's weights in torch-fidelity's layout; None: the published ones."""
    region: SetRegion = "whole"
    """Pixels that are compared; `METRIC@REGION` means the same."""
    reference: str | None = None
    """A folder of pictures to compare with; None: the data set's images of the same samples."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; values are printed x 1e3."""
        return described(CATALOGUE["kid"], self.region, "1", self.weights())

    @property
    def network(self) -> str:
        """See `Sharing`: FID's features are the same."""
        return self._fid.network

    def weights(self) -> Sequence[Source]:
        """The source of Inception."""
        return self._fid.weights()

    def load_network(self) -> None:
        """Load the network. Raises `UserError` without torch-fidelity, and for weights that can't be used."""
        self._fid.load_network()

    def features(self, batch: Batch, images: Images) -> Float[Tensor, "n d"]:
        """The features of each image; NaN where there is nothing to compare."""
        return self._fid.features(batch, images)

    def distance(self, references: Rows, images: Rows) -> float:
        """The number, as the class describes."""
        return distance_between(DISTANCES["kid"], references, images)

    @property
    def _fid(self) -> FID:
        return FID(self.weights_of, self.region, self.reference, self.device)


@final
@dataclass(frozen=True, slots=True)
class CMMD:
    """Kernel distance of the images' and the references' features of CLIP ViT-L/14-336; lower is better.

    Jayasumana et al., arXiv:2401.09603: features of length 1, a Gaussian kernel of width 10, the biased estimator,
    times 1000. In float64; the official code computes in float32, which is off by up to 3e-4. The picture is
    centre-cropped to a square and resized to 336 pixels (Pillow, bicubic).

    On `painted`, image and reference are first cropped as for `clip@painted`; a sample without a crop doesn't count.
    """

    model: str = CLIP_336
    """A CLIP in transformers layout: a folder or a hub id."""
    region: SetRegion = "whole"
    """Pixels that are compared; `METRIC@REGION` means the same."""
    reference: str | None = None
    """A folder of pictures to compare with; None: the data set's images of the same samples."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts."""
        return described(CATALOGUE["cmmd"], self.region, "1", self.weights())

    def weights(self) -> Sequence[Source]:
        """The source of CLIP."""
        return (clip_files(self.model),)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for a checkpoint that can't be used."""
        clip_of(self.model, device_named(self.device))

    def features(self, batch: Batch, images: Images) -> Float[Tensor, "n d"]:
        """The features of each image, of length 1; NaN where there is nothing to compare."""
        clip = clip_of(self.model, device_named(self.device))

        def seen(pixels: Images) -> Tensor:
            return normalize(clip.image_features(_square(pixels), floor_offset), dim=1)

        return _in_region(batch, images, self.region, seen)

    def distance(self, references: Rows, images: Rows) -> float:
        """The number, as the class describes."""
        return distance_between(DISTANCES["cmmd"], references, images)


@final
@dataclass(frozen=True, slots=True)
class PaperCutFD:
    """Frechet distance of the features of PaperCut's second judge, which notices blur and noise; lower is better.

    The judge is a small ConvNeXt, trained on clean scenes apart from every other part: see docs/papercut.md. Its 104
    features are the mean and the standard deviation, over all positions, of each channel of its three stages, in units
    of their standard deviation among training scenes. They know only PaperCut's scenes. The shorter side is resized to
    128 pixels (bicubic, antialiased), and the image is centre-cropped.
    """

    checkpoint: str | None = None
    """Folder of another judge in transformers layout."""
    reference: str | None = None
    """A folder of pictures to compare with; None: the data set's images of the same samples."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts."""
        # The suite's own judge has no digest here: the version number stands for it.
        files = [Local(Path(self.checkpoint))] if self.checkpoint else []
        return described(CATALOGUE["papercut-fd"], "whole", CATALOGUE["papercut-fd"].version, files)

    def load_network(self) -> None:
        """Load the network. Raises `UserError` for a checkpoint that can't be used."""
        _ = self._judge

    def features(self, batch: Batch, images: Images) -> Float[Tensor, "n d"]:
        """The features of each image."""
        judge = self._judge
        with torch.inference_mode():
            stages = judge.convnext(_unit(images, judge.config.image_size), output_hidden_states=True).hidden_states[1:]
        parts = [part for stage in stages for part in (stage.mean(dim=(2, 3)), stage.std(dim=(2, 3)))]
        found = torch.cat(parts, dim=1)
        return found / torch.tensor(getattr(judge.config, SCALES, None) or [1.0] * found.shape[1])

    def labels(self, images: Images) -> Float[Tensor, "n c"]:
        """The logits of the classes that the judge tells, in the order of its configuration."""
        judge = self._judge
        with torch.inference_mode():
            logits: Tensor = judge(_unit(images, judge.config.image_size)).logits
        return logits

    def distance(self, references: Rows, images: Rows) -> float:
        """The number, as the class describes."""
        return distance_between(DISTANCES["papercut-fd"], references, images)

    @property
    def _judge(self) -> ConvNextForImageClassification:
        folder = Path(self.checkpoint or str(read_family(families()["papercut"]).components[JUDGE].source))
        files = [folder / name for name in ("config.json", "model.safetensors")]
        loaded = capture(lambda: _load_judge(folder, digest_of_files(files)))
        if isinstance(loaded, Failure):
            raise UserError(one_line(f"{JUDGE}: {folder} can't be loaded: {loaded.error}"))
        return loaded


@loaded_once
def _load_judge(folder: Path, _digest: str) -> ConvNextForImageClassification:
    judge = ConvNextForImageClassification(ConvNextConfig.from_json_file(folder / "config.json"))
    file = folder / "model.safetensors"
    load_checked(judge, read_tensors(file, for_scores=True), file)
    return judge.eval().requires_grad_(False)


def _unit(images: Images, side: int) -> Float[Tensor, "n 3 s s"]:
    """The images resized and cropped to a square, on [-1, 1]."""
    unit = images.float() / 255
    shorter = min(images.shape[2:])
    if shorter != side:
        size = [round(length * side / shorter) for length in images.shape[2:]]
        unit = interpolate(unit, size=size, mode="bicubic", antialias=True).clamp(0, 1)
    cropped: Tensor = center_crop(unit, [side, side])
    return cropped * 2 - 1


def _square(images: Images) -> UInt8[Tensor, "n 3 s s"]:
    """The images centre-cropped to squares."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side].contiguous()


def _in_region(
    batch: Batch, images: Images, region: SetRegion, seen: Callable[[Images], Tensor]
) -> Float[Tensor, "n d"]:
    """What `seen` returns for each image, or for its crop to the inpainted pixels; NaN where there is no crop."""
    if region == "whole":
        return seen(images)
    crops = [bounding_crop(image, mask) for image, mask in zip(images, batch.masks, strict=True)]
    rows = [None if crop is None else seen(crop[None])[0] for crop in crops]
    known = next((row for row in rows if row is not None), None)
    if known is None:
        return torch.full((len(images), 1), torch.nan)
    nothing = torch.full_like(known, torch.nan)
    return torch.stack([nothing if row is None else row for row in rows])
