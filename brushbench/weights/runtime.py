"""Where models compute: the device, the precision, and whether they rest beside it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from accelerate.utils import send_to_device
from torch import nn

from brushbench.core.compute import FAST, PLAIN
from brushbench.core.errors import UserError, one_line
from brushbench.weights.recipe import check_tools, compile_in_place, computing
from brushbench.weights.resolver import Weights

Placed = TypeVar("Placed", bound=nn.Module)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a method with weights is loaded with, and where its models are.

    With `offload`, a model rests in the computer's memory and is moved to the device when it is called.
    """

    device: torch.device
    dtype: torch.dtype
    weights: Weights
    offload: bool = False
    awake: set[nn.Module] = field(default_factory=set)
    """Models on the device, with `offload`."""
    compute: str = PLAIN
    """The recipe by which models compute: `plain` or `fast`."""

    def place(self, model: Placed) -> Placed:
        """On the device, or at rest until it is called; its parameters laid out as the recipe says."""
        if self.compute == FAST:
            _lay_out_channels_last(model)
        if not self.offload:
            return model.to(self.device)

        # No method of this object: with a model that is copied, the runtime would be copied too. Any: its arguments.
        def before(called: nn.Module, inputs: Any, keywords: Any) -> tuple[Any, Any]:
            self._wake(called)
            return send_to_device(inputs, self.device), send_to_device(keywords, self.device)

        model.register_forward_pre_hook(before, with_kwargs=True)
        return model.to("cpu")

    def check_tools(self) -> None:
        """Raises `UserError` if the recipe compiles, and this machine lacks what that takes."""
        check_tools(self.compute, self.device)

    def compile(self, *modules: nn.Module) -> None:
        """Have modules compute by compiled code if the recipe says so; see `compile_in_place`."""
        for module in modules if self.compute == FAST else ():
            compile_in_place(module)

    def computing(self) -> AbstractContextManager[None]:
        """Inside, models compute by the recipe. Raises `ComputeError` if they can't be compiled."""
        return computing(self.compute, self.device)

    @contextmanager
    def stage(self, *models: nn.Module) -> Iterator[None]:
        """A stage of painting, by the recipe: what is awake when it begins or ends goes to rest.

        `models` are those of which other methods are called than `forward`, the only one that torch tells of.
        """
        self._rest()
        for model in models if self.offload else ():
            self._wake(model)
        with self.computing():
            yield
        self._rest()

    def _wake(self, model: nn.Module) -> None:
        if model not in self.awake:
            # What is moved in inference mode could take no part in a gradient any more.
            with torch.inference_mode(False):
                model.to(self.device)
            self.awake.add(model)

    def _rest(self) -> None:
        for model in self.awake:
            with torch.inference_mode(False):
                model.to("cpu")
        self.awake.clear()


def _lay_out_channels_last(model: nn.Module) -> None:
    """The kernels of convolutions of pictures; PyTorch's own way fails on models that also have some of videos."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def device_named(name: str) -> torch.device:
    """`auto`: a GPU if there is one. Raises `UserError` for a device that isn't here."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(one_line(f"device {name!r}: valid are auto, cpu, cuda, cuda:N, mps")) from error
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(device.type, False):
        valid = ", ".join(kind for kind, here in available.items() if here)
        raise UserError(one_line(f"device {name!r} is not available here; valid: auto, {valid}"))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r}: there are {torch.cuda.device_count()}; the first is cuda:0")
    return device


def dtype_named(name: str, device: torch.device) -> torch.dtype:
    """`auto`: float16 on a GPU, else float32. Raises `UserError` for another name than those there are."""
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise UserError(one_line(f"dtype {name!r}: valid are auto, {', '.join(DTYPES)}"))
    return DTYPES[name]
