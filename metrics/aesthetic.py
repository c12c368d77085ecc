"""Predicted aesthetic quality of an image, independent of its caption: LAION's predictor on CLIP ViT-L/14."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, final

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor, nn
from torch.nn.functional import normalize

from brushbench.core.metric_info import MetricInfo
from brushbench.core.types import Batch
from brushbench.metrics.catalogue import CATALOGUE
from brushbench.metrics.clip import CLIP, OPENAI, clip_files, clip_of
from brushbench.metrics.features import half_even_offset
from brushbench.weights.memory import loaded_once
from brushbench.weights.metrics import described
from brushbench.weights.runtime import device_named
from brushbench.weights.sources import Source, WebFile, digest_of_files
from brushbench.weights.tensors import load_checked, read_tensors

ADDRESS = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth"


@final
@dataclass(frozen=True, slots=True)
class Aesthetic:
    """w . f + b with LAION's linear predictor, f being the image's CLIP features of unit length; higher is better.

    The predictor was trained on ratings from 1 to 10, but its scores are not limited to that range. Official code:
    LAION-AI/aesthetic-predictor. The image's shorter side is resized to the model's input size (Pillow, bicubic), and
    the image is centre-cropped. Both protocols are the same.

    Input uint8 [n, 3, h, w]; output float64 [n]. Raises `UserError` for weights that aren't available.
    """

    model: str = OPENAI
    """A CLIP ViT-L/14 in transformers layout; shared with the metric `clip`."""
    linear: str | None = None
    """The predictor's file, safetensors or torch; None: LAION's own."""
    device: str = "auto"
    """Device to compute on; a run passes its own."""

    @property
    def info(self) -> MetricInfo:
        """The metric's facts; scores are about 1 to 10."""
        return described(CATALOGUE["aesthetic"], "whole", "1", self.weights())

    def weights(self) -> Sequence[Source]:
        """The sources of CLIP and of the predictor."""
        return (clip_files(self.model), WebFile("linear", self.linear, ADDRESS))

    def __call__(self, batch: Batch, images: UInt8[Tensor, "n 3 h w"]) -> Float64[Tensor, " n"]:
        """The score of each image, as the class describes."""
        clip, predictor = self._loaded()
        features = normalize(clip.image_features(images, half_even_offset), dim=1)
        with torch.inference_mode():
            return cast(Tensor, predictor(features))[:, 0].double()

    def load_network(self) -> None:
        """Load CLIP and the predictor. Raises `UserError` for weights that can't be used."""
        self._loaded()

    def _loaded(self) -> tuple[CLIP, nn.Linear]:
        file = self.weights()[1].get()
        clip = clip_of(self.model, device_named(self.device))
        return clip, _predictor(file, digest_of_files([file]), clip.model.config.projection_dim)


@loaded_once
def _predictor(file: Path, _digest: str, width: int) -> nn.Linear:
    return load_checked(nn.Linear(width, 1), read_tensors(file, for_scores=True), file, assign=True)
