"""BrushNet on SDXL against the official code's outputs on tiny random models, and against diffusers' own pipeline."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from brushnet_goldens import assert_real_size, assert_whole_run, whole_run
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from hub_server import locked, put_in_cache
from safetensors.torch import load_file
from support import DIFFUSION_METHODS, assert_close, assert_same_tensors, named, only
from torch import Tensor

import brushbench
from brushbench.baselines.brushnet import BrushNet, BrushNetModel, Residuals, with_residuals
from brushbench.baselines.captions import cleaned, token_ids
from brushbench.baselines.checkpoints import load_model
from brushbench.weights import Weights
from brushbench.weights.runtime import Runtime

FORWARDS = ("scale1", "scale05", "guess", "odd", "pert")
# What the official call is silent about, its pipeline for SDXL sets to 5.
WHOLE_RUNS = {"x01": {"guidance": 7.5}, "x02": {"guidance": 5.0, "scale": 0.5}}
EMPTY, CAKE, CAT = 0, 1, 2
"""Places of these prompts among those of the text golden."""


@pytest.fixture(scope="module")
def golden_xl(golden: Path) -> Path:
    return golden / "brushnet_sdxl"


@pytest.fixture(scope="module")
def weights(sdxl_weights: Path) -> Path:
    return sdxl_weights


@pytest.fixture(scope="module")
def runtime(weights: Path) -> Runtime:
    return Runtime(torch.device("cpu"), torch.float32, Weights(weights, "brushnet"))


@pytest.fixture(scope="module")
def branch(weights: Path, runtime: Runtime) -> BrushNetModel:
    return load_model(BrushNetModel, weights / "brushnet", "brushnet", runtime)


@pytest.fixture(scope="module")
def unet(weights: Path, runtime: Runtime) -> UNet2DConditionModel:
    return load_model(UNet2DConditionModel, weights / "unet", "unet", runtime)


def loaded(weights: Path, dtype: str = "float32", **options: object) -> BrushNet:
    return brushbench.load_method("brushnet", weights=weights, device="cpu", dtype=dtype, **options)


def changed(weights: Path, folder: Path, file: str, **values: object) -> Path:
    """A copy of the weights with other values in one of its json files."""
    shutil.copytree(weights, folder)
    config = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(config | values))
    return folder


def guided(branch: BrushNetModel, inputs: dict[str, Tensor], **asked: object) -> Residuals:
    return branch(
        inputs["sample"], inputs["timestep"], inputs["brushnet_cond"], added_cond_kwargs=added(inputs), **asked
    )


def added(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: inputs[name] for name in ("text_embeds", "time_ids")}


def painted(unet: UNet2DConditionModel, inputs: dict[str, Tensor]) -> Tensor:
    read = {"encoder_hidden_states": inputs["encoder_hidden_states"], "added_cond_kwargs": added(inputs)}
    return unet(inputs["sample"], inputs["timestep"], **read, return_dict=False)[0]


@pytest.mark.parametrize("name", FORWARDS)
@torch.inference_mode()
def test_residuals_and_unet_are_the_official_ones(
    name: str, golden_xl: Path, branch: BrushNetModel, unet: UNet2DConditionModel
) -> None:
    inputs = load_file(golden_xl / f"forward/{name}.safetensors")
    asked = json.loads((golden_xl / "forward/cases.json").read_text())[name]
    residuals = guided(branch, inputs, **asked)
    assert len(residuals.down) == 9
    assert len(residuals.up) == 11
    for place, tensor in named(residuals).items():
        assert_close(tensor, inputs[f"brushnet.{place}"])
    assert_close(painted(unet, inputs), inputs["unet.plain"])
    with with_residuals(unet, residuals):
        assert_close(painted(unet, inputs), inputs["unet.with_residuals"])


@torch.inference_mode()
def test_every_residual_is_added_in_its_place(
    golden_xl: Path, branch: BrushNetModel, unet: UNet2DConditionModel
) -> None:
    inputs = load_file(golden_xl / "forward/scale1.safetensors")
    residuals = guided(branch, inputs)
    for place in named(residuals):
        with with_residuals(unet, only(residuals, place)):
            assert_close(painted(unet, inputs), inputs[f"unet.only_{place}"])


def test_real_size_has_the_official_names_and_shapes(golden_xl: Path) -> None:
    assert_real_size(golden_xl / "real_size", "sdxl")


@torch.inference_mode()
def test_a_branch_made_from_a_unet_reads_text_as_it_does_and_changes_nothing_yet(
    golden_xl: Path, unet: UNet2DConditionModel, runtime: Runtime, tmp_path: Path
) -> None:
    inputs = load_file(golden_xl / "forward/scale1.safetensors")
    branch = BrushNetModel.from_unet(unet)
    assert all(not tensor.any() for tensor in named(guided(branch, inputs)).values())
    assert_same_tensors(branch.add_embedding.state_dict(), unet.add_embedding.state_dict())
    branch.save_pretrained(tmp_path / "brushnet")
    saved = load_model(BrushNetModel, tmp_path / "brushnet", "brushnet", runtime)
    assert_same_tensors(saved.state_dict(), branch.state_dict())


def test_tokens_are_those_of_clip_with_ftfy_and_the_second_ones_are_padded_with_0(golden: Path, weights: Path) -> None:
    tokenizers = loaded(weights).sd.text_pair.tokenizers
    for case in json.loads((golden / "brushnet/forward/tokenizer.json").read_text()):
        for tokenizer, name in zip(tokenizers, ("padded77", "padded77_tok2"), strict=True):
            assert token_ids(tokenizer, cleaned(case["text"]))[0].tolist() == case[name], case["text"]


def test_texts_are_the_last_hidden_states_but_one_of_both_encoders(golden_xl: Path, weights: Path) -> None:
    expected = load_file(golden_xl / "forward/text.safetensors")
    pair = loaded(weights).sd.text_pair
    for index, prompt in enumerate(json.loads((golden_xl / "forward/cases.json").read_text())["text"]):
        for tokenizer, name in zip(pair.tokenizers, ("te1.ids", "te2.ids"), strict=True):
            assert torch.equal(token_ids(tokenizer, cleaned(prompt))[0], expected[name][index].long())
        hidden, pooled = pair.encode(cleaned(prompt))
        first, second = expected["te1.hidden_states_-2"][index], expected["te2.hidden_states_-2"][index]
        assert_close(hidden[0], torch.cat([first, second], dim=1))
        assert_close(pooled[0], expected["te2.pooled"][index])


@pytest.mark.parametrize("index", [0, 1])
def test_encoded_prompts_are_the_official_ones(index: int, golden_xl: Path, weights: Path) -> None:
    expected = load_file(golden_xl / "forward/encode_prompt.safetensors")
    caption, negative = json.loads((golden_xl / "forward/cases.json").read_text())["encode_prompt"][index]
    text = loaded(weights).sd.encode_text([caption, caption], negative or "", 7.5)
    for half, name in zip(text.embeddings.chunk(2), ("negative_prompt_embeds", "prompt_embeds"), strict=True):
        assert (half - expected[f"{index}.{name}"]).abs().max() <= 2e-5
    for half, name in zip(text.pooled.chunk(2), ("negative_pooled", "pooled"), strict=True):
        assert (half - expected[f"{index}.{name}"]).abs().max() <= 2e-5
    assert bool(text.pooled[:2].any()) == bool(negative)


def test_no_negative_prompt_is_the_empty_text_where_the_pipeline_says_so(
    golden_xl: Path, weights: Path, tmp_path: Path
) -> None:
    expected = load_file(golden_xl / "forward/text.safetensors")
    folder = changed(weights, tmp_path / "weights", "model_index.json", force_zeros_for_empty_prompt=False)
    assert_close(
        loaded(folder).sd.encode_text(["a photo of a cat"], "", 7.5).pooled, expected["te2.pooled"][[EMPTY, CAT]]
    )
    (folder / "model_index.json").unlink()
    assert not loaded(folder).sd.encode_text(["a photo of a cat"], "", 7.5).pooled[0].any()


def test_without_guidance_only_captions_are_encoded(golden_xl: Path, weights: Path) -> None:
    expected = load_file(golden_xl / "forward/text.safetensors")
    text = loaded(weights).sd.encode_text(["A cake on the table.", "a photo of a cat"], "blurry", 1.0)
    assert_close(text.pooled, expected["te2.pooled"][[CAKE, CAT]])
    assert text.embeddings.shape == (2, 77, 16)


@pytest.mark.parametrize("name", WHOLE_RUNS)
def test_whole_runs_are_the_official_ones(
    name: str, golden: Path, golden_xl: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = whole_run(golden_xl, name)
    method = loaded(weights, steps=case["call"]["num_inference_steps"], **WHOLE_RUNS[name])
    assert_whole_run(method, case, golden_xl, golden / "brushnet" / "inputs", monkeypatch)


@pytest.mark.parametrize(("guidance", "negative"), [(5.0, ""), (5.0, "blurry"), (1.0, "")])
def test_at_scale_zero_it_equals_the_pipeline_of_diffusers(guidance: float, negative: str, weights: Path) -> None:
    """The picture isn't square, so height and width must be read in the right order."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(weights, dtype=torch.float32, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        prompt="a photo of a cat",
        negative_prompt=negative or None,
        height=96,
        width=64,
        num_inference_steps=3,
        guidance_scale=guidance,
        latents=torch.randn(1, 4, 12, 8, generator=torch.Generator("cpu").manual_seed(5)),
        output_type="pt",
    ).images
    image, mask = torch.zeros(3, 96, 64, dtype=torch.uint8), torch.ones(1, 96, 64, dtype=torch.bool)
    batch = brushbench.Batch.of([brushbench.Sample("cat", image, mask, "a photo of a cat")])
    options = {"steps": 3, "guidance": guidance, "negative_prompt": negative, "sampler": "euler", "scale": 0.0}
    images = loaded(weights, **options)(batch, [5])
    assert (images / 255 - expected).abs().max() <= 0.51 / 255


