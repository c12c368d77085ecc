"""Watch a pipeline of diffusers while it generates.

It may draw only each sample's own noise, and values that aren't finite are found before it clamps them to a colour.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from diffusers import SchedulerMixin
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor

from brushbench.baselines.finite import DECODING, through_vae
from brushbench.baselines.schedulers import check_own_noise, takes_generator
from brushbench.core.capture import Failure, capture
from brushbench.core.errors import SampleError, UserError

VAES = ("vae", "movq")
"""Names under which pipelines hold the model that decodes latents."""

# Any: pipelines and their components have interfaces but no types, here and below.


def check_schedulers(pipeline: Any) -> None:
    """Raise `UserError` if a scheduler of the pipeline draws noise that can't be each sample's own.

    A scheduler for another kind of latents can't be tried here; it is watched while it generates.
    """
    for scheduler in _schedulers(pipeline):
        found = capture(check_own_noise, type(scheduler).from_config(scheduler.config))
        if isinstance(found, Failure) and found.by_user:
            raise UserError(found.error)


@contextmanager
def watched(pipeline: Any, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Pass the samples' generators to every draw of a scheduler or an encoder, and decode as the other methods do.

    Raises `SampleError` for values that aren't finite, and if noise was drawn from a global generator.
    """
    before = _global_states()
    with ExitStack() as stack:
        for scheduler in filter(takes_generator, _schedulers(pipeline)):
            stack.enter_context(_replaced(scheduler, "step", _seeded(scheduler.step, generators)))
        for vae in [pipeline.components[name] for name in VAES if pipeline.components.get(name) is not None]:
            stack.enter_context(_replaced(vae, "decode", _decoding(vae)))
            stack.enter_context(_replaced(vae, "encode", _encoding(vae, generators)))
        yield
    if any(not torch.equal(*states) for states in zip(before, _global_states(), strict=True)):
        name = type(pipeline).__name__
        raise SampleError(f"{name} draws noise that isn't the sample's own, so equal runs would differ")


def _schedulers(pipeline: Any) -> list[Any]:
    return [part for part in pipeline.components.values() if isinstance(part, SchedulerMixin)]


def _seeded(step: Callable[..., Any], generators: Sequence[torch.Generator]) -> Callable[..., Any]:
    """A scheduler's step that gets the generators even if the pipeline passes none."""
    own = _as_argument(generators)

    @wraps(step)
    def seeded(*arguments: Any, **keywords: Any) -> Any:
        return step(*arguments, **keywords | {"generator": keywords.get("generator") or own})

    return seeded


def _encoding(vae: Any, generators: Sequence[torch.Generator]) -> Callable[..., Any]:
    """A VAE's encoder whose latents are drawn with the generators even if the pipeline passes none.

    The ControlNet pipelines of Stable Diffusion 3 and Qwen-Image pass none.
    """
    encode, own = vae.encode, _as_argument(generators)

    @wraps(encode)
    def encoded(*arguments: Any, **keywords: Any) -> Any:
        made = encode(*arguments, **keywords)
        distribution = getattr(made, "latent_dist", None)
        if distribution is not None:
            sample = distribution.sample
            distribution.sample = lambda generator=None: sample(generator or own)
        return made

    return encoded


def _as_argument(generators: Sequence[torch.Generator]) -> list[torch.Generator] | torch.Generator:
    return list(generators) if len(generators) > 1 else generators[0]


def _decoding(vae: Any) -> Callable[..., Any]:
    decode = vae.decode

    @wraps(decode)
    def checked(latents: Tensor, *arguments: Any, **keywords: Any) -> Any:
        made = through_vae(vae, latents, lambda each: decode(each, *arguments, **keywords)[0], DECODING)
        return (made,) if keywords.get("return_dict") is False else DecoderOutput(sample=made)

    return checked


@contextmanager
def _replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    setattr(owner, name, function)
    try:
        yield
    finally:
        # Deleting the instance's attribute uncovers the class's own method.
        delattr(owner, name)


def _global_states() -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]
