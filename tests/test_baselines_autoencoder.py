"""The VAE's round trip of the source, against the VAE itself."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

import brushbench
from brushbench.core.types import Batch


@pytest.fixture
def batch(write_bench) -> Batch:
    return Batch.of(list(brushbench.load_dataset("brushbench", root=write_bench(count=2))))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_the_vaes_round_trip_of_the_whole_source(dtype: str, batch: Batch, tiny_weights: Path) -> None:
    vae = AutoencoderKL.from_pretrained(tiny_weights / "vae", dtype=torch.float32)
    with torch.inference_mode():
        latents = vae.encode(batch.images.float() / 127.5 - 1).latent_dist.mode()
        expected = ((vae.decode(latents).sample + 1) * 127.5).clamp(0, 255)
    method = brushbench.load_method("autoencoder", weights=tiny_weights, device="cpu", dtype=dtype)
    images = method(batch, [1, 2])
    assert (images.double() - expected.double()).abs().max() <= 0.51
    # Neither seed nor mask nor caption has a part in it, and no pixel is pasted.
    other = Batch(batch.ids, batch.images, ~batch.masks, ("", ""))
    assert torch.equal(images, method(other, [3, 4]))
    known = (~batch.masks).expand(-1, 3, -1, -1)
    assert not torch.equal(images[known], batch.images[known])


def test_it_needs_nothing_but_the_vae(batch: Batch, tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "vae").symlink_to(tiny_weights / "vae")
    plain = brushbench.load_method("autoencoder", weights=tiny_weights, device="cpu")
    alone = brushbench.load_method("autoencoder", weights=tmp_path, device="cpu", offload="model")
    assert torch.equal(plain(batch, [0, 0]), alone(batch, [0, 0]))


def test_sdxl_has_one_too(batch: Batch, sdxl_weights: Path) -> None:
    vae = AutoencoderKL.from_pretrained(sdxl_weights / "vae")
    with torch.inference_mode():
        expected = vae.decode(vae.encode(batch.images.float() / 127.5 - 1).latent_dist.mode()).sample
    images = brushbench.load_method("autoencoder", weights=sdxl_weights, device="cpu")(batch, [0, 0])
    assert (images.double() - ((expected.double() + 1) * 127.5).clamp(0, 255)).abs().max() <= 0.51


def test_values_that_are_not_finite_are_no_picture(batch: Batch, tiny_weights: Path, tmp_path: Path) -> None:
    vae = AutoencoderKL.from_pretrained(tiny_weights / "vae")
    torch.nn.init.constant_(vae.decoder.conv_out.bias, float("nan"))
    vae.save_pretrained(tmp_path / "vae")
    method = brushbench.load_method("autoencoder", weights=tmp_path, device="cpu")
    with pytest.raises(brushbench.core.errors.SampleError, match="isn't finite"):
        method(batch, [0, 0])


def test_sides_that_the_vae_cannot_halve_are_refused(tiny_weights: Path, write_bench) -> None:
    batch = Batch.of(list(brushbench.load_dataset("brushbench", root=write_bench(count=1))))
    cut = Batch(batch.ids, batch.images[:, :, :63], batch.masks[:, :, :63], batch.captions)
    with pytest.raises(brushbench.UserError, match="63x64: both sides must be multiples of"):
        brushbench.load_method("autoencoder", weights=tiny_weights, device="cpu")(cut, [0])


def test_papercut_has_one(brushbench, tmp_path: Path) -> None:
    code, out, _ = brushbench(
        *("run", "--method", "autoencoder,copy", "--dataset", "papercut", "--limit", "2", "--metrics", "mse"),
        *("--output", tmp_path),
    )
    assert code == 0
    assert "autoencoder" in out