def test_an_image_does_not_depend_on_its_batch(weights: Path, write_bench) -> None:
    samples = list(brushbench.load_dataset("brushbench", root=write_bench(count=3)))
    method = loaded(weights, steps=2)
    together = method(brushbench.Batch.of(samples), [3, 4, 5])
    alone = torch.cat([method(brushbench.Batch.of([sample]), [3 + i]) for i, sample in enumerate(samples)])
    assert (together.int() - alone.int()).abs().max() <= 1


def test_the_vae_stays_in_float32_where_half_precision_overflows(
    weights: Path, runtime: Runtime, write_bench, tmp_path: Path
) -> None:
    """The first layer gives values beyond float16's range, as SDXL's decoder does inside."""
    folder = shutil.copytree(weights, tmp_path / "weights")
    vae = load_model(AutoencoderKL, weights / "vae", "vae", runtime)
    vae.decoder.conv_in.weight.mul_(1e6)
    vae.save_pretrained(folder / "vae")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator("cpu").manual_seed(0)).half()
    full, half = (loaded(folder, dtype, steps=1) for dtype in ("float32", "float16"))
    assert half.sd.unet.dtype == torch.float16
    expected = full.sd.decode_unit(latents)
    assert torch.isfinite(expected).all()
    assert torch.equal(half.sd.decode_unit(latents), expected)

    batch = brushbench.Batch.of([brushbench.load_dataset("brushbench", root=write_bench(count=1))[0]])
    assert half(batch, [1]).unique().numel() > 100

    mended = changed(weights, tmp_path / "mended", "vae/config.json", force_upcast=False)
    assert loaded(mended, "float16").sd.vae.dtype == torch.float16


