"""Compiled blocks: they change no number by themselves, whatever a method does to its models, and compile once."""

import copy
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from PIL import Image
from published import adapter_folder
from safetensors.torch import save_file
from support import OTHERS_COMPILE, slow_but
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.attention import SDPBackend

import brushbench
from brushbench.baselines.compiled import BLOCKS, SLICE, slices
from brushbench.baselines.finite import DECODING, through_vae
from brushbench.core.types import Batch, Sample
from brushbench.weights import recipe

SEEDS = [1, 2, 3]
WINDOW = {"start": 0.3, "end": 0.7}
pytestmark = pytest.mark.xdist_group("traced blocks")


@pytest.fixture(autouse=True)
def _only_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be compiled is traced into a graph, and the graph computes as PyTorch does without it."""
    monkeypatch.setattr(recipe, "BACKEND", "eager")


def loaded(name: str, **options: object) -> Any:
    asked = {"compute": "fast", "weights": "papercut"} | ({} if name == "autoencoder" else {"steps": 3}) | options
    return brushbench.load_method(name, device="cpu", **asked)


def graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def assert_traced_as_it_is(method: Any, samples: list[Sample]) -> None:
    """The same bytes as without tracing, in a first and a second call."""
    batch = Batch.of(samples)
    with torch.compiler.set_stance("force_eager"):
        before = method(batch, SEEDS)
    traced = method(batch, SEEDS)
    assert torch.equal(traced, before)
    assert torch.equal(method(batch, SEEDS), traced)


@pytest.mark.parametrize(("name", "options"), OTHERS_COMPILE)
def test_blocks_compute_what_they_are_made_of(name: str, options: dict[str, Any], samples: list[Sample]) -> None:
    assert_traced_as_it_is(loaded(name, **options), samples)


def test_models_that_rest_do_so_too(samples: list[Sample]) -> None:
    assert_traced_as_it_is(loaded("brushnet", offload="model"), samples)


@pytest.mark.compiles
def test_blocks_of_sdxl_do_so_too(sdxl_weights: Path, samples: list[Sample]) -> None:
    assert_traced_as_it_is(loaded("brushnet", weights=sdxl_weights, steps=1), samples)


@pytest.mark.parametrize("name", slow_but(["brushnet"], ["brushnet", "controlnet"]))
def test_steps_with_and_without_control_follow_each_other(name: str, samples: list[Sample]) -> None:
    method = loaded(name, **WINDOW)
    assert_traced_as_it_is(method, samples)
    assert not torch.equal(method(Batch.of(samples), SEEDS), loaded(name)(Batch.of(samples), SEEDS))


@pytest.mark.compiles
def test_what_is_plugged_in_is_compiled_with_it(
    tiny_weights: Path, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = adapter_folder(tiny_weights, tmp_path / "adapter", "ip-adapter_sd15")
    Image.new("RGB", (40, 56), (200, 30, 90)).save(tmp_path / "red.png")
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    width = loaded("brushnet", weights=tiny_weights).sd.unet.get_submodule(layer).weight.shape[0]
    pair = {f"unet.{layer}.lora_A.weight": torch.ones(2, width), f"unet.{layer}.lora_B.weight": torch.ones(width, 2)}
    save_file(pair, tmp_path / "lora.safetensors")
    monkeypatch.chdir(tmp_path)
    plugged = {"ip_adapter": str(folder), "ip_adapter_image": "red.png", "lora": "lora.safetensors"}
    assert_traced_as_it_is(loaded("brushnet", weights=tiny_weights, **plugged), samples)


@pytest.mark.parametrize("name", slow_but(["brushnet"], ["brushnet", "hd-painter"]))
def test_nothing_is_compiled_after_the_first_batch(name: str, samples: list[Sample]) -> None:
    first, second = Batch.of(samples), Batch.of(samples[::-1])
    method = loaded(name, **(WINDOW if name == "brushnet" else {}))
    method(first, SEEDS)
    compiled = graphs()
    assert compiled > 10
    method(first, SEEDS)
    method(second, [4, 5, 6])
    loaded(name, steps=5)(second, SEEDS)
    assert graphs() == compiled


def test_blocks_of_one_shape_share_their_code() -> None:
    same, other = ([ResnetBlock2D(in_channels=width, temb_channels=8, groups=4) for _ in range(3)] for width in (8, 12))
    before = graphs()
    with recipe.computing("fast", torch.device("cpu")):
        for block in [*same, *other]:
            recipe.compile_in_place(block)
            block(torch.ones(1, block.in_channels, 4, 4), torch.ones(1, 8))
    assert graphs() - before == 2


def test_names_of_weights_stay_and_plain_compiles_nothing() -> None:
    plain, fast = loaded("brushnet", compute="plain"), loaded("brushnet")
    for one, other in ((plain.sd.unet, fast.sd.unet), (plain.branch, fast.branch), (plain.sd.vae, fast.sd.vae)):
        assert one.state_dict().keys() == other.state_dict().keys()
        assert [type(module) for module in one.modules()] == [type(module) for module in other.modules()]
        assert not any("forward" in vars(module) for module in one.modules())
    for model in (fast.sd.unet, fast.branch):
        compiled = {type(module) for module in model.modules() if "forward" in vars(module)}
        assert compiled == {type(module) for module in model.modules()} & {*BLOCKS}
    assert [module for module in fast.sd.vae.modules() if "forward" in vars(module)] == [fast.sd.vae.decoder]


def test_blocks_that_hd_painter_hooks_into_stay_as_they_are() -> None:
    unet = loaded("hd-painter").sd.unet
    compiled = [name for name, module in unet.named_modules() if "forward" in vars(module)]
    attention = [name for name in compiled if "transformer_blocks" in name]
    assert {name.split(".")[0] + name.split(".")[1] for name in attention} == {"down_blocks0", "up_blocks2"}
    assert len(compiled) > len(attention)


class Doubling(ModelMixin):
    """Smaller than the smallest block."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.weight


