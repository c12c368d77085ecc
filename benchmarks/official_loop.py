"""Run the official evaluation as a loop: one image and one metric at a time, each network separately.

It repeats the official stack's repetitions: CLIPScore (torchmetrics 1.3.2) runs vision and text twice per call, with
gradients on; the aesthetic score runs CLIP again; HPS (hpsv2 1.2.0) reads its checkpoint at every call. The networks
are the suite's, so both ways give the same values, and only the work differs.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from inspect import unwrap
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from score_networks import Networks
from torch import Tensor
from torch.nn.functional import normalize

from brushbench.core.types import Batch, Sample
from brushbench.metrics import preference
from brushbench.metrics.clip import CLIP, clip_of
from brushbench.metrics.features import cropped, floor_offset, half_even_offset, normalised
from brushbench.metrics.perceptual import LPIPS
from brushbench.metrics.preference import HPS, ImageReward
from brushbench.weights.tensors import read_tensors

CPU = torch.device("cpu")


class OfficialLoop:
    """Scores images, and collects the values and CPU-seconds of each metric by its name."""

    def __init__(self, networks: Networks, names: list[str]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.values: dict[str, list[float]] = {name: [] for name in names}
        self._networks = networks
        self._calls: dict[str, Callable[[Batch, Tensor], float]] = {
            "psnr": lambda batch, images: _psnr(_official_mse(batch, images)),
            "mse": _official_mse,
            "lpips": lambda batch, images: float(LPIPS(backbone=str(networks.squeeze), device="cpu")(batch, images)),
            "clip": self._clip_score,
            "aesthetic": self._aesthetic,
            "image-reward": lambda batch, images: float(ImageReward(str(networks.reward), "cpu")(batch, images)),
            "hps": self._hps,
        }

    def __call__(self, sample: Sample, file: Path) -> None:
        """Score one image that is stored in a file."""
        start = time.process_time()
        pixels = np.array(Image.open(file).convert("RGB"))
        self.seconds["decode"] += time.process_time() - start
        images = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
        batch = Batch.of([sample])
        for name in self.values:
            start = time.process_time()
            # A new tensor, so that no metric can reuse another one's features.
            self.values[name].append(self._calls[name](batch, images.clone()))
            self.seconds[name] += time.process_time() - start

    def _clip_score(self, batch: Batch, images: Tensor) -> float:
        clip = self._clip()
        for _ in range(2):
            with torch.enable_grad():
                seen = normalize(_seen(clip, images.clone(), floor_offset), dim=1)
                ids = clip.tokenizer(list(batch.captions), verbose=False, return_tensors="pt").input_ids[
                    :, : clip.limit
                ]
                read = normalize(clip.model.text_projection(clip.model.text_model(ids).pooler_output), dim=1)
        return max(100 * (seen * read).sum().item(), 0.0)

    def _aesthetic(self, batch: Batch, images: Tensor) -> float:
        linear = read_tensors(self._networks.linear, for_scores=True)
        with torch.no_grad():
            features = normalize(_seen(self._clip(), images, half_even_offset), dim=1)
            return float(features @ linear["weight"].T + linear["bias"])

    def _hps(self, batch: Batch, images: Tensor) -> float:
        with patch.object(preference, "_preference", unwrap(preference._preference)):
            return float(HPS(str(self._networks.hps), self._networks.hps_model, device="cpu")(batch, images))

    def _clip(self) -> CLIP:
        return clip_of(str(self._networks.clip), CPU)


def _seen(clip: CLIP, images: Tensor, offset: Callable[[int], int]) -> Tensor:
    pixels = normalised(cropped(images, clip.model.config.vision_config.image_size, offset), clip.mean, clip.std, CPU)
    return clip.model.visual_projection(clip.model.vision_model(pixels).pooler_output)


def _official_mse(batch: Batch, images: Tensor) -> float:
    known = (~batch.masks[0]).permute(1, 2, 0).numpy().astype(np.uint8)
    own, source = (part[0].permute(1, 2, 0).numpy().astype(np.float32) / 255 for part in (images, batch.images))
    return float(((own * known - source * known) ** 2).sum() / known.sum())


def _psnr(mse: float) -> float:
    return 1000.0 if mse < 1e-10 else float(20 * np.log10(1 / np.sqrt(mse)))
