"""LoRA weights: every tensor of a file is merged as the closed form says, or the file is refused by its name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from support import assert_one_line, run_on
from torch import Tensor, nn
from torch.nn.functional import conv2d

from brushbench import UserError
from brushbench.baselines.lora import add_lora
from brushbench.baselines.lora_names import LAYERS
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime

Tensors = dict[str, Tensor]
LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"


def loaded(folder: Path, dtype: torch.dtype = torch.float32) -> StableDiffusion:
    runtime = Runtime(torch.device("cpu"), dtype, Weights(folder, "brushnet"))
    return StableDiffusion.load(runtime, None, "unipc", sdxl=True)


def models_of(sd: StableDiffusion) -> dict[str, nn.Module]:
    encoders = sd.text_pair.encoders if sd.text_pair else (sd.text_encoder,)
    return {"unet": sd.unet, **dict(zip(("text_encoder", "text_encoder_2"), encoders, strict=False))}


def weights_of(sd: StableDiffusion) -> dict[tuple[str, str], Tensor]:
    return {
        (part, name): module.weight.detach().clone()
        for part, model in models_of(sd).items()
        for name, module in model.named_modules()
        if isinstance(module, LAYERS)
    }


def pair_for(weight: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """Down and up."""
    generator = torch.Generator().manual_seed(seed)
    ones = (1,) * (weight.ndim - 2)
    down = torch.randn(rank, *weight.shape[1:], generator=generator)
    return down, torch.randn(weight.shape[0], rank, *ones, generator=generator)


def product(down: Tensor, up: Tensor) -> Tensor:
    return torch.einsum("or,ri...->oi...", up.flatten(1), down)


def kohya(part: str, name: str, *, pair: bool) -> str:
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te1_" if pair else "lora_te_"}.get(part, "lora_te2_")
    text = "" if part == "unet" or name.startswith("text_") else "text_model."
    return prefix + (text + name).replace(".", "_")


def in_kohyas_files(part: str, name: str) -> tuple[str, str, str]:
    base = kohya(part, name, pair=False)
    return f"{base}.lora_down.weight", f"{base}.lora_up.weight", f"{base}.alpha"


def in_kohyas_files_of_sdxl(part: str, name: str) -> tuple[str, str, str]:
    base = kohya(part, name, pair=True)
    return f"{base}.lora_down.weight", f"{base}.lora_up.weight", f"{base}.alpha"


def in_new_files(part: str, name: str) -> tuple[str, str, str]:
    base = f"{part}.{name}"
    return f"{base}.lora_A.weight", f"{base}.lora_B.weight", f"{base}.alpha"


def in_older_files(part: str, name: str) -> tuple[str, str, str]:
    text = "" if part == "unet" or name.startswith("text_") else "text_model."
    base = f"{part}.{text}{name}" + (".lora_linear_layer" if part != "unet" else ".lora")
    return f"{base}.down.weight", f"{base}.up.weight", f"{part}.{text}{name}.alpha"


def in_the_oldest_files(part: str, name: str) -> tuple[str, str, str]:
    """Attention processors of the UNet without its name, and the text encoder's layers by the same names."""
    if name.endswith((".to_q", ".to_k", ".to_v", ".to_out.0")):
        layer, _, projection = name.removesuffix(".0").rpartition(".")
        base = f"{layer}.processor.{projection}_lora"
    elif part == "text_encoder" and "self_attn" in name:
        layer, _, projection = name.rpartition(".")
        base = f"{part}.text_model.{layer}.to_{projection.removesuffix('_proj')}_lora"
    else:
        return in_new_files(part, name)
    return f"{base}.down.weight", f"{base}.up.weight", f"{base}.alpha"


@pytest.mark.parametrize("names", [in_kohyas_files, in_new_files, in_older_files, in_the_oldest_files])
def test_every_layer_becomes_what_the_closed_form_says(
    names: Callable[[str, str], tuple[str, str, str]], tiny_weights: Path, tmp_path: Path
) -> None:
    """Layers have different ranks, and only every third layer has an alpha."""
    check_every_layer(tiny_weights, names, tmp_path / "lora.safetensors")


