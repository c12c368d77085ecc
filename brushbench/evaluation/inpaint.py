"""Inpaint a single picture, by the same code as a run."""

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError
from brushbench.core.notes import collecting_of_samples
from brushbench.core.protocol import protocol_named
from brushbench.core.types import Sample
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.methods import LoadedMethod
from brushbench.imaging.images import Size
from brushbench.imaging.padding import padded_size


@dataclass(frozen=True, slots=True)
class Inpainted:
    """An inpainted picture, and what a user must know about it."""

    image: UInt8[Tensor, "3 h w"]
    notes: tuple[str, ...]
    """The method's notes on it."""
    padded: Size | None
    """The padded size at which it was generated; None if it wasn't padded."""


def inpaint(sample: Sample, method: LoadedMethod, seed: int, protocol: str = "strict") -> Inpainted | Failure:
    """Inpaint one sample, as a run with a batch size of 1 does; a failure if the method breaks.

    Its seed follows from `seed` and the sample's id, as in a run. Raises `UserError` if the sample or the request is
    wrong, and if the memory isn't enough.
    """
    call = MethodCall(method.call, protocol_named(protocol), seed, method.side_multiple)
    with collecting_of_samples() as notes:
        images = capture(call, [sample])
    if isinstance(images, Failure):
        if images.out_of_memory:
            rest = "; or -o offload=model, which changes no image" if method.offload == "none" else ""
            raise UserError(f"out of memory; valid: a smaller picture, or another --device or --dtype{rest}")
        if images.by_user:
            raise UserError(images.error)
        return images
    height, width = sample.image.shape[1:]
    larger = padded_size(height, width, method.side_multiple)
    told = tuple(dict.fromkeys(note for own in notes.values() for note in own))
    return Inpainted(images[0], told, larger if larger != (height, width) else None)
