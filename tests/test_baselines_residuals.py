"""BrushNet's features in a UNet whose hooks stay: seen by the call that they are for, and by no other."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

import brushbench
from brushbench.baselines.brushnet import BrushNet, Residuals, take_residuals, with_residuals
from brushbench.core.types import Batch, Sample
from brushbench.weights.runtime import Runtime

SEEDS = [1, 2, 3]
ASKED = {"device": "cpu", "dtype": "float32", "steps": 2}


@pytest.fixture(scope="module")
def method(tiny_weights: Path) -> BrushNet:
    return brushbench.load_method("brushnet", weights=tiny_weights, **ASKED)


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def inputs_of(unet: UNet2DConditionModel, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(rows)
    width = unet.config.cross_attention_dim
    return (
        torch.randn(rows, 4, 8, 8, generator=draw),
        torch.tensor(500),
        torch.randn(rows, 77, width, generator=draw),
    )


def features(method: BrushNet, rows: int, scale: float = 1.0) -> Residuals:
    draw = torch.Generator().manual_seed(10 + rows)
    noisy, condition = (torch.randn(rows, channels, 8, 8, generator=draw) for channels in (4, 5))
    return method.branch(noisy, torch.tensor(500), condition, scale)


def predicted(unet: UNet2DConditionModel, inputs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return unet(*inputs, return_dict=False)[0]


def test_hooks_come_with_the_method_and_stay_the_same(golden_weights: Path, samples: list[Sample]) -> None:
    method = brushbench.load_method("brushnet", weights=golden_weights, **ASKED)
    before = hooks(method.sd.unet)
    assert before == 1 + 11 + 1 + 15
    method(Batch.of(samples), SEEDS)
    take_residuals(method.sd.unet)
    with with_residuals(method.sd.unet, features(method, 1)):
        assert hooks(method.sd.unet) == before
    assert hooks(method.sd.unet) == before


def test_powerpaint_has_its_hooks_too(samples: list[Sample]) -> None:
    powerpaint = brushbench.load_method("powerpaint", weights="papercut", version=2, **ASKED)
    before = hooks(powerpaint.sd.unet)
    assert before > 0
    powerpaint(Batch.of(samples), SEEDS)
    assert hooks(powerpaint.sd.unet) == before


@torch.inference_mode()
def test_both_halves_of_the_guidance_get_them_without_copies(method: BrushNet) -> None:
    unet, residuals, inputs = method.sd.unet, features(method, 3), inputs_of(method.sd.unet, 6)
    with with_residuals(unet, residuals):
        actual = predicted(unet, inputs)
    with with_residuals(unet, residuals.map(lambda tensor: tensor.repeat(2, 1, 1, 1))):
        assert torch.equal(actual, predicted(unet, inputs))
    with with_residuals(unet, residuals.map(lambda tensor: tensor.flip(0).repeat(2, 1, 1, 1))):
        assert not torch.equal(actual, predicted(unet, inputs))


@torch.inference_mode()
def test_rows_that_are_no_multiple_are_an_error(method: BrushNet) -> None:
    inputs = inputs_of(method.sd.unet, 3)
    with pytest.raises(RuntimeError), with_residuals(method.sd.unet, features(method, 2)):
        predicted(method.sd.unet, inputs)


def test_a_weight_of_1_makes_no_copies() -> None:
    residuals = Residuals((torch.ones(1, 2, 3, 3),), torch.ones(1, 2, 3, 3), ())
    assert (residuals * 1.0).mid is residuals.mid
    assert torch.equal((residuals * 0.5).mid, torch.full((1, 2, 3, 3), 0.5))


def test_methods_that_share_a_model_paint_what_they_paint_alone(
    method: BrushNet, tiny_weights: Path, samples: list[Sample]
) -> None:
    batch, branch = Batch.of(samples), copy.deepcopy(method.branch)
    for parameter in branch.parameters():
        parameter.mul_(1.5)
    other = BrushNet(method.sd, branch, method.options)
    alone = brushbench.load_method("brushnet", weights=tiny_weights, **ASKED)
    first = method(batch, SEEDS)
    second = other(batch, SEEDS)
    assert torch.equal(method(batch, SEEDS), first)
    assert torch.equal(alone(batch, SEEDS), first)
    assert torch.equal(replace(alone, branch=branch)(batch, SEEDS), second)
    assert not torch.equal(first, second)


@torch.inference_mode()
def test_a_method_that_is_loaded_twice_is_two_methods(method: BrushNet, tiny_weights: Path) -> None:
    again = brushbench.load_method("brushnet", weights=tiny_weights, **ASKED)
    inputs = inputs_of(method.sd.unet, 1)
    plain = predicted(method.sd.unet, inputs)
    with with_residuals(again.sd.unet, features(again, 1)):
        assert torch.equal(predicted(method.sd.unet, inputs), plain)
        assert not torch.equal(predicted(again.sd.unet, inputs), plain)


@torch.inference_mode()
def test_a_copy_of_a_model_has_its_own(method: BrushNet) -> None:
    unet, other = method.sd.unet, copy.deepcopy(method.sd.unet)
    inputs, residuals = inputs_of(unet, 1), features(method, 1)
    plain = predicted(unet, inputs)
    with with_residuals(unet, residuals):
        changed = predicted(unet, inputs)
        assert torch.equal(predicted(other, inputs), plain)
    with with_residuals(other, residuals):
        assert torch.equal(predicted(other, inputs), changed)
        assert torch.equal(predicted(unet, inputs), plain)
    assert hooks(other) == hooks(unet)


def test_a_copy_of_a_method_paints_the_same(method: BrushNet, samples: list[Sample]) -> None:
    batch = Batch.of(samples)
    expected, other = method(batch, SEEDS), copy.deepcopy(method)
    assert torch.equal(other(batch, SEEDS), expected)
    assert torch.equal(method(batch, SEEDS), expected)


@torch.inference_mode()
def test_a_step_that_fails_leaves_nothing_behind(
    method: BrushNet, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, inputs = Batch.of(samples), inputs_of(method.sd.unet, 1)
    expected, plain = method(batch, SEEDS), predicted(method.sd.unet, inputs)
    monkeypatch.setattr(method.sd.unet.up_blocks[-1], "forward", _failing)
    with pytest.raises(ZeroDivisionError):
        method(batch, SEEDS)
    monkeypatch.undo()
    assert torch.equal(predicted(method.sd.unet, inputs), plain)
    assert torch.equal(method(batch, SEEDS), expected)


def test_models_that_rest_elsewhere_take_them(
    method: BrushNet, tiny_weights: Path, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    wake = Runtime._wake
    monkeypatch.setattr(Runtime, "_wake", lambda self, model: woken.append(type(model).__name__) or wake(self, model))
    resting = brushbench.load_method("brushnet", weights=tiny_weights, offload="model", **ASKED)
    assert torch.equal(resting(Batch.of(samples), SEEDS), method(Batch.of(samples), SEEDS))
    assert {"UNet2DConditionModel", "BrushNetModel"} <= set(woken)


@torch.inference_mode()
def test_residuals_within_residuals_replace_them_for_as_long(method: BrushNet) -> None:
    unet, inputs = method.sd.unet, inputs_of(method.sd.unet, 1)
    outer, inner = features(method, 1), features(method, 1, scale=0.5)
    with with_residuals(unet, inner):
        expected = predicted(unet, inputs)
    with with_residuals(unet, outer):
        before = predicted(unet, inputs)
        with with_residuals(unet, inner):
            assert torch.equal(predicted(unet, inputs), expected)
        assert torch.equal(predicted(unet, inputs), before)


def _failing(*_inputs: object, **_keywords: object) -> None:
    raise ZeroDivisionError