def test_a_copy_computes_with_its_own_weights() -> None:
    model = Doubling()
    recipe.compile_in_place(model)
    copied = copy.deepcopy(model)
    copied.weight.data.fill_(3.0)
    assert (model(torch.ones(1)).item(), copied(torch.ones(1)).item()) == (2, 3)


def test_hooks_around_a_compiled_module_come_and_go() -> None:
    model = Doubling()
    recipe.compile_in_place(model)
    assert model(torch.ones(1)).item() == 2
    before, handle = graphs(), model.register_forward_hook(lambda _model, _inputs, output: output + 1)
    assert model(torch.ones(1)).item() == 3
    handle.remove()
    assert model(torch.ones(1)).item() == 2
    assert graphs() == before


def test_for_a_sample_that_overflows_nothing_is_compiled() -> None:
    model = Doubling().to(torch.float16)
    recipe.compile_in_place(model)

    def overflowing(values: Tensor) -> Tensor:
        return model(values) if values.dtype == torch.float32 else values * torch.inf

    before = graphs()
    with pytest.warns(UserWarning, match="overflowed in half precision"):
        assert through_vae(model, torch.ones(2, 3).half(), overflowing, DECODING).tolist() == [[2.0] * 3] * 2
    assert graphs() == before


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (4, [4]), (5, [3, 3]), (8, [4, 4]), (10, [4, 4, 4])])
def test_slices_have_one_shape_and_all_latents_in_order(count: int, sizes: list[int]) -> None:
    latents = torch.arange(float(count)).reshape(count, 1, 1, 1).expand(-1, 4, 2, 2)
    parts = slices(latents)
    assert [len(part) for part in parts] == sizes
    assert max(sizes) <= SLICE
    assert torch.equal(torch.cat(parts)[:count], latents)


def test_a_large_batch_is_decoded_a_slice_at_a_time(samples: list[Sample]) -> None:
    sizes: list[int] = []
    for compute in ("plain", "fast"):
        method = loaded("autoencoder", compute=compute)
        method.vae.decoder.register_forward_pre_hook(lambda _decoder, inputs: sizes.append(len(inputs[0])))
        method(Batch.of([*samples, *samples]), [])
    assert sizes == [6, 3, 3]


def test_on_a_gpu_attention_has_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[str]] = []

    def recorded(order: list[SDPBackend], *, set_priority: bool) -> AbstractContextManager[None]:
        orders.append([each.name for each in order if set_priority])
        return nullcontext()

    monkeypatch.setattr(recipe, "sdpa_kernel", recorded)
    for compute, device in (("plain", "cuda"), ("fast", "cpu"), ("fast", "cuda")):
        with recipe.computing(compute, torch.device(device)):
            assert len(orders) == (compute == "fast" and device == "cuda")
    assert orders == [["CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"]]
