"""Count what a denoising step does besides computing: it never waits for a GPU, and copies nothing."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from support import OTHERS_SLOW
from torch import Tensor, nn

import brushbench
from brushbench.baselines import stable_diffusion
from brushbench.baselines.hd_painter import method as hd_painter
from brushbench.baselines.recent import Recent
from brushbench.baselines.stable_diffusion import StableDiffusion, to_fraction, to_unit
from brushbench.core.types import Batch, Sample

ROOT = Path(__file__).parent.parent
META = torch.device("meta")


@pytest.fixture
def operator_calls(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that counts."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import operator_calls

    return operator_calls


def loaded(name: str, **options: object) -> Any:
    return brushbench.load_method(name, weights="papercut", device="cpu", dtype="float32", **options)


@pytest.mark.parametrize(
    ("name", "options"), [*OTHERS_SLOW, pytest.param("brushnet", {"guidance": 1.0}, marks=pytest.mark.slow)]
)
def test_a_step_asks_sends_solves_copies_and_hooks_nothing(
    operator_calls: ModuleType, name: str, options: dict[str, Any]
) -> None:
    counts = operator_calls.step_counts(name, options)
    assert counts.pop("operators") > counts.pop("that make no view") > 100
    # RASG listens to the attention anew at each step.
    assert counts.pop("hooks registered") == (1 if name == "hd-painter" else 0)
    assert set(counts.values()) == {0}, counts


@pytest.mark.parametrize("sampler", ["ddim", "pndm", "dpm++", "euler"])
def test_no_sampler_changes_that(operator_calls: ModuleType, sampler: str) -> None:
    counts = operator_calls.step_counts("brushnet", {"sampler": sampler})
    # Euler's asks for two of its own noise levels, which are on the CPU.
    assert counts.pop("asked for a value") == (2 if sampler == "euler" else 0)
    assert counts.pop("operators") > counts.pop("that make no view") > 100
    assert set(counts.values()) == {0}, counts


def test_what_is_to_be_counted_is_counted(operator_calls: ModuleType) -> None:
    """Count in inference mode too, where torch reports only whole operations."""
    recorded, model = operator_calls.Recorded(), nn.Linear(2, 2)
    values, residual = torch.arange(3.0), torch.ones(1, 5, 4, 4)
    with torch.inference_mode(), operator_calls.counting_hooks(recorded), recorded:
        for _ in range(2):
            recorded.begin()
            assert values[torch.tensor(1)].item() == 1
            assert values[0] < 1
            torch.linalg.solve(torch.eye(2), torch.ones(2))
            _ = residual.repeat(2, 1, 1, 1), residual * 0.5, residual * values[1], residual * residual
            model.register_forward_hook(lambda *_: None)
            model.register_forward_pre_hook(lambda *_: None)
    for step in (1, 2):
        counts = recorded.counts(step, {(5, 4, 4)})
        assert counts.pop("operators") > counts.pop("that make no view") > 10
        assert counts == {
            "asked for a value": 3,
            "sent": 1,
            "systems solved": 1,
            "residuals copied": 3,
            "hooks registered": 2,
        }
    assert set(recorded.counts(0, set()).values()) == {0}


@pytest.mark.parametrize(("name", "options"), OTHERS_SLOW)
def test_on_another_device_nothing_is_waited_for_or_sent_between_steps(
    operator_calls: ModuleType,
    name: str,
    options: dict[str, Any],
    samples: list[Sample],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The meta device has no values: reading one is an error, and so is mixing it with the CPU."""
    method = on_meta(loaded(name, steps=6, **options), operator_calls)
    for module in (stable_diffusion, hd_painter):
        monkeypatch.setattr(module, "check_finite", lambda _values, _what: None)
    monkeypatch.setattr(stable_diffusion, "through_vae", lambda _vae, values, compute, _passage: compute(values))
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: torch.zeros(self.shape, dtype=self.dtype))
    recorded = operator_calls.recorded_run(method, Batch.of(samples))
    counts = [recorded.counts(step, set()) for step in range(2, len(recorded.steps) - 1)]
    assert len(counts) >= 2
    assert {count["asked for a value"] for count in counts} == {0}
    # Noise is drawn on the CPU.
    assert {count["sent"] for count in counts} == {1 if name == "blended-latent" else 0}


# Any: a method whose models have names that the protocol of methods doesn't have.
def on_meta(method: Any, operator_calls: ModuleType) -> Any:
    sd = operator_calls.models_of(method)
    holders = [method, sd, getattr(method, "text", None)]
    for part in [getattr(holder, name, None) for holder in holders for name in getattr(holder, "__slots__", ())]:
        if isinstance(part, nn.Module):
            part.to(META)
    object.__setattr__(sd.runtime, "device", META)
    return method


def test_pictures_go_to_the_device_and_come_back_as_bytes(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[torch.dtype] = []
    fetched: list[torch.dtype] = []
    to_device, cpu = stable_diffusion.to_device, torch.Tensor.cpu

    def sending(tensor: Tensor, device: torch.device) -> Tensor:
        sent.append(tensor.dtype)
        return to_device(tensor, device)

    def fetching(tensor: Tensor) -> Tensor:
        fetched.append(tensor.dtype)
        return cpu(tensor)

    method = loaded("brushnet", steps=1)
    monkeypatch.setattr(stable_diffusion, "to_device", sending)
    monkeypatch.setattr(torch.Tensor, "cpu", fetching)
    method(Batch.of(samples), [1, 2, 3])
    assert {torch.uint8, torch.bool} <= set(sent)
    assert fetched == [torch.uint8]


def test_a_batch_on_the_cpu_is_not_copied(samples: list[Sample]) -> None:
    batch = Batch.of(samples)
    placed = loaded("sd-inpainting", steps=1).sd.placed(batch)
    assert placed.images is batch.images
    assert placed.masks is batch.masks


def test_bytes_become_the_numbers_that_they_became_on_the_cpu() -> None:
    values = torch.arange(256, dtype=torch.uint8).expand(1, 3, 1, 256)
    assert torch.equal(to_fraction(values), values.float() / 255)
    assert torch.equal(to_unit(values), values.float() / 255 * 2 - 1)
    assert to_unit(values.to(META)).device == META


def test_what_is_decoded_is_rounded_where_it_was_decoded(samples: list[Sample]) -> None:
    sd: StableDiffusion = loaded("sd-inpainting", steps=1).sd
    latents = sd.initial_noise([1, 2, 3], Batch.of(samples))
    expected = ((sd.decode_unit(latents) / 2 + 0.5) * 255).round().to(torch.uint8)
    assert torch.equal(sd.decode(latents), expected)


def test_each_caption_is_encoded_once_and_by_itself(samples: list[Sample]) -> None:
    method = loaded("brushnet", steps=1)
    rows: list[int] = []
    method.sd.text_encoder.register_forward_pre_hook(lambda _model, inputs: rows.append(len(inputs[0])))
    method(Batch.of([*samples, samples[0]]), [1, 2, 3, 4])
    method(Batch.of(samples), [1, 2, 3])
    # Three captions, and the empty negative prompt.
    assert rows == [1] * 4


def test_of_what_was_encoded_only_the_latest_is_kept() -> None:
    made: list[str] = []
    recent: Recent[str, str] = Recent(limit=2)

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    assert [recent.get(key, make) for key in "abacab"] == list("ABACAB")
    assert made == list("abcb")
    assert len(recent) == 2
