"""BrushNet's features, and how they are added to an unmodified UNet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn

from brushbench.core.errors import UserError


@final
@dataclass(frozen=True, slots=True)
class Residuals:
    """One tensor for each hidden state of the UNet that BrushNet changes, in that hidden state's shape."""

    down: tuple[Float[Tensor, "n _ _ _"], ...]
    """After the first convolution; then, block by block, after each resnet with its attention and each downsampler."""
    mid: Float[Tensor, "n c h w"]
    """After the middle block."""
    up: tuple[Float[Tensor, "n _ _ _"], ...]
    """Block by block, after each resnet with its attention and each upsampler."""

    def map(self, change: Callable[[Tensor], Tensor]) -> "Residuals":
        """Residuals for the same layers, with `change` applied to each tensor."""
        return Residuals(tuple(map(change, self.down)), change(self.mid), tuple(map(change, self.up)))

    def __mul__(self, weight: float) -> "Residuals":
        """The residuals times the conditioning scale w; at 1 the same tensors, since a product would only copy them."""
        return self if weight == 1 else self.map(lambda tensor: tensor * weight)


@final
@dataclass(slots=True)
class _Places:
    """The places of one UNet where residuals are added, in the order in which it comes by, and what is added now."""

    down: int
    up: int
    held: list[Tensor] = field(default_factory=list)
    """Nothing, but for as long as `with_residuals` lasts."""

    def ordered(self, residuals: Residuals) -> list[Tensor]:
        """One for each place. Raises `UserError` if there are more or fewer."""
        given = (len(residuals.down), len(residuals.up))
        if given != (self.down, self.up):
            raise UserError(f"BrushNet gives {given[0]} + {given[1]} features, this UNet takes {self.down} + {self.up}")
        return [*residuals.down, residuals.mid, *residuals.up]


# The two hooks are objects, not functions: with a UNet that is copied, they and what they read are copied too.
@final
@dataclass(frozen=True, slots=True)
class _AddAfter:
    places: _Places
    index: int

    # Any: the input of any module.
    def __call__(
        self, _module: nn.Module, _inputs: Any, output: Tensor | tuple[Tensor, ...]
    ) -> Tensor | tuple[Tensor, ...]:
        if not self.places.held:
            return output
        residual = self.places.held[self.index]
        if isinstance(output, tuple):
            return (_sum(output[0], residual), *output[1:])
        return _sum(output, residual)


@final
@dataclass(frozen=True, slots=True)
class _AddBefore:
    places: _Places
    index: int

    # Any: whatever else the UNet gives its first block.
    def __call__(
        self, _module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not self.places.held:
            return inputs, keywords
        return inputs, keywords | {"hidden_states": _sum(keywords["hidden_states"], self.places.held[self.index])}


def take_residuals(unet: UNet2DConditionModel) -> None:
    """Prepare a UNet, once, for residuals to come: its hooks do nothing until `with_residuals` gives them something.

    Hooks that came and went with each step would be new functions to `torch.compile` and to CUDA graphs every time.
    """
    _places_of(unet)


@contextmanager
def with_residuals(unet: UNet2DConditionModel, residuals: Residuals) -> Iterator[UNet2DConditionModel]:
    """The UNet, with the residuals added to its hidden states while the context is open.

    Ju et al., arXiv:2403.06976. Each hidden state is changed where it is computed, so the skip connections
    carry the residual too; only the skip of the first convolution is taken before.

    If the UNet is called with a multiple of the residuals' rows (the halves of the guidance, one after the other), they
    are added to each of them. Raises `UserError` if the UNet and the residuals differ in their number of layers.
    """
    places = _places_of(unet)
    before, places.held = places.held, places.ordered(residuals)
    try:
        yield unet
    finally:
        places.held = before


_ATTRIBUTE = "_brushnet_places"


def _places_of(unet: UNet2DConditionModel) -> _Places:
    """The places of this UNet, hooked into it when they are first requested.

    They are an attribute of it, so that all who use it find the same ones, and a copy of the UNet has its own.
    """
    known = vars(unet).get(_ATTRIBUTE)
    if isinstance(known, _Places):
        return known
    down = [module for block in unet.down_blocks for module in _hidden_states(block, block.downsamplers)]
    up = [module for block in unet.up_blocks for module in _hidden_states(block, block.upsamplers)]
    places = _Places(len(down) + 1, len(up))
    unet.down_blocks[0].register_forward_pre_hook(_AddBefore(places, 0), with_kwargs=True)
    for index, module in enumerate([*down, unet.mid_block, *up], 1):
        module.register_forward_hook(_AddAfter(places, index))
    setattr(unet, _ATTRIBUTE, places)
    return places


def _hidden_states(block: nn.Module, samplers: nn.ModuleList | None) -> list[nn.Module]:
    """Where a block's hidden state is complete: each attention, or resnet without one, then the down- or upsampler."""
    # The blocks of diffusers with attention say so themselves.
    layers = block.attentions if getattr(block, "has_cross_attention", False) else block.resnets
    return [*layers, *(samplers or [])]  # type: ignore[misc]


def _sum(hidden: Float[Tensor, "m c h w"], residual: Float[Tensor, "n c h w"]) -> Float[Tensor, "m c h w"]:
    """The residual, added to each n of the m rows through a view: no copies of it are made."""
    if len(hidden) == len(residual):
        return hidden + residual
    rows = hidden.view(-1, len(residual), *hidden.shape[1:])
    return (rows + residual).flatten(0, 1)
