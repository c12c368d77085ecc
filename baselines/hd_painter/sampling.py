"""HD-Painter's sampler: a variant of DDIM (Song et al., arXiv:2010.02502) that replaces the noise by a direction."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from brushbench.baselines.checkpoints import SchedulerConfig
from brushbench.baselines.stable_diffusion import Latents
from brushbench.core.errors import UserError

TRAINED = 1000
"""Number of timesteps in training."""
BETAS = np.linspace(0.00085**0.5, 0.012**0.5, TRAINED) ** 2
ALPHAS = np.cumprod(1 - BETAS)
"""The alpha bars of Stable Diffusion, whatever the checkpoint's scheduler says."""


PREDICTIONS = ("epsilon", "v_prediction", "sample")


@dataclass(frozen=True, slots=True)
class DDIMStep:
    """A step of the sampler from one timestep to the next."""

    time: int
    """The training timestep at which the step starts."""
    alpha: float
    """The alpha bar at that timestep."""
    next_alpha: float
    """The alpha bar at the next timestep; 1 at the last step, which leads to clean latents."""
    sigma: float
    """Standard deviation of the added direction at eta 1; 0 at the last step."""

    def noise_in(self, latents: Latents, predicted: Latents, prediction_type: str) -> Latents:
        """The noise in the latents, from the UNet's output (v: Salimans and Ho, arXiv:2202.00512, appendix D)."""
        signal, noise = math.sqrt(self.alpha), math.sqrt(1 - self.alpha)
        if prediction_type == "v_prediction":
            return signal * predicted + noise * latents
        if prediction_type == "sample":
            return (latents - signal * predicted) / noise
        return predicted

    def apply(self, latents: Latents, noise: Latents, direction: Latents | None, eta: float) -> Latents:
        """The latents after DDIM's step, with a direction of standard deviation 1 instead of noise.

        Without a direction the step is deterministic.
        """
        clean = (latents - math.sqrt(1 - self.alpha) * noise) / math.sqrt(self.alpha)
        sigma = 0.0 if direction is None else eta * self.sigma
        moved = math.sqrt(self.next_alpha) * clean + math.sqrt(1 - self.next_alpha - sigma**2) * noise
        return moved if direction is None else moved + sigma * direction


def prediction_type(config: SchedulerConfig) -> str:
    """What the UNet of a base model with this scheduler config predicts, in diffusers' terms."""
    return str(config.get("prediction_type") or "epsilon")


def check_schedule(config: SchedulerConfig) -> None:
    """Raise `UserError` for a base model that this sampler has no formula for."""
    kind = prediction_type(config)
    if kind not in PREDICTIONS:
        raise UserError(f"hd-painter can't use a base that predicts {kind!r}; valid: {', '.join(PREDICTIONS)}")
    if config.get("rescale_betas_zero_snr"):
        raise UserError(
            "hd-painter can't use a base with rescale_betas_zero_snr: its sampler divides by the signal left at the "
            "first timestep, which is 0; valid: a base without it"
        )


def schedule(steps: int) -> list[DDIMStep]:
    """The sampler's steps: from timestep 999 in strides of 1000 // steps while above 0, so not always `steps` of them.

    The last step leads from the last timestep to clean latents.
    """
    times = range(TRAINED - 1, 0, -(TRAINED // steps))
    jumps = [
        DDIMStep(time, float(ALPHAS[time]), float(ALPHAS[to]), _sigma(float(BETAS[time]), float(BETAS[to])))
        for time, to in pairwise(times)
    ]
    return [*jumps, DDIMStep(times[-1], float(ALPHAS[times[-1]]), next_alpha=1.0, sigma=0.0)]


def _sigma(beta: float, next_beta: float) -> float:
    """DDIM's sigma, but with the betas of both timesteps in place of 1 - alpha bar, as in the official code."""
    return math.sqrt(next_beta / beta * (1 - (1 - beta) / (1 - next_beta)))
