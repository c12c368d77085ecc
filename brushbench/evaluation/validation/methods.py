"""Check the contract of methods."""

import torch
from torch import Tensor

from brushbench.core.method_options import check_options, loads_weights, options_type
from brushbench.core.registry import load_class
from brushbench.core.types import Method
from brushbench.evaluation.methods import LoadedMethod, open_method
from brushbench.evaluation.validation.findings import Asked, Violation, default_findings, tried
from brushbench.evaluation.validation.probe import (
    COUNT,
    KEPT,
    Probe,
    copied,
    describe_returned,
    is_changed,
    probe,
    with_other_neighbours,
)
from brushbench.imaging.padding import padded

LEVELS = 2
"""How much a pixel may differ if its sample is at another place in the batch, where kernels round differently."""


def method_violations(asked: Asked) -> list[Violation]:
    """Find what is wrong with a method. Raises `UserError` for options that are unknown, missing or invalid."""
    found: list[Violation] = []
    cls = tried(found, "loading", "", load_class, "method", asked.name)
    if cls is None:
        return found
    check_options(asked.name, cls, asked.options)
    found += default_findings(asked.name, options_type(cls))
    weights = asked.weights if loads_weights(cls) else None
    method = tried(found, "loading", "", _loaded, asked, weights)
    return found + (_called(method.call, method.side_multiple) if method is not None else [])


def _loaded(asked: Asked, weights: str | None) -> LoadedMethod:
    return open_method(asked.name, weights=weights, device=asked.device, dtype=asked.dtype, options=asked.options)


def _called(method: Method, side_multiple: int) -> list[Violation]:
    found: list[Violation] = []
    first = probe()
    # Padded, as a run does it for sizes that the method can't inpaint.
    first = Probe(padded(first.batch, side_multiple), first.seeds)
    given = copied(first.batch)
    images = _images(found, method, Probe(given, first.seeds), "")
    if is_changed(given, first.batch):
        found.append(Violation("input", "it changes the tensors of the batch in place; it must copy them first"))
    if images is None:
        return found
    again = _images(found, method, first, "called again: ")
    if again is not None and not torch.equal(images, again):
        found.append(Violation("determinism", f"with the same batch and seeds, {_difference(images, again)}"))
        return found
    others = _images(found, method, with_other_neighbours(first), "with other samples: ")
    if others is not None and not torch.equal(images[KEPT], others[KEPT]):
        told = _difference(images[KEPT], others[KEPT])
        found.append(
            Violation("independence", f"with other samples in the batch, {told} for the sample that stayed the same")
        )
        return found
    order = list(reversed(range(COUNT)))
    turned = _images(found, method, first.take(order), "in another order: ")
    if turned is not None and _largest(images, turned[order]) > LEVELS:
        told = _difference(images, turned[order])
        found.append(Violation("independence", f"with its samples in another order, {told}"))
    _images(found, method, first.take([0]), "with a batch of one: ")
    return found


def _images(found: list[Violation], method: Method, one: Probe, when: str) -> Tensor | None:
    """The images that the method returns; if they can't be used, add a finding and return None."""
    # An object: a plug-in may return anything, so its type is checked.
    images: object = tried(found, "error", when, method, copied(one.batch) if when else one.batch, list(one.seeds))
    if images is None:
        if not found or found[-1].check != "error":
            found.append(Violation("shape", f"{when}it returns None, must be a tensor"))
        return None
    wanted = list(one.batch.images.shape)
    if not isinstance(images, Tensor) or list(images.shape) != wanted:
        found.append(Violation("shape", f"{when}it returns {describe_returned(images)}, must be uint8 {wanted}"))
        return None
    if images.dtype != torch.uint8:
        found.append(Violation("dtype", f"{when}it returns {describe_returned(images)}, must be uint8 {wanted}"))
        return None
    return images.detach().cpu().clone()


def _largest(one: Tensor, other: Tensor) -> int:
    return int((one.int() - other.int()).abs().max())


def _difference(one: Tensor, other: Tensor) -> str:
    share = (one != other).float().mean().item()
    return f"{share:.2%} of its values differ, by up to {_largest(one, other)} levels"