@pytest.mark.parametrize("names", [in_kohyas_files_of_sdxl, in_new_files])
def test_every_layer_of_sdxl_does_too(
    names: Callable[[str, str], tuple[str, str, str]], sdxl_weights: Path, tmp_path: Path
) -> None:
    check_every_layer(sdxl_weights, names, tmp_path / "lora.safetensors")


def check_every_layer(folder: Path, names: Callable[[str, str], tuple[str, str, str]], file: Path) -> None:
    sd = loaded(folder)
    before, tensors, deltas = weights_of(sd), {}, {}
    for index, ((part, name), weight) in enumerate(before.items()):
        rank = 1 + index % 4
        down_name, up_name, alpha_name = names(part, name)
        down, up = pair_for(weight, rank, index)
        tensors |= {down_name: down, up_name: up}
        strength = 1.0
        if index % 3 == 0:
            tensors[alpha_name] = torch.tensor(0.5 + index % 5)
            strength = (0.5 + index % 5) / rank
        deltas[part, name] = 0.7 * strength * product(down, up)
    save_file(tensors, file)
    add_lora(sd, str(file), 0.7)
    after = weights_of(sd)
    for key, weight in before.items():
        torch.testing.assert_close(after[key], weight + deltas[key], rtol=1e-5, atol=1e-5)


def test_layers_without_weights_stay_as_they_are(tiny_weights: Path, tmp_path: Path) -> None:
    sd = loaded(tiny_weights)
    before = weights_of(sd)
    down, up = pair_for(before["unet", LINEAR], 2, 0)
    save_file({f"unet.{LINEAR}.lora_A.weight": down, f"unet.{LINEAR}.lora_B.weight": up}, tmp_path / "lora")
    add_lora(sd, str(tmp_path / "lora"), 1.0)
    changed = [key for key, weight in weights_of(sd).items() if not torch.equal(weight, before[key])]
    assert changed == [("unet", LINEAR)]


def test_in_half_precision_a_weight_is_rounded_once(tiny_weights: Path, tmp_path: Path) -> None:
    sd = loaded(tiny_weights, torch.float16)
    before = weights_of(sd)["unet", LINEAR]
    down, up = (tensor.half() for tensor in pair_for(before, 3, 0))
    save_file({f"unet.{LINEAR}.lora_A.weight": down, f"unet.{LINEAR}.lora_B.weight": up}, tmp_path / "lora")
    add_lora(sd, str(tmp_path / "lora"), 0.3)
    expected = (before.float() + 0.3 * product(down.float(), up.float())).half()
    assert torch.equal(weights_of(sd)["unet", LINEAR], expected)


def test_a_convolution_in_three_parts_is_the_three_in_a_row(tiny_weights: Path, tmp_path: Path) -> None:
    sd = loaded(tiny_weights)
    before = weights_of(sd)["unet", CONVOLUTION]
    outputs, inputs = before.shape[:2]
    torch.manual_seed(0)
    down, mid, up = torch.randn(3, inputs, 1, 1), torch.randn(2, 3, 3, 3), torch.randn(outputs, 2, 1, 1)
    base = f"lora_unet_{CONVOLUTION.replace('.', '_')}"
    parts = {"lora_down.weight": down, "lora_mid.weight": mid, "lora_up.weight": up, "alpha": torch.tensor(1.5)}
    save_file({f"{base}.{kind}": tensor for kind, tensor in parts.items()}, tmp_path / "lora")
    add_lora(sd, str(tmp_path / "lora"), 1.0)
    seen = torch.randn(1, inputs, 8, 8)
    in_a_row = conv2d(conv2d(conv2d(seen, down), mid, padding=1), up)
    expected = conv2d(seen, before, padding=1) + 1.5 / 3 * in_a_row
    torch.testing.assert_close(
        conv2d(seen, weights_of(sd)["unet", CONVOLUTION], padding=1), expected, atol=1e-4, rtol=0
    )


def test_a_matrix_and_a_kernel_of_one_pixel_are_the_same(tiny_weights: Path, tmp_path: Path) -> None:
    """proj_in is a convolution in Stable Diffusion 1 and a matrix in later models."""
    name = "down_blocks.0.attentions.0.proj_in"
    sd = loaded(tiny_weights)
    before = weights_of(sd)["unet", name]
    down, up = pair_for(before, 2, 0)
    save_file(
        {f"unet.{name}.lora_A.weight": down[..., 0, 0], f"unet.{name}.lora_B.weight": up[..., 0, 0]}, tmp_path / "l"
    )
    add_lora(sd, str(tmp_path / "l"), 1.0)
    torch.testing.assert_close(weights_of(sd)["unet", name], before + product(down, up))


