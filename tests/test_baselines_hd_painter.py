"""HD-Painter against the official code's outputs on a tiny random model."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file
from support import unpacked
from torch import Tensor
from transformers import CLIPTokenizer

import brushbench
from brushbench.baselines.hd_painter.layers import transformer_blocks
from brushbench.baselines.hd_painter.method import HDPainter
from brushbench.baselines.hd_painter.painta import coefficients, similarity, smoothing_kernel, weighted
from brushbench.baselines.hd_painter.rasg import guidance_level, noise_and_direction
from brushbench.baselines.hd_painter.sampling import DDIMStep, schedule
from brushbench.baselines.hd_painter.subject import Subject, any_of, dilated, most_of, prepared, with_quality, words_of
from brushbench.baselines.stable_diffusion import StableDiffusion
from brushbench.core.types import Batch, Sample

GOLDEN = Path(__file__).parent / "golden" / "hd_painter"
CASES = {case["id"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}
QUALITY = "Full HD, 4K, high quality, high resolution"
TOP, LEFT = 140, 160
"""Stored is what is below and to the right of it."""


@pytest.fixture(scope="module")
def weights(golden_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden model; its tokenizer is the one of the other golden models."""
    return unpacked(GOLDEN / "weights", golden_weights / "tokenizer", tmp_path_factory.mktemp("hd_painter") / "weights")


