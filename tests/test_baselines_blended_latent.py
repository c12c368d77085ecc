"""Blended Latent Diffusion against the official script's outputs on a tiny random model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import unpacked
from torch import Tensor

import brushbench
from brushbench.baselines.blended_latent import centres
from brushbench.baselines.stable_diffusion import NoiseSource, StableDiffusion
from brushbench.core.types import Batch, Sample

GOLDEN = Path(__file__).parent / "golden" / "blended_latent"
CASES = {case["name"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}


@pytest.fixture(scope="module")
def weights(golden_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden model; its tokenizer is the one of the other golden models."""
    return unpacked(GOLDEN / "weights", golden_weights / "tokenizer", tmp_path_factory.mktemp("blended") / "weights")


def batch_of(case: dict[str, object], arrays: dict[str, Tensor]) -> Batch:
    image = arrays["source_image"].permute(2, 0, 1).contiguous()
    # Each latent's pixel is the one below the middle of its square; the others don't count.
    mask = (arrays["latent_mask"][0] > 0.5).repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    return Batch.of([Sample(str(index), image, mask, prompt) for index, prompt in enumerate(case["prompts"])])


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_official_script(name: str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, arrays = CASES[name], load_file(GOLDEN / f"{name}.safetensors")
    method = brushbench.load_method(
        "blended-latent",
        weights=weights,
        device="cpu",
        dtype="float32",
        steps=case["steps"],
        guidance=case["guidance_scale"],
        blending_start=case["blending_percentage"],
    )
    if "noise_init" in arrays:
        # The script draws for a whole batch at once; here every sample has noise of its own.
        drawn = iter([arrays["noise_init"], *arrays["noise_steps"]])
        monkeypatch.setattr(NoiseSource, "__call__", lambda self: next(drawn))
    latents = []
    decode = StableDiffusion.decode
    monkeypatch.setattr(StableDiffusion, "decode", lambda self, final: latents.append(final) or decode(self, final))
    batch = batch_of(case, arrays)
    images = method(batch, [case["seed"]] * len(batch))
    assert (latents[0] - arrays["latents_final"]).abs().max() <= 1e-4 * arrays["latents_final"].abs().max()
    levels = (images.int() - arrays["images"].permute(0, 3, 1, 2).int()).abs()
    assert (levels <= 1).double().mean() >= 0.999


def test_a_latent_belongs_to_the_pixel_in_the_middle_of_its_square() -> None:
    masks = torch.zeros(1, 1, 16, 24, dtype=torch.bool)
    masks[0, 0, 4, 12] = masks[0, 0, 0, 0] = True
    assert centres(masks, 8).nonzero().tolist() == [[0, 0, 0, 1]]


def test_a_batch_is_its_samples(weights: Path, write_bench) -> None:
    samples = list(brushbench.load_dataset("brushbench", root=write_bench(count=3)))
    method = brushbench.load_method("blended-latent", weights=weights, device="cpu", dtype="float32", steps=4)
    together = method(Batch.of(samples), [5, 6, 7])
    for index, sample in enumerate(samples):
        alone = method(Batch.of([sample]), [5 + index])[0]
        assert (alone.int() - together[index].int()).abs().max() <= 1


def test_another_sampler_and_what_is_refused(weights: Path, inpainting_weights: Path, write_bench) -> None:
    batch = Batch.of(list(brushbench.load_dataset("brushbench", root=write_bench(count=1))))
    images = [
        brushbench.load_method("blended-latent", weights=weights, device="cpu", steps=4, sampler=sampler)(batch, [1])
        for sampler in ("unipc", "euler")
    ]
    assert not torch.equal(*images)
    with pytest.raises(brushbench.UserError, match="needs a UNet with 4 input channels; this one has 9"):
        brushbench.load_method("blended-latent", weights=inpainting_weights, device="cpu")
    with pytest.raises(brushbench.UserError, match="blending_start=1"):
        brushbench.load_method("blended-latent", weights=weights, device="cpu", blending_start=1)
