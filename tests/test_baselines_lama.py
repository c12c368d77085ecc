"""LaMa against the official code: a tiny generator layer by layer, and whole pictures; names and shapes of big-lama."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import brushbench
from brushbench.baselines.lama import LaMa, LaMaGenerator
from brushbench.baselines.lama.generator import inverse_spectrum
from brushbench.baselines.lama.method import composite, generator_input
from brushbench.core.protocol import protocol_named
from brushbench.core.registry import method_info
from brushbench.core.types import Batch, Sample
from brushbench.evaluation.call import MethodCall
from brushbench.evaluation.methods import open_method

FOLDER = Path(__file__).parent / "golden" / "lama"
TINY = FOLDER / "tiny_generator.safetensors"
CASES = ["astronaut_box_128x128", "chelsea_strokes_128x128", "coffee_edge_100x76"]
Arrays = dict[str, np.ndarray]


def case(name: str) -> Arrays:
    with np.load(FOLDER / f"{name}.npz") as stored:
        return dict(stored)


def sample_of(arrays: Arrays, name: str = "0") -> Sample:
    """Everything above 0 is hole, as the official code has it."""
    image = torch.from_numpy(arrays["image"]).permute(2, 0, 1).contiguous()
    return Sample(name, image, torch.from_numpy(arrays["mask"] > 0)[None], "a caption")


def load(**options: object) -> LaMa:
    return brushbench.load_method("lama", **{"device": "cpu", "dtype": "float32", "model": str(TINY), **options})


@pytest.fixture(scope="module")
def lama() -> LaMa:
    return load()


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch_of(*samples: tuple[Tensor, Tensor]) -> Batch:
    return Batch.of([Sample(str(place), *sample, "") for place, sample in enumerate(samples)])


def test_big_lama_has_the_names_and_shapes_of_the_published_checkpoint_in_its_order() -> None:
    published = json.loads((FOLDER / "big_lama.json").read_text())
    with torch.device("meta"):
        generator = LaMaGenerator()
    made = generator.state_dict()
    assert [(name, list(tensor.shape)) for name, tensor in made.items()] == [*published.items()]
    assert len(published) == 989
    assert sum(parameter.numel() for parameter in generator.parameters()) == 50_975_875
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in LaMaGenerator(blocks=9).parameters()) == 27_048_835
    whole = {name for name, tensor in made.items() if tensor.dtype == torch.int64}
    assert whole == {name for name in made if name.endswith("num_batches_tracked")}


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_that_of_the_official_code(name: str, lama: LaMa) -> None:
    stored = case(name)
    sample = sample_of(stored)
    given = generator_input(sample.image, sample.mask)
    assert torch.equal(given[None], torch.from_numpy(stored["generator_input"]))
    raw = lama.generate(given)
    assert (raw - torch.from_numpy(stored["raw"][0])).abs().max() <= 1e-4
    assert_equals_golden(lama(Batch.of([sample]), [0])[0], stored)
    # The compositing alone has the very raw pixels of the official code, so that no level may differ.
    exact = composite(torch.from_numpy(stored["raw"][0]), given)
    height, width = sample.image.shape[1:]
    assert torch.equal(exact[:, :height, :width], torch.from_numpy(stored["output"]).permute(2, 0, 1))


def assert_equals_golden(image: Tensor, stored: Arrays) -> None:
    made, expected, hole = image.permute(1, 2, 0).numpy(), stored["output"], stored["mask"] > 0
    assert (made[~hole] == expected[~hole]).all()
    assert (made[~hole] == stored["image"][~hole]).all()
    apart = np.abs(made[hole].astype(int) - expected[hole])
    assert apart.max() <= 1
    assert (apart == 0).mean() >= 0.99


def test_every_layer_is_that_of_the_official_code(lama: LaMa) -> None:
    with np.load(FOLDER / "coffee_edge_100x76.layers.npz") as stored:
        expected = {name: torch.from_numpy(stored[name]) for name in stored.files}
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: object, _given: object, made: Tensor | tuple[Tensor, Tensor]) -> None:
            if isinstance(made, Tensor):
                found[name] = found[f"{name}.local"] = made
            else:
                found[f"{name}.local"], found[f"{name}.global"] = made

        return hook

    hooks = [module.register_forward_hook(keep(name)) for name, module in lama.generator.named_modules()]
    lama.generate(torch.from_numpy(case("coffee_edge_100x76")["generator_input"][0]))
    for hook in hooks:
        hook.remove()
    assert len(expected) == 18
    for name, tensor in expected.items():
        assert found[name].shape == tensor.shape, name
        assert (found[name] - tensor).abs().max() <= 1e-4 * tensor.abs().max(), name


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7), (2, 3), (1, 2)])
def test_the_inverse_transform_is_what_the_cpu_makes_of_a_spectrum_of_no_real_signal(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.rand(2, 3, height, width // 2 + 1, dtype=torch.complex64, generator=generator)
    expected = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
    assert torch.equal(inverse_spectrum(spectrum, width), expected)
    # The three steps leave nothing to the library: what they drop has no influence.
    columns = torch.fft.ifft(spectrum, dim=-2, norm="ortho")
    columns[..., 0] += 5j
    other = torch.fft.fft(columns, dim=-2, norm="ortho")
    torch.testing.assert_close(inverse_spectrum(other, width), expected)


def test_the_padding_is_its_own_and_not_the_suite_s(lama: LaMa) -> None:
    """The suite would pad by reflection, without the edge pixel; a method that states no multiple isn't padded."""
    found = open_method("lama", weights=None, device="cpu", dtype="float32", options={"model": str(TINY)})
    assert found.side_multiple == 1
    stored = case("coffee_edge_100x76")
    for name in ("strict", "paper"):
        call = MethodCall(found.call, protocol_named(name), 0, found.side_multiple)
        assert_equals_golden(call([sample_of(stored)])[0], stored)


