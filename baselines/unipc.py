"""UniPC with its coefficients computed before the first step: Zhao et al., arXiv:2302.04867, with B(h).

The scheduler of diffusers computes them anew at each step, on the device of the latents: it copies noise levels there
and solves a system of equations, for which a GPU has to wait. They depend on the noise levels alone. The arithmetic
on latents is the scheduler's, in its order, so that its bytes are, too; what it shares between a prediction and the
correction that follows is computed once.
"""

import math
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

PREDICTIONS = ("epsilon", "v_prediction", "sample")


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """The coefficients of the way from one noise level to the next; scalars on the CPU, float32."""

    kept: Tensor
    """What counts of the latents: the ratio of the noise levels."""
    first: Tensor
    """What counts of the clean latents where it begins: alpha (e^-h - 1)."""
    more: Tensor
    """What counts of all differences to them: alpha B(h)."""
    ratios: tuple[Tensor, ...]
    """For each earlier one, its distance over the interval's, in half logarithms of the signal-to-noise ratio."""
    predicting: tuple[Tensor, ...]
    """The weight of the difference to each earlier one."""
    correcting: tuple[Tensor, ...]
    """These weights for the correction, followed by that of the difference to the prediction where it ends."""


@final
@dataclass(slots=True)
class UniPC:
    """Steps like a scheduler of diffusers whose timesteps are set, for which `is_tabulated` holds."""

    # Any: a `UniPCMultistepScheduler`, which is untyped.
    scheduler: Any
    index: int
    """The number of the next step."""
    intervals: dict[int, Interval] = field(init=False)
    """By the index of the step that goes along it."""
    clean: list[Tensor] = field(default_factory=list)
    """The clean latents that the last steps predicted; at most as many as the order of the solver."""
    base: Tensor | None = None
    """The last prediction without its differences."""
    differences: list[Tensor] = field(default_factory=list)
    """The differences that the last prediction used, each over its ratio."""

    def __post_init__(self) -> None:
        sigmas, config = self.scheduler.sigmas, self.scheduler.config
        last = len(self.scheduler.timesteps) - 1
        self.intervals = {}
        for step in range(self.index, last + 1):
            left = last + 1 - step if config.lower_order_final else config.solver_order
            order = min(config.solver_order, left, step - self.index + 1)
            # Nothing is corrected behind the last step, where the equations can be without a solution.
            self.intervals[step] = interval(sigmas, step, order, config.solver_type, corrected=step < last)

    def __call__(self, predicted: Tensor, latents: Tensor) -> Tensor:
        """What the UNet predicts, and the latents it did so from -> the latents of the next timestep."""
        clean = self._clean(predicted, latents)
        if self.base is not None and self.index - 1 not in self.scheduler.config.disable_corrector:
            latents = self._corrected(clean, self.base)
        self.clean = [clean, *self.clean][: self.scheduler.config.solver_order]
        way = self.intervals[self.index]
        self.base = way.kept * latents - way.first * clean
        self.differences = [
            (earlier - clean) / ratio for earlier, ratio in zip(self.clean[1:], way.ratios, strict=False)
        ]
        self.index += 1
        if not self.differences:
            return self.base
        return self.base - way.more * _total(self.differences, way.predicting)

    def _clean(self, predicted: Tensor, latents: Tensor) -> Tensor:
        kind = self.scheduler.config.prediction_type
        if kind == "sample":
            return predicted
        signal, noise = _levels(self.scheduler.sigmas[self.index])
        if kind == "v_prediction":
            return signal * latents - noise * predicted
        return (latents - noise * predicted) / signal

    def _corrected(self, clean: Tensor, base: Tensor) -> Tensor:
        """The latents of this timestep, now that the UNet has seen what was predicted for it."""
        way = self.intervals[self.index - 1]
        total = way.correcting[-1].to(clean.dtype) * (clean - self.clean[0])
        if self.differences:
            total = _total(self.differences, way.correcting[:-1]) + total
        return base - way.more * total


# Any: a scheduler of diffusers.
def is_tabulated(scheduler: Any) -> bool:
    """Whether it is a UniPC whose steps are linear, and made from clean latents."""
    if type(scheduler).__name__ != "UniPCMultistepScheduler":
        return False
    config = scheduler.config
    linear = scheduler.solver_p is None and not config.thresholding and not config.use_flow_sigmas
    return bool(linear and scheduler.predict_x0 and config.prediction_type in PREDICTIONS)


def interval(sigmas: Tensor, step: int, order: int, kind: str, *, corrected: bool) -> Interval:
    """The coefficients from noise level `step` to the next, of an order from 1; `kind` of B(h) is bh1 or bh2."""
    begin, end = _half_log_snr(sigmas[step]), _half_log_snr(sigmas[step + 1])
    length = end - begin
    decay = torch.expm1(-length)
    scale = -length if kind == "bh1" else decay
    ratios = [(_half_log_snr(sigmas[step - back]) - begin) / length for back in range(1, order)]
    matrix, moments = _equations(-length, decay, scale, torch.stack([*ratios, torch.ones(())]))
    signal, noise = _levels(sigmas[step + 1])
    return Interval(
        kept=noise / _levels(sigmas[step])[1],
        first=signal * decay,
        more=signal * scale,
        ratios=tuple(ratios),
        predicting=_solved(matrix[:-1, :-1], moments[:-1]),
        correcting=_solved(matrix, moments) if corrected else (),
    )


def _equations(length: Tensor, decay: Tensor, scale: Tensor, ratios: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's R and b, section 3.1 (equation 8): every power of the ratios is to be integrated exactly."""
    orders = range(1, len(ratios) + 1)
    integral, moments = decay / length - 1, []
    for power in orders:
        moments.append(integral * math.factorial(power) / scale)
        integral = integral / length - 1 / math.factorial(power + 1)
    return torch.stack([torch.pow(ratios, power - 1) for power in orders]), torch.stack(moments)


def _solved(matrix: Tensor, moments: Tensor) -> tuple[Tensor, ...]:
    """The weights of the differences; of a single one a half, which is accurate enough whatever the interval."""
    if len(moments) == 1:
        return (torch.tensor(0.5),)
    return tuple(torch.linalg.solve(matrix, moments)) if len(moments) else ()


def _levels(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """(how much signal, how much noise) latents have whose noise is sigma times as strong as their signal."""
    signal = 1 / ((sigma**2 + 1) ** 0.5)
    return signal, sigma * signal


def _half_log_snr(sigma: Tensor) -> Tensor:
    signal, noise = _levels(sigma)
    return torch.log(signal) - torch.log(noise)


def _total(tensors: list[Tensor], weights: tuple[Tensor, ...]) -> Tensor:
    total = weights[0].to(tensors[0].dtype) * tensors[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = total + weight.to(tensor.dtype) * tensor
    return total
