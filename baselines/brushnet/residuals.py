"""BrushNet's features, and how they are added to an unmodified UNet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

from diffusers import UNet2DConditionModel
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

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
        """The residuals times the conditioning scale w."""
        return self.map(lambda tensor: tensor * weight)

    def repeat(self, copies: int) -> "Residuals":
        """The residuals of the batch repeated `copies` times."""
        return self.map(lambda tensor: tensor.repeat(copies, 1, 1, 1))


@contextmanager
def with_residuals(unet: UNet2DConditionModel, residuals: Residuals) -> Iterator[UNet2DConditionModel]:
    """The UNet, with the residuals added to its hidden states while the context is open.

    BrushNet, section 3.2 and equation 2. Each hidden state is changed where it is computed, so the skip connections
    carry the residual too; only the skip of the first convolution is taken before.

    Raises `UserError` if the UNet and the residuals differ in their number of layers.
    """
    down = [module for block in unet.down_blocks for module in _places(block, block.downsamplers)]
    up = [module for block in unet.up_blocks for module in _places(block, block.upsamplers)]
    wanted = (len(down) + 1, len(up))
    if wanted != (len(residuals.down), len(residuals.up)):
        raise UserError(
            f"BrushNet gives {len(residuals.down)} + {len(residuals.up)} features, "
            f"this UNet takes {wanted[0]} + {wanted[1]}"
        )
    handles = [unet.down_blocks[0].register_forward_pre_hook(_adding_before(residuals.down[0]), with_kwargs=True)]
    places = zip([*down, unet.mid_block, *up], [*residuals.down[1:], residuals.mid, *residuals.up], strict=True)
    try:
        handles += [_add(module, residual) for module, residual in places]
        yield unet
    finally:
        for handle in handles:
            handle.remove()


def _places(block: nn.Module, samplers: nn.ModuleList | None) -> list[nn.Module]:
    """The modules after which a block's hidden state is complete.

    These are each attention, or each resnet of a block without attention, and then the down- or upsampler.
    """
    layers = block.attentions if getattr(block, "has_cross_attention", False) else block.resnets
    return [*layers, *(samplers or [])]  # type: ignore[misc]


def _add(module: nn.Module, residual: Tensor) -> RemovableHandle:
    # Any: the input of any module.
    def hook(_module: nn.Module, _inputs: Any, output: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        if isinstance(output, tuple):
            return (output[0] + residual, *output[1:])
        return output + residual

    return module.register_forward_hook(hook)


def _adding_before(residual: Tensor) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
    # Any: the other arguments that the UNet passes to its first block.
    def hook(
        _module: nn.Module, inputs: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return inputs, keywords | {"hidden_states": keywords["hidden_states"] + residual}

    return hook
