"""LoRA weights for a base model, merged into the weights they change: Hu et al., arXiv:2106.09685, equation 3.

They are merged here and not by diffusers' loaders, which skip what they don't know: here, either every tensor of a file
is used, or the file is refused.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from brushbench.baselines.lora_names import TEXT_ENCODERS, UNET, Layer, layer_and_kind, names_of_layers
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.core.capture import capture
from brushbench.core.errors import UserError, one_line
from brushbench.weights.file_kinds import is_safetensors
from brushbench.weights.tensors import read_tensors

OPTION = "lora"
METADATA = "lora_adapter_metadata"
"""The entry in the header of newer files that says how peft made the weights."""
_SECOND = ("text_encoder_2.", "lora_te2_")
_OTHERS = {
    "dora_scale": "DoRA's magnitudes can't be merged",
    "lora_magnitude_vector": "DoRA's magnitudes can't be merged",
    "hada_": "LoHa can't be merged",
    "lokr_": "LoKr can't be merged",
    "oft_": "OFT can't be merged",
}
"""Why a tensor can't be used, by a part of its name."""
_HARMLESS = (
    # Which layers of which model were trained, and how: the tensors already show the result.
    *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern", "bias"),
    *("trainable_token_indices", "ensure_weight_tying", "lora_bias", "lora_dropout", "fan_in_fan_out"),
    *("peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision"),
    *("inference_mode", "runtime_config", "megatron_core", "megatron_config", "qalora_group_size"),
    *("loftq_config", "eva_config", "corda_config", "lora_ga_config"),
)
"""Settings of peft that don't affect the merged weights."""
_CHANGED_BASES = ("pissa", "olora", "loftq", "corda", "lora_ga")
"""Initialisations that also change the base weights to which the LoRA weights are added."""


def add_lora(sd: StableDiffusion, source: str, scale: float) -> None:
    """Merge LoRA weights, `scale` times, into the UNet and text encoders of a base model, which is changed in place.

    A weight W becomes W + scale * alpha / rank * up @ down. Rank and alpha are each layer's own; alpha defaults to the
    rank. `source` is a safetensors or torch file with diffusers' or Kohya's names, a folder with
    `pytorch_lora_weights.safetensors`, or a hub id.

    Raises `UserError` for a file that can't be read, and for a file with a tensor that can't be used exactly.
    """
    file = sd.runtime.weights.file(OPTION, source)
    encoders = sd.text_pair.encoders if sd.text_pair else (sd.text_encoder,)
    models: dict[str, nn.Module] = {UNET: sd.unet, **dict(zip(TEXT_ENCODERS, encoders, strict=False))}
    with sd.runtime.weights.recording(OPTION, [file]):
        read = read_tensors(file), _header(file)
        try:
            # All are checked before the first is merged, and merged one by one, as there may be gigabytes of them.
            for weight, change in list(_changes(models, *read)):
                _merge(weight, change, scale)
        except _NotUsedError as error:
            raise UserError(one_line(f"{file}: {error}")) from error


class _NotUsedError(Exception):
    """Why a file can't be used, naming the first tensor at fault."""


@dataclass(slots=True)
class _Parts:
    """A file's tensors for one layer and their names, by kind."""

    layer: Layer
    names: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Change:
    """The change of one layer's weight."""

    name: str
    """The name of the layer's first tensor in the file."""
    down: Tensor
    up: Tensor
    mid: Tensor | None
    strength: float
    """Alpha divided by the rank, or by its root."""

    def delta(self, device: torch.device) -> Tensor:
        """The change in float32: a matrix, or a kernel if there is a middle tensor."""
        down, up = (tensor.to(device).flatten(1) for tensor in (self.down, self.up))
        if self.mid is None:
            return self.strength * (up @ down)
        return self.strength * torch.einsum("oa,abhw,bi->oihw", up, self.mid.to(device), down)


def _header(file: Path) -> dict[str, str]:
    """The metadata in a safetensors file's header; empty for other files."""
    if not is_safetensors(file):
        return {}
    with safe_open(file, framework="pt") as opened:
        return opened.metadata() or {}


def _changes(
    models: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], header: Mapping[str, str]
) -> Iterator[tuple[Tensor, _Change]]:
    """Each weight to change, with its change."""
    if not any(layer_and_kind(name) for name in tensors):
        first = f"; its first tensor is {min(tensors)}" if tensors else ""
        raise _NotUsedError(f"the file has no LoRA weights for this base model{first}")
    settings = _settings(header)
    for parts in _by_layer(models, tensors):
        layer = parts.layer
        weight = models[layer.part].get_submodule(layer.name).weight
        assert isinstance(weight, Tensor)
        yield weight, _change(parts, weight.shape, settings.get(layer.part, {}))


