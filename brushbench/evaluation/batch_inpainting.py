"""Generate the images of one batch, each sample at its place in it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import ComputeError, UserError
from brushbench.core.notes import collecting_of_samples
from brushbench.core.types import Sample
from brushbench.evaluation.call import MethodCall
from brushbench.imaging.images import Size
from brushbench.imaging.padding import padded_size
from brushbench.runs.ledger import LedgerEntry

SUFFIX = {"PNG": ".png", "JPEG": ".jpg"}
Slots = Mapping[int, tuple[str, Sample | Failure]]
"""The id of each sample of a batch, and the sample or why it can't be read, by its place in the batch."""


@dataclass(frozen=True, slots=True)
class SampleResult:
    """How one sample ended."""

    sample_id: str
    image: UInt8[Tensor, "3 _ _"] | Failure
    seconds: float
    note: str | None = None
    """What a user must know about how the image was generated."""
    padded: Size | None = None
    """The padded size at which it was generated; None if it wasn't padded."""

    def entry(self, image_format: str) -> LedgerEntry:
        """The sample's line for the ledger, still without the digest of its image."""
        if isinstance(self.image, Failure):
            return LedgerEntry(id=self.sample_id, status="failed", error=self.image.error)
        return LedgerEntry(
            id=self.sample_id,
            status="done",
            image=self.sample_id + SUFFIX[image_format],
            seconds=round(self.seconds, 4),
            note=self.note,
            padded=self.padded,
        )


@final
@dataclass(frozen=True, slots=True)
class BatchInpainter:
    """Generates batches.

    Every call of the method gets a full batch: each sample keeps its place, and the places of finished samples are
    filled with copies of the first unfinished one. So a sample is computed in the same way, and its image has the same
    bytes, whether or not the run was interrupted, and whichever process generates it.
    """

    call: MethodCall
    batch_size: int
    make_room: Callable[[], bool]
    """Gives up memory for the method; returns whether there was any to give up."""
    can_offload: bool
    """Whether the method's option `offload` could save memory."""

    def __call__(self, slots: Slots, *, resumed: bool) -> dict[int, SampleResult]:
        """How the samples ended, by place. Each size needs its own call: different sizes can't be stacked.

        `resumed` tells whether the run already has images. Raises `UserError` if memory is too small for a batch.
        """
        samples = {place: sample for place, (_, sample) in slots.items() if isinstance(sample, Sample)}
        results = {
            place: SampleResult(name, failure, 0.0)
            for place, (name, failure) in slots.items()
            if isinstance(failure, Failure)
        }
        for size in dict.fromkeys(sample.image.shape for sample in samples.values()):
            of_size = {place: sample for place, sample in samples.items() if sample.image.shape == size}
            results |= self._inpainted(of_size, resumed)
        return results

    def _inpainted(self, samples: Mapping[int, Sample], resumed: bool) -> dict[int, SampleResult]:
        filler = next(iter(samples.values()))
        places = [samples.get(place, filler) for place in range(self.batch_size)]
        start = time.perf_counter()
        with collecting_of_samples() as notes:
            images = capture(self.call, places, passing=(ComputeError,))
            if isinstance(images, Failure) and images.out_of_memory and self.make_room():
                notes.clear()
                images = capture(self.call, places, passing=(ComputeError,))
        seconds = (time.perf_counter() - start) / len(samples)
        if not isinstance(images, Failure):
            height, width = filler.image.shape[1:]
            larger = padded_size(height, width, self.call.side_multiple)
            was_padded = larger if larger != (height, width) else None
            return {
                place: SampleResult(
                    sample.id, images[place], seconds, "; ".join(notes.get(place, [])) or None, was_padded
                )
                for place, sample in samples.items()
            }
        if images.out_of_memory:
            raise self._too_large(resumed)
        if len(samples) == 1:
            return {place: SampleResult(sample.id, images, seconds) for place, sample in samples.items()}
        # One bad sample must not spoil the rest of its batch: call the method for each sample by itself, in its place.
        results: dict[int, SampleResult] = {}
        for place, sample in samples.items():
            results |= self._inpainted({place: sample}, resumed)
        return results

    def _too_large(self, resumed: bool) -> UserError:
        smaller = "a smaller --batch-size" if self.batch_size > 1 else "another --device or --dtype"
        anew = ", with --fresh" if resumed else ""
        rest = "; or -o offload=model, which changes no image" if self.can_offload else ""
        return UserError(f"out of memory with {self.batch_size} samples per call; valid: {smaller}{anew}{rest}")
