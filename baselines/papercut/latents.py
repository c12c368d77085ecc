"""Training scenes as latents: encoded once, whole and with holes like those of the splits."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from diffusers import AutoencoderKL
from jaxtyping import Bool, Float
from torch import Tensor

from brushbench.baselines.papercut.corpus import Corpus
from brushbench.baselines.stable_diffusion import to_unit
from brushbench.core.progress import ProgressCallback
from brushbench.datasets.brushbench import brush_mask
from brushbench.imaging.masks import erase

Shape = Literal["inside", "outside", "brush", "box"]
Hole = Literal["black", "grey"]
"""The colour of masked pixels: black, -1 on [-1, 1], for BrushNet; grey, 0, for SD Inpainting."""
CHUNK = 64
HOLED = 6_144
"""Number of scenes, the first of the corpus, that are also encoded with holes: each shape is one more encoder pass."""


@final
class EncodedCorpus:
    """A corpus with its latents, each kind computed at its first use and then kept in the work folder.

    Latents are posterior modes times the scaling factor, float32 [n, 4, 16, 16]. Their folder is named after the
    autoencoder's weights, so another autoencoder computes its own.
    """

    def __init__(self, corpus: Corpus, vae: AutoencoderKL, work: Path, watch: ProgressCallback) -> None:
        self.corpus = corpus
        self._vae = vae
        self._watch = watch
        digest = hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in vae.state_dict().values()))
        self._folder = work / f"latents-{digest.hexdigest()[:8]}-{len(corpus)}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def whole(self) -> Float[Tensor, "n 4 16 16"]:
        """The latents of the whole scenes."""
        return self._kept("whole", len(self.corpus), lambda part: to_unit(self.corpus.images[part]))

    @property
    def holed(self) -> int:
        """The number of scenes with holes, m."""
        return min(HOLED, len(self.corpus))

    def masked(self, shape: Shape, hole: Hole) -> Float[Tensor, "m 4 16 16"]:
        """The latents of the first scenes with a hole in them."""
        masks = self.masks(shape)

        def holed(part: slice) -> Tensor:
            images, mask = self.corpus.images[part], masks[part]
            return to_unit(erase(images, mask)) if hole == "black" else to_unit(images) * ~mask

        return self._kept(f"{shape}-{hole}", self.holed, holed)

    def masks(self, shape: Shape) -> Bool[Tensor, "m 1 128 128"]:
        """The masks of the first scenes; True = the hole."""
        objects = self.corpus.masks[: self.holed]
        makers: dict[Shape, Callable[[], Tensor]] = {
            "inside": lambda: objects,
            "outside": lambda: ~objects,
            "brush": self._brush_masks,
            "box": lambda: boxes(objects),
        }
        return makers[shape]()

    def _brush_masks(self) -> Bool[Tensor, "m 1 128 128"]:
        file = self._folder / "brush.npy"
        if not file.exists():
            advance = self._watch("drawing brush masks", self.holed, 0)
            masks = []
            for scene in self.corpus.scenes[: self.holed]:
                masks.append(np.packbits(brush_mask(f"training {scene.seed}", 128, 128).numpy()))
                advance(1, 0)
            _save(file, np.stack(masks))
        return torch.from_numpy(np.unpackbits(np.load(file), axis=1)).bool().reshape(-1, 1, 128, 128)

    def _kept(self, name: str, count: int, pictures: Callable[[slice], Float[Tensor, "k 3 128 128"]]) -> Tensor:
        file = self._folder / f"{name}.npy"
        if not file.exists():
            advance = self._watch(f"encoding scenes ({name})", count, 0)
            parts = []
            for start in range(0, count, CHUNK):
                with torch.inference_mode():
                    latents = self._vae.encode(pictures(slice(start, min(start + CHUNK, count)))).latent_dist.mode()
                parts.append(latents.numpy() * self._vae.config.scaling_factor)
                advance(len(latents), 0)
            _save(file, np.concatenate(parts))
        return torch.from_numpy(np.load(file))


def boxes(masks: Bool[Tensor, "n 1 h w"]) -> Bool[Tensor, "n 1 h w"]:
    """The smallest rectangle around each mask."""
    spans = []
    for across in (3, 2):
        used = masks.any(dim=across, keepdim=True)
        axis = 5 - across
        spans.append(
            used.int().cummax(dim=axis).values.bool() & used.int().flip(axis).cummax(dim=axis).values.flip(axis).bool()
        )
    return spans[0] & spans[1]


def _save(file: Path, array: np.ndarray) -> None:
    partial = file.with_name(f".{file.stem}.partial.npy")
    np.save(partial, array)
    partial.replace(file)