def _by_layer(models: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> list[_Parts]:
    layers = names_of_layers(models)
    found: dict[Layer, _Parts] = {}
    for name in sorted(tensors):
        parsed = layer_and_kind(name)
        if parsed is None or parsed[0] not in layers:
            raise _unusable(name, _why_unknown(name, models, is_lora=parsed is not None))
        layer, kind = layers[parsed[0]], parsed[1]
        parts = found.setdefault(layer, _Parts(layer))
        if kind in parts.names:
            raise _unusable(name, f"{parts.names[kind]} is for the same layer")
        parts.names[kind], parts.tensors[kind] = name, _checked(name, tensors[name])
    return list(found.values())


def _unusable(name: str, why: str) -> _NotUsedError:
    return _NotUsedError(f"the file doesn't fit this base model: {name} can't be used: {why}")


def _why_unknown(name: str, models: Mapping[str, nn.Module], *, is_lora: bool) -> str:
    if name.startswith(_SECOND) and TEXT_ENCODERS[1] not in models:
        return "the base model has only one text encoder"
    if is_lora:
        return "the base model has no such layer"
    return next((why for part, why in _OTHERS.items() if part in name), "it is not a LoRA tensor")


def _checked(name: str, tensor: Tensor) -> Tensor:
    """The tensor in float32. Raises `_NotUsedError` for one whose values can't be used."""
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise _unusable(name, f"it holds {tensor.dtype}")
    values = tensor.float()
    if not values.isfinite().all():
        raise _unusable(name, "it has values that aren't finite")
    return values


def _change(parts: _Parts, shape: torch.Size, settings: Mapping[str, object]) -> _Change:
    name = next(iter(parts.names.values()))
    for kind in ("down", "up"):
        if kind not in parts.tensors:
            raise _unusable(name, f"the file has no {kind} for this layer")
    down, up, mid = (parts.tensors.get(kind) for kind in ("down", "up", "mid"))
    assert down is not None
    assert up is not None
    rank = down.shape[0] if down.ndim else 0
    wanted = _shapes(shape, rank, mid)
    for kind, expected in wanted.items():
        tensor = parts.tensors[kind]
        if not rank or _short(tensor.shape) != _short(expected):
            fitting = f"the layer's weight has {list(shape)}"
            raise _unusable(parts.names[kind], f"its shape is {list(tensor.shape)}, {fitting}")
    return _Change(name, down, up, mid, _strength(parts, rank, settings))


def _shapes(weight: torch.Size, rank: int, mid: Tensor | None) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors for a weight. A middle tensor has the kernel, and then `down` and `up` are matrices."""
    outputs, inputs, *kernel = weight
    if mid is None:
        return {"down": (rank, inputs, *kernel), "up": (outputs, rank)}
    inner = mid.shape[0] if mid.ndim else 0
    return {"down": (rank, inputs), "mid": (inner, rank, *kernel), "up": (outputs, inner)}


def _short(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without trailing ones, so that a matrix equals the kernel of a 1x1 convolution."""
    kept = list(shape)
    while len(kept) > 2 and kept[-1] == 1:
        kept.pop()
    return tuple(kept)


def _strength(parts: _Parts, rank: int, settings: Mapping[str, object]) -> float:
    """Alpha divided by the rank, or by its root if peft's metadata says so."""
    said = _matching(settings.get("rank_pattern"), parts, settings.get("r"))
    if said is not None and said != rank:
        raise _unusable(parts.names["down"], f"its rank is {rank}, but {said:g} in the file's {METADATA}")
    alpha = _matching(settings.get("alpha_pattern"), parts, settings.get("lora_alpha"))
    own = parts.tensors.get("alpha")
    if own is not None:
        if own.numel() != 1:
            raise _unusable(parts.names["alpha"], f"its shape is {list(own.shape)}, but it must be one number")
        if alpha is not None and alpha != own.item():
            raise _unusable(parts.names["alpha"], f"it is {own.item():g}, but {alpha:g} in the file's {METADATA}")
        alpha = own.item()
    if alpha is None:
        alpha = float(rank)
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _matching(patterns: object, parts: _Parts, usual: object) -> float | None:
    """The number for a layer: that of the first pattern that matches the end of its name, as in peft."""
    inner = parts.layer.name.removeprefix("text_model.")
    chosen = usual
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        if any(re.match(rf"(.*\.)?({pattern})$", name) for name in (inner, f"text_model.{inner}")):
            chosen = value
            break
    return float(chosen) if isinstance(chosen, int | float) else None


def _settings(header: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """The settings with which the file was made, by part. Raises `_NotUsedError` for settings beyond plain LoRA."""
    text = header.get(METADATA)
    if text is None:
        return {}
    said = capture(json.loads, text)
    if not isinstance(said, dict):
        raise _NotUsedError(f"its {METADATA} is not a JSON object")
    settings: dict[str, dict[str, object]] = {}
    for name, value in sorted(said.items()):
        part, key = name.split(".", 1) if "." in name else (UNET, name)
        if _asks_for_more(key, value):
            raise _NotUsedError(f"{METADATA}: {name}={json.dumps(value)} can't be used")
        settings.setdefault(part, {})[key] = value
    return settings


def _asks_for_more(key: str, value: object) -> bool:
    if key in ("r", "lora_alpha"):
        return not (value is None or _is_number(value))
    if key in ("rank_pattern", "alpha_pattern") and isinstance(value, dict):
        readable = [isinstance(capture(re.compile, pattern), re.Pattern) for pattern in value]
        return not all([*readable, *map(_is_number, value.values())])
    if key == "init_lora_weights":
        return isinstance(value, str) and value.startswith(_CHANGED_BASES)
    return bool(value) and key not in ("use_rslora", *_HARMLESS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@torch.no_grad()
def _merge(weight: Tensor, change: _Change, scale: float) -> None:
    """Add the change to the weight, in float32, rounded once."""
    delta = change.delta(weight.device).reshape(weight.shape)
    value = (weight.float() + scale * delta).to(weight.dtype)
    if not value.isfinite().all():
        dtype = str(weight.dtype).removeprefix("torch.")
        raise _NotUsedError(
            f"the file doesn't fit this base model: with {change.name}, its weights aren't finite in {dtype}"
        )
    weight.copy_(value)
