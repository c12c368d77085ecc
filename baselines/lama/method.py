"""Inpainting with LaMa: arXiv:2109.07161, and the official `predict.py`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from brushbench.baselines.lama.checkpoint import load_generator
from brushbench.baselines.lama.generator import MULTIPLE, LaMaGenerator
from brushbench.baselines.transfer import to_device
from brushbench.core.compute import PLAIN
from brushbench.core.errors import NotFiniteError, SampleError
from brushbench.core.types import Batch
from brushbench.weights.runtime import Runtime

PART = "lama"
SMALLEST = MULTIPLE + 1
"""The shortest side. Any shorter one has a single row left after the downsampling, which can't be reflected."""


@dataclass(frozen=True, slots=True)
class LaMaOptions:
    """Options of `lama`, which has no prompt, no steps and no seed."""

    model: str | None = None
    """File, folder or hub id of another LaMa with Fourier convolutions: safetensors, or the official `best.ckpt`."""


@final
@dataclass(frozen=True, slots=True)
class LaMa:
    """One pass through a network with fast Fourier convolutions; captions are ignored, known pixels stay as they are.

    It always computes in float32, without TF32, whatever the precision of the run.
    """

    Options: ClassVar = LaMaOptions
    generator: LaMaGenerator
    device: torch.device

    @classmethod
    def load(cls, options: LaMaOptions, runtime: Runtime) -> "LaMa":
        """Load the generator. Raises `UserError` if it can't be used."""
        exact = replace(runtime, dtype=torch.float32, compute=PLAIN)
        file = runtime.weights.one_file(PART, options.model, option="model")
        with runtime.weights.recording(PART, [file]):
            generator = load_generator(file)
        return cls(exact.place(generator), exact.device)

    def __call__(self, batch: Batch, seeds: Sequence[int]) -> UInt8[Tensor, "n 3 h w"]:
        """Inpaint each sample by itself, as the official code does; the seeds are not used.

        Raises `SampleError` for sides below `SMALLEST`, and `NotFiniteError` for pixels that aren't finite.
        """
        height, width = batch.images.shape[2:]
        if min(height, width) < SMALLEST:
            size = f"{width}x{height} pixels are too small for LaMa"
            raise SampleError(f"{batch.ids[0]}: {size}; valid: sides of {SMALLEST} pixels or more")
        pictures = []
        for name, image, mask in zip(batch.ids, batch.images, batch.masks, strict=True):
            given = generator_input(image, mask)
            raw = self.generate(given)
            if not raw.isfinite().all():
                raise NotFiniteError(f"{name}: LaMa's pixels aren't finite, so its weights are damaged; valid: others")
            pictures.append(composite(raw, given)[:, :height, :width])
        return torch.stack(pictures)

    def generate(self, given: Float[Tensor, "4 h w"]) -> Float[Tensor, "3 h w"]:
        """The generator's picture on [0, 1], known and masked pixels alike, in the computer's memory."""
        with torch.inference_mode(), _in_full_precision():
            raw: Tensor = self.generator(to_device(given[None], self.device))[0]
        return raw.cpu()


def generator_input(image: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "1 h w"]) -> Float[Tensor, "4 H W"]:
    """The picture on [0, 1] with its hole set to zero, then the mask; both padded to multiples of 8.

    This stays in the computer's memory: a GPU divides by 255 with other last bits, and truncating would show them.
    """
    rows, columns = (
        torch.from_numpy(np.pad(np.arange(side), (0, -side % MULTIPLE), mode="symmetric")) for side in image.shape[1:]
    )
    hole = mask[:, rows][:, :, columns].float()
    return torch.cat([image[:, rows][:, :, columns].float() / 255 * (1 - hole), hole])


def composite(raw: Float[Tensor, "3 h w"], given: Float[Tensor, "4 h w"]) -> UInt8[Tensor, "3 h w"]:
    """The raw picture in the hole and the known pixels elsewhere, truncated to 8 bits as by the official code.

    `given` is the generator's input, in which the known pixels are whole. All 256 of their levels come back exactly.
    """
    known, hole = given[:3], given[3:]
    return ((hole * raw + known) * 255).clamp(0, 255).to(torch.uint8)


@contextmanager
def _in_full_precision() -> Iterator[None]:
    """Compute convolutions on a GPU without TF32 and by the same kernels each time; a setting of the whole process."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
