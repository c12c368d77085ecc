"""Samplers whose steps don't make a GPU wait, against the steps of the schedulers themselves."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from brushbench.baselines.schedulers import SAMPLERS, NoiseLevels, advance_of, scheduler_of, takes_generator
from brushbench.baselines.unipc import is_tabulated

CONFIG = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "steps_offset": 1,
}
"""Stable Diffusion's."""
SHAPE = (2, 4, 8, 8)


def scheduler(sampler: str, steps: int, **changes: object) -> Any:
    name, own = SAMPLERS[sampler]
    made = scheduler_of(name, CONFIG | own | changes)
    made.set_timesteps(steps)
    return made


def drawn(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)).to(dtype)


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(SHAPE[0])]


def by_itself(made: Any, dtype: torch.dtype = torch.float32, skipped: int = 0) -> Tensor:
    """Its own steps, as a pipeline of diffusers calls them: with tensors for times."""
    latents = drawn(0, dtype)
    more = {"generator": generators()} if takes_generator(made) else {}
    for index, time in list(enumerate(made.timesteps))[skipped:]:
        made.scale_model_input(latents, time)
        latents = made.step(drawn(index + 1, dtype), time, latents, return_dict=False, **more)[0]
    return latents


def by_the_loop(made: Any, dtype: torch.dtype = torch.float32, skipped: int = 0) -> Tensor:
    latents, numbers = drawn(0, dtype), made.timesteps.tolist()
    advance = advance_of(made, numbers[skipped], generators())
    for index in range(skipped, len(numbers)):
        made.scale_model_input(latents, numbers[index])
        latents = advance(drawn(index + 1, dtype), numbers[index], latents)
    return latents


def assert_same_bits(sampler: str, steps: int, dtype: torch.dtype, skipped: int, **changes: object) -> None:
    expected = by_itself(scheduler(sampler, steps, **changes), dtype, skipped)
    assert expected.isfinite().all()
    assert torch.equal(by_the_loop(scheduler(sampler, steps, **changes), dtype, skipped), expected)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_number_of_steps(sampler: str) -> None:
    for steps in range(3, 51):
        assert_same_bits(sampler, steps, torch.float32, 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(sampler: str, dtype: torch.dtype) -> None:
    for steps in (3, 10, 50):
        assert_same_bits(sampler, steps, dtype, 0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steps_that_are_left_out(sampler: str) -> None:
    for skipped in (1, 2, 7):
        assert_same_bits(sampler, 10, torch.float32, skipped)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_unet_that_predicts_velocity(sampler: str) -> None:
    assert_same_bits(sampler, 12, torch.float32, 0, prediction_type="v_prediction")


@pytest.mark.parametrize(
    "changes",
    [
        {"solver_order": 1},
        {"solver_order": 3},
        {"solver_type": "bh1"},
        {"solver_order": 3, "solver_type": "bh1", "lower_order_final": False},
        {"final_sigmas_type": "zero"},
        {"prediction_type": "sample"},
        {"disable_corrector": [0, 1, 4]},
        {"use_karras_sigmas": True},
        {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
    ],
)
def test_every_config_of_unipc_that_is_linear(changes: dict[str, object]) -> None:
    assert is_tabulated(scheduler("unipc", 10, **changes))
    for steps in (3, 4, 10, 25):
        assert_same_bits("unipc", steps, torch.float32, 0, **changes)


def test_the_last_bits_of_order_3_in_half_precision() -> None:
    """The scheduler sums up in float32, as a matrix product; the suite rounds term by term."""
    expected, actual = (
        paint(scheduler("unipc", 20, solver_order=3), torch.float16).double() for paint in (by_itself, by_the_loop)
    )
    assert (actual - expected).abs().max() <= 0.01 * expected.abs().max()


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholding": True},
        {"predict_x0": False},
        {"prediction_type": "flow_prediction", "use_flow_sigmas": True},
        {"solver_p": scheduler_of("DDIMScheduler", CONFIG)},
    ],
)
def test_other_configs_step_by_themselves(changes: dict[str, object]) -> None:
    assert not is_tabulated(scheduler("unipc", 10, **changes))
    if "solver_p" not in changes:
        assert_same_bits("unipc", 10, torch.float32, 0, **changes)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_noise_is_added_as_the_scheduler_adds_it(sampler: str, dtype: torch.dtype) -> None:
    made = scheduler(sampler, 10)
    levels = NoiseLevels.of(made, dtype)
    clean, noise = drawn(1, dtype), drawn(2, dtype)
    for index, time in enumerate(made.timesteps):
        expected = made.add_noise(clean, noise, time[None])
        assert torch.equal(levels.signal[index] * clean + levels.noise[index] * noise, expected)


class Counted(TorchDispatchMode):
    """The operators that are called, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    # Any: whatever an operator takes and gives.
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket._qualified_op_name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_step_asks_nothing_of_the_device_and_sends_nothing_to_it(sampler: str) -> None:
    """The meta device has no values: whoever asks it for one fails, as one who mixes its tensors with the CPU's."""
    made = scheduler(sampler, 5)
    latents, numbers = torch.empty(SHAPE, device="meta"), made.timesteps.tolist()
    advance = advance_of(made, numbers[0], generators())
    for index, number in enumerate(numbers):
        read = made.scale_model_input(latents, number)
        with Counted() as counted:
            latents = advance(torch.empty_like(read), number, latents)
        assert not set(counted.names) & {"_to_copy", "copy_", "_linalg_solve_ex", "linalg_solve_ex"}
        # Of its own tensors, which are on the CPU, only Euler's asks at every step, and DPM++'s at the first.
        assert "_local_scalar_dense" not in counted.names or sampler == "euler" or (sampler, index) == ("dpm++", 0)
