"""Schedulers of diffusers, checked to understand their configs and to draw only each sample's own noise."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import diffusers
import torch
from torch import Tensor

from brushbench.baselines.checkpoints import SchedulerConfig
from brushbench.baselines.unipc import UniPC, is_tabulated
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import UserError, one_line

Sampler = Literal["unipc", "ddim", "pndm", "dpm++", "euler"]
SAMPLERS: dict[str, tuple[str, SchedulerConfig]] = {
    # The last sigma is that of the first training step, never 0, as in the version of diffusers of the official code.
    "unipc": ("UniPCMultistepScheduler", {"final_sigmas_type": "sigma_min"}),
    "ddim": ("DDIMScheduler", {}),
    # Every Stable Diffusion skips the Runge-Kutta steps, but the configs of other schedulers don't mention them.
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "dpm++": ("DPMSolverMultistepScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
}
"""The scheduler class in diffusers for each sampler, and settings that override the folder's config."""
MUST_UNDERSTAND = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False}
"""Settings that change the meaning of the UNet's output, with the value implied by a class that lacks them:
`from_config` silently drops settings that a class lacks."""
TRIAL = 10
"""Number of steps in the trial."""

# Any: the schedulers of diffusers share an interface but no type, here and below.


def scheduler_of(name: str, config: SchedulerConfig) -> Any:
    """A new scheduler. Raises `ValueError` for a name that is not a scheduler of diffusers, or an unusable config."""
    if not name.endswith("Scheduler"):
        raise ValueError(f"{name!r} is not a scheduler of diffusers")
    return getattr(diffusers, name).from_config(config)


def checked_scheduler(name: str, config: SchedulerConfig, where: object) -> None:
    """Raise `UserError` for a scheduler that can't be used with a config.

    It may fail to be made, not understand the config, fail to step, or draw noise that isn't each sample's own. `where`
    names the config's origin in messages.
    """
    made = capture(scheduler_of, name, config)
    if isinstance(made, Failure):
        raise UserError(one_line(f"{where}: {name} can't be made from this config: {made.error}"))
    for key, usual in MUST_UNDERSTAND.items():
        if config.get(key, usual) not in (usual, None) and not _understands(name, key):
            valid = ", ".join(sampler for sampler, (rival, _) in SAMPLERS.items() if _understands(rival, key))
            raise UserError(one_line(f"{where}: {key} is {config[key]}, which {name} doesn't support; valid: {valid}"))
    drawn = capture(check_own_noise, made)
    if isinstance(drawn, Failure):
        reason = drawn.error if drawn.by_user else f"{name} can't be used with this config: {drawn.error}"
        raise UserError(one_line(f"{where}: {reason}"))


def _understands(name: str, key: str) -> bool:
    return key in inspect.signature(getattr(diffusers, name)).parameters


def check_own_noise(scheduler: Any) -> None:
    """Raise `UserError` if the scheduler draws noise from anything but each sample's own generator.

    In a trial, two equal samples with equal generators must stay equal, and torch's global generator must stay
    unchanged. Errors of the scheduler itself are passed on.
    """
    state = torch.get_rng_state()
    try:
        scheduler.set_timesteps(TRIAL)
        latents = torch.linspace(-1, 1, 4 * 8 * 8).view(1, 4, 8, 8).repeat(2, 1, 1, 1)
        generators = [torch.Generator("cpu").manual_seed(0) for _ in latents]
        for time in scheduler.timesteps.tolist():
            read = scheduler.scale_model_input(latents, time) if hasattr(scheduler, "scale_model_input") else latents
            latents = stepped(scheduler, read / 2, time, latents, generators)
        foreign = not torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_rng_state(state)
    if foreign or not torch.equal(*latents.nan_to_num()):
        raise UserError(
            f"{type(scheduler).__name__} draws noise that isn't each sample's own, so equal runs would differ; "
            f"valid: sampler={', '.join(SAMPLERS)}, or a scheduler whose step takes a generator"
        )


Time = float | int
Advance = Callable[[Tensor, Time, Tensor], Tensor]
"""(what the UNet predicted, the timestep, the latents that it read) -> the latents of the next timestep."""


def advance_of(scheduler: Any, first: Time, generators: Sequence[torch.Generator]) -> Advance:
    """How a scheduler steps whose timesteps are set, from the first one that isn't left out; `stepped`, but for UniPC.

    Timesteps are numbers, and the scheduler's own tensors are on the CPU: whatever a step asks of them, the host
    doesn't wait for a GPU, which reads scalars from there as arguments of its kernels.
    """
    if is_tabulated(scheduler):
        solver = UniPC(scheduler, scheduler.index_for_timestep(first))
        return lambda predicted, _time, latents: solver(predicted, latents)
    return lambda predicted, time, latents: stepped(scheduler, predicted, time, latents, generators)


def stepped(
    scheduler: Any, predicted: Tensor, time: Time, latents: Tensor, generators: Sequence[torch.Generator]
) -> Tensor:
    """The latents after a step; any noise in it is drawn from each sample's own generator."""
    keywords = {"generator": list(generators)} if takes_generator(scheduler) else {}
    found: Tensor = scheduler.step(predicted, time, latents, return_dict=False, **keywords)[0]
    return found


def takes_generator(scheduler: Any) -> bool:
    """Whether the scheduler's `step` accepts a generator."""
    return "generator" in inspect.signature(scheduler.step).parameters


@final
@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """How much signal and how much noise latents have at each timestep of a run, on the CPU."""

    signal: Tensor
    noise: Tensor

    @classmethod
    def of(cls, scheduler: Any, dtype: torch.dtype) -> "NoiseLevels":
        """By the scheduler's own formula for adding noise, in the precision in which it would compute it."""
        one, nothing = (torch.full((len(scheduler.timesteps), 1, 1, 1), value, dtype=dtype) for value in (1, 0))
        signal, noise = (scheduler.add_noise(*pair, scheduler.timesteps) for pair in ((one, nothing), (nothing, one)))
        return cls(signal.flatten(), noise.flatten())
