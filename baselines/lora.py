"""LoRA weights on a base model: Hu et al., arXiv:2106.09685, equation 3, merged into the weights that they change."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_peft
from diffusers.utils.peft_utils import get_peft_kwargs, recurse_remove_peft_layers
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from baselines.checkpoints import loaded
from baselines.stable_diffusion import StableDiffusion
from brushbench.errors import UserError, one_line
from brushbench.work import Failure, attempt

Named = TypeVar("Named")
OPTION = "lora"
FILE = "pytorch_lora_weights.safetensors"
"""What diffusers calls such a file."""


def add_lora(sd: StableDiffusion, source: str, scale: float) -> None:
    """Merge LoRA weights into UNet and text encoders of a base model, `scale` times; the model is changed.

    `source` is a file of diffusers' or Kohya's layout, a folder with `pytorch_lora_weights.safetensors`, or a hub id.
    Raises `UserError` for a file that can't be read, or that has nothing for this base model.
    """
    file = sd.runtime.weights.file(OPTION, source, [FILE])
    layout: Any = StableDiffusionXLLoraLoaderMixin if sd.text_pair else StableDiffusionLoraLoaderMixin
    with sd.runtime.weights.recording(OPTION, [file]):
        read = partial(layout.lora_state_dict, unet_config=sd.unet.config, return_lora_metadata=True)
        tensors, alphas, metadata = loaded(file, read, use_safetensors=True)
        merged = attempt(_merge, sd, _Weights(tensors, alphas, metadata), scale)
        if isinstance(merged, Failure):
            raise UserError(one_line(f"{file}: doesn't fit this base model: {merged.error}"))
        if not merged:
            raise UserError(one_line(f"{file}: has no LoRA weights for this base model"))


@dataclass(frozen=True, slots=True)
class _Weights:
    """Of all models, by names that begin with the model's."""

    tensors: dict[str, Tensor]
    # Any: as the loaders of diffusers hand them around.
    alphas: Any
    metadata: Any

    def of(self, part: str) -> dict[str, Tensor]:
        """The tensors of one model, without its name."""
        return _below(part, self.tensors)


def _merge(sd: StableDiffusion, weights: _Weights, scale: float) -> int:
    """How many layers were changed."""
    merged = _merge_into_unet(sd.unet, weights, scale)
    encoders = sd.text_pair.encoders if sd.text_pair else (sd.text_encoder,)
    for part, encoder in zip(("text_encoder", "text_encoder_2"), encoders, strict=False):
        merged += _merge_into_text_encoder(encoder, weights, part, scale)
    return merged


def _merge_into_unet(unet: UNet2DConditionModel, weights: _Weights, scale: float) -> int:
    if not weights.of("unet"):
        return 0
    unet.load_lora_adapter(
        weights.tensors, prefix="unet", network_alphas=weights.alphas, metadata=weights.metadata, adapter_name=OPTION
    )
    count = _count(unet)
    unet.fuse_lora(lora_scale=scale)
    unet.unload_lora()
    return count


def _merge_into_text_encoder(encoder: nn.Module, weights: _Weights, part: str, scale: float) -> int:
    """By peft itself: transformers' loader asks for newer versions of it than there are."""
    tensors = weights.of(part)
    if not tensors:
        return 0
    tensors = convert_state_dict_to_peft(convert_state_dict_to_diffusers(tensors))
    if not any(name.startswith("text_model.") for name, _ in encoder.named_modules()):
        tensors = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    ranks = {name: tensor.shape[1] for name, tensor in tensors.items() if name.endswith(".lora_B.weight")}
    # Newer files say themselves how they were made.
    own = _below(part, weights.metadata or {})
    settings = own or get_peft_kwargs(ranks, _below(part, weights.alphas or {}), tensors, is_unet=False)
    inject_adapter_in_model(LoraConfig(**settings), encoder, OPTION)
    if unknown := set_peft_model_state_dict(encoder, tensors, OPTION).unexpected_keys:
        raise ValueError(f"no such tensor: {part}.{unknown[0]}")
    layers = [module for module in encoder.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.scale_layer(scale)
        layer.merge()
    recurse_remove_peft_layers(encoder)
    return len(layers)


def _below(part: str, named: Mapping[str, Named]) -> dict[str, Named]:
    return {name.removeprefix(f"{part}."): value for name, value in named.items() if name.startswith(f"{part}.")}


def _count(model: nn.Module) -> int:
    return sum(isinstance(module, BaseTunerLayer) for module in model.modules())