@pytest.mark.parametrize(("height", "width"), [(9, 9), (9, 40), (17, 15), (64, 48), (33, 16)])
def test_any_size_is_padded_symmetrically_and_cropped(height: int, width: int, lama: LaMa) -> None:
    image = noise(height, width)
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[:, height // 2 :, width // 3 :] = True
    whole = (height + -height % 8, width + -width % 8)
    pads = [(0, padded - side) for side, padded in zip((height, width), whole, strict=True)]
    picture = np.pad(image.numpy().astype(np.float32) / 255, [(0, 0), *pads], mode="symmetric")
    hole = np.pad(mask.numpy().astype(np.float32), [(0, 0), *pads], mode="symmetric")
    given = generator_input(image, mask)
    assert torch.equal(given, torch.from_numpy(np.concatenate([picture * (1 - hole), hole])))
    made = lama(batch_of((image, mask)), [0])[0]
    assert made.shape == image.shape
    assert torch.equal(made[~mask.expand_as(made)], image[~mask.expand_as(image)])
    raw = lama.generate(given)[:, :height, :width]
    inside = mask.expand_as(made)
    assert torch.equal(made[inside], (raw[inside] * 255).to(torch.uint8))


@pytest.mark.parametrize(("height", "width"), [(8, 64), (64, 8), (1, 1)])
def test_a_side_below_nine_pixels_fails_the_sample(height: int, width: int, lama: LaMa) -> None:
    mask = torch.ones(1, height, width, dtype=torch.bool)
    with pytest.raises(brushbench.UserError) as error:
        lama(batch_of((noise(height, width), mask)), [0])
    expected = f"0: {width}x{height} pixels are too small for LaMa; valid: sides of 9 pixels or more"
    assert str(error.value) == expected
    assert type(error.value).__name__ == "SampleError"


def test_without_a_hole_the_picture_comes_back_unchanged(lama: LaMa) -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, -1, -1).contiguous()
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    assert torch.equal(lama(batch_of((levels, mask)), [0])[0], levels)


def test_a_hole_that_covers_everything_reads_nothing_of_the_picture(lama: LaMa) -> None:
    mask = torch.ones(1, 32, 24, dtype=torch.bool)
    first, second = (lama(batch_of((noise(32, 24, seed), mask)), [0]) for seed in (1, 2))
    assert torch.equal(first, second)
    assert first.float().std() > 10


def test_the_mask_is_the_hole_and_what_is_in_it_is_never_read(lama: LaMa) -> None:
    image, mask = noise(40, 56), torch.zeros(1, 40, 56, dtype=torch.bool)
    mask[:, :8, 30:] = True
    made = lama(batch_of((image, mask)), [0])[0]
    changed = (made != image).any(dim=0)
    assert not changed[~mask[0]].any()
    assert changed[mask[0]].float().mean() > 0.95
    other = torch.where(mask, 255 - image, image)
    assert torch.equal(lama(batch_of((other, mask)), [0])[0], made)


def test_a_batch_is_its_samples_to_the_bit_and_seeds_and_captions_change_nothing(lama: LaMa) -> None:
    samples = []
    for seed in range(3):
        mask = torch.zeros(1, 24, 40, dtype=torch.bool)
        mask[:, 4 * seed : 12 + 4 * seed, 5 + seed : 30] = True
        samples.append((noise(24, 40, seed), mask))
    batch = batch_of(*samples)
    together = lama(batch, [1, 2, 3])
    for place, sample in enumerate(samples):
        assert torch.equal(lama(batch_of(sample), [99])[0], together[place])
    told = Batch(batch.ids, batch.images, batch.masks, ("a cat", "a dog", "a tree"))
    assert torch.equal(lama(told, [7, 8, 9]), together)


@pytest.mark.parametrize("setting", [{"dtype": "float16"}, {"dtype": "bfloat16"}, {"compute": "fast"}])
def test_it_computes_in_float32_whatever_the_run_s_precision_and_recipe(
    setting: dict[str, str], lama: LaMa, uncompiled: None
) -> None:
    other = load(**setting)
    assert {tensor.dtype for tensor in other.generator.parameters()} == {torch.float32}
    sample = sample_of(case(CASES[0]))
    assert torch.equal(other(Batch.of([sample]), [0]), lama(Batch.of([sample]), [0]))


def test_tf32_is_off_while_it_computes_and_as_before_afterwards(lama: LaMa) -> None:
    seen: list[tuple[bool, bool, bool]] = []

    def settings() -> tuple[bool, bool, bool]:
        flags = torch.backends.cudnn
        return flags.enabled, flags.allow_tf32, flags.deterministic

    before = settings()
    hook = lama.generator.register_forward_hook(lambda *_: seen.append(settings()))
    lama(batch_of((noise(16, 16), torch.ones(1, 16, 16, dtype=torch.bool))), [0])
    hook.remove()
    assert seen == [(True, False, True)]
    assert settings() == before
    assert method_info("lama").process_wide


def test_pixels_that_are_not_finite_never_become_a_picture() -> None:
    generator = LaMaGenerator(8, 2)
    generator.load_state_dict(load_file(TINY))
    generator.model[18].bias.data.fill_(float("nan"))
    broken = LaMa(generator.eval(), torch.device("cpu"))
    with pytest.raises(brushbench.UserError, match="0: LaMa's pixels aren't finite, so its weights are damaged"):
        broken(batch_of((noise(16, 16), torch.ones(1, 16, 16, dtype=torch.bool))), [0])