@pytest.fixture(scope="module")
def tokenizer(golden_weights: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(golden_weights / "tokenizer")


@pytest.fixture(scope="module")
def shared() -> dict[str, Tensor]:
    return load_file(GOLDEN / "shared.safetensors")


def method_of(weights: Path, **options: object) -> HDPainter:
    return brushbench.load_method("hd-painter", weights=weights, device="cpu", dtype="float32", **options)


def golden_batch(prompt: str) -> Batch:
    image = torch.from_numpy(np.array(Image.open(GOLDEN / "source.png"))).permute(2, 0, 1).contiguous()
    mask = torch.from_numpy(np.array(Image.open(GOLDEN / "mask.png")))
    return Batch.of([Sample("golden", image, mask[None], prompt)])


class Seen:
    """Records the UNet's inputs and outputs, call by call, and the decoded latents."""

    def __init__(self, method: HDPainter, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inputs: list[Tensor] = []
        self.contexts: list[Tensor] = []
        self.times: list[int] = []
        self.outputs: list[Tensor] = []
        self.decoded: list[Tensor] = []
        self.directions: list[Tensor] = []
        decode, apply = StableDiffusion.decode_unit, DDIMStep.apply

        def keep_direction(
            jump: DDIMStep, latents: Tensor, noise: Tensor, direction: Tensor | None, eta: float
        ) -> Tensor:
            if direction is not None:
                self.directions.append(direction)
            return apply(jump, latents, noise, direction, eta)

        self.handle = method.sd.unet.register_forward_hook(self)
        monkeypatch.setattr(
            StableDiffusion, "decode_unit", lambda sd, last: self.decoded.append(last) or decode(sd, last)
        )
        monkeypatch.setattr(DDIMStep, "apply", keep_direction)

    def __call__(self, _unet: object, inputs: tuple, output: tuple[Tensor]) -> None:
        self.inputs.append(inputs[0].detach())
        self.times.append(inputs[1])
        self.contexts.append(inputs[2])
        self.outputs.append(output[0].detach())


def assert_near(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max() <= tolerance


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_official_code(
    name: str, weights: Path, shared: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    case, arrays = CASES[name], load_file(GOLDEN / f"{name}.safetensors")
    method = method_of(
        weights,
        steps=case["num_steps"],
        guidance=case["guidance_scale"],
        eta=case["eta"],
        painta="painta" in case["method"],
        rasg="rasg" in case["method"],
    )
    seen = Seen(method, monkeypatch)
    image = method(golden_batch(case["prompt"]), [case["seed"]])
    # The captions' half of the guidance runs first here, and last in what is stored.
    assert seen.times[::2] == seen.times[1::2] == case["timesteps"]
    assert_near(torch.cat(seen.contexts[1::-1]), shared["context"], 1e-5)
    assert_near(seen.inputs[0][:, 4:], shared["unet_condition"], 5e-5)
    if "eps0" in arrays:
        assert_near(torch.cat(seen.outputs[1::-1]), arrays["eps0"], 5e-5)
    for step in (1, 4):
        if f"zt_{step}" in arrays:
            assert_near(seen.inputs[2 * step][:, :4], arrays[f"zt_{step}"], 2e-3)
    if "grad0" in arrays:
        assert len(seen.directions) == len(case["timesteps"]) - 1
        assert_near(seen.directions[0], arrays["grad0"] / arrays["grad0"].std(), 2e-3)
    difference = seen.decoded[0] - arrays["z0_final"]
    assert difference.square().mean().sqrt() < 1e-4
    assert difference.abs().max() < 2e-3
    assert image.shape == (1, 3, 212, 320)
    levels = (image[0, :, TOP:, LEFT:].int() - arrays["image_lower_right"].permute(2, 0, 1).int()).abs()
    assert levels.max() <= 1
    assert (levels > 0).double().mean() <= 1e-3


def test_holes_at_every_resolution(shared: dict[str, Tensor]) -> None:
    scene = prepared(golden_batch(""))
    assert scene.images.shape == (1, 3, 256, 320)
    assert not scene.images[..., 212:, :].any()
    assert not scene.masks[..., 212:, :].any()
    assert torch.equal(any_of(scene.masks, 8)[0].float(), shared["unet_condition"][0, :1])
    for level in range(3):
        assert torch.equal(most_of(scene.masks, 8 * 2**level)[0, 0], shared[f"mask{64 // 2**level}"].bool())


def test_a_hole_grows_by_its_neighbours_alone() -> None:
    masks = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    masks[0, 0, 0, 0] = masks[0, 0, 2, 3] = True
    expected = ["##...", "#..#.", "..###", "...#."]
    grown = ["".join("#" if here else "." for here in row) for row in dilated(masks)[0, 0]]
    assert grown == expected


def test_schedule_is_the_official_one() -> None:
    for steps, official in json.loads((GOLDEN / "schedule.json").read_text()).items():
        jumps = schedule(int(steps))
        assert [jump.time for jump in jumps] == official["timesteps"]
        np.testing.assert_allclose([jump.sigma for jump in jumps[:-1]], official["sigma"][:-1], rtol=1e-6)


def test_at_any_number_of_steps_sigma_leaves_room_for_the_noise() -> None:
    strides = {1000 // steps: steps for steps in range(1, 1001)}
    for steps in strides.values():
        jumps = schedule(steps)
        assert jumps[-1].next_alpha == 1
        assert all(1 - jump.next_alpha - jump.sigma**2 >= 0 for jump in jumps)


def test_words_are_the_official_ones(tokenizer: CLIPTokenizer) -> None:
    for case in json.loads((GOLDEN / "token_idx.json").read_text()):
        words = words_of(tokenizer, [case["prompt"]], case["positive_prompt"])
        assert words.nonzero()[:, 1].tolist() == case["token_idx"], case
    assert with_quality("a cat", "") == "a cat"
    assert with_quality("a cat", QUALITY) == CASES["C_rasg"]["full_prompt"].replace(CASES["C_rasg"]["prompt"], "a cat")


def test_painta_in_one_block_is_the_official_one(weights: Path) -> None:
    block = method_of(weights).sd.unet.down_blocks[2].attentions[0].transformer_blocks[0]
    golden = load_file(GOLDEN / "painta_block.safetensors")
    words = torch.zeros(1, 77)
    words[0, golden["token_idx"]] = 1
    holes = golden["mask"].bool()
    negative, positive = golden["x"].chunk(2)
    with torch.no_grad():
        likeness = similarity(
            block, positive + golden["y_cond_before"], Subject(golden["context"][1:], words, {2: holes})
        )
        found = coefficients(likeness.view(holes.shape))
        assert_near(found[0], golden["cross_norm"], 1e-5)
        weights_ = torch.where(holes.flatten(1), 1, found)
        for stream, kind in ((negative, "uncond"), (positive, "cond")):
            changed = weighted(block.attn1, block.norm1(stream), weights_)
            before = golden[f"y_{kind}_before"]
            actual = torch.where(holes.flatten(1)[..., None], changed, before)
            assert_near(actual, golden[f"y_{kind}_after"], 1e-5)


def test_the_median_is_the_lower_one_and_the_kernel_sums_to_1() -> None:
    kernel = smoothing_kernel()
    assert kernel[0, 0].diagonal().tolist() == pytest.approx([0.04492, 0.33191, 0.04492], abs=1e-5)
    assert kernel.sum().item() == pytest.approx(1)
    # Far apart, four pixels are smoothed to four times the kernel, and the rest is the median.
    likeness = torch.zeros(1, 1, 9, 9)
    likeness[0, 0, 4, 4], likeness[0, 0, 0, 0] = 1, 0.5
    found = coefficients(likeness).view(9, 9)
    assert found[4, 4] == 1
    assert found[0, 0] == pytest.approx(0.5)
    assert found[8, 8] == 0


def test_a_batch_is_its_samples(weights: Path, write_bench) -> None:
    samples = list(brushbench.load_dataset("brushbench", root=write_bench(count=3, side=128)))
    method = method_of(weights, steps=4, eta=1)
    together = method(Batch.of(samples), [5, 6, 7])
    for index, sample in enumerate(samples):
        alone = method(Batch.of([sample]), [5 + index])[0]
        assert (alone.int() - together[index].int()).abs().max() <= 1


def hooks(unet: torch.nn.Module) -> list[object]:
    return [hook for module in unet.modules() for hook in (*module._forward_hooks, *module._forward_pre_hooks)]


def test_the_unet_is_left_as_it_was(weights: Path, write_bench, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch.of(list(brushbench.load_dataset("brushbench", root=write_bench(count=1))))
    method = method_of(weights, steps=2)
    inputs = (torch.ones(1, 9, 8, 8), 500, torch.ones(1, 77, 12))
    processors = dict(method.sd.unet.attn_processors)
    with torch.inference_mode():
        before = method.sd.unet(*inputs).sample
        first = method(batch, [1])
    assert not hooks(method.sd.unet)
    assert method.sd.unet.attn_processors == processors
    assert torch.equal(method.sd.unet(*inputs).sample, before)
    assert torch.equal(method(batch, [1]), first)
    assert all(parameter.grad is None for parameter in method.sd.unet.parameters())
    # Also where the UNet fails in the middle.
    monkeypatch.setattr(method.sd.unet.mid_block, "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        method(batch, [1])
    assert not hooks(method.sd.unet)
    assert torch.is_grad_enabled()


def test_gradients_are_recorded_no_further_than_they_are_needed(weights: Path) -> None:
    unet = method_of(weights).sd.unet
    recorded = {}
    for name in ("up_blocks.1.attentions.1", "up_blocks.2", "conv_out"):
        unet.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: recorded.update({name: output[0].requires_grad})
        )
    context, words = torch.ones(1, 77, 12), torch.ones(1, 77)
    subject = Subject(context, words, {2: torch.eye(4, dtype=torch.bool)[None, None]})
    condition = torch.zeros(1, 5, 16, 16)
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        noise, direction = noise_and_direction(
            lambda latents: unet(torch.cat([latents, condition], dim=1), 999, context).sample, latents, unet, subject
        )
        assert not torch.is_grad_enabled()
    assert recorded == {"up_blocks.1.attentions.1": True, "up_blocks.2": False, "conv_out": False}
    assert not noise.requires_grad
    assert direction.std().item() == pytest.approx(1)


def test_an_empty_caption_and_no_guidance(weights: Path, write_bench) -> None:
    sample = brushbench.load_dataset("brushbench", root=write_bench(count=1))[0]
    batch = Batch.of([Sample(sample.id, sample.image, sample.mask, "")])
    images = [method_of(weights, steps=2, **options)(batch, [1]) for options in ({}, {"positive_prompt": ""})]
    assert all(image.shape == batch.images.shape for image in images)
    assert not torch.equal(*images)
    assert method_of(weights, steps=2, guidance=1)(batch, [1]).shape == batch.images.shape


@pytest.fixture
def three_levels(weights: Path, tmp_path: Path) -> Iterator[Path]:
    """PaperCut's block layout, whose only attention at 1/32 is in the middle."""
    folder = shutil.copytree(weights, tmp_path / "weights", ignore=shutil.ignore_patterns("unet"))
    torch.manual_seed(0)
    config = json.loads((weights / "unet" / "config.json").read_text()) | {
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "block_out_channels": [8, 24, 24],
    }
    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    return folder


def test_a_unet_of_fewer_levels(weights: Path, three_levels: Path, write_bench) -> None:
    batch = Batch.of(list(brushbench.load_dataset("brushbench", root=write_bench(count=1))))
    method = method_of(three_levels, steps=2)
    levels = [level for level, _ in transformer_blocks(method.sd.unet)]
    assert levels == [0, 0, 1, 1, 2, 1, 1, 1, 0, 0, 0]
    assert guidance_level(method.sd.unet) == 2
    plain, painta, rasg, both = (
        method_of(three_levels, steps=4, painta=painta, rasg=rasg, eta=1)(batch, [1])
        for painta, rasg in ((False, False), (True, False), (False, True), (True, True))
    )
    assert not any(torch.equal(image, plain) for image in (painta, rasg, both))
    # Official: five layers at each of 1/16 and 1/32, and none in the middle, which is coarser.
    levels = [level for level, _ in transformer_blocks(method_of(weights).sd.unet)]
    assert levels == [0, 0, 1, 1, 2, 2, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]


def test_what_is_refused(weights: Path, golden_weights: Path) -> None:
    with pytest.raises(brushbench.UserError, match="hd-painter needs a UNet with 9 input channels; this one has 4"):
        method_of(golden_weights)
    with pytest.raises(brushbench.UserError, match="eta=2"):
        method_of(weights, eta=2)
    with pytest.raises(brushbench.UserError, match="sampler"):
        method_of(weights, sampler="ddim")