def test_a_base_and_a_branch_of_different_kinds_are_refused(weights: Path, tiny_weights: Path, tmp_path: Path) -> None:
    for base, branch, message in (
        (weights, tiny_weights, "this BrushNet is for Stable Diffusion 1.5, the base model is SDXL"),
        (tiny_weights, weights, "this BrushNet is for SDXL, the base model is Stable Diffusion 1.5"),
    ):
        with pytest.raises(brushbench.UserError, match=f"^{message}$"):
            loaded(base, brushnet=str(branch / "brushnet"))
    folder = shutil.copytree(weights, tmp_path / "weights")
    config = json.loads((folder / "brushnet" / "config.json").read_text())
    other = config | {"projection_class_embeddings_input_dim": 64}
    BrushNetModel.from_config(other).save_pretrained(folder / "brushnet")
    with pytest.raises(brushbench.UserError, match="reads 64 values of text and size, the base model gives 60"):
        loaded(folder)


def test_a_branch_for_another_kind_of_embedding_is_refused(golden_xl: Path) -> None:
    config = json.loads((golden_xl / "weights/brushnet/config.json").read_text())
    with pytest.raises(brushbench.UserError, match=r"embeddings that neither SD 1\.5 nor SDXL has"):
        BrushNetModel.from_config(config | {"addition_embed_type": "image"})


@pytest.mark.parametrize("part", ["text_encoder_2", "tokenizer_2"])
def test_a_folder_without_the_second_text_encoder_is_refused(part: str, weights: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(weights, tmp_path / "weights")
    shutil.rmtree(folder / part)
    with pytest.raises(brushbench.UserError, match=f"has no {part}/ folder"):
        loaded(folder)


@pytest.mark.parametrize(("name", "options"), DIFFUSION_METHODS[1:])
def test_other_methods_refuse_sdxl(name: str, options: dict[str, int], weights: Path) -> None:
    with pytest.raises(
        brushbench.UserError, match=r"unet is an SDXL UNet, which this method can't use; valid: --method brushnet"
    ):
        brushbench.load_method(name, weights=weights, device="cpu", **options)


def test_what_is_loaded_is_recorded(weights: Path) -> None:
    found = Weights(weights, "brushnet")
    runtime = Runtime(torch.device("cpu"), torch.float32, found)
    BrushNet.load(BrushNet.Options(), runtime)
    second = {"tokenizer_2", "text_encoder_2", "model_index"}
    assert found.digests.keys() == {"scheduler", "unet", "tokenizer", "text_encoder", "vae", "brushnet"} | second
    assert found.digests["text_encoder"] != found.digests["text_encoder_2"]


def test_all_of_a_download_is_locked(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = put_in_cache(tmp_path / "hub", "tiny/xl", weights)
    (folder / "model_index.json").write_text("{}")
    options = {"base": "tiny/xl", "brushnet": weights / "brushnet"}
    loaded(weights, **options)
    base = {"scheduler", "unet", "tokenizer", "text_encoder", "vae", "tokenizer_2", "text_encoder_2", "model_index"}
    assert locked(tmp_path / "hub").keys() == base
    for part, file in (("model_index", "model_index.json"), ("text_encoder_2", "text_encoder_2/config.json")):
        kept = (folder / file).read_bytes()
        (folder / file).write_bytes(kept + b" ")
        with pytest.raises(brushbench.UserError, match=rf"^{part}: tiny/xl.*@main has changed since its first use"):
            loaded(weights, **options)
        (folder / file).write_bytes(kept)
