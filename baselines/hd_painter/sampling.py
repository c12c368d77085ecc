"""HD-Painter's own sampler: a variant of DDIM (Song et al., arXiv:2010.02502) whose noise is a direction."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from brushbench.baselines.checkpoints import SchedulerConfig
from brushbench.baselines.stable_diffusion import Latents
from brushbench.core.errors import UserError

TRAINED = 1000
"""Timesteps of the training."""
BETAS = np.linspace(0.00085**0.5, 0.012**0.5, TRAINED) ** 2
ALPHAS = np.cumprod(1 - BETAS)
"""The alpha bars of Stable Diffusion, whatever the checkpoint's scheduler says."""


PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True, slots=True)
class DDIMStep:
    """From one timestep to the next."""

    time: int
    """The training timestep from which it goes."""
    alpha: float
    """The alpha bar there ..."""
    next_alpha: float
    """... and where it goes to; 1 at the last step, which goes to clean latents."""
    sigma: float
    """Standard deviation of what is put in for noise, times eta; 0 at the last step."""

    def noise_in(self, latents: Latents, predicted: Latents, prediction_type: str) -> Latents:
        """The noise that the UNet's output says is in the latents (v: Salimans and Ho, arXiv:2202.00512, app. D)."""
        signal, noise = math.sqrt(self.alpha), math.sqrt(1 - self.alpha)
        if prediction_type == "v_prediction":
            return signal * predicted + noise * latents
        if prediction_type == "sample":
            return (latents - signal * predicted) / noise
        return predicted

    def apply(self, latents: Latents, noise: Latents, direction: Latents | None, eta: float) -> Latents:
        """DDIM's step, with a direction of standard deviation 1 in place of the noise; deterministic without one."""
        clean = (latents - math.sqrt(1 - self.alpha) * noise) / math.sqrt(self.alpha)
        sigma = 0.0 if direction is None else eta * self.sigma
        moved = math.sqrt(self.next_alpha) * clean + math.sqrt(1 - self.next_alpha - sigma**2) * noise
        return moved if direction is None else moved + sigma * direction


def prediction_type(config: SchedulerConfig) -> str:
    """What the UNet of a base with this scheduler's config predicts, in diffusers' words."""
    return str(config.get("prediction_type") or "epsilon")


def check_schedule(config: SchedulerConfig) -> None:
    """Raises `UserError` for a base for which this sampler has no formula."""
    kind = prediction_type(config)
    if kind not in PREDICTIONS:
        raise UserError(f"hd-painter can't use a base that predicts {kind!r}; valid: {', '.join(PREDICTIONS)}")
    if config.get("rescale_betas_zero_snr"):
        raise UserError(
            "hd-painter can't use a base with rescale_betas_zero_snr: its own sampler divides by the signal that is "
            "left at the first timestep, here 0; valid: a base without it"
        )


def schedule(steps: int) -> list[DDIMStep]:
    """From timestep 999 in strides of 1000 // steps for as long as it is above 0: not always `steps` of them.

    The last jump leaves the last timestep for clean latents.
    """
    times = range(TRAINED - 1, 0, -(TRAINED // steps))
    jumps = [
        DDIMStep(time, float(ALPHAS[time]), float(ALPHAS[to]), _sigma(float(BETAS[time]), float(BETAS[to])))
        for time, to in pairwise(times)
    ]
    return [*jumps, DDIMStep(times[-1], float(ALPHAS[times[-1]]), next_alpha=1.0, sigma=0.0)]


def _sigma(beta: float, next_beta: float) -> float:
    """DDIM's, but of the betas of two timesteps where DDIM has one minus their alpha bars: as the official code."""
    return math.sqrt(next_beta / beta * (1 - (1 - beta) / (1 - next_beta)))
