"""The names that LoRA files use for the layers of a base model: diffusers' names over the years, and Kohya's."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from diffusers import UNet2DConditionModel
from torch import nn

LAYERS = (nn.Linear, nn.Conv2d)
"""Layers that LoRA weights can be merged into."""
UNET, TEXT_ENCODERS = "unet", ("text_encoder", "text_encoder_2")
_KOHYA = {UNET: ("lora_unet_",), "text_encoder": ("lora_te_", "lora_te1_"), "text_encoder_2": ("lora_te2_",)}
_TEXT_MODEL = "text_model."
_TENSOR = re.compile(
    r"(?P<layer>.+?)(?:(?:\.lora_linear_layer|\.lora|_lora)\.|\.lora_)(?P<kind>down|up|mid|A|B)\.weight"
    r"|(?P<of>.+?)(?:\.lora_linear_layer|\.lora|_lora)?\.alpha"
)
_KINDS = {"A": "down", "B": "up", None: "alpha"}
# Names of the original latent diffusion code, which Kohya's files for SDXL use.
_IN_RESNET = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
_OLD_TEXT = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a base model."""

    part: str
    """`unet`, `text_encoder` or `text_encoder_2`."""
    name: str
    """The layer's name in that model."""


def layer_and_kind(tensor: str) -> tuple[str, str] | None:
    """(the layer's name in the file, `down`, `up`, `mid` or `alpha`) for a tensor's name; None for any other tensor."""
    found = _TENSOR.fullmatch(tensor)
    if not found:
        return None
    kind = found["kind"]
    return found["layer"] or found["of"], _KINDS.get(kind, kind)


def names_of_layers(models: Mapping[str, nn.Module]) -> dict[str, Layer]:
    """The layers of these models, by every name that a file may use for them.

    A name that could mean two layers is left out.
    """
    found: dict[str, set[Layer]] = {}
    for part, model in models.items():
        for name, module in model.named_modules():
            if isinstance(module, LAYERS):
                spelled = _in_unet(model, name) if isinstance(model, UNet2DConditionModel) else _in_text(part, name)
                for spelling in spelled:
                    found.setdefault(spelling, set()).add(Layer(part, name))
    return {spelling: next(iter(layers)) for spelling, layers in found.items() if len(layers) == 1}


def _in_unet(unet: UNet2DConditionModel, name: str) -> Iterator[str]:
    old = re.sub(r"\.(to_[qkv]|to_out)(\.0)?$", r".processor.\1", name)
    # The oldest files hold only the UNet's weights, and their names don't mention it.
    for spelling in {name, old}:
        yield from (spelling, f"{UNET}.{spelling}")
    for spelling in {name, _original(unet, name)}:
        yield from (prefix + spelling.replace(".", "_") for prefix in _KOHYA[UNET])


def _in_text(part: str, name: str) -> Iterator[str]:
    """Names of a text encoder's layer, with and without `text_model`, whichever the installed transformers uses."""
    inner = name.removeprefix(_TEXT_MODEL)
    path, _, last = inner.rpartition(".")
    for spelling in (inner, _TEXT_MODEL + inner):
        yield f"{part}.{spelling}"
        yield from (prefix + spelling.replace(".", "_") for prefix in _KOHYA[part])
    if last in _OLD_TEXT:
        yield from (f"{part}.{front}{path}.{_OLD_TEXT[last]}" for front in ("", _TEXT_MODEL))


def _original(unet: UNet2DConditionModel, name: str) -> str:
    """The layer's name in the original code, which numbers all blocks on the way down, and all on the way up."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    side, _, inside = name.partition(".")
    if side == "mid_block":
        kind, index, rest = inside.split(".", 2)
        place = "1" if kind == "attentions" else str(2 * int(index))
        return f"middle_block.{place}.{_inner(kind, rest)}"
    number, kind, index, rest = inside.split(".", 3)
    blocks = unet.down_blocks if side == "down_blocks" else unet.up_blocks
    before = sum(len(block.resnets) + (side == "down_blocks") for block in blocks[: int(number)])
    block = blocks[int(number)]
    attends = bool(len(getattr(block, "attentions", None) or ()))
    if side == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{1 + before + len(block.resnets)}.0.op"
        return f"input_blocks.{1 + before + int(index)}.{int(kind == 'attentions')}.{_inner(kind, rest)}"
    if kind == "upsamplers":
        return f"output_blocks.{before + len(block.resnets) - 1}.{1 + attends}.conv"
    return f"output_blocks.{before + int(index)}.{int(kind == 'attentions')}.{_inner(kind, rest)}"


def _inner(kind: str, rest: str) -> str:
    return _IN_RESNET.get(rest, rest) if kind == "resnets" else rest