def test_what_peft_says_of_single_layers_is_honoured(tiny_weights: Path, tmp_path: Path) -> None:
    """Against its own merging: ranks and alphas by patterns, divided by the rank's root."""
    config = LoraConfig(
        r=4,
        lora_alpha=6,
        rank_pattern={"attn1.to_q": 2},
        alpha_pattern={"attn1.to_q": 5, "to_out.0": 1},
        use_rslora=True,
        init_lora_weights=False,
        target_modules=["to_q", "to_v", "to_out.0"],
    )
    torch.manual_seed(0)
    reference = inject_adapter_in_model(config, loaded(tiny_weights).unet, "default")
    tensors = {f"unet.{name}": tensor for name, tensor in get_peft_model_state_dict(reference).items()}
    said = {key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()}
    header = json.dumps({f"unet.{key}": value for key, value in said.items()})
    save_file(tensors, tmp_path / "lora", {"lora_adapter_metadata": header})
    expected = {}
    for name, layer in reference.named_modules():
        if isinstance(layer, BaseTunerLayer):
            layer.merge()
            expected[name] = layer.get_base_layer().weight.detach()
    sd = loaded(tiny_weights)
    add_lora(sd, str(tmp_path / "lora"), 1.0)
    after = weights_of(sd)
    for name, weight in expected.items():
        torch.testing.assert_close(after["unet", name], weight, rtol=1e-5, atol=1e-6)


def test_kohyas_blocks_of_sdxl_are_the_ones_that_diffusers_takes_them_for(sdxl_weights: Path, tmp_path: Path) -> None:
    """Every layer by its name in the original code, as diffusers' converter reads it."""
    sd = loaded(sdxl_weights)
    before = weights_of(sd)
    layers = {
        "input_blocks_4_1_transformer_blocks_0_ff_net_2": "down_blocks.1.attentions.0.transformer_blocks.0.ff.net.2",
        "input_blocks_5_1_proj_out": "down_blocks.1.attentions.1.proj_out",
        "middle_block_1_transformer_blocks_0_ff_net_2": "mid_block.attentions.0.transformer_blocks.0.ff.net.2",
        "output_blocks_5_1_proj_in": "up_blocks.1.attentions.2.proj_in",
        "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
        "input_blocks_8_0_out_layers_3": "down_blocks.2.resnets.1.conv2",
        "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
        "middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
        "output_blocks_6_0_emb_layers_1": "up_blocks.2.resnets.0.time_emb_proj",
        "input_blocks_6_0_op": "down_blocks.1.downsamplers.0.conv",
        "output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv",
        "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
        "input_blocks_0_0": "conv_in",
        "out_2": "conv_out",
        "time_embed_2": "time_embedding.linear_2",
        "label_emb_0_0": "add_embedding.linear_1",
    }
    tensors, deltas = {}, {}
    for index, (theirs, ours) in enumerate(layers.items()):
        down, up = pair_for(before["unet", ours], 2, index)
        tensors |= {f"lora_unet_{theirs}.lora_down.weight": down, f"lora_unet_{theirs}.lora_up.weight": up}
        deltas[ours] = product(down, up)
    save_file(tensors, tmp_path / "lora.safetensors")
    read, _ = StableDiffusionXLPipeline.lora_state_dict(
        tmp_path, weight_name="lora.safetensors", unet_config=sd.unet.config
    )
    theirs = {name.removeprefix("unet.").rsplit(".lora", 1)[0].replace(".processor", "") for name in read}
    assert {name.removesuffix("_lora.down.weight").removesuffix("_lora.up.weight") for name in theirs} == set(deltas)
    add_lora(sd, str(tmp_path / "lora.safetensors"), 1.0)
    for (part, name), weight in weights_of(sd).items():
        torch.testing.assert_close(
            weight, before[part, name] + deltas.get(name, 0) * (part == "unet"), atol=1e-5, rtol=1e-5
        )


def pair(**changes: Tensor | None) -> Tensors:
    """A layer's tensors, by Kohya's names, some replaced, added or (None) left out; `__` stands for a dot."""
    base = f"lora_unet_{LINEAR.replace('.', '_')}"
    parts = {"lora_down.weight": torch.ones(2, 16), "lora_up.weight": torch.ones(16, 2), "alpha": torch.tensor(1.0)}
    parts |= {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {f"{base}.{kind}": tensor for kind, tensor in parts.items() if tensor is not None}


def text(prefix: str) -> Tensors:
    base = f"{prefix}text_model_encoder_layers_0_self_attn_q_proj"
    return {f"{base}.lora_down.weight": torch.ones(2, 20), f"{base}.lora_up.weight": torch.ones(20, 2)}


REFUSED = {
    "dora": (pair(dora_scale=torch.ones(16, 1)), "to_q.dora_scale can't be used: DoRA's magnitudes"),
    "pefts dora": (
        pair() | {f"unet.{LINEAR}.lora_magnitude_vector": torch.ones(16)},
        f"unet.{LINEAR}.lora_magnitude_vector can't be used: DoRA",
    ),
    "second text encoder": (
        pair() | text("lora_te2_"),
        "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight can't be used: the base model has only",
    ),
    "diffusers' second text encoder": (
        pair() | {"text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": torch.ones(2, 20)},
        "text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight can't be used: the base model has only",
    ),
    "no such layer": (
        pair() | {"lora_unet_down_blocks_7_conv.lora_down.weight": torch.ones(2, 16)},
        "lora_unet_down_blocks_7_conv.lora_down.weight can't be used: the base model has no such layer",
    ),
    "no such layer of a text encoder": (
        pair() | {"lora_te_text_model_encoder_layers_99_mlp_fc1.alpha": torch.tensor(1.0)},
        "lora_te_text_model_encoder_layers_99_mlp_fc1.alpha can't be used: the base model has no such layer",
    ),
    "not a number": (
        pair(lora_up__weight=torch.full((16, 2), torch.nan)),
        "lora_up.weight can't be used: it has values",
    ),
    "infinite alpha": (
        pair(alpha=torch.tensor(torch.inf)),
        "to_q.alpha can't be used: it has values that aren't finite",
    ),
    "alphas": (pair(alpha=torch.ones(2)), "to_q.alpha can't be used: its shape is [2], but it must be one number"),
    "down alone": (pair(lora_up__weight=None, alpha=None), "to_q.lora_down.weight can't be used: the file has no up"),
    "up alone": (pair(lora_down__weight=None, alpha=None), "to_q.lora_up.weight can't be used: the file has no down"),
    "alpha alone": (
        pair(lora_down__weight=None, lora_up__weight=None),
        "to_q.alpha can't be used: the file has no down",
    ),
    "narrow": (pair(lora_down__weight=torch.ones(2, 15)), "lora_down.weight can't be used: its shape is [2, 15]"),
    "unequal ranks": (pair(lora_up__weight=torch.ones(16, 3)), "lora_up.weight can't be used: its shape is [16, 3]"),
    "rank 0": (
        pair(lora_down__weight=torch.ones(0, 16), lora_up__weight=torch.ones(16, 0)),
        "lora_down.weight can't be used: its shape is [0, 16]",
    ),
    "turned round": (
        pair(lora_down__weight=torch.ones(16, 2), lora_up__weight=torch.ones(2, 16)),
        "lora_down.weight can't be used: its shape is [16, 2]",
    ),
    "loha": (pair() | {"lora_unet_conv_in.hada_w1_a": torch.ones(4, 2)}, "hada_w1_a can't be used: LoHa"),
    "lokr": (pair() | {"lora_unet_conv_in.lokr_w1": torch.ones(4, 2)}, "lokr_w1 can't be used: LoKr"),
    "difference": (pair(diff=torch.ones(16, 16)), "to_q.diff can't be used: it is not a LoRA tensor"),
    "difference of a bias": (pair(diff_b=torch.ones(16)), "to_q.diff_b can't be used: it is not a LoRA tensor"),
    "norm": (
        pair() | {"lora_unet_conv_norm_out.w_norm": torch.ones(16)},
        "lora_unet_conv_norm_out.w_norm can't be used",
    ),
    "bias": (pair() | {f"unet.{LINEAR}.lora_B.bias": torch.ones(16)}, "to_q.lora_B.bias can't be used"),
    "embedding": (pair() | {"bundle_emb.style.clip_l": torch.ones(1, 16)}, "bundle_emb.style.clip_l can't be used"),
    "twice": (
        pair() | {f"unet.{LINEAR}.lora_A.weight": torch.ones(2, 16)},
        f"unet.{LINEAR}.lora_A.weight can't be used: lora_unet_{LINEAR.replace('.', '_')}.lora_down.weight is",
    ),
    "nothing": ({}, "has no LoRA weights for this base model"),
    "something else": (
        {"conv_in.weight": torch.ones(1)},
        "no LoRA weights for this base model; its first tensor is conv_in",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_with_a_tensor_that_can_not_be_used_is_refused_by_its_name(
    kind: str, tiny_base: StableDiffusion, tmp_path: Path
) -> None:
    tensors, message = REFUSED[kind]
    save_file(tensors, tmp_path / "lora.safetensors")
    before = weights_of(tiny_base)
    with pytest.raises(UserError) as refused:
        add_lora(tiny_base, str(tmp_path / "lora.safetensors"), 1.0)
    assert message in str(refused.value)
    for key, weight in weights_of(tiny_base).items():
        assert torch.equal(weight, before[key])


@pytest.fixture(scope="module")
def tiny_base(tiny_weights: Path) -> StableDiffusion:
    """Only for files that are refused, which leave it as it is."""
    return loaded(tiny_weights)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"unet.use_dora": True}, "unet.use_dora=true can't be used"),
        ({"unet.init_lora_weights": "pissa_niter_4"}, 'unet.init_lora_weights="pissa_niter_4" can\'t be used'),
        ({"unet.alora_invocation_tokens": [1]}, "unet.alora_invocation_tokens=[1] can't be used"),
        ({"unet.r": 8}, "lora_down.weight can't be used: its rank is 2, but 8 in"),
        ({"unet.lora_alpha": 3, "unet.r": 2}, "to_q.alpha can't be used: it is 1, but 3 in"),
        ({"unet.alpha_pattern": {"(": 1}}, "unet.alpha_pattern"),
        ({"unet.alpha_pattern": {"to_q": "2"}}, "unet.alpha_pattern"),
        ({"unet.rank_pattern": [4]}, "unet.rank_pattern=[4] can't be used"),
        ({"unet.lora_alpha": "2"}, 'unet.lora_alpha="2" can\'t be used'),
        (["unet.r"], "is not a JSON object"),
    ],
)
def test_what_a_file_says_of_itself_is_used_too_or_refused(
    setting: object, message: str, tiny_base: StableDiffusion, tmp_path: Path
) -> None:
    save_file(pair(), tmp_path / "lora", {"lora_adapter_metadata": json.dumps(setting)})
    with pytest.raises(UserError) as refused:
        add_lora(tiny_base, str(tmp_path / "lora"), 1.0)
    assert message in str(refused.value)


def test_weights_that_overflow_in_half_precision_are_refused(tiny_weights: Path, tmp_path: Path) -> None:
    save_file(pair(alpha=torch.tensor(1e6)), tmp_path / "lora")
    with pytest.raises(UserError, match=r"to_q.* aren't finite in float16"):
        add_lora(loaded(tiny_weights, torch.float16), str(tmp_path / "lora"), 1.0)


def test_the_command_line_refuses_before_anything_is_painted(
    write_bench: Callable[..., Path],
    tiny_weights: Path,
    tmp_path: Path,
    brushbench: Callable[..., tuple[int, str, str]],
) -> None:
    save_file(pair() | text("lora_te2_"), tmp_path / "sdxl.safetensors")
    asked = run_on(write_bench(count=1), tmp_path / "runs", "--weights", tiny_weights, method="brushnet")
    result = brushbench(*asked, "-o", f"lora={tmp_path / 'sdxl.safetensors'}")
    assert_one_line(result, "lora_te2_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight can't be used")
    assert not (tmp_path / "runs").exists()
